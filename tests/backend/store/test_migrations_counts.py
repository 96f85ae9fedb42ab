# SPDX-License-Identifier: Apache-2.0
"""Migrations of counts and single records keep them, up and down."""

from contextlib import closing

import pytest
from sqlalchemy import create_engine, text

from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.contract.values import Split, Steps, TimeRange
from backend.store.sql.migrate import check_drift, downgrade, migrate
from faultmodel import arch
from faultmodel.record import COUNTERS, REASON_NOT_SHOWN, ExitKind
from tests.backend.store.conftest import NewUrl
from tests.backend.store.migrating import engine_url, every_vm, rows, tables
from tests.batches import (
    START_MS,
    START_NS,
    VM_ID,
    exit_record,
    fault_count,
    fault_record,
    ledger_entry,
    make_batch,
    make_host,
)


def test_faults_that_were_stored_before_nested_guests_were_counted_apart_are_kept(new_url: NewUrl) -> None:
    url = new_url()
    store = open_store(url)
    store.apply(
        make_batch(
            fault_counts=[fault_count(faults=3)],
            faults=[fault_record()],
            exits=[exit_record()],
            ledger=[ledger_entry(seen=3, recorded=1)],
        ),
        START_NS,
    )
    store.close()
    downgrade(url, "0003")
    migrate(url)

    store = open_store(url)
    (counted,) = store.syndromes([VM_ID], TimeRange())
    assert [counted.counters[name] for name in ("faults", "nested", "context_unknown")] == [3, 0, 0]
    (fault,) = store.faults([VM_ID], TimeRange(), limit=9, before=None)
    (exited,) = store.exits(None, None, TimeRange(), limit=9, before=None)
    assert (fault.record.nested, exited.record.nested) == (None, None)
    store.close()


@pytest.mark.parametrize("arch_name", arch.architectures())
def test_a_weight_is_kept_under_either_name(new_url: NewUrl, arch_name: str) -> None:
    url, architecture = new_url(), arch.get(arch_name)
    record = fault_record(arch_name=arch_name, weight=16)
    host = make_host(arch=arch_name)
    with closing(open_store(url)) as store:
        assert store.apply(make_batch(host=host, arch=arch_name, faults=[record]), START_NS)

    table = f"{architecture.table_prefix}_faults"
    for _ in range(2):
        downgrade(url, "0014")
        assert rows(url, f"SELECT stands_for FROM {table}") == [(16,)]
        migrate(url)
        assert rows(url, f"SELECT weight FROM {table}") == [(16,)]
        assert check_drift(url) == []


def _every_count(store: Store) -> set[tuple[object, ...]]:
    """Return every fault count, by VM, second, vCPU, format and word."""
    steps = Steps(START_MS, START_MS + 60_000, 1000)
    split = Split(vm=True, vcpu=True, word=True)
    return {
        (point.vm, point.step_start_ms, point.vcpu, point.format, point.word, *point.counters.values())
        for point in store.fault_points(None, steps, split=split, counters=COUNTERS)
    }


def test_counts_of_one_table_can_be_taken_back_without_loss(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        for number, name in enumerate(arch.architectures()):
            # Of one VM more than are copied at once.
            words = {f"{number:015x}1": range(1500), f"{number:015x}2": (0, 7, 2**63, 2**64 - 1)}
            counts = [
                fault_count(
                    vm_id,
                    arch_name=name,
                    second=second,
                    vcpu=word % 3,
                    word=word,
                    faults=second + 1,
                    nested=1,
                )
                for vm_id, of_vm in words.items()
                for second in (*range(9), 20)
                for word in of_vm
            ]
            host = make_host(name, arch=name)
            stream = f"{number:032x}"
            assert store.apply(make_batch(stream=stream, host=host, arch=name, fault_counts=counts), START_NS)
        unknown = [fault_count(word=0, format_name="none", prefetched=9)]
        assert store.apply(make_batch(stream="a" * 32, fault_counts=unknown), START_NS)
        before, vms = _every_count(store), every_vm(store)
    assert len(before) == 3 * 10 * 1504 + 1
    progress: list[tuple[str, int, int]] = []

    downgrade(url, "0010", lambda *seen: progress.append(seen))
    names = {f"{prefix}_fault_counts" for prefix in ("x86", "arm64", "riscv")}
    assert names <= tables(url)
    assert "fault_counts" not in tables(url)
    assert {("counts of arm64", 2, 2), ("counts of riscv", 2, 2)} <= set(progress)

    progress.clear()
    migrate(url, lambda *seen: progress.append(seen))
    assert {("counts of arm64", 2, 2), ("counts of riscv", 2, 2)} <= set(progress)
    assert check_drift(url) == []
    with closing(open_store(url)) as store:
        assert (_every_count(store), every_vm(store)) == (before, vms)
        # It goes on from there.
        assert store.apply(make_batch(1, fault_counts=[fault_count(faults=3)]), START_NS)


def test_exits_of_a_kind_that_was_named_otherwise_are_found_by_its_name(new_url: NewUrl) -> None:
    url = new_url()
    exits = [exit_record(), exit_record(kind=ExitKind.UNCLASSIFIED_ERROR, reason=REASON_NOT_SHOWN)]
    with closing(open_store(url)) as store:
        assert store.apply(make_batch(exits=exits), START_NS)
    downgrade(url, "0015")
    assert _kinds(url) == {"memory_fault", "untold_error"}
    migrate(url)
    assert _kinds(url) == {"memory_fault", "unclassified_error"}
    with closing(open_store(url)) as store:
        (found,) = store.exits(None, ExitKind.UNCLASSIFIED_ERROR, TimeRange(), limit=2, before=None)
        assert found.record == exits[1]


def _kinds(url: str) -> set[str]:
    engine = create_engine(engine_url(url))
    with engine.connect() as connection:
        kinds = set(connection.execute(text("SELECT kind FROM x86_exits")).scalars())
    engine.dispose()
    return kinds
