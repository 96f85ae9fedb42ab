# SPDX-License-Identifier: Apache-2.0
"""How many faults ended between two copies of the maps of stalls, and the rows that it becomes."""

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from collector.counting.reading import Reading
from collector.counting.stall_differences import Stalled, Stalls, stall_differences
from collector.counting.stall_rows import stall_rows
from collector.probe import compiled
from collector.probe.layout import FORMATS, MEANINGS, OUTCOMES, STALLS, VcpuKey, VmKey
from collector.probe.snapshot import Table
from collector.probe.stall_views import StallViews
from collector.probe.views import Views
from faultmodel.arch import architectures
from faultmodel.ledger import check_stalls
from faultmodel.outcomes import Outcome
from faultmodel.record import Access
from faultmodel.stalls import UNTIMED, lower_ns
from tests.collector.counting import VM, Vcpu
from tests.collector.layouts import COMPILED
from tests.collector.readings import make_reading

WRITE, READ = 6, 4
PFERR = 3
SECOND_NS = 1_000_000_000
CELLS = 16


class _VmKey(ctypes.Structure):
    _fields_ = [("kvm", ctypes.c_uint64), ("instance", ctypes.c_uint64)]


class _Cell(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
        ("quarters", ctypes.c_uint64 * 4),
        ("running_ns", ctypes.c_uint64),
        ("blocked_ns", ctypes.c_uint64),
    ]


class _Vcpu(ctypes.Structure):
    _fields_ = [
        ("longest_kind", ctypes.c_uint32),
        ("vm", _VmKey),
        ("vcpu_id", ctypes.c_uint32),
        ("tid", ctypes.c_uint32),
        ("ended", ctypes.c_uint64),
        ("in_map", ctypes.c_uint64),
        ("uncounted", ctypes.c_uint64),
        ("longest_ns", ctypes.c_uint64),
        ("cells", _Cell * CELLS),
    ]


class _Counts(ctypes.Structure):
    _fields_ = [
        ("timed_left", ctypes.c_uint32),
        ("asleep", ctypes.c_uint32),
        ("vm", _VmKey),
        ("vcpu_id", ctypes.c_uint32),
        ("tid", ctypes.c_uint32),
        ("begun_ns", ctypes.c_uint64),
        ("asleep_since_ns", ctypes.c_uint64),
        ("walk_address", ctypes.c_uint64),
        ("ipa", ctypes.c_uint64),
        ("stack", ctypes.c_int32),
        ("pad", ctypes.c_uint32),
    ]


def _asleep(vcpu: int, asleep: int) -> bytes:
    """A vCPU's counts, as far as a fault under way is in them."""
    of_vm = _VmKey(kvm=VM.kvm, instance=VM.instance)
    return bytes(_Counts(vm=of_vm, vcpu_id=vcpu, tid=500, asleep=asleep, begun_ns=7, stack=-1))


