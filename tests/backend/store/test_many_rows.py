# SPDX-License-Identifier: Apache-2.0
"""Batches of many rows: each database has a way of its own to take them, and all end with the same sums."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from sqlite3 import SQLITE_LIMIT_VARIABLE_NUMBER
from typing import Any

import pytest
from msgspec import Struct
from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table, Text, select
from sqlalchemy.types import TypeEngine

from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.sql.sqlite import SqliteStore
from backend.store.sql.store import SqlStore
from backend.store.sql.writer import columns_of
from tests.batches import START_MS, START_NS, VM_ID, fault_count, ledger_entry, make_batch, make_host, make_vm

ALWAYS = TimeRange()
OTHER_VM = "00000000000000b2"
MANY = 1000


def _counts(first: int, last: int, vm_id: str = VM_ID, *, second: int = 0, faults: int = 1) -> list[Struct]:
    return [fault_count(vm_id, second=second, word=word, faults=faults) for word in range(first, last)]


def _faults(store: Store, vm_id: str = VM_ID) -> Mapping[int, int]:
    """Return a VM's faults by word."""
    return {item.word: item.counters["faults"] for item in store.syndromes([vm_id], ALWAYS)}


@pytest.mark.parametrize("number", [1, 31, 32, 33, 255, 256, 257, MANY])
def test_every_row_is_stored_however_many_there_are(store: Store, number: int) -> None:
    store.apply(make_batch(fault_counts=_counts(0, number)), START_NS)

    assert _faults(store) == dict.fromkeys(range(number), 1)


def test_rows_add_to_stored_ones_and_new_ones_beside_them_are_kept(store: Store) -> None:
    store.apply(make_batch(0, fault_counts=_counts(0, MANY, faults=1)), START_NS)
    store.apply(make_batch(1, fault_counts=_counts(500, 500 + MANY, faults=10)), START_NS)

    assert _faults(store) == (
        dict.fromkeys(range(500), 1)
        | dict.fromkeys(range(500, MANY), 11)
        | dict.fromkeys(range(MANY, 500 + MANY), 10)
    )


def test_rows_add_to_stored_ones_though_the_first_of_them_are_new(store: Store) -> None:
    store.apply(make_batch(0, fault_counts=_counts(0, MANY, VM_ID)), START_NS)
    both = _counts(0, MANY, OTHER_VM) + _counts(0, MANY, VM_ID)
    store.apply(make_batch(1, fault_counts=both), START_NS)

    assert _faults(store, OTHER_VM) == dict.fromkeys(range(MANY), 1)
    assert _faults(store, VM_ID) == dict.fromkeys(range(MANY), 2)


@pytest.mark.parametrize("is_stored", [False, True])
def test_rows_of_one_batch_with_equal_keys_add_up(store: Store, is_stored: bool) -> None:
    if is_stored:
        store.apply(make_batch(0, fault_counts=_counts(0, 1, faults=100)), START_NS)
    twice = _counts(0, MANY, faults=1) + _counts(0, MANY, faults=2)
    store.apply(make_batch(1, fault_counts=twice), START_NS)

    assert _faults(store) == dict.fromkeys(range(MANY), 3) | ({0: 103} if is_stored else {})


def test_rows_that_are_all_the_same_add_up(store: Store) -> None:
    store.apply(make_batch(0, fault_counts=_counts(7, 8, faults=3) * MANY), START_NS)

    assert _faults(store) == {7: 3 * MANY}


@pytest.mark.parametrize("odd", [0, 1, 500, 991, 992, MANY - 1])
def test_one_value_that_differs_from_all_others_of_its_column_is_kept(store: Store, odd: int) -> None:
    counts = [fault_count(word=word, faults=1, mmio=int(word == odd)) for word in range(MANY)]
    store.apply(make_batch(0, fault_counts=counts), START_NS)
    store.apply(make_batch(1, fault_counts=counts), START_NS)

    found = {item.word: item.counters["mmio"] for item in store.syndromes([VM_ID], ALWAYS)}
    assert found == {word: 2 * (word == odd) for word in range(MANY)}


