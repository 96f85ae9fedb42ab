# SPDX-License-Identifier: Apache-2.0
"""However many VMs there are, a reading looks at few of them, and at each in its turn."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest

from collector.counting.memslots import MemslotWatcher
from collector.counting.reading import Reading
from collector.counting.watching import VmStates, Watcher, Watchers
from collector.errors import ProbeError
from collector.probe.layout import VmKey, VmRecord
from collector.probe.looks import MOST_MEMSLOTS, LookedMemslot, LookedVm
from collector.probe.mappings import Mapping as HostMapping
from faultmodel.kinds import CheckState
from faultmodel.record import Check
from tests.collector.readings import make_reading

SECOND = 10**9


@dataclass
class Kernel:
    """VMs with one memslot each, of which the size is what the test says."""

    pages: dict[VmKey, int]
    generation: dict[VmKey, int] = field(default_factory=Counter)
    memslots_asked: list[VmKey] = field(default_factory=list)
    mappings_asked: list[int] = field(default_factory=list)
    refuses: bool = False
    fails: bool = False
    each: int = 1
    hides_after: int = 2**30

    def vms(self, vms: Iterable[VmKey]) -> Mapping[VmKey, LookedVm]:
        if self.refuses:
            raise ProbeError("no")
        if self.fails:
            raise KeyError("x")
        return {vm: LookedVm(vm.kvm, self.generation[vm], 0, 0, 0, 0, 1) for vm in vms if vm in self.pages}

    def memslots(self, vm: VmKey, address_space: int) -> Sequence[LookedMemslot] | None:
        self.memslots_asked.append(vm)
        return [
            LookedMemslot(16 * slot, self.pages[vm], 0, 0, slot, address_space) for slot in range(self.each)
        ]

    def of(self, pid: int, mm: int, ranges: Iterable[tuple[int, int]]) -> Sequence[HostMapping] | None:
        if len(self.mappings_asked) == self.hides_after:
            raise ProbeError("hidden")
        self.mappings_asked.append(pid)
        return None


def _reading(second: int, vms: Iterable[VmKey]) -> Reading:
    return make_reading(second, vms={vm: VmRecord(0, 0, vm.kvm, "vmm", "") for vm in vms})


VMS = [VmKey(number, 1) for number in range(1, 41)]
IDS = {vm: f"{vm.kvm:016x}" for vm in VMS}


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(dict.fromkeys(VMS, 4))


@pytest.fixture
def watchers(kernel: Kernel) -> Watchers:
    states = VmStates(kernel)  # type: ignore[arg-type]
    found: Future[tuple[Sequence[Watcher], Sequence[Check]]] = Future()
    found.set_result(([MemslotWatcher(kernel, states, kernel)], []))  # type: ignore[arg-type]
    return Watchers(found)


def _rows(watchers: Watchers, second: int) -> Sequence[object]:
    return watchers.rows(_reading(second, VMS), IDS)["memslots"]


def test_many_new_vms_are_looked_at_over_several_readings(kernel: Kernel, watchers: Watchers) -> None:
    found = [len(_rows(watchers, second)) for second in range(4)]
    assert found == [16, 16, 8, 0]
    assert Counter(kernel.memslots_asked) == Counter(VMS)


def test_others_have_their_turns(kernel: Kernel, watchers: Watchers) -> None:
    for second in range(3):
        _rows(watchers, second)
    kernel.mappings_asked.clear()
    for second in range(100, 140):
        assert not _rows(watchers, second), "nothing changed"
    assert sorted(kernel.mappings_asked) == sorted(vm.kvm for vm in VMS)


def test_a_change_is_seen_at_once_whosever_turn_it_is(kernel: Kernel, watchers: Watchers) -> None:
    for second in range(3):
        _rows(watchers, second)
    kernel.pages[VMS[20]] = 5
    assert not _rows(watchers, 4), "KVM has not said so yet"
    kernel.generation[VMS[20]] += 1
    (row,) = _rows(watchers, 5)
    assert (row.vm, row.size, row.time_ns) == (IDS[VMS[20]], 5 * 4096, 6 * SECOND)  # type: ignore[attr-defined]


def test_a_refusal_is_told_and_ends(kernel: Kernel, watchers: Watchers) -> None:
    kernel.refuses = True
    assert not watchers.rows(_reading(0, VMS), IDS)
    (check,) = watchers.checks
    assert (check.name, check.state, check.found) == ("memslots", CheckState.LACKING, "no")
    kernel.refuses = False
    assert len(_rows(watchers, 1)) == 16
    assert [check.state for check in watchers.checks] == [CheckState.OK]


def test_a_failure_is_told_and_logged_once_and_ends(
    kernel: Kernel, watchers: Watchers, caplog: pytest.LogCaptureFixture
) -> None:
    kernel.fails = True
    for second in range(2):
        assert not watchers.rows(_reading(second, VMS), IDS)
    (check,) = watchers.checks
    assert (check.name, check.state, check.found) == ("memslots", CheckState.LACKING, "KeyError: 'x'")
    assert [record.getMessage() for record in caplog.records] == ["watcher failed name=memslots"]
    kernel.fails = False
    assert len(_rows(watchers, 2)) == 16


def test_watchers_that_cannot_be_made_cost_no_counts(kernel: Kernel) -> None:
    found: Future[tuple[Sequence[Watcher], Sequence[Check]]] = Future()
    found.set_exception(OSError("full"))
    watchers = Watchers(found)
    assert not watchers.rows(_reading(0, VMS), IDS)
    assert [(one.name, one.found) for one in watchers.checks] == [("looks", "OSError: full")]


def test_what_was_found_before_a_refusal_is_not_lost(kernel: Kernel, watchers: Watchers) -> None:
    kernel.hides_after = 10
    assert len(_rows(watchers, 0)) == 10
    assert [check.found for check in watchers.checks] == ["hidden"]
    kernel.hides_after = 2**30
    assert [len(_rows(watchers, second)) for second in range(1, 4)] == [16, 14, 0]


def test_what_is_left_out_is_said(kernel: Kernel, watchers: Watchers) -> None:
    kernel.each = MOST_MEMSLOTS
    del kernel.pages[VMS[0]]
    _rows(watchers, 0)
    (check,) = watchers.checks
    assert check.found == "16 VMs have more memslots than the 512 that are shown"
    watchers.forget(VMS)
    kernel.pages.clear()
    _rows(watchers, 1)
    assert [check.found for check in watchers.checks] == [""]


@pytest.mark.parametrize("pages", [-1, 2**60])
def test_a_row_that_no_server_takes_costs_itself_alone(
    kernel: Kernel, watchers: Watchers, pages: int
) -> None:
    kernel.pages[VMS[3]] = pages
    rows = _rows(watchers, 0)
    assert {row.vm for row in rows} == {IDS[vm] for vm in VMS[:16]} - {IDS[VMS[3]]}  # type: ignore[attr-defined]
    (check,) = watchers.checks
    assert (check.name, check.state) == ("memslots", CheckState.LACKING)
    assert check.found.startswith("a row of memslots is left out: ")
    kernel.pages[VMS[3]] = 4
    _rows(watchers, 1)
    assert [one.state for one in watchers.checks] == [CheckState.OK]
