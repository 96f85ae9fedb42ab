# SPDX-License-Identifier: Apache-2.0
"""The product as a user runs it: server and collector, on a port and directory of their own.

Its database is a copy, and its tokens are made in this process: to start the commands for it each time would
take longer than to start the server.
"""

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen
from weakref import WeakSet

Result = TypeVar("Result")

TOP = Path(__file__).resolve().parent.parent
START_S = 180.0
_LONGEST_PAUSE_S = 0.25
_PAUSE_SHARE = 0.02
"""Of the time that was waited already: so much longer may a wait be than it has to."""
SEEN_S = 90.0
"""How long to look. The promise is two seconds, which bench/latency.py measures."""


def wait_for(look: Callable[[], Result | None], seconds: float, what: str) -> Result:
    """Return what ``look`` finds, looking until it is not None: less often the longer it takes.

    To ask a server costs the CPU time that it, and what is waited for, would need.
    """
    began = time.monotonic()
    deadline = began + seconds
    pause_s = 0.02
    while True:
        found = look()
        if found is not None:
            return found
        now = time.monotonic()
        if now > deadline:
            said = "".join(product.how_it_goes() for product in _products)
            raise AssertionError(f"{what}: not within {seconds:g} s{said}")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, max(_LONGEST_PAUSE_S, _PAUSE_SHARE * (now - began)))


_products: WeakSet["Product"] = WeakSet()
"""Those of this process: where a test waits in vain, one of theirs may have ended."""
_LOG_LINES = 12
"""Lines of a log."""