def test_the_second_bucket_of_a_vm_is_kept_apart_from_its_first(store: Store) -> None:
    for second in range(3):
        store.apply(make_batch(second, fault_counts=_counts(0, MANY, second=second)), START_NS)

    assert _faults(store) == dict.fromkeys(range(MANY), 3)
    assert store.vm(VM_ID, TimeRange(None, START_MS + 1000)).faults == MANY


def test_batches_of_many_rows_that_come_at_once_count_once_each(store: Store) -> None:
    batches = [
        make_batch(
            number,
            host=make_host(f"host-{host}"),
            stream=f"{host:032x}",
            fault_counts=_counts(0, MANY, f"{host:016x}"),
        )
        for number in range(4)
        for host in range(3)
    ]
    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(lambda batch: store.apply(batch, START_NS), batches))

    for host in range(3):
        assert _faults(store, f"{host:016x}") == dict.fromkeys(range(MANY), 4)


def test_what_countings_saw_of_many_vms_is_the_greatest_that_came(store: Store) -> None:
    vms = [make_vm(f"{number:016x}") for number in range(MANY)]
    for sequence, seen, seen_total in ((0, 10, 10), (2, 20, 35), (1, 5, 15)):
        ledger = [ledger_entry(vm.id, second=sequence, seen=seen, seen_total=seen_total) for vm in vms]
        store.apply(make_batch(sequence, vms=vms, ledger=ledger), START_NS)

    totals = store.counting_totals([vm.id for vm in vms])
    assert {total.vm for total in totals} == {vm.id for vm in vms}
    assert {(total.stored, total.seen_total) for total in totals} == {(35, 35)}


@pytest.mark.parametrize("number", [1, 2, 255, 256, 257, MANY])
def test_whatever_a_column_holds_is_stored_as_it_is(store: Store, number: int) -> None:
    assert isinstance(store, SqlStore)
    kinds: dict[str, tuple[type[TypeEngine[Any]], Sequence[object]]] = {
        "least_and_most": (BigInteger, [-(2**63), 2**63 - 1, -1, 0, 255, 256]),
        "one_value": (BigInteger, [2**40]),
        "no_number": (BigInteger, [None]),
        "now_and_then": (BigInteger, [None, 1]),
        "yes_and_no": (Boolean, [True, False]),
        "yes": (Boolean, [True]),
        "perhaps": (Boolean, [None, True]),
        "text": (Text, ["\u00e4\u20ac"]),
        "texts": (Text, ["", "a", "\u00e4\u20ac"]),
        "no_text": (Text, [None]),
    }
    for left_out in ((), ("now_and_then", "perhaps", "texts")):
        chosen = {name: of for name, of in kinds.items() if name not in left_out}
        columns = [Column("id", BigInteger, primary_key=True, autoincrement=False)]
        columns += [Column(name, kind) for name, (kind, _) in chosen.items()]
        rows = [(row, *(values[row % len(values)] for _, values in chosen.values())) for row in range(number)]
        odd = Table(f"odd_{len(left_out)}", MetaData(), *columns)
        with store.writing() as writer:
            odd.create(writer.connection)
            writer.append(odd, columns_of(rows))
            stored = writer.connection.execute(select(odd).order_by(odd.c.id)).all()
            odd.drop(writer.connection)
        assert [tuple(row) for row in stored] == rows


def test_a_wide_table_takes_as_many_values_at_once_as_sqlite_does(tmp_path: Path) -> None:
    names = [f"value_{number}" for number in range(40)]
    wide = Table(
        "wide", MetaData(), Column("id", Integer, primary_key=True), *(Column(n, Integer) for n in names)
    )
    rows = [tuple(range(number, number + 41)) for number in range(100)]
    path = tmp_path / "wide.db"
    path.touch()
    store = open_store(f"sqlite:///{path}")
    assert isinstance(store, SqliteStore)
    with store.writing() as writer:
        driver = writer.connection.connection.driver_connection
        assert driver is not None
        driver.setlimit(SQLITE_LIMIT_VARIABLE_NUMBER, 100)
        wide.create(writer.connection)
        writer.append(wide, columns_of(rows))
        writer.add(wide, columns_of(rows))
        stored = writer.connection.execute(select(wide)).all()
    store.close()

    assert [row[0] for row in stored] == [row[0] for row in rows]
    assert [tuple(row[1:]) for row in stored] == [tuple(2 * value for value in row[1:]) for row in rows]
