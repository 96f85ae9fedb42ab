# SPDX-License-Identifier: Apache-2.0
"""Everything that a run happens to, and what is on it."""

import math
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random

from tests.product import START_S, Product, wait_for
from tests.soak.clock import Clock
from tests.soak.database import Database
from tests.soak.disk import NoSmallDiskError, SmallDisk
from tests.soak.guests import Guests
from tests.soak.relay import Relay

INTERVAL_S = 0.5
"""How often the collector reads: a kill has twice as many moments to hit as with the default."""
_DRAIN_S = 120.0
_STARTING_S = 20.0
_PATIENCE_S = 120.0
"""On a busy machine a collector compiles for longer than the others take to be away and back."""
_PAUSE_S = 0.05


class Stage:
    """A server, a collector, what lies between and below them, and guests."""

    def __init__(self, directory: Path, database: Database, random: Random) -> None:
        """Prepare everything; nothing runs yet."""
        self.random = random
        self.database = database
        self.clock = Clock(directory)
        self.guests = Guests()
        self.disk: SmallDisk | None = None
        self.disk_gap = ""
        """Why there is no disk to fill, where there is none."""
        try:
            self.disk = SmallDisk(directory / "spool")
        except NoSmallDiskError as exc:
            self.disk_gap = str(exc)
        self.product = Product(directory, database=database.url)
        self.relay = Relay(self.product.port)
        self.attached_ms = 0
        """When guests began to be counted, by the machine's clock."""
        self._database_away_until_s = 0.0
        self._server_started_s = 0.0
        self._log = directory / "collector.log"
        self._log_begins = 0
        self._is_handing_over = False
        self.kills: Counter[str] = Counter()
        """``server`` and ``collector``; and ``at work``, those of either that hit one that was."""
        self.cut_batches = 0
        """How many files in the spool were cut off."""
        self.ended_by_themselves: list[str] = []
        self._spool = directory / "spool"

    def start(self) -> None:
        """Start server and collector, wait until guests are counted, and start the guests."""
        self.product.start_server()
        self.start_collector()
        wait_for(lambda: self.product.status("/readyz") == 200 or None, START_S, "the collector is attached")
        self.attached_ms = time.time_ns() // 1_000_000
        self.guests.start_endless(vcpus=2)
        self.guests.start_endless(vcpus=1)

    def start_server(self) -> None:
        """Start the server, unless it runs, and go on."""
        if _runs(self.product.server):
            return
        self._server_started_s = time.monotonic()
        self.product.spawn_server()

    def start_collector(self) -> None:
        """Start the collector, unless it runs, and go on."""
        # On a slow machine the steps of two actions may come to lie among one another.
        if _runs(self.product.collector):
            return
        self._is_handing_over = False
        self._log_begins = self._log.stat().st_size if self._log.exists() else 0
        self.product.spawn_collector(
            *("--interval", str(INTERVAL_S)),
            server=self.relay.url,
            environment=self.clock.environment,
        )

    def server_answers(self) -> bool:
        """Whether the server is at work."""
        return self.product.status("/healthz") == 200

    def collector_reads(self) -> bool:
        """Whether the collector that was started last is at work, as it logs."""
        with self._log.open("rb") as log:
            log.seek(self._log_begins)
            return b" attached " in log.read()

    def until(self, is_at_work: Callable[[], bool]) -> Iterator[float]:
        """Yield short pauses until something is at work, but not for ever: what that needs may be away."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while not is_at_work() and time.monotonic() < deadline_s:
            yield _PAUSE_S

    def kill_server(self) -> None:
        """SIGKILL."""
        self.kills.update(["server", *(["at work"] if self.server_answers() else [])])
        self.product.kill_server()

    def kill_collector(self) -> None:
        """SIGKILL."""
        self.kills.update(["collector", *(["at work"] if self.collector_reads() else [])])
        self.product.kill_collector()

    def ask_to_hand_over(self) -> None:
        """SIGHUP, by which a collector ends and leaves the counting to the next, as for an upgrade."""
        if self.product.collector is not None:
            self._is_handing_over = True
            self.product.collector.send_signal(signal.SIGHUP)

    def has_no_collector(self) -> bool:
        """Whether the collector has ended."""
        return not _runs(self.product.collector)

    @contextmanager
    def database_away(self) -> Iterator[None]:
        """Within this the server may fail to start."""
        self._database_away_until_s = math.inf
        yield
        self._database_away_until_s = time.monotonic()

    def look_after(self) -> None:
        """Start again what ended by itself, as a supervisor does, and note what should not have."""
        server, collector = self.product.server, self.product.collector
        if server is not None and (status := server.poll()) is not None and status != -signal.SIGKILL:
            if not self._lacked_its_database():
                self.ended_by_themselves.append(f"server, status {status}")
            self.start_server()
        if collector is None or self._is_handing_over:
            return
        if (status := collector.poll()) is not None and status != -signal.SIGKILL:
            self.ended_by_themselves.append(f"collector, status {status}")
            self.start_collector()

    def cut_a_batch(self) -> None:
        """Leave half of some file in the spool."""
        waiting = sorted(self._spool.glob("*.batch"))
        if not waiting:
            return
        path = self.random.choice(waiting)
        with suppress(FileNotFoundError):  # It was on its way already.
            os.truncate(path, path.stat().st_size // 2)
            self.cut_batches += 1

    def settle(self) -> None:
        """Wait until everything that was counted has arrived, and end the collector in order.

        :raises AssertionError: it does not arrive
        """
        self.relay.lose_answers(0)
        wait_for(lambda: self.product.status("/healthz") == 200 or None, START_S, "the server answers")
        wait_for(self._is_drained, _DRAIN_S, "everything that was spooled arrives")
        assert self.product.collector is not None
        self.product.collector.terminate()
        self.product.collector.wait(30)
        wait_for(self._is_drained, _DRAIN_S, "the collector's last batches arrive")

    def close(self) -> None:
        """End everything, also where a part of it fails to end."""
        with ExitStack() as last_first:
            if self.disk is not None:
                last_first.callback(self.disk.unmount)
            last_first.callback(self.relay.close)
            last_first.callback(self.product.stop)
            last_first.callback(self.guests.kill)

    def _lacked_its_database(self) -> bool:
        """Whether the database was away while the server started: it ends, then, and says so."""
        is_new = time.monotonic() - self._server_started_s < _STARTING_S
        return is_new and self._database_away_until_s >= self._server_started_s

    def _is_drained(self) -> bool | None:
        # What was put aside, as newer batches were taken, is in a folder of its own until it is sent again.
        return (self.relay.holds_nothing and not any(self._spool.rglob("*.batch"))) or None


def _runs(process: "subprocess.Popen[bytes] | None") -> bool:
    return process is not None and process.poll() is None
