# SPDX-License-Identifier: Apache-2.0
"""However large a reading is, its parts are small, balance each by itself, and are together the whole."""

from collections import Counter
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.batches import parts as content_module
from collector.batches.parts import cut_to_size
from faultmodel import wire
from faultmodel.arch.x86 import X86Exit, X86Fault, X86FaultCount
from faultmodel.kinds import EventKind, LossKind
from faultmodel.ledger import stalled_in
from faultmodel.record import COUNTERS, Cost, ExitCount, ExitKind, HostEvent, LedgerEntry, Loss, Span, Vm
from faultmodel.record_stalls import HostPressure, StallEntry
from faultmodel.sections import MAX_HOST_ROWS, OF_HOST, OF_VMS, SECTIONS, Content, rows_of
from tests.batches import later_sections, make_host, stall_count

CUT_ROWS = 8
DIVIDED = ("ledger", "stall_ledger", "fault_counts", "faults", "stalls")
"""Sections that balance with one another."""
CUT_BY_ROWS = tuple(section.name for section in OF_VMS if section.name not in DIVIDED)


@st.composite
def a_vm(draw: st.DrawFn, number: int) -> Content:
    """One VM's part of a reading: few rows or far more than a batch takes, of any kind."""
    vm = Vm(id=f"{number:016x}", pid=number + 1, started_ns=1, name="n" * 256, command="c" * 1024)
    size = st.integers(0, 5 * CUT_ROWS)
    counts = draw(st.lists(st.one_of(st.integers(1, 9), st.integers(10**6, 10**9)), max_size=5 * CUT_ROWS))
    uncounted = draw(st.one_of(st.just(0), size))
    seen = sum(counts) + uncounted
    recorded = min(seen, draw(size))
    dropped = draw(st.integers(0, seen - recorded))
    entry = LedgerEntry(
        bucket_ms=1000,
        vm=vm.id,
        seen=seen,
        counted=seen - uncounted,
        uncounted=uncounted,
        recorded=recorded,
        sampled_out=seen - recorded - dropped,
        dropped=dropped,
        seen_total=seen + draw(st.integers(0, 10**12)),
    )
    stalls = [
        stall_count(vm.id, second=row % 3, octave=row % 32, q1=each)
        for row, each in enumerate(draw(st.lists(st.integers(0, 10**9), max_size=5 * CUT_ROWS)))
    ]
    not_stalled = draw(st.one_of(st.just(0), size))
    ended = stalled_in(stalls) + not_stalled
    others = later_sections(vm.id)
    return Content(
        vms=[vm],
        stalls=stalls,
        stall_ledger=[StallEntry(1000, vm.id, ended, ended - not_stalled, not_stalled)] if ended else [],
        **{name: others[name] * draw(size) for name in CUT_BY_ROWS if name in others},
        fault_counts=[_count(vm.id, word, count) for word, count in enumerate(counts)],
        faults=[_fault(vm.id, when) for when in range(recorded)],
        exit_counts=[ExitCount(1000, vm.id, vcpu, 39, 14, 3) for vcpu in range(draw(size))],
        exits=[_exit(vm.id, when) for when in range(draw(size))],
        ledger=[entry] if seen else [],
    )


def _count(vm: str, word: int, each: int) -> X86FaultCount:
    return X86FaultCount(1000, vm, 0xFFFF, "pferr", 2**64 - 1 - word, each, each - each // 3, each // 3)


def _fault(vm: str, when: int) -> X86Fault:
    return X86Fault(
        time_ns=2**62 + when, monotonic_ns=2**62, vm=vm, vcpu=0xFFFF, format="pferr", syndrome=2**64 - 1,
        address=2**64 - 1, gfn=2**52 - 1, rip=2**64 - 1, private=True, memslot=2**32 - 1, level=3,
        weight=2**40,
    )  # fmt: skip


def _exit(vm: str, when: int) -> X86Exit:
    return X86Exit(
        time_ns=2**62 + when, monotonic_ns=2**62, vm=vm, vcpu=0xFFFF, kind=ExitKind.MEMORY_FAULT, reason=39,
        errno=14, flags=2**64 - 1, gpa=2**64 - 1, size=2**64 - 1, format="pferr", syndrome=2**64 - 1,
        address=2**64 - 1, rip=2**64 - 1,
    )  # fmt: skip


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """A reading of up to four VMs."""
    vms = [draw(a_vm(number)) for number in range(draw(st.integers(0, 4)))]
    of_vms = {
        section.name: [row for of in vms for row in section.rows(of)]
        for section in SECTIONS
        if section not in OF_HOST
    }
    return Content(
        **of_vms,
        host_pressures=[HostPressure(1000, 2, 1)],
        lost=[Loss(LossKind.KEYS_FULL, 1)],
        covered=[Span(1, 2)],
        events=[HostEvent(time_ns=1, kind=EventKind.RECORDS)],
        costs=[Cost(from_ns=1, to_ns=2, cpu_ns=3, resident_bytes=4)],
    )


@given(contents())
def test_parts_balance_are_small_and_are_the_whole(content: Content) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content_module, "_CUT_ROWS", CUT_ROWS)
        patch.setattr(content_module, "_CUT_BYTES", 16 * 1024)
        parts = list(cut_to_size(content))
    for part in parts:
        # As the server reads it: described VMs, and a ledger that balances.
        wire.decode(wire.encode(_batch(part)))
        for name in ("fault_counts", "stalls", *CUT_BY_ROWS):
            assert len(getattr(part, name)) <= CUT_ROWS * len(part.vms)
        assert len(part.faults) <= 2 * CUT_ROWS * len(part.vms)
        assert len(part.vms) == 1 or len(wire.encode(_batch(part))) <= 16 * 1024
    assert _sums(parts) == _sums([content])
    for name in ("faults", "stalls", *CUT_BY_ROWS):
        assert [row for part in parts for row in getattr(part, name)] == list(getattr(content, name))
    assert all(_totals_grow(parts, entry) for entry in content.ledger)
    *before, last = parts
    for section in OF_HOST:
        assert section.rows(last) == section.rows(content)
        assert not any(section.rows(part) for part in before)


