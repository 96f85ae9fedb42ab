# SPDX-License-Identifier: Apache-2.0
"""What looks at a kernel showed of VMs: in whatever order batches come, what is newest is known."""

from itertools import permutations
from typing import Any

import pytest

from backend.errors import BatchError
from backend.store.contract.looks import CauseSum, FixedSum, KvmCountSum, MemslotLife, MemslotPlace
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.sql.catalog import looks
from faultmodel.causes import Cause
from faultmodel.record_looks import KvmCount, Memslot, VmPages
from faultmodel.record_stalls import CauseCount
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    VM_ID,
    fault_count,
    later_sections,
    make_batch,
    make_vm,
)

ALWAYS = TimeRange()
OTHER_VM = "00000000000000b2"
RECEIVED_NS = START_NS + 100 * NS_PER_S


def _memslot(second: int, slot: int = 1, *, vm: str = VM_ID, **fields: Any) -> Memslot:
    values = {"address_space": 0, "gpa": slot << 32, "size": 4096, "flags": 0, "host_address": 2**63 + 7}
    return Memslot(time_ns=START_NS + second * NS_PER_S, vm=vm, slot=slot, **(values | fields))


def _span(from_s: int | None, to_s: int | None) -> TimeRange:
    return TimeRange(*(None if at is None else START_MS + at * 1000 for at in (from_s, to_s)))


def _lives(store: Store, span: TimeRange = ALWAYS) -> list[tuple[int, int, int, int | None]]:
    """Return each life's slot and flags, and from when to when it was, in s."""
    return [
        (
            life.memslot.slot,
            life.memslot.flags,
            (life.memslot.time_ns - START_NS) // NS_PER_S,
            None if life.to_ns is None else (life.to_ns - START_NS) // NS_PER_S,
        )
        for life in store.memslots([VM_ID], span, limit=999)
    ]


CHANGES = [
    [_memslot(0), _memslot(0, slot=2)],
    # What is there already is reported again.
    [_memslot(3), _memslot(3, slot=2, flags=1)],
    [_memslot(5, size=0)],
    [_memslot(8, flags=2)],
]


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5])
def test_memslots_are_as_they_were_at_each_time(store: Store, order: tuple[int, ...]) -> None:
    for number in order:
        assert store.apply(make_batch(number, memslots=CHANGES[number]), RECEIVED_NS)
    assert _lives(store) == [(1, 0, 0, 5), (1, 2, 8, None), (2, 0, 0, 3), (2, 1, 3, None)]
    assert _lives(store, _span(6, 7)) == [(2, 1, 3, None)]
    assert _lives(store, _span(4, 6)) == [(1, 0, 0, 5), (2, 1, 3, None)]
    assert _lives(store, _span(None, 0)) == []


def test_a_memslot_is_known_as_it_was_reported(store: Store) -> None:
    whole = later_sections()["memslots"][0]
    bare = _memslot(1, slot=7, gpa=2**64 - 1, userfaultfd=None, guest_memfd=True)
    store.apply(make_batch(memslots=[whole, bare]), RECEIVED_NS)
    assert [life.memslot for life in store.memslots([VM_ID], ALWAYS, limit=9)] == [whole, bare]


def test_memslots_come_a_page_at_a_time(store: Store) -> None:
    slots = [
        _memslot(second, slot, vm=vm, flags=second)
        for vm in (VM_ID, OTHER_VM)
        for slot in (1, 5)
        for second in (0, 2)
    ]
    store.apply(make_batch(memslots=slots), RECEIVED_NS)
    found: list[MemslotLife] = []
    after: MemslotPlace | None = None
    while page := store.memslots([OTHER_VM, VM_ID, "f" * 16], ALWAYS, limit=3, after=after):
        found += page
        after = page[-1].place
    assert [life.memslot for life in found] == slots


def test_of_many_changes_the_newest_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "MOST_MEMSLOTS", 6)
    changes = [_memslot(second, slot=1, flags=second) for second in range(10)]
    store.apply(make_batch(0, memslots=[_memslot(0, slot=9), *changes]), RECEIVED_NS)
    # What was never replaced is the memslot as it is, however old.
    assert _lives(store) == [
        *((1, second, second, second + 1) for second in range(5, 9)),
        (1, 9, 9, None),
        (9, 0, 0, None),
    ]
    store.apply(make_batch(1, memslots=[_memslot(20, slot=slot) for slot in range(10, 18)]), RECEIVED_NS)
    assert len(_lives(store)) == 6


