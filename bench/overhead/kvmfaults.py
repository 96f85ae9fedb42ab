# SPDX-License-Identifier: Apache-2.0
"""Our own probes, read as the collector reads them."""

import contextlib
import select
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.overhead.tracer import RefusedError
from collector.counting.reader import Reader
from collector.errors import ProbeError
from collector.probe.layout import RecordLevel
from collector.probe.loading import load
from collector.probe.plan import Plan
from collector.probe.probes import Probes
from collector.probe.sides import Sides
from collector.probe.source import make_source
from collector.settings import DEFAULT_RECORDS_PER_SECOND
from collector.stop import Stop

_INTERVAL_S = 1.0
_NS_PER_S = 1_000_000_000


@dataclass
class Kvmfaults:
    """The probes with one setting of ``--records``, and no governor that would change it.

    :param headers: tree from ``collector.probe.headers``
    """

    name: str
    plan: Plan
    headers: Path
    records: RecordLevel = RecordLevel.SAMPLE
    sides: Sides = Sides.AS_NEEDED
    _reported: int = field(default=0, init=False)

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """See ``Tracer``."""
        self._reported = 0
        with self._probes() as probes:
            reader, stop = Reader(probes), Stop()
            thread = threading.Thread(target=self._read_on, args=(probes, reader, stop))
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join()
            probes.detach()
            self._read(probes, reader)

    def reported(self) -> int:
        """Return the faults counted, or where each is to be recorded, those."""
        return self._reported

    def _probes(self) -> Probes:
        source = make_source(self.plan)
        try:
            probes = Probes(load(self.plan, source, self.headers, sides=self.sides))
            probes.attach(self.plan)
            probes.begin(source)
        except ProbeError as exc:
            raise RefusedError(f"refused: {exc}") from exc
        probes.record(self.records, _NS_PER_S // DEFAULT_RECORDS_PER_SECOND, {})
        return probes

    def _read_on(self, probes: Probes, reader: Reader, stop: Stop) -> None:
        with select.epoll() as epoll:
            stop.watch(epoll)
            epoll.register(probes.wakeup_fd, select.EPOLLIN | select.EPOLLET)
            due_s = time.monotonic() + _INTERVAL_S
            while not stop.is_set():
                if any(fd == probes.wakeup_fd for fd, _ in epoll.poll(max(0.0, due_s - time.monotonic()))):
                    reader.empty_ring()
                if time.monotonic() >= due_s:
                    self._read(probes, reader)
                    due_s += _INTERVAL_S

    def _read(self, probes: Probes, reader: Reader) -> None:
        reading = reader.read()
        probes.commit(reading.checkpoint)
        for account in reading.accounts.values():
            self._reported += account.recorded if self.records is RecordLevel.ALL else account.seen
