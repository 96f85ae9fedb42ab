# SPDX-License-Identifier: Apache-2.0
"""An ended VM's counts are all read, and then nothing of it is left in the kernel."""

import inspect
import os
import platform
import sys
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from collector.counting.cycles import Cycles
from collector.counting.reader import Reader
from collector.probe.layout import VmKey
from collector.probe.probes import Probes
from collector.probe.slots import Slots
from collector.probe.source import Limits
from collector.vms.identity.process import host_proc
from collector.vms.identity.uevents import KvmEvents
from collector.vms.table import VmTable
from demo.exact import ExactGuest, Order
from faultmodel import arch
from faultmodel.kinds import LossKind
from faultmodel.sections import Content
from tests.kernel.attached import attached, own_vms, read

pytestmark = pytest.mark.kernel

BOOT = "9c5d5f0e-4b50-4a46-8f0c-4d7d2c3e3b7a"


def _faults_of_a_guest(writes: int) -> int:
    with ExactGuest(Order(write=writes)) as guest:
        extra = guest.follow("short").extra_faults
    return writes + extra.read + extra.write + extra.execute


class Seen:
    """What the cycles said of this process's VMs."""

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
    architecture = arch.for_machine(platform.machine())
    seen, expected, keys = Seen(), [], set()
    with KvmEvents() as events, attached(headers_cache) as probes:
        table = VmTable(BOOT, lambda boottime_ns: boottime_ns, host_proc())
        cycles = Cycles(Reader(probes), table, events, architecture)

        def collect_once() -> None:
            found = cycles.collect()
            seen.add(found.content)
            probes.commit(found.checkpoint)
            cycles.forget_ended()

        for writes in range(1, 31):
            expected.append(_faults_of_a_guest(writes))
            keys |= {key for key, record in probes.vms().items() if record.tgid == os.getpid()}
            # None, one or several VMs come and go between two readings.
            for _ in range(writes % 3):
                collect_once()
        # The first of these sees the last VM's end, the second forgets it.
        collect_once()
        collect_once()
        last, vms, checkpoint = probes.snapshot(), probes.vms(), probes.last_checkpoint()
    assert sorted(seen.faults[vm] for vm in seen.ended) == sorted(expected)
    assert all(seen.ended.values())
    assert len(keys) == 30
    assert not keys & set(vms)
    for tables in (last.tables, checkpoint.tables):
        slots = probes.views.owner("slots", in_value=True)
        left = {slots.unpack(slot) for slot in tables["slots"].values()}
        for name in ("overflow", "fault_counts", "exit_counts"):
            left |= set(map(probes.views.owner(name).unpack, tables[name]))
        assert not left & keys


MAPS = 5
"""A VM is in more of them, however it is counted."""
_CHANGES = (
    *(f".{name}(" for name in ("delete", "forget", "forget_missed_faults", "_note_gone")),
    *("._memory[tid", "._memory[start"),
)


class Killed(BaseException):
    """As SIGKILL would: nothing is caught."""


def _changing_lines() -> frozenset[tuple[CodeType, int]]:
    """The lines that change something: whether one is killed before or after any other is all the same."""
    found = set()
    for function in (Probes.forget, Slots.free):
        source, first = inspect.getsourcelines(function)
        for number, line in enumerate(source, first):
            if any(what in line for what in _CHANGES):
                found.add((function.__code__, number))
    return frozenset(found)


def _is_killed(probes: Probes, vms: Collection[VmKey], changes: int) -> bool:
    """Forget VMs and be killed after so many changes; return whether that came before the end."""
    changing = _changing_lines()
    codes = {code for code, _ in changing}
    left = changes

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        if frame.f_code not in codes:
            return None
        if event == "line" and (frame.f_code, frame.f_lineno) in changing:
            left -= 1
            if left < 0:
                raise Killed
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        probes.forget(vms)
    except Killed:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize(
    "limits",
    [None, Limits(syndromes=1, exit_reasons=1), Limits(slots=2)],
    ids=["in place", "in maps", "no slot"],
)
def test_a_collector_that_is_killed_while_it_forgets_leaves_nothing_to_count(
    headers_cache: Path, limits: Limits | None
) -> None:
    changes = 0
    with attached(headers_cache, limits) as probes:
        while True:
            expected = _faults_of_a_guest(17)
            reading = read(Reader(probes), probes)
            gone = own_vms(reading)
            assert expected in [reading.accounts[vm].seen for vm in gone if vm in reading.accounts]
            is_killed = _is_killed(probes, gone, changes)
            reading = read(Reader(probes), probes)
            assert not gone & reading.accounts.keys()
            assert {VmKey(*key[:2]) for key in reading.fault_counts} <= reading.vms.keys()
            assert not {LossKind.UNREAD_VCPUS, LossKind.UNBALANCED} & reading.lost.keys()
            if not is_killed:
                break
            # As little as possible is left in the next one's way.
            probes.forget(gone)
            changes += 1
    assert changes > MAPS