def test_a_reading_that_found_nothing_is_one_part_that_covers() -> None:
    (part,) = cut_to_size(Content(covered=[Span(1, 2)]))
    assert (list(part.vms), part.covered) == ([], [Span(1, 2)])


@pytest.mark.parametrize("number", [0, 1, MAX_HOST_ROWS, MAX_HOST_ROWS + 1, 2345])
def test_more_events_than_a_batch_takes_are_cut_too(number: int) -> None:
    events = [HostEvent(time_ns=when, kind=EventKind.VM_RECORDS, detail="d" * 1024) for when in range(number)]
    vm = Vm(id="0" * 16, pid=1, started_ns=1)
    parts = list(cut_to_size(Content(vms=[vm], covered=[Span(1, 2)], events=events)))
    read = [wire.decode(wire.encode(_batch(part))) for part in parts]
    assert [event for batch in read for event in batch.events] == events
    assert [len(batch.covered) for batch in read] == [0] * (len(parts) - 1) + [1]
    assert len(parts) == max(1, -(-number // MAX_HOST_ROWS))


@pytest.mark.parametrize(
    ("words", "records", "uncounted"),
    [(100_000, 9_000, 0), (10, 60_000, 0), (0, 60_000, 60_000)],
    ids=["words and records", "few words", "uncounted faults"],
)
def test_a_part_is_far_smaller_than_the_server_takes(words: int, records: int, uncounted: int) -> None:
    vm = Vm(id="0" * 16, pid=1, started_ns=1)
    counts = [_count(vm.id, word, 10_000) for word in range(words)]
    seen = 10_000 * words + uncounted
    entry = LedgerEntry(1000, vm.id, seen, seen - uncounted, uncounted, records, seen - records, 0, seen)
    content = Content(
        vms=[vm],
        fault_counts=counts,
        faults=[_fault(vm.id, when) for when in range(records)],
        ledger=[entry],
    )
    parts = list(cut_to_size(content))
    assert max(len(wire.encode(_batch(part))) for part in parts) <= wire.MAX_BATCH_BYTES // 4
    assert _sums(parts) == _sums([content])


def _batch(part: Content) -> wire.Batch:
    return wire.Batch(
        host=make_host(),
        stream="5" * 32,
        sequence=0,
        arch="x86_64",
        counting="c" * 32,
        **rows_of(part),
    )


def _sums(parts: list[Content]) -> Counter[tuple[str, ...]]:
    sums: Counter[tuple[str, ...]] = Counter()
    for part in parts:
        for row in part.fault_counts:
            sums.update({(row.vm, hex(row.syndrome), name): getattr(row, name) for name in COUNTERS})
        for entry in part.ledger:
            sums.update({(entry.vm, name): getattr(entry, name) for name in _FIGURES})
        for ended in part.stall_ledger:
            figures = ("ended", "stalled", "uncounted")
            sums.update({(ended.vm, "stalls", name): getattr(ended, name) for name in figures})
    return +sums


def _totals_grow(parts: list[Content], whole: LedgerEntry) -> bool:
    """Each part's total is what was seen up to then; the last's is the whole's."""
    entries = [entry for part in parts for entry in part.ledger if entry.vm == whole.vm]
    before = whole.seen_total - whole.seen
    totals = accumulate((entry.seen for entry in entries), initial=before)
    return [entry.seen_total for entry in entries] == list(totals)[1:]


_FIGURES = ("seen", "counted", "uncounted", "recorded", "sampled_out", "dropped")