class Product:
    """Starts and ends the two processes; asks the server."""

    def __init__(self, directory: Path, *, database: str | None = None, tree: Path = TOP) -> None:
        """Prepare a database and an ingest token.

        :param database: URL of an empty database; an SQLite file of its own where none is said
        :param tree: checkout whose processes are started, until ``tree`` is changed
        """
        self.tree = tree
        self.directory = directory
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = database or f"sqlite:///{directory / 'kvmfaults.db'}"
        self.host = "test-host"
        self.bpffs = directory / "bpf"
        """A BPF file system of its own, so that it and others on this machine leave each other alone."""
        self.lock_file = directory / "machine.lock"
        self.data_dir = directory
        """The collector's."""
        self.cache_dir: Path | None = None
        """The collector's own; None for the one that the tests share, where most is compiled already."""
        self.server: subprocess.Popen[bytes] | None = None
        self.collector: subprocess.Popen[bytes] | None = None
        _products.add(self)
        if database is None and tree == TOP:
            shutil.copy(_migrated_file(), directory / "kvmfaults.db")
        else:
            self.command("backend", "migrate", "--database", self.database)
        self.token = directory / "ingest.token"
        """The ingest token's file."""
        self.enrol(self.host, self.token)

    def rename(self, host: str) -> None:
        """Give the host another name, with a token of its own, from the collector's next start on."""
        self.host = host
        self.token = self.directory / f"{host}.token"
        self.enrol(host, self.token)

    def enrol(self, host: str, file: Path) -> None:
        """Make an ingest token for a host and write it to a new file."""
        if self.tree == TOP:
            # Only here: most of those that import this module need no database, whose import takes a second.
            from backend.auth import TokenKind
            from backend.store import open_store
            from backend.token_file import create_token_file

            with closing(open_store(self.database)) as store:
                create_token_file(store, TokenKind.INGEST, host, file, if_missing=False)
        else:
            self.command(
                *("backend", "token", "create", "--database", self.database),
                *("--kind", "ingest", "--host", host, "--file", str(file)),
            )

    def command(self, *arguments: str) -> str:
        """Run one of the commands to its end and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.tree,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start_server(self, *options: str, expect_collector: bool = True) -> None:
        """Start the server and wait until it answers."""
        self.spawn_server(*options, expect_collector=expect_collector)
        wait_for(lambda: self.status("/healthz") == 200 or None, START_S, "the server answers")

    def restart_collector(self, *options: str) -> None:
        """End the collector in order and start it with other options."""
        _end(self.collector, signal.SIGTERM)
        self.start_collector(*options)

    def start_collector(self, *options: str) -> None:
        """Start the collector and wait until its probes are attached."""
        started = datetime.now(UTC)
        self.spawn_collector(*options)
        wait_for(lambda: self.covers(started) or None, START_S, "the probes are attached")

    def spawn_server(self, *options: str, expect_collector: bool = True) -> None:
        """Start the server and go on."""
        self.server = self._spawn(
            *("backend", "serve", "--port", str(self.port), "--database", self.database),
            "--expect-collector" if expect_collector else "--no-collector",
            *options,
        )

    def spawn_collector(
        self, *options: str, server: str | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the collector and go on.

        :param server: URL of what it takes for the server
        :param environment: what it has in its environment beside this process's
        """
        self.collector = self._spawn(
            *self.collector_command(server=server), *options, environment=environment
        )

    def collector_command(self, *, server: str | None = None) -> tuple[str, ...]:
        """The collector's module and arguments, beside others on this machine."""
        if not self.bpffs.is_dir():
            self.bpffs.mkdir()
            subprocess.run(["mount", "-t", "bpf", "-o", "mode=700", "bpf", self.bpffs], check=False)
        return (
            *("collector", "run", "--server", server or self.url, "--token-file", str(self.token)),
            *("--data-dir", str(self.data_dir), "--host", self.host),
            *("--bpffs", str(self.bpffs)),
            # Versions before did not know of each other.
            *(("--lock-file", str(self.lock_file)) if self.tree == TOP else ()),
            *(("--cache-dir", str(self.cache_dir)) if self.cache_dir else ()),
        )

    def covers(self, since: datetime) -> bool:
        """Whether time after this one is covered already.

        When the newest batch came says nothing: it may be one that a killed collector left in its spool, and
        that collector counts as attached for a while.
        """
        if self.status("/readyz") != 200:
            return False
        return any(
            host["state"] == "attached"
            and host["covered_to"] is not None
            and datetime.fromisoformat(host["covered_to"]) > since
            for host in self.get("status")["hosts"]
        )

    def wait_until_vms_are_kept(self) -> None:
        """Wait until the collector has kept on disk which VMs live, as it does once a batch is sent."""
        kept, since_ns = self.data_dir / "vms.json", time.time_ns()
        wait_for(lambda: kept.stat().st_mtime_ns > since_ns or None, SEEN_S, "living VMs are kept")

    def kill_server(self) -> None:
        """SIGKILL the server."""
        _end(self.server, signal.SIGKILL)

    def kill_collector(self) -> None:
        """SIGKILL the collector."""
        _end(self.collector, signal.SIGKILL)

    def stop(self) -> None:
        """End both in order."""
        try:
            _end(self.collector, signal.SIGTERM)
            _end(self.server, signal.SIGTERM)
        finally:
            # What a killed collector left counting goes with it: it would slow down every guest of this host.
            if self.bpffs.is_dir():
                subprocess.run(["umount", "--lazy", self.bpffs], check=False)

    def how_it_goes(self) -> str:
        """Each process's state, and the last lines of its log."""
        return "".join(
            f"\n{name} {_state(process)}, its log ends:\n{self._end_of_log(name)}"
            for name, process in (("backend", self.server), ("collector", self.collector))
        )

    def _end_of_log(self, name: str) -> str:
        try:
            lines = (self.directory / f"{name}.log").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-_LOG_LINES:])

    def status(self, path: str) -> int | None:
        """The HTTP status of a path, None while nothing answers."""
        try:
            with urlopen(self.url + path, timeout=5) as response:
                return int(response.status)
        except HTTPError as exc:
            return exc.code
        except (URLError, OSError):
            return None

    def get(self, path: str, **parameters: object) -> Any:
        """The JSON of an endpoint under /api/v1."""
        query = urlencode([(key.rstrip("_"), value) for key, value in parameters.items()], doseq=True)
        with urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=60) as response:
            return json.load(response)

    def vm(self, pid: int) -> dict[str, Any] | None:
        """The VM of a VMM's process, None while it is not known."""
        items = self.get("vms", pid=pid)["items"]
        return dict(items[0]) if items else None

    def vm_with(
        self, pid: int, *, faults: int, memory_fault_exits: int = 0, seconds: float = SEEN_S
    ) -> dict[str, Any]:
        """Wait until a VM shows at least these counts, and return it."""

        def look() -> dict[str, Any] | None:
            vm = self.vm(pid)
            if vm and vm["faults"] >= faults and vm["memory_fault_exits"] >= memory_fault_exits:
                return vm
            return None

        return wait_for(look, seconds, f"VM of pid {pid} shows {faults} faults")

    def flags(self, vm_id: str) -> dict[str, int]:
        """Counts by flag."""
        return {item["flag"]: item["count"] for item in self.get(f"vms/{vm_id}/flags")["items"]}

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.tree)}

    def _spawn(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.directory / f"{arguments[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=self.tree,
                env={**self._environment(), **(environment or {})},
                stdout=log,
                stderr=log,
            )


@cache
def _migrated_file() -> Path:
    """Return a migrated SQLite file, to copy: made once by each process."""
    from backend.store.sql.migrate import migrate

    folder = Path(tempfile.mkdtemp(prefix="kvmfaults-migrated-"))
    atexit.register(shutil.rmtree, folder)
    path = folder / "template.db"
    path.touch(mode=0o600)  # Another mode is warned of.
    migrate(f"sqlite:///{path}")
    return path


def _end(process: subprocess.Popen[bytes] | None, number: signal.Signals) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(number)
    process.wait(60)


def _state(process: subprocess.Popen[bytes] | None) -> str:
    if process is None:
        return "was not started"
    return "runs" if process.poll() is None else f"ended with {process.returncode}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
