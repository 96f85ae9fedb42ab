# SPDX-License-Identifier: Apache-2.0
"""Exit records, newest first, page by page, over all architectures."""

import pytest

from backend.store.contract.store import Store
from backend.store.contract.values import RecordRow, TimeRange
from faultmodel import arch
from faultmodel.record import ExitKind
from tests.batches import START_MS, START_NS, VM_ID, exit_record, make_batch

ALWAYS = TimeRange()
MEMORY, BARE = ExitKind.MEMORY_FAULT, ExitKind.BARE_ERROR


def _vm_id(arch_name: str) -> str:
    return f"{list(arch.architectures()).index(arch_name):016x}"


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with twelve exits of each architecture, a millisecond apart in pairs, of both kinds."""
    for sequence, arch_name in enumerate(arch.architectures()):
        records = [
            exit_record(
                _vm_id(arch_name),
                arch_name=arch_name,
                time_ns=START_NS + number // 2 * 1_000_000,
                kind=MEMORY if number % 3 else BARE,
                vcpu=number,
            )
            for number in range(12)
        ]
        store.apply(make_batch(sequence, arch=arch_name, exits=records), START_NS)
    return store


def _pages(store: Store, vm_ids: list[str] | None, kind: ExitKind | None, limit: int) -> list[RecordRow]:
    rows: list[RecordRow] = []
    before = None
    while page := store.exits(vm_ids, kind, ALWAYS, limit=limit, before=before):
        assert len(page) <= limit
        rows.extend(page)
        before = (page[-1].record.time_ns, page[-1].position)
    return rows


@pytest.mark.parametrize("limit", [1, 5, 36, 100])
def test_pages_follow_one_another_newest_first_without_gap_or_repeat(filled: Store, limit: int) -> None:
    rows = _pages(filled, None, None, limit)

    places = [(row.record.time_ns, row.position) for row in rows]
    assert places == sorted(places, reverse=True)
    assert sorted((row.arch, row.record.vcpu) for row in rows) == sorted(
        (arch_name, vcpu) for arch_name in arch.architectures() for vcpu in range(12)
    )


def test_positions_are_unique_over_all_architectures(filled: Store) -> None:
    rows = filled.exits(None, None, ALWAYS, limit=100, before=None)

    assert len({row.position for row in rows}) == len(rows) == 12 * len(arch.architectures())


def test_exits_of_one_kind_are_found_alone(filled: Store) -> None:
    assert {row.record.kind for row in _pages(filled, None, MEMORY, 3)} == {MEMORY}
    assert len(_pages(filled, None, MEMORY, 3)) == 8 * len(arch.architectures())
    assert len(_pages(filled, [_vm_id("x86_64")], BARE, 3)) == 4


def test_exits_of_some_vms_are_found_alone(filled: Store) -> None:
    chosen = [_vm_id("x86_64"), _vm_id("aarch64"), "00000000000000ff"]

    assert {row.record.vm for row in _pages(filled, chosen, None, 5)} == set(chosen[:2])
    assert _pages(filled, [], None, 5) == []
    assert _pages(filled, ["\0"], None, 5) == []


def test_exits_are_bounded_by_the_range_to_the_nanosecond(store: Store) -> None:
    times = [START_NS - 1, START_NS, START_NS + 999_999, START_NS + 1_000_000]
    store.apply(make_batch(exits=[exit_record(time_ns=time_ns) for time_ns in times]), START_NS)

    rows = store.exits([VM_ID], None, TimeRange(START_MS, START_MS + 1), limit=9, before=None)
    assert [row.record.time_ns for row in rows] == [START_NS + 999_999, START_NS]
    everything = store.exits(None, None, TimeRange(-(10**40), 10**40), limit=9, before=None)
    assert len(everything) == 4


def test_a_position_is_not_given_again_when_more_records_come(store: Store) -> None:
    for sequence in range(3):
        store.apply(make_batch(sequence, exits=[exit_record(), exit_record()]), START_NS)

    rows = store.exits(None, None, ALWAYS, limit=9, before=None)
    assert len({row.position for row in rows}) == 6