class _Key(ctypes.Structure):
    _fields_ = [
        ("vm", _VmKey),
        ("word", ctypes.c_uint64),
        ("vcpu", ctypes.c_uint32),
        ("format", ctypes.c_uint32),
        ("kind", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
    ]


class _VcpuKey(ctypes.Structure):
    _fields_ = [("vm", _VmKey), ("vcpu", ctypes.c_uint32), ("pad", ctypes.c_uint32)]


_TYPES: dict[str, tuple[type[Any], type[Any]]] = {
    "stall_slots": (ctypes.c_uint32, _Vcpu),
    "stall_overflow": (_VcpuKey, _Vcpu),
    "stall_counts": (_Key, _Cell),
}
LAYOUT = compiled.describe(
    {
        STALLS: _TYPES
        | {f"{name}_checkpoint": types for name, types in _TYPES.items()}
        | {"slots": (ctypes.c_uint32, _Counts)}
    },
    MEANINGS,
    {},
    FORMATS,
)


VIEWS = StallViews(LAYOUT)
WORDS = Views(COMPILED).vcpu
SLOT = bytes(4)


def _kind(octave: int, outcome: Outcome = Outcome.MAPPED_4K, place: int = 0) -> int:
    number = next(number for number, known in OUTCOMES.items() if known is outcome)
    return 1 << 31 | (octave + 2) << 10 | number << 4 | place


def _vcpu(
    cells: Mapping[int, Sequence[int]], *, in_map: int = 0, uncounted: int = 0, vm: VmKey = VM, tid: int = 500
) -> _Vcpu:
    """A vCPU's stalls. :param cells: by kind, four quarters, and the time running and blocked"""
    state = _Vcpu(vm=_VmKey(*vm), tid=tid, in_map=in_map, uncounted=uncounted)
    state.ended = in_map + uncounted + sum(sum(values[:4]) for values in cells.values())
    for index, (kind, values) in enumerate(cells.items()):
        *quarters, running_ns, blocked_ns = values
        state.cells[index] = _Cell(kind, 0, (ctypes.c_uint64 * 4)(*quarters), running_ns, blocked_ns)
    return state


def _tables(state: _Vcpu | None = None, in_map: Table | None = None) -> dict[str, Table]:
    """What a snapshot has: the vCPU has faulted with a write first, and then with a read."""
    words = Vcpu(VcpuKey(*VM, 0), 500, words={WRITE: [0] * 13, READ: [0] * 13})
    return {
        "stall_slots": {} if state is None else {SLOT: bytes(state)},
        "stall_overflow": {},
        "stall_counts": in_map or {},
        "slots": {SLOT: words.pack()},
        "overflow": {},
    }


def _found(now: dict[str, Table], before: dict[str, Table] | None = None, **more: object) -> Stalls:
    return stall_differences(now, before or _tables(), VIEWS, WORDS, **more)  # type: ignore[arg-type]


def _stalled(word: int, octave: int, outcome: Outcome = Outcome.MAPPED_4K) -> Stalled:
    return Stalled(*VM, 0, word, PFERR, outcome, nested=False, octave=octave)


def test_what_is_counted_in_place_bears_the_word_of_that_place() -> None:
    state = _vcpu({_kind(2): (1, 2, 3, 4, 50, 60), _kind(3, Outcome.FAST, place=1): (0, 0, 0, 1, 9, 0)})
    found = _found(_tables(state))
    assert found.counts == {
        _stalled(WRITE, 2): (1, 2, 3, 4, 50, 60),
        _stalled(READ, 3, Outcome.FAST): (0, 0, 0, 1, 9, 0),
    }


def test_only_what_was_added_since_is_counted() -> None:
    before = _tables(_vcpu({_kind(2): (1, 0, 0, 0, 5, 0)}))
    now = _tables(_vcpu({_kind(2): (1, 0, 0, 2, 30, 7)}, uncounted=3))
    found = _found(now, before)
    assert found.counts == {_stalled(WRITE, 2): (0, 0, 0, 2, 25, 7)}
    assert found.uncounted == {VcpuKey(*VM, 0): 3}
    assert _found(now, now).counts == {}


def test_a_slot_with_another_owner_starts_from_zero() -> None:
    before = _tables(_vcpu({_kind(2): (9, 0, 0, 0, 45, 0)}, tid=499))
    found = _found(_tables(_vcpu({_kind(2): (2, 0, 0, 0, 10, 0)})), before)
    assert found.counts == {_stalled(WRITE, 2): (2, 0, 0, 0, 10, 0)}


def test_what_is_in_the_map_is_added_to_what_is_in_place() -> None:
    key = bytes(_Key(_VmKey(*VM), WRITE, 0, PFERR, _kind(2, place=15)))
    cell = bytes(_Cell(0, 0, (ctypes.c_uint64 * 4)(0, 5, 0, 0), 25, 0))
    found = _found(_tables(_vcpu({_kind(2): (1, 0, 0, 0, 5, 0)}, in_map=5), {key: cell}))
    assert found.counts == {_stalled(WRITE, 2): (1, 5, 0, 0, 30, 0)}
    assert found.changed["stall_counts"] == {key: cell}


def test_a_copy_between_two_additions_is_read_again() -> None:
    whole = _vcpu({_kind(2): (2, 0, 0, 0, 10, 0)})
    torn = _vcpu({_kind(2): (2, 0, 0, 0, 10, 0)})
    torn.ended -= 1
    asked: list[tuple[str, bytes]] = []

    def reread(table: str, key: bytes) -> bytes:
        asked.append((table, key))
        return bytes(whole)

    found = _found(_tables(torn), reread=reread)
    assert found.counts == {_stalled(WRITE, 2): (2, 0, 0, 0, 10, 0)}
    assert found.changed["stall_slots"] == {SLOT: bytes(whole)}
    assert asked == [("stall_slots", SLOT)]


def test_what_is_torn_and_cannot_be_read_is_left_for_the_next_reading() -> None:
    torn = _vcpu({_kind(2): (2, 0, 0, 0, 10, 0)})
    torn.ended += 1
    found = _found(_tables(torn), reread=lambda _table, _key: None)
    assert (found.counts, found.changed["stall_slots"]) == ({}, {})


def test_an_outcome_of_a_later_version_is_not_known() -> None:
    found = _found(_tables(_vcpu({1 << 31 | 4 << 10 | 31 << 4: (1, 0, 0, 0, 5, 0)})))
    assert set(found.counts) == {_stalled(WRITE, 2, Outcome.UNKNOWN)}


def _reading(stalls: Stalls | None, seconds: int = 1) -> Reading:
    return make_reading(to_ns=seconds * SECOND_NS, stalls=stalls)


IDS = {VM: "a" * 16}
X86 = architectures()["x86_64"]


def test_rows_are_of_accesses_and_sum_up_words_and_vcpus() -> None:
    stalls = Stalls()
    for vcpu in (0, 1):
        for word in (WRITE, WRITE | 1):
            key = Stalled(*VM, vcpu, word, PFERR, Outcome.MAPPED_4K, nested=False, octave=2)
            stalls.add(key, (1, 0, 0, 1, 11, 3))
    rows, vcpus, ledger = stall_rows(_reading(stalls), X86, IDS)
    (row,) = rows
    assert (row.access, row.q0, row.q3, row.running_ns, row.blocked_ns) == (Access.WRITE, 4, 4, 44, 12)
    assert sorted((of.vcpu, of.count, of.timed, of.running_ns) for of in vcpus) == [
        (0, 4, 4, 22),
        (1, 4, 4, 22),
    ]
    check_stalls(ledger, rows)
    assert ledger[0].ended == 8


def test_the_longest_is_known_of_its_cell_and_no_less_than_the_bucket_of_others() -> None:
    known, other = _stalled(WRITE, 6), _stalled(READ, 3)
    stalls = Stalls(longest_ns={known: 99_000})
    stalls.add(known, (0, 0, 1, 0, 99_000, 0))
    stalls.add(other, (1, 1, 0, 0, 19_000, 0))
    rows, (vcpu,), _ = stall_rows(_reading(stalls), X86, IDS)
    assert {row.octave: row.max_ns for row in rows} == {6: 99_000, 3: lower_ns(3, 1)}
    assert vcpu.max_ns == 99_000


def test_faults_whose_time_was_not_taken_have_none() -> None:
    stalls = Stalls(uncounted={VcpuKey(*VM, 0): 2})
    stalls.add(_stalled(WRITE, UNTIMED), (7, 0, 0, 0, 0, 0))
    stalls.add(_stalled(WRITE, 2), (1, 0, 0, 0, 5_000, 0))
    rows, (vcpu,), ledger = stall_rows(_reading(stalls), X86, IDS)
    untimed = next(row for row in rows if row.octave == UNTIMED)
    assert (untimed.q0, untimed.running_ns, untimed.max_ns) == (7, 0, 0)
    assert (vcpu.count, vcpu.timed) == (10, 1)
    check_stalls(ledger, rows)
    assert (ledger[0].ended, ledger[0].stalled, ledger[0].uncounted) == (10, 8, 2)


@pytest.mark.parametrize("seconds", [2, 3, 7])
def test_a_late_reading_is_spread_over_its_seconds_and_loses_nothing(seconds: int) -> None:
    stalls = Stalls()
    stalls.add(_stalled(WRITE, UNTIMED), (5, 0, 0, 0, 0, 0))
    stalls.add(_stalled(WRITE, 2), (1, 2, 3, 5, 101, 103))
    rows, vcpus, ledger = stall_rows(_reading(stalls, seconds), X86, IDS)
    timed = [row for row in rows if row.octave == 2]
    names = ("q0", "q1", "q2", "q3", "running_ns", "blocked_ns")
    sums = [sum(getattr(row, name) for row in timed) for name in names]
    assert sums == [1, 2, 3, 5, 101, 103]
    assert (sum(of.count for of in vcpus), sum(of.timed for of in vcpus)) == (16, 11)
    assert all(of.timed <= of.count for of in vcpus)
    check_stalls(ledger, rows)


def test_where_nothing_shows_stalls_there_are_no_rows() -> None:
    assert stall_rows(_reading(None), X86, IDS) == ((), (), ())


def test_faults_under_way_are_those_in_which_vcpus_are_asleep() -> None:
    # 2: asleep, and in no fault.
    (found,) = VIEWS.open_faults([_asleep(0, 0), _asleep(1, 1), _asleep(2, 2)], 0)
    assert (found.kvm, found.vcpu_id, found.begun_ns, found.stack) == (VM.kvm, 1, 7, -1)
