# SPDX-License-Identifier: Apache-2.0
"""The next cycle reports what a cycle that failed would have reported."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from collector.batches.outbox import Outbox
from collector.counting.clock import boot_id
from collector.counting.cost import CostMeter
from collector.counting.cycles import Cycles
from collector.counting.reader import Reader
from collector.counting.session import Session
from collector.errors import ProbeError
from collector.probe.layout import RecordLevel, VmKey
from collector.probe.syscall import Runs
from collector.sampling.governor import Governor
from collector.sampling.policy import SamplingPolicy
from collector.sampling.requests import RecordRequests
from collector.sampling.server_requests import ServerRequests
from collector.spool.queue import Spool
from collector.vms.file import VmFile
from collector.vms.identity.process import read_process
from collector.vms.identity.uevents import KvmEvents
from collector.vms.table import KernelVm, VmTable
from faultmodel import arch, wire
from faultmodel.kinds import EventKind, HostState
from faultmodel.record import Host, HostEvent
from tests.collector.counting import Counting

HOST = Host(name="h", boot_id="b", arch="x86_64", state=HostState.ATTACHED)
SECOND = 1_000_000_000


class Programs(Counting):
    """A counting of which the kernel refuses the first order of what to record."""

    orders = 0
    wakeup_fd = -1

    def record(self, level: RecordLevel, spacing_ns: int, of_vms: Mapping[VmKey, RecordLevel]) -> None:
        """Refuse it, once."""
        self.orders += 1
        if self.orders == 1:
            raise ProbeError("no")

    shed: frozenset[str] = frozenset()

    def program_cost(self) -> Mapping[str, Runs]:
        """None is measured."""
        return {}


def _not_measured() -> int:
    raise PermissionError


@pytest.fixture
def table() -> Iterator[VmTable]:
    """A table in which a VM ended, in the minute in which nobody looked."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = read_process(child.pid)
        assert process is not None
        table = VmTable(boot_id(), lambda _boottime_ns: 0, Path("/proc"))
        table.begin_after_gap(time.time_ns() - 60 * SECOND)
        table.see(
            KernelVm(
                kvm=1, instance=2, pid=child.pid, start_boottime_ns=process.start_boottime_ns, comm="python3"
            ),
            time.time_ns(),
        )
        child.communicate(b"\n")
    yield table
    table.close()


def test_an_end_that_nobody_saw_is_reported_by_the_cycle_that_is_stored(
    tmp_path: Path, table: VmTable
) -> None:
    probes = Programs()
    architecture = arch.for_machine(os.uname().machine)
    with Spool(tmp_path / "spool") as spool, KvmEvents() as events:
        reader = Reader(probes)
        session = Session(
            probes,  # type: ignore[arg-type]
            reader,
            Cycles(reader, table, events, architecture),
            SamplingPolicy(
                probes,
                RecordLevel.SAMPLE,
                10,
                Governor(0),
                RecordRequests(tmp_path / "requests"),
                ServerRequests(),
            ),
            Outbox(spool, architecture.name),
            CostMeter(probes, _not_measured),  # type: ignore[arg-type]
        )
        session.note(HostEvent(time_ns=0, kind=EventKind.ATTACHED))
        memory = VmFile(tmp_path / "vms.json", boot_id())
        with pytest.raises(ProbeError):
            session.collect_once(HOST, table, memory)
        assert spool.oldest() is None
        session.collect_once(HOST, table, memory)
        session.collect_once(HOST, table, memory)
        kinds = [_kinds(spool), _kinds(spool)]
        session.close()
    assert kinds == [["attached", "ended_unseen", "records"], []]


def _kinds(spool: Spool) -> list[str]:
    oldest = spool.oldest()
    assert oldest is not None
    spool.remove(oldest.number)
    return [event.kind for event in wire.decode(oldest.batch).events]
