# SPDX-License-Identifier: Apache-2.0
"""Batches count once, whatever way they come."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from backend.errors import BatchError
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from faultmodel import arch
from faultmodel.kinds import LossKind
from faultmodel.record import COUNTERS, ExitKind, Loss, Span
from tests.batches import (
    START_NS,
    VM_ID,
    exit_count,
    exit_record,
    fault_count,
    full_exit_record,
    make_batch,
    make_host,
    make_vm,
)

ALWAYS = TimeRange()
OTHER_STREAM = "6" * 32
OTHER_VM = "00000000000000b2"


def test_a_batch_that_comes_twice_counts_once(store: Store) -> None:
    batch = make_batch(
        fault_counts=[fault_count(faults=5)], exits=[exit_record()], lost=[Loss(LossKind.KEYS_FULL, 2)]
    )

    assert store.apply(batch, START_NS)
    assert not store.apply(batch, START_NS + 1)

    assert store.vm(VM_ID, ALWAYS).faults == 5
    assert len(store.exits(None, None, ALWAYS, limit=9, before=None)) == 1
    assert store.hosts()[0].lost == {"keys_full": 2}


def test_batches_that_come_in_any_order_count_once_each(store: Store) -> None:
    batches = [make_batch(number, fault_counts=[fault_count(faults=10**number)]) for number in range(5)]

    applied = [store.apply(batches[number], START_NS) for number in (3, 1, 3, 0, 4, 1, 2, 0, 4, 2)]

    assert applied == [True, True, False, True, True, False, True, False, False, False]
    assert store.vm(VM_ID, ALWAYS).faults == 11111


def test_a_number_that_never_comes_does_not_stop_the_others(store: Store) -> None:
    assert store.apply(make_batch(0, fault_counts=[fault_count()]), START_NS)
    assert store.apply(make_batch(7, fault_counts=[fault_count()]), START_NS)
    assert not store.apply(make_batch(7, fault_counts=[fault_count()]), START_NS)
    assert store.vm(VM_ID, ALWAYS).faults == 2


def test_the_same_number_of_another_stream_is_another_batch(store: Store) -> None:
    assert store.apply(make_batch(fault_counts=[fault_count()]), START_NS)
    assert store.apply(make_batch(fault_counts=[fault_count()], stream=OTHER_STREAM), START_NS)
    assert store.vm(VM_ID, ALWAYS).faults == 2


def test_equal_keys_in_one_batch_add_up(store: Store) -> None:
    store.apply(
        make_batch(
            fault_counts=[fault_count(faults=2), fault_count(faults=3, mmio=1)],
            exit_counts=[exit_count(count=4), exit_count(count=5)],
        ),
        START_NS,
    )

    (syndrome,) = store.syndromes([VM_ID], ALWAYS)
    assert syndrome.counters["faults"] == 5
    assert syndrome.counters["mmio"] == 1
    assert store.vm(VM_ID, ALWAYS).memory_fault_exits == 9


def test_one_batch_applied_by_many_threads_at_once_counts_once(store: Store) -> None:
    batch = make_batch(fault_counts=[fault_count(faults=7)], exits=[exit_record()])

    with ThreadPoolExecutor(8) as threads:
        applied = list(threads.map(lambda _: store.apply(batch, START_NS), range(16)))

    assert sum(applied) == 1
    assert store.vm(VM_ID, ALWAYS).faults == 7
    assert len(store.exits(None, None, ALWAYS, limit=9, before=None)) == 1


def test_batches_of_several_hosts_applied_at_once_all_count(store: Store) -> None:
    batches = [
        make_batch(
            number,
            host=make_host(f"host-{host}"),
            stream=f"{host:032x}",
            fault_counts=[fault_count(f"{host:016x}", second=number)],
            exits=[exit_record(f"{host:016x}")],
        )
        for number in range(10)
        for host in range(4)
    ]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda batch: store.apply(batch, START_NS), batches))

    assert [store.vm(f"{host:016x}", ALWAYS).faults for host in range(4)] == [10, 10, 10, 10]
    positions = [row.position for row in store.exits(None, None, ALWAYS, limit=99, before=None)]
    assert len(set(positions)) == 40


@pytest.mark.parametrize("arch_name", arch.architectures())
@pytest.mark.parametrize("word", [0, 2**63 - 1, 2**63, 2**64 - 1], ids=hex)
def test_every_word_of_every_architecture_comes_back(store: Store, arch_name: str, word: int) -> None:
    store.apply(
        make_batch(arch=arch_name, fault_counts=[fault_count(arch_name=arch_name, word=word)]), START_NS
    )

    (syndrome,) = store.syndromes([VM_ID], ALWAYS)
    assert (syndrome.arch, syndrome.word) == (arch_name, word)
    assert syndrome.format == next(iter(arch.get(arch_name).formats))


@pytest.mark.parametrize("arch_name", arch.architectures())
@pytest.mark.parametrize("make_record", [exit_record, full_exit_record])
def test_every_exit_record_of_every_architecture_comes_back(
    store: Store, arch_name: str, make_record: Callable[..., Struct]
) -> None:
    record = make_record(arch_name=arch_name)
    store.apply(make_batch(arch=arch_name, exits=[record]), START_NS)

    (row,) = store.exits([VM_ID], None, ALWAYS, limit=9, before=None)
    assert (row.arch, row.record) == (arch_name, record)


@pytest.mark.parametrize("arch_name", arch.architectures())
def test_every_counter_adds_up_on_its_own(store: Store, arch_name: str) -> None:
    counters = {name: 3**place for place, name in enumerate(COUNTERS)}
    for number in range(2):
        count = fault_count(arch_name=arch_name, **counters)
        store.apply(make_batch(number, arch=arch_name, fault_counts=[count]), START_NS)

    (syndrome,) = store.syndromes([VM_ID], ALWAYS)
    assert syndrome.counters == {name: 2 * value for name, value in counters.items()}


def test_the_same_word_in_two_formats_is_two_syndromes(store: Store) -> None:
    store.apply(
        make_batch(
            fault_counts=[
                fault_count(format_name="ept", faults=1),
                fault_count(format_name="npf", faults=2),
                fault_count(format_name="none", word=0, faults=3),
            ]
        ),
        START_NS,
    )

    found = [(item.format, item.word, item.counters["faults"]) for item in store.syndromes([VM_ID], ALWAYS)]
    assert found == [(None, 0, 3), ("npf", 7, 2), ("ept", 7, 1)]


def test_a_word_in_a_format_of_a_later_version_is_kept_and_not_named(store: Store) -> None:
    store.apply(make_batch(fault_counts=[fault_count(format_name="tdx", word=5, faults=3)]), START_NS)

    (syndrome,) = store.syndromes([VM_ID], ALWAYS)
    assert (syndrome.format, syndrome.word, syndrome.counters["faults"]) == (None, 5, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arch": "vax"}, "no architecture 'vax'"),
        ({"fault_counts": [msgspec.structs.replace(fault_count(), bucket_ms=1)]}, "does not start a second"),
        ({"fault_counts": [fault_count(faults=2**41)]}, "seen is 2199023255552 in one batch"),
        ({"fault_counts": [fault_count(faults=2**40)] * 2}, "seen is 2199023255552 in one batch"),
        ({"lost": [Loss(LossKind.KEYS_FULL, 2**40)] * 2}, "things lost is 2199023255552 in one batch"),
        ({"covered": (Span(1, 2),) * 1001}, "number of covered spans is 1001 in one batch"),
        ({"exit_counts": [exit_count(count=2**41)]}, "exits is 2199023255552 in one batch"),
        ({"exits": [exit_record(kind=ExitKind.BARE_ERROR, reason=39)]}, "is no bare_error"),
        ({"vms": [make_vm(), make_vm()]}, "describes a VM twice"),
        ({"covered": (Span(2, 1),)}, "covered span ends at 1"),
        ({"vms": [make_vm(name="a\0b")]}, "has a NUL character"),
        ({"host": make_host(detail="\0")}, "has a NUL character"),
        ({"fault_counts": [fault_count(format_name="\0")]}, "has a NUL character"),
    ],
)
def test_a_batch_that_contradicts_itself_changes_nothing(
    store: Store, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BatchError, match=message):
        store.apply(make_batch(**changes), START_NS)

    assert store.hosts() == []
    assert store.coverage(None, ALWAYS) == []
    assert store.apply(make_batch(), START_NS)
