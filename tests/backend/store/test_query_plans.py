# SPDX-License-Identifier: Apache-2.0
"""Every query of the hot paths goes through an index of SQLite: its cost follows what it returns."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.contract.values import Split, Steps, TimeRange
from backend.store.contract.vms import VmFilter, VmPlace
from faultmodel.record import COUNTERS, ExitKind
from tests.batches import (
    START_MS,
    START_NS,
    VM_ID,
    exit_count,
    exit_record,
    fault_count,
    fault_record,
    livelock,
    make_batch,
    outstanding,
    outstanding_look,
)

Statement = tuple[str, Any]
STEPS = Steps(START_MS, START_MS + 60_000, 1000)
SPAN = TimeRange(START_MS, START_MS + 60_000)
GUEST = "f427c24233487b35"
PLACE = (START_NS + 5, 3)


@pytest.fixture
def path(migrated_sqlite: Path, tmp_path: Path) -> Path:
    """Return a migrated file of the test's own."""
    return Path(shutil.copy(migrated_sqlite, tmp_path / "store.db"))


@pytest.fixture
def statements() -> Iterator[list[Statement]]:
    """Collect every statement that the test's store executes with one set of parameters."""
    seen: list[Statement] = []

    def remember(
        _connection: object, _cursor: object, sql: str, parameters: object, _context: object, many: bool
    ) -> None:
        if not many and not sql.startswith("BEGIN"):
            seen.append((sql, parameters))

    event.listen(Engine, "before_cursor_execute", remember)
    yield seen
    event.remove(Engine, "before_cursor_execute", remember)


@pytest.mark.parametrize(
    "query",
    [
        lambda s: s.vms(VmFilter(), SPAN, limit=9, after=VmPlace(False, START_MS, VM_ID)),
        lambda s: s.vms(VmFilter(), TimeRange(), limit=9, after=None),
        lambda s: s.vms(VmFilter(hosts=("host-1",)), SPAN, limit=9, after=None),
        lambda s: s.vms(VmFilter(names=("guest",)), SPAN, limit=9, after=None),
        lambda s: s.vms(VmFilter(pids=(4242,)), SPAN, limit=9, after=None),
        lambda s: s.vms(VmFilter(guests=(GUEST,)), SPAN, limit=9, after=None),
        lambda s: s.members(VmFilter(guests=(GUEST,)), SPAN),
        lambda s: s.guests_named([GUEST]),
        lambda s: s.lives_at_once(),
        lambda s: s.vm(VM_ID, SPAN),
        lambda s: s.vcpus([VM_ID], SPAN),
        lambda s: s.syndromes([VM_ID], SPAN),
        lambda s: list(s.fault_points([VM_ID], STEPS, split=Split(word=True), counters=COUNTERS)),
        lambda s: list(s.fault_points(None, STEPS, split=Split(vm=True, vcpu=True), counters=COUNTERS)),
        lambda s: list(s.fault_points(None, STEPS, split=Split(), counters=COUNTERS)),
        lambda s: list(s.exit_points(None, ExitKind.BARE_ERROR, Steps(START_MS, START_MS + 60_000, 1000))),
        lambda s: s.exit_reasons([VM_ID], SPAN),
        lambda s: s.exits(None, None, SPAN, limit=9, before=PLACE),
        lambda s: s.exits(None, None, TimeRange(), limit=9, before=None),
        lambda s: s.exits([VM_ID], None, SPAN, limit=9, before=PLACE),
        lambda s: s.faults([VM_ID], SPAN, limit=9, before=PLACE),
        lambda s: s.faults([VM_ID], TimeRange(), limit=9, before=None),
        lambda s: s.ledger_points([VM_ID], STEPS),
        lambda s: s.counting_totals([VM_ID]),
        lambda s: s.unequal_countings([VM_ID]),
        lambda s: list(s.vms_of(["host-1"], SPAN)),
        lambda s: list(s.vms_of(None, SPAN)),
        lambda s: s.losses(["host-1"], STEPS),
        lambda s: s.costs(["host-1"], STEPS),
        lambda s: s.host_events(["host-1"], SPAN, limit=9, before=PLACE),
        lambda s: s.host_events(None, TimeRange(), limit=9, before=None),
        lambda s: s.hook_events(["host-1"], "kvm:kvm_entry", SPAN),
        lambda s: s.coverage(["host-1"], SPAN),
        lambda s: s.host_of([VM_ID]),
        lambda s: s.apply(make_batch(1, fault_counts=[fault_count()], exits=[exit_record()]), START_NS),
        lambda s: s.apply(make_batch(1, livelocks=[livelock()]), START_NS),
        lambda s: s.apply(make_batch(1, outstanding_looks=[outstanding_look(1)]), START_NS),
        lambda s: s.arrivals(0, 9, limit=9),
        lambda s: s.arrival_counts(0, 9),
        lambda s: s.apply(make_batch(5, exit_counts=[exit_count()]), START_NS),
        lambda s: s.apply(make_batch(1, faults=[fault_record()]), START_NS),
    ],
)
def test_no_query_scans_a_table(
    path: Path, statements: list[Statement], query: Callable[[Store], object]
) -> None:
    store = open_store(f"sqlite:///{path}")
    states: dict[str, Any] = {"livelocks": [livelock()], "outstanding": [outstanding()]}
    store.apply(make_batch(0, fault_counts=[fault_count()], exits=[exit_record()], **states), START_NS)
    statements.clear()
    query(store)
    store.close()

    plan = _plan(path, statements)
    assert plan
    # What a query has summed itself, it may read through, and what is yet to be summed: the newest buckets.
    # What is kept from when on is one row of each level and kind of records.
    own = ("SUBQUERY", "anon_1", "whole", "totals", "rollup_pending", "kept_from")
    scans = [step for step in plan if step.startswith("SCAN") and "USING" not in step]
    assert [step for step in scans if not any(name in step for name in own)] == []


