# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL refuses what was sent ahead: its batch is not stored, and counts once when it comes again."""

import pytest
from sqlalchemy import text

from backend.errors import StoreError
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter
from backend.store.sql.store import SqlStore
from faultmodel.wire import Batch
from tests.batches import START_NS, fault_count, ledger_entry, make_batch

pytestmark = pytest.mark.parametrize("database", ["postgresql"])
MANY = 1000
CHANGED = (
    "applied_batches",
    "sources",
    "hosts",
    "coverage",
    "vms",
    "countings",
    "ledger_1s",
    "fault_counts_1s",
)


def _batch(sequence: int) -> Batch:
    counts = [fault_count(second=sequence, word=word, faults=1) for word in range(MANY)]
    return make_batch(sequence, fault_counts=counts, ledger=[ledger_entry(second=sequence, seen=MANY)])


@pytest.mark.parametrize("table", CHANGED)
def test_a_refused_statement_undoes_its_batch_and_no_other(store: Store, table: str) -> None:
    assert isinstance(store, SqlStore)
    assert store.apply(_batch(0), START_NS)
    with store.writing() as writer:
        for statement in (
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'refused by a test'; END $$",
            f"CREATE TRIGGER refusal BEFORE INSERT OR UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse()",
        ):
            writer.connection.execute(text(statement))
    try:
        with pytest.raises(StoreError, match="refused by a test"):
            store.apply(_batch(1), START_NS)
    finally:
        with store.writing() as writer:
            writer.connection.execute(text(f"DROP TRIGGER refusal ON {table}"))
            writer.connection.execute(text("DROP FUNCTION refuse()"))
    assert [vm.faults for vm in store.vms(VmFilter(), TimeRange(), limit=9, after=None)] == [MANY]

    assert store.apply(_batch(1), START_NS)
    assert not store.apply(_batch(1), START_NS)
    assert [vm.faults for vm in store.vms(VmFilter(), TimeRange(), limit=9, after=None)] == [2 * MANY]