def test_of_pages_the_newest_are_known(store: Store) -> None:
    for number in (1, 3, 2):
        pages = VmPages(
            time_ns=START_NS + number * NS_PER_S,
            vm=VM_ID,
            pages_4k=number,
            pages_2m=2,
            pages_1g=3,
            could_4k=4,
            could_2m=5,
            could_1g=6,
            shadow_pages=None if number == 1 else number,
        )
        store.apply(make_batch(number, vm_pages=[pages]), RECEIVED_NS)
    (found,) = store.vm_pages([VM_ID, "f" * 16])
    assert (found.vm, found.time_ns, found.pages_4k) == (VM_ID, START_NS + 3 * NS_PER_S, 3)
    assert (found.could_1g, found.shadow_pages) == (6, 3)


def _cause(second: int, count: int, *, span_s: int = 0, cause: Cause = Cause.NOT_MAPPED) -> CauseCount:
    time_ns = START_NS + second * NS_PER_S
    return CauseCount(
        time_ns=time_ns,
        vm=VM_ID,
        vcpu=0,
        cause=cause,
        count=count,
        span_ns=span_s * NS_PER_S,
        evidence=f'{{"at": {second}}}',
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_exits_are_summed_by_cause(store: Store, order: tuple[int, ...]) -> None:
    batches = [
        [_cause(2, 5, span_s=1), _cause(3, 1)],
        [_cause(9, 7), _cause(9, 100, cause=Cause.TMPFS_FULL)],
        [_cause(4, 2, span_s=3)],
    ]
    for number in order:
        store.apply(make_batch(number, causes=batches[number]), RECEIVED_NS)
    first_ns, last_ns = START_NS + NS_PER_S, START_NS + 9 * NS_PER_S
    full = CauseSum(VM_ID, Cause.TMPFS_FULL, 100, last_ns, last_ns, '{"at": 9}')
    for vms in (None, [VM_ID]):
        assert store.cause_sums(vms, ALWAYS) == [
            full,
            CauseSum(VM_ID, Cause.NOT_MAPPED, 15, first_ns, last_ns, '{"at": 9}'),
        ]
    assert store.cause_sums(None, _span(0, 5)) == [
        CauseSum(VM_ID, Cause.NOT_MAPPED, 8, first_ns, last_ns, '{"at": 9}')
    ]


def test_what_kvm_counted_is_summed(store: Store) -> None:
    for second in range(2):
        count = KvmCount(START_MS + second * 1000, VM_ID, *range(second, second + 8))
        store.apply(make_batch(second, kvm_counts=[count]), RECEIVED_NS)
    for vms in (None, [VM_ID, "f" * 16]):
        assert store.kvm_count_sums(vms, ALWAYS) == [KvmCountSum(VM_ID, *range(1, 17, 2))]


def test_how_counted_faults_were_fixed_is_summed(store: Store) -> None:
    counts = [
        fault_count(vm, vcpu=vcpu, faults=9, mapped_4k=1, mapped_2m=2, mapped_1g=3, fast=4, spurious=5)
        for vm in (VM_ID, OTHER_VM)
        for vcpu in (0, 1)
    ]
    store.apply(make_batch(vms=[make_vm(), make_vm(OTHER_VM)], fault_counts=counts), RECEIVED_NS)
    assert sorted(store.fixed_sums(None, ALWAYS)) == [
        FixedSum(vm, 2, 4, 6, 8, 10) for vm in (VM_ID, OTHER_VM)
    ]
    assert store.fixed_sums([VM_ID, "f" * 16], ALWAYS) == [FixedSum(VM_ID, 2, 4, 6, 8, 10)]
    assert store.fixed_sums([VM_ID], _span(7, 9)) == []


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ({"memslots": [_memslot(0, slot) for slot in range(4097)]}, "memslots is 4097"),
        ({"causes": [_cause(0, 1)] * 4097}, "causes is 4097"),
        ({"causes": [_cause(0, 2**40), _cause(0, 1)]}, "exits with a cause"),
    ],
)
def test_more_than_a_host_can_have_is_refused(store: Store, rows: dict[str, Any], named: str) -> None:
    with pytest.raises(BatchError, match=named):
        store.apply(make_batch(vms=[make_vm()], **rows), RECEIVED_NS)
