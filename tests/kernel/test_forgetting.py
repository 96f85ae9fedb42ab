"""An ended VM's counts are all read, and then nothing of it is left in the kernel."""

import os
import platform
from collections import Counter
from pathlib import Path

import pytest

from collector.identity.process import host_proc
from collector.identity.uevents import KvmEvents
from collector.outbox import Content
from collector.probe.headers import ensure_headers
from collector.probe.loader import Probes
from collector.probe.plan import make_plan
from collector.reader import Reader
from collector.rounds import Rounds
from collector.vms import VmTable
from demo.exact import ExactGuest, Order
from faultmodel import arch

pytestmark = pytest.mark.kernel

BOOT = "9c5d5f0e-4b50-4a46-8f0c-4d7d2c3e3b7a"


def _faults_of_a_guest(writes: int) -> int:
    with ExactGuest(Order(write=writes)) as guest:
        extra = guest.follow("short").extra_faults
    return writes + extra.read + extra.write + extra.execute


class Seen:
    """What the rounds said of this process's VMs."""

    def __init__(self) -> None:
        self.ended: dict[str, bool] = {}
        self.faults: Counter[str] = Counter()

    def add(self, content: Content) -> None:
        for vm in content.vms:
            if vm.pid == os.getpid():
                self.ended[vm.id] = vm.ended_ns is not None
        for row in content.fault_counts:
            self.faults[row.vm] += row.faults


def test_vms_that_come_and_go_are_counted_exactly_and_forgotten(headers_cache: Path) -> None:
    headers = ensure_headers(headers_cache)
    plan = make_plan((headers / "include" / "vmlinux.h").read_text())
    architecture = arch.for_machine(platform.machine())
    seen, expected, keys = Seen(), [], set()
    with KvmEvents() as events, Probes(plan, headers) as probes:
        table = VmTable(BOOT, lambda boottime_ns: boottime_ns, host_proc())
        rounds = Rounds(Reader(probes), table, events, architecture)
        for writes in range(1, 31):
            expected.append(_faults_of_a_guest(writes))
            keys |= {key for key, record in probes.vms().items() if record.tgid == os.getpid()}
            # None, one or several VMs come and go between two readings.
            for _ in range(writes % 3):
                seen.add(rounds.take())
        # The first of these sees the last VM's end, the second forgets it.
        seen.add(rounds.take())
        seen.add(rounds.take())
        left = {key[:2] for key in (*probes.vms(), *probes.fault_counts(), *probes.exit_counts())}
    assert sorted(seen.faults[vm] for vm in seen.ended) == sorted(expected)
    assert all(seen.ended.values())
    assert len(keys) == 30
    assert not keys & left
