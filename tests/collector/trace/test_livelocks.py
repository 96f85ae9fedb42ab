# SPDX-License-Identifier: Apache-2.0
"""Livelocks in recordings: the same fault again and again, and everything that looks like it and is none."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from collector.trace.livelocks import LEAST_FAULTS, WITHIN_NS
from collector.trace.recording import BATCH_RECORDS
from faultmodel.record_livelocks import Livelock
from tests.collector.trace.recording import END_NS, event, prepare, write

ADDRESS, PC, WORD = 0x4804_0000, 0x4000_1058, 0x8200_000F
WITHIN_S = WITHIN_NS / 10**9
SOME = 2 * LEAST_FAULTS
HOST = "khugepaged-33"


def _fault(
    at: float, *, ipa: int = ADDRESS, far: int = ADDRESS, pc: int = PC, word: int = WORD, task: str = "kt-100"
) -> tuple[str, ...]:
    """Return an arm64 fault from its exit to the next entry."""
    fault = f"kvm_guest_fault: ipa {ipa:#x}, hsr {word:#x}, hxfar {far:#x}, pc {pc:#016x}"
    texts = ("kvm_exit: TRAP: HSR_EC: 0x0024 (DABT_LOW), PC: 0x0000000040001058", fault, "kvm_entry: PC: 0x0")
    return tuple(event(text, at=at, task=task) for text in texts)


def _lines(*of: Iterable[str]) -> list[str]:
    return [line for lines in of for line in lines]


def _times(count: int, *, every: float = 0.0001) -> Iterable[float]:
    return (1 + number * every for number in range(count))


def _found(directory: Path, lines: Sequence[str]) -> list[Livelock]:
    return [row for batch in prepare(write(directory, *lines)).batches() for row in batch.livelocks]


def test_the_same_fault_again_and_again_is_a_livelock(tmp_path: Path) -> None:
    lines = _lines(*(_fault(at) for at in _times(SOME, every=0.001)))
    (found,) = _found(tmp_path, lines)
    assert (found.vcpu, found.gpa, found.gva, found.pc) == (0, ADDRESS, ADDRESS, PC)
    assert (found.format, found.syndrome, found.faults) == ("esr_el2", WORD, SOME)
    assert (found.since_monotonic_ns, found.for_ns) == (10**9, (SOME - 1) * 10**6)
    assert (found.time_ns, found.is_over) == (END_NS - 1, False)
    assert (found.invalidate_seq, found.invalidating) == (None, None)


@pytest.mark.parametrize(("count", "livelocks"), [(LEAST_FAULTS - 1, 0), (LEAST_FAULTS, 1)])
def test_so_many_faults_make_one(tmp_path: Path, count: int, livelocks: int) -> None:
    assert len(_found(tmp_path, _lines(*map(_fault, _times(count))))) == livelocks


@pytest.mark.parametrize(("within_s", "livelocks"), [(WITHIN_S * 0.9, 1), (WITHIN_S * 1.1, 0)])
def test_so_fast_they_have_to_come(tmp_path: Path, within_s: float, livelocks: int) -> None:
    times = _times(LEAST_FAULTS, every=within_s / LEAST_FAULTS)
    assert len(_found(tmp_path, _lines(*map(_fault, times)))) == livelocks


def test_one_that_begins_after_slow_faults_is_found(tmp_path: Path) -> None:
    slow = [_fault(1 + number / 10) for number in range(100)]
    fast = [_fault(20 + number / 10_000) for number in range(SOME)]
    (found,) = _found(tmp_path, _lines(*slow, *fast))
    assert (found.since_monotonic_ns, found.faults) == (20 * 10**9, SOME)


@pytest.mark.parametrize(
    "moved",
    [
        lambda number: {"ipa": ADDRESS + number * 4096, "far": ADDRESS + number * 4096},
        lambda number: {"far": ADDRESS + number % 3 * 8},
        lambda number: {"pc": PC + number % 3 * 4},
        lambda number: {"word": WORD + number % 3},
        # A page that is touched between any two of a sweep.
        lambda number: {"ipa": ADDRESS + (number * 4096 if number % 2 else 0)},
    ],
    ids=["sweep", "within a page", "instructions", "words", "sweep beside a page"],
)
def test_a_guest_that_moves_is_in_none(tmp_path: Path, moved: Callable[[int], dict[str, Any]]) -> None:
    faults = (_fault(at, **moved(number)) for number, at in enumerate(_times(2 * SOME)))
    assert _found(tmp_path, _lines(*faults)) == []


def test_two_faults_in_turn_are_livelocks(tmp_path: Path) -> None:
    faults = (_fault(at, ipa=ADDRESS + number % 2 * 4096) for number, at in enumerate(_times(2 * SOME)))
    assert [row.faults for row in _found(tmp_path, _lines(*faults))] == [SOME, SOME]


@pytest.mark.parametrize(
    "place", [0, 1, 2, 3], ids=["before", "after the exit", "in the fault", "after the entry"]
)
@pytest.mark.parametrize(
    "text",
    [
        "kvm_unmap_hva_range: mmu notifier unmap range: 0xffff8c040000 -- 0xffff8c041000",
        "kvm_age_hva: mmu notifier age hva: 0xffff8c040000 -- 0xffff8c041000",
    ],
)
def test_what_the_host_takes_back_is_none(tmp_path: Path, text: str, place: int) -> None:
    each = ((*_fault(at)[:place], event(text, at=at, task=HOST), *_fault(at)[place:]) for at in _times(SOME))
    assert _found(tmp_path, _lines(*each)) == []


@pytest.mark.parametrize(
    "text",
    [
        "kvm_mmio: mmio write len 4 gpa 0x48040000 val 0x1",
        "kvm_access_fault: IPA: 48040000",
        "kvm_userspace_exit: reason KVM_EXIT_MMIO (6)",
    ],
)
def test_what_kvm_or_its_vmm_does_for_the_guest_is_none(tmp_path: Path, text: str) -> None:
    each = ((*_fault(at)[:2], event(text, at=at), *_fault(at)[2:]) for at in _times(SOME))
    assert _found(tmp_path, _lines(*each)) == []


def test_an_interrupted_run_is_no_progress(tmp_path: Path) -> None:
    interrupted = event("kvm_userspace_exit: reason restart (4)")
    each = ((*_fault(at), interrupted) for at in _times(SOME))
    assert [row.faults for row in _found(tmp_path, _lines(*each))] == [SOME]


def test_a_host_that_looks_at_pages_now_and_then_hides_none(tmp_path: Path) -> None:
    aged = event("kvm_age_hva: mmu notifier age hva: 0xffff8c040000 -- 0xffff8c041000", task=HOST)
    faults = [_fault(at) for at in _times(2 * SOME)]
    lines = _lines(*faults[:SOME], (aged,), *faults[SOME:])
    assert [row.faults for row in _found(tmp_path, lines)] == [2 * SOME]


def test_events_that_were_lost_may_explain_what_follows(tmp_path: Path) -> None:
    half = [_fault(at) for at in _times(LEAST_FAULTS - 1)]
    lost = "CPU:1 [LOST 5 EVENTS]\n"
    assert _found(tmp_path, _lines(*half, (lost,), *half)) == []


def test_a_recording_without_what_would_explain_faults_shows_none(tmp_path: Path) -> None:
    assert _found(tmp_path, _lines(*(_fault(at)[1:] for at in _times(SOME)))) == []


def test_it_is_over_when_the_vcpu_goes_on_and_comes_once(tmp_path: Path) -> None:
    done = event("kvm_userspace_exit: reason KVM_EXIT_MMIO (6)", at=9)
    others = [
        _fault(10 + number / 1000, ipa=number << 12, far=number << 12) for number in range(BATCH_RECORDS)
    ]
    lines = _lines(*map(_fault, _times(SOME)), (done,), *others)
    (found,) = _found(tmp_path, lines)
    assert (found.is_over, found.faults) == (True, SOME)


def test_each_vcpu_has_its_own(tmp_path: Path) -> None:
    each = (_fault(at, task=f"kt-{100 + number % 2}") for number, at in enumerate(_times(2 * SOME)))
    assert [(row.vcpu, row.faults) for row in _found(tmp_path, _lines(*each))] == [(0, SOME), (1, SOME)]


X86_FAULT = (
    event("kvm_exit: vcpu 0 reason EPT_VIOLATION rip 0x401000 info1 0x181 info2 0x0 intr_info 0x0"),
    event("kvm_page_fault: vcpu 0 rip 0x401000 address 0x0000000008040000 error_code 0x181"),
)
X86_ENTRY = event("kvm_entry: vcpu 0, rip 0x401000")
X86_FAST = "fast_page_fault: vcpu 0 gva 8040000 error_code 0x181 sptep 0 old 0 new 1"
X86_MAPPED = event("kvm_mmu_spte_requested: gfn 8040 pfn 1234 level 1")


@pytest.mark.parametrize(
    ("between", "faults"),
    [
        ((), [SOME]),
        ((X86_MAPPED,), []),
        ((event("kvm_emulate_insn: 0:401000: 88 07 (prot64)"),), []),
        (
            (event(f"{X86_FAST} spurious 0 fixed 1"),),
            [],
        ),
    ],
    ids=["retried", "mapped", "emulated", "fast"],
)
def test_of_x86_the_outcome_counts(tmp_path: Path, between: tuple[str, ...], faults: list[int]) -> None:
    lines = [*X86_FAULT, *between, X86_ENTRY] * SOME
    assert [row.faults for row in _found(tmp_path, lines)] == faults


def test_shadow_paging_shows_none(tmp_path: Path) -> None:
    fault = (
        event(
            "kvm_exit: vcpu 0 reason EXCP_BASE rip 0x401000 info1 0x0 info2 0x0 intr_info 0x0 error_code 0x0"
        ),
        event("kvm_page_fault: vcpu 0 rip 0x401000 address 0x0000000008040000 error_code 0x3"),
        X86_ENTRY,
    )
    recording = prepare(write(tmp_path, *fault * SOME), format="pferr")
    assert [row for batch in recording.batches() for row in batch.livelocks] == []
    assert recording.report.faults == SOME