def test_pages_of_vms_are_read_in_the_order_of_an_index(path: Path, statements: list[Statement]) -> None:
    store = open_store(f"sqlite:///{path}")
    store.apply(make_batch(0), START_NS)
    statements.clear()
    store.vms(VmFilter(), SPAN, limit=9, after=None)
    store.close()

    plan = [step for step in _plan(path, statements) if " vms " in step]
    assert plan == ["SEARCH vms USING INDEX ix_vms_first_seen_ms_public_id (first_seen_ms<?)"] * 2


def test_pages_of_exits_are_read_in_the_order_of_an_index(path: Path, statements: list[Statement]) -> None:
    store = open_store(f"sqlite:///{path}")
    store.apply(make_batch(0, exits=[exit_record()]), START_NS)
    statements.clear()
    store.exits([VM_ID], None, SPAN, limit=9, before=PLACE)
    store.exits(None, None, SPAN, limit=9, before=PLACE)
    store.close()

    plan = _plan(path, statements)
    assert [step for step in plan if "TEMP B-TREE" in step] == []
    assert sum("time_ns>? AND time_ns<?" in step for step in plan) == len([s for s in plan if "_exits" in s])


def test_pages_of_faults_are_read_in_the_order_of_their_key(path: Path, statements: list[Statement]) -> None:
    store = open_store(f"sqlite:///{path}")
    store.apply(make_batch(0, faults=[fault_record()]), START_NS)
    statements.clear()
    store.faults([VM_ID], SPAN, limit=9, before=PLACE)
    store.close()

    plan = [step for step in _plan(path, statements) if "_faults" in step]
    assert plan == ["SEARCH x86_faults USING PRIMARY KEY (vm_id=? AND time_ns>? AND time_ns<?)"]


def _plan(path: Path, statements: list[Statement]) -> list[str]:
    database = sqlite3.connect(path)
    plan = [
        str(row[3])
        for sql, parameters in statements
        for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
    ]
    database.close()
    return plan
