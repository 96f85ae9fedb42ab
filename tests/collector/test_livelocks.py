# SPDX-License-Identifier: Apache-2.0
"""Which vCPUs that fault on the same page again and again are in a livelock, and what is said of it when."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from msgspec import structs

from collector.counting.differences import Repeating
from collector.counting.livelocks import MOST_SUSPECTS, LivelockWatcher, Seen, is_held
from collector.counting.reading import Reading
from collector.counting.watching import VmStates
from collector.probe.layout import NOT_SHOWN, Repeats, VcpuKey, VmKey, VmRecord
from collector.probe.looks import LookedVcpu, LookedVm
from faultmodel.record_livelocks import Livelock
from tests.collector.readings import make_reading

SECOND = 10**9
VM = VmKey(1, 1)
IDS = {VM: "00000000000000a1"}
PFERR, NPF, ESR_EL2 = 3, 2, 4
COUNTS = LookedVcpu(*VM, 77, 0, *[0] * 6)
BEFORE = Repeats(
    repeats_since_ns=7, repeats_address=0x5000, repeats_pc=0x40, repeats_word=6, repeats_format=PFERR
)
BEGUN = BEFORE._replace(repeats_since_ns=100 * SECOND)
NOTHING = Seen(BEFORE, COUNTS, 10)


def _after(*, repeats: int, unmapped: int, sequence: int = 0, since_ns: int = 7, **added: int) -> Seen:
    """What is seen after ``NOTHING``, with so much more; ``added`` to KVM's own counts."""
    return Seen(
        BEFORE._replace(repeats=repeats, repeats_unmapped=unmapped, repeats_since_ns=since_ns),
        COUNTS._replace(**added),
        NOT_SHOWN if sequence == NOT_SHOWN else 10 + sequence,
    )


HELD = {
    "tried again": _after(repeats=500, unmapped=500, pf_taken=500),
    "tried again, in a new run": _after(repeats=500, unmapped=500, since_ns=8, pf_taken=500),
    "mapped now and then": _after(repeats=500, unmapped=480, pf_taken=500, pf_fixed=20),
    "taken back at once": _after(repeats=2000, unmapped=0, sequence=2000, pf_taken=2000, pf_fixed=2000),
}
NOT_HELD = {
    "mapped as often": _after(repeats=500, unmapped=200, pf_taken=500, pf_fixed=300),
    "tried again too seldom": _after(repeats=99, unmapped=99, pf_taken=99),
    "emulated by KVM": _after(repeats=9000, unmapped=9000, pf_taken=9000, pf_emulate=9000),
    "walks that are no faults": _after(repeats=9000, unmapped=9000),
    "spurious": _after(repeats=9000, unmapped=9000, pf_taken=9000, pf_spurious=9000),
    "taken back slowly": _after(repeats=900, unmapped=0, sequence=900, pf_taken=900, pf_fixed=900),
    "logged as dirty": _after(repeats=9000, unmapped=0, pf_taken=9000, pf_fixed=9000),
    "the guest's own tables": _after(repeats=9000, unmapped=0, sequence=3, pf_taken=9000, pf_fixed=9000),
    "sequence not shown": _after(repeats=9000, unmapped=0, sequence=NOT_SHOWN, pf_taken=9000, pf_fixed=9000),
}


@pytest.mark.parametrize("what", HELD)
def test_a_vcpu_is_held_that_tries_in_vain_or_whose_page_is_taken_back_at_once(what: str) -> None:
    assert is_held(HELD[what], NOTHING, SECOND)


@pytest.mark.parametrize("what", NOT_HELD)
def test_a_vcpu_is_not_held_that_goes_on_however_often_its_page_faults(what: str) -> None:
    assert not is_held(NOT_HELD[what], NOTHING, SECOND)


def test_it_is_a_rate_however_long_the_time() -> None:
    after = _after(repeats=500, unmapped=500, pf_taken=500)
    assert is_held(after, NOTHING, 5 * SECOND)
    assert not is_held(after, NOTHING, 6 * SECOND)


def test_without_kvms_own_counts_nothing_is_known() -> None:
    after = _after(repeats=500, unmapped=500, pf_taken=500)
    assert not is_held(replace(after, counts=None), NOTHING, SECOND)
    assert not is_held(after, replace(NOTHING, counts=None), SECOND)


