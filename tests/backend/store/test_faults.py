# SPDX-License-Identifier: Apache-2.0
"""Records of single guest faults, newest first, page by page."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from msgspec import Struct

from backend.errors import NotFoundError
from backend.store.contract.store import Store
from backend.store.contract.values import RecordRow, TimeRange
from faultmodel import arch
from faultmodel.record import MAX_VCPU
from tests.batches import START_MS, START_NS, VM_ID, fault_record, make_batch, make_host

ALWAYS = TimeRange()
OTHER_VM = "00000000000000b2"


def _apply(store: Store, sequence: int, *records: Struct) -> None:
    assert store.apply(make_batch(sequence, faults=records), START_NS)


def _pages(store: Store, limit: int) -> list[RecordRow]:
    rows: list[RecordRow] = []
    before = None
    while page := store.faults([VM_ID], ALWAYS, limit=limit, before=before):
        assert len(page) <= limit
        rows.extend(page)
        before = (page[-1].record.time_ns, page[-1].position)
    return rows


def _full(arch_name: str, word: int) -> Struct:
    """Return a record in which every field has a value: ``word``, or as great a number as it can hold."""
    record = fault_record(arch_name=arch_name, word=word)
    fields: dict[str, object] = {}
    for field in msgspec.structs.fields(record):
        value = getattr(record, field.name)
        if field.name == "vcpu":
            fields[field.name] = MAX_VCPU
        elif field.name in ("private", "nested", "memslot", "level", "weight"):
            fields[field.name] = True if field.name in ("private", "nested") else 2**32 - 1
        elif value in (0, None):
            fields[field.name] = word
    return msgspec.structs.replace(record, **fields)


@pytest.mark.parametrize("arch_name", arch.architectures())
@pytest.mark.parametrize("word", [0, 2**63 - 1, 2**63, 2**64 - 1], ids=hex)
def test_every_field_of_every_architecture_comes_back(store: Store, arch_name: str, word: int) -> None:
    records = [fault_record(arch_name=arch_name, word=word), _full(arch_name, word)]
    store.apply(make_batch(arch=arch_name, host=make_host(arch=arch_name), faults=records), START_NS)

    rows = store.faults([VM_ID], ALWAYS, limit=9, before=None)
    assert [(row.arch, row.record) for row in rows] == [(arch_name, record) for record in reversed(records)]


@pytest.mark.parametrize("limit", [1, 3, 12, 100])
def test_pages_follow_one_another_newest_first_without_gap_or_repeat(store: Store, limit: int) -> None:
    times = [START_NS + number // 3 * 1000 for number in range(12)]
    _apply(store, 0, *(fault_record(time_ns=time, vcpu=n) for n, time in enumerate(times[:6])))
    _apply(store, 1, *(fault_record(time_ns=time, vcpu=n + 6) for n, time in enumerate(times[6:])))

    assert [row.record.vcpu for row in _pages(store, limit)] == list(range(11, -1, -1))


def test_records_of_a_late_batch_are_in_their_place(store: Store) -> None:
    _apply(store, 1, fault_record(time_ns=START_NS + 1, vcpu=1), fault_record(time_ns=START_NS + 3, vcpu=3))
    _apply(store, 0, fault_record(time_ns=START_NS, vcpu=0), fault_record(time_ns=START_NS + 2, vcpu=2))

    assert [row.record.vcpu for row in _pages(store, 2)] == [3, 2, 1, 0]


def test_records_that_are_equal_in_everything_are_all_kept(store: Store) -> None:
    for sequence in range(3):
        _apply(store, sequence, fault_record(), fault_record())

    assert len(_pages(store, 4)) == 6
    assert len({row.position for row in _pages(store, 4)}) == 6


def test_batches_of_one_host_that_come_at_once_keep_all_their_records(store: Store) -> None:
    batches = [make_batch(number, faults=[fault_record(), fault_record()]) for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda batch: store.apply(batch, START_NS), batches))

    assert len({row.position for row in _pages(store, 100)}) == 32


def test_a_batch_that_comes_twice_brings_its_records_once(store: Store) -> None:
    batch = make_batch(faults=[fault_record()])
    assert store.apply(batch, START_NS)
    assert not store.apply(batch, START_NS)

    assert len(_pages(store, 9)) == 1


def test_faults_are_those_of_the_vm_and_the_range_to_the_nanosecond(store: Store) -> None:
    times = [START_NS - 1, START_NS, START_NS + 999_999, START_NS + 1_000_000]
    _apply(store, 0, *(fault_record(time_ns=time) for time in times), fault_record(OTHER_VM))

    rows = store.faults([VM_ID], TimeRange(START_MS, START_MS + 1), limit=9, before=None)
    assert [row.record.time_ns for row in rows] == [START_NS + 999_999, START_NS]
    after = (START_NS + 1_000_000, rows[0].position + 9)
    rows = store.faults([VM_ID], TimeRange(START_MS, START_MS + 1), limit=9, before=after)
    assert [row.record.time_ns for row in rows] == [START_NS + 999_999, START_NS]


def test_a_vm_that_is_not_there_has_no_faults_to_list(store: Store) -> None:
    with pytest.raises(NotFoundError, match=VM_ID):
        store.faults([VM_ID], ALWAYS, limit=9, before=None)