# ESR_EL2: read and write where nothing is mapped, write to what is protected, execution of what may not be,
# cache maintenance, and an external abort.
READ, WRITE, WRITE_OF_PROTECTED, FETCH_OF_DATA = 0x93040007, 0x93050047, 0x9305004F, 0x8200000F
MAINTENANCE, ABORTED = 0x92000147, 0x92000010


def _on_arm64(word: int, *, repeats: int, unmapped: int, sequence: int = 0) -> Seen:
    """What is seen on arm64, where KVM counts nothing."""
    seen = _after(repeats=repeats, unmapped=unmapped, sequence=sequence)
    repeated = seen.repeats._replace(repeats_word=word, repeats_format=ESR_EL2)
    return Seen(repeated, None, seen.invalidate_seq)


HELD_ON_ARM64 = {
    "tried again": _on_arm64(WRITE, repeats=100, unmapped=100),
    "tried again while the host takes back": _on_arm64(READ, repeats=500, unmapped=500, sequence=100),
    "may never be executed": _on_arm64(FETCH_OF_DATA, repeats=100, unmapped=100),
    "taken back at once": _on_arm64(WRITE, repeats=1000, unmapped=1000, sequence=1000),
    "protected at once": _on_arm64(WRITE_OF_PROTECTED, repeats=1000, unmapped=1000),
    "sequence not shown": _on_arm64(WRITE, repeats=1000, unmapped=1000, sequence=NOT_SHOWN),
}
NOT_HELD_ON_ARM64 = {
    "too seldom": _on_arm64(WRITE, repeats=99, unmapped=99),
    "taken back slowly": _on_arm64(READ, repeats=999, unmapped=999, sequence=250),
    "logged as dirty": _on_arm64(WRITE_OF_PROTECTED, repeats=999, unmapped=999),
    "a device, or looked at for its age": _on_arm64(WRITE, repeats=9000, unmapped=0),
    "maintenance of caches": _on_arm64(MAINTENANCE, repeats=9000, unmapped=9000),
    "no fault of stage 2": _on_arm64(ABORTED, repeats=9000, unmapped=9000),
    "sequence not shown": _on_arm64(WRITE, repeats=999, unmapped=999, sequence=NOT_SHOWN),
}


@pytest.mark.parametrize("what", HELD_ON_ARM64)
def test_on_arm64_a_vcpu_is_held_that_faults_more_often_than_the_host_explains(what: str) -> None:
    assert is_held(HELD_ON_ARM64[what], replace(NOTHING, counts=None), SECOND)


@pytest.mark.parametrize("what", NOT_HELD_ON_ARM64)
def test_on_arm64_one_is_not_held_whose_faults_the_host_explains(what: str) -> None:
    assert not is_held(NOT_HELD_ON_ARM64[what], replace(NOTHING, counts=None), SECOND)


def test_where_kvm_has_no_counts_it_is_not_asked_for_them() -> None:
    repeats = BEGUN._replace(repeats_word=WRITE, repeats_format=ESR_EL2, repeats_address=0x48001234)
    watched = Watched(Kernel(shows_counts=False), repeats=repeats)
    found = [livelock for _ in range(4) for livelock in watched.read(1000)]
    assert watched.kernel.asked == []
    assert [(one.gpa, one.gva, one.syndrome, one.format) for one in found] == [
        (0x48001234, None, WRITE, "esr_el2")
    ]


@dataclass
class Kernel:
    """A VM of which vCPU 0 is in a livelock at a page for as long as ``retries`` are added."""

    taken: int = 0
    lives: bool = True
    shows_counts: bool = True
    asked: list[Sequence[int]] = field(default_factory=list)

    def vms(self, vms: Iterable[VmKey]) -> Mapping[VmKey, LookedVm]:
        if not self.lives:
            return {}
        return {vm: LookedVm(1, 1, 0, 0, 0, 0, 1, invalidate_seq=5, is_invalidating=1) for vm in vms}

    def vcpus(self, places: Sequence[int]) -> Sequence[LookedVcpu]:
        self.asked.append(places)
        return [COUNTS._replace(pf_taken=self.taken)]


@dataclass
class Watched:
    """A watcher, and the readings that it is given: one a second."""

    kernel: Kernel = field(default_factory=Kernel)
    second: int = 100
    repeats: Repeats = BEGUN

    def __post_init__(self) -> None:
        self.watcher = LivelockWatcher(self.kernel, VmStates(self.kernel))  # type: ignore[arg-type]

    def read(self, retries: int) -> Sequence[Livelock]:
        """Take a reading; since the one before the vCPU tried so often in vain."""
        self.second += 1
        self.kernel.taken += retries
        self.repeats = self.repeats._replace(
            repeats=self.repeats.repeats + retries, repeats_unmapped=self.repeats.repeats_unmapped + retries
        )
        return self.rows({VcpuKey(*VM, 0): Repeating(3, self.repeats)} if retries else {})

    def rows(self, repeating: Mapping[VcpuKey, Repeating]) -> Sequence[Livelock]:
        return self.watcher.rows(_reading(self.second, repeating), IDS).get("livelocks", ())


def _reading(second: int, repeating: Mapping[VcpuKey, Repeating]) -> Reading:
    return make_reading(
        second + 999,
        monotonic_ns=second * SECOND,
        vms={VM: VmRecord(0, 0, 1, "vmm", "")},
        repeating=repeating,
    )


def test_it_is_raised_after_three_seconds_kept_up_to_date_and_over_when_the_vcpu_goes_on() -> None:
    watched = Watched()
    # Of the first reading it is not known how much of it was before.
    assert not any(watched.read(1000) for _ in range(3))
    (raised,) = watched.read(1000)
    assert raised == Livelock(
        time_ns=1104 * SECOND,
        vm=IDS[VM],
        vcpu=0,
        since_monotonic_ns=100 * SECOND,
        for_ns=4 * SECOND,
        faults=4000,
        is_over=False,
        gpa=None,
        gva=0x5000,
        pc=0x40,
        format="pferr",
        syndrome=6,
        invalidate_seq=5,
        invalidating=True,
    )
    (later,) = watched.read(2000)
    assert later == structs.replace(raised, time_ns=1105 * SECOND, for_ns=5 * SECOND, faults=6000)
    assert not watched.read(0)
    (over,) = watched.read(0)
    assert over == structs.replace(later, is_over=True)
    assert not watched.read(0)


def test_one_reading_in_which_it_was_not_held_ends_nothing() -> None:
    watched = Watched()
    for retries in (1000, 1000, 0, 1000):
        assert not watched.read(retries)
    (raised,) = watched.read(1000)
    assert raised.since_monotonic_ns == 100 * SECOND


def test_two_readings_in_which_it_was_not_held_begin_it_anew() -> None:
    watched = Watched()
    for retries in (1000, 1000, 1000, 0, 0, 1000, 1000, 1000):
        assert not watched.read(retries)
    assert watched.read(1000)


def test_it_is_over_with_its_vm() -> None:
    watched = Watched()
    for _ in range(4):
        rows = watched.read(1000)
    assert rows
    watched.kernel.lives = False
    (over,) = watched.read(0)
    assert over == structs.replace(rows[0], is_over=True)


def test_what_is_forgotten_is_not_spoken_of_any_more() -> None:
    watched = Watched()
    for _ in range(4):
        watched.read(1000)
    watched.watcher.forget([VM])
    assert not any(watched.read(0) for _ in range(3))


def test_an_address_of_the_guests_memory_is_no_virtual_one() -> None:
    watched = Watched()
    watched.repeats = watched.repeats._replace(repeats_format=NPF, repeats_pc=NOT_SHOWN)
    for _ in range(4):
        rows = watched.read(1000)
    assert (rows[0].gpa, rows[0].gva, rows[0].pc, rows[0].format) == (0x5000, None, None, "npf")


def test_nothing_is_looked_at_while_no_page_is_faulted_on_again_and_again() -> None:
    watched = Watched()
    assert not any(watched.read(0) for _ in range(5))
    assert watched.kernel.asked == []


def test_of_many_vcpus_those_with_most_faults_are_looked_at_and_that_others_are_not_is_said() -> None:
    watched = Watched()
    repeating = {
        VcpuKey(*VM, vcpu): Repeating(vcpu, BEFORE._replace(repeats=1000 + vcpu))
        for vcpu in range(MOST_SUSPECTS + 2)
    }
    watched.rows(repeating)
    assert len(watched.kernel.asked) == MOST_SUSPECTS
    assert {place for (place,) in watched.kernel.asked} == set(range(2, MOST_SUSPECTS + 2))
    assert watched.watcher.lacking() == "2 vCPUs that may be in livelocks were not looked at"
    watched.rows({})
    assert watched.watcher.lacking() == ""


def test_a_vcpu_without_a_slot_is_not_looked_at() -> None:
    watched = Watched()
    watched.rows({VcpuKey(*VM, 0): Repeating(None, BEFORE)})
    assert watched.kernel.asked == []
