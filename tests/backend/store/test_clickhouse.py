# SPDX-License-Identifier: Apache-2.0
"""ClickHouse beside a catalog: whatever ends between two statements, each batch counts once or not yet."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, update

from backend.errors import SchemaError, StoreError
from backend.store import open_store
from backend.store.clickhouse.blocks import read_noted
from backend.store.clickhouse.database import Database
from backend.store.clickhouse.tables import Place, of_sql, statements
from backend.store.contract.series import Metric
from backend.store.contract.store import Store
from backend.store.contract.values import Steps
from backend.store.contract.vms import VmFilter
from backend.store.sql.store import SqlStore
from backend.store.sql.tables import fault_counts, series_blocks
from faultmodel.sections import MAX_ROWS
from tests.backend.store.conftest import NewUrl
from tests.backend.store.everything import ALWAYS, CLAIM, RECEIVED_NS, a_batch, roll_up, stored
from tests.batches import (
    START_MS,
    fault_count,
    ledger_entry,
    make_batch,
    make_host,
)
from tests.clickhouse import ClickHouse, ClickHouseServer


class Killed(BaseException):
    """The process ends here, as far as the store can tell: nothing of it goes on."""


@pytest.fixture
def open_anew(empty_url: NewUrl, clickhouse: ClickHouse) -> Iterator[Callable[[], SqlStore]]:
    """Return what opens the same store, empty at first, in place of the one that it opened before."""
    clickhouse.empty()
    url = empty_url()
    opened: list[Store] = []

    def open_it() -> SqlStore:
        while opened:
            opened.pop().close()
        opened.append(open_store(url, clickhouse.url))
        store = opened[-1]
        assert isinstance(store, SqlStore)
        return store

    open_it().prepare()
    yield open_it
    while opened:
        opened.pop().close()


@contextmanager
def killed_at(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """End it before the so-manieth statement or insert of this block; what is yielded counts them."""
    count = [0]

    def step(*_: object) -> None:
        count[0] += 1
        if count[0] == number:
            raise Killed

    insert = Database.insert

    def insert_and_step(self: Database, *args: Any) -> None:
        step()
        insert(self, *args)
        step()

    with monkeypatch.context() as patched:
        patched.setattr(Database, "insert", insert_and_step)
        event.listen(Engine, "before_cursor_execute", step)
        try:
            yield count
        finally:
            event.remove(Engine, "before_cursor_execute", step)


def test_what_is_stored_while_an_answer_is_made_is_not_in_it(open_anew: Callable[[], SqlStore]) -> None:
    store = open_anew()
    for number in (0, 30, 7000):
        assert store.apply(a_batch(number), RECEIVED_NS)
    roll_up(store)
    steps = Steps(START_MS, START_MS + 7200_000, 3600_000)

    def ask() -> object:
        (vm,) = [vm.number for vm in store.members(VmFilter(), ALWAYS).vms if vm.id.endswith("1")]
        return [
            sorted(store.series.points(Metric.FAULTS, [vm], steps, by=("word",), figures=("faults",))),
            sorted(store.series.totals(Metric.FAULTS, [vm], ALWAYS, by=("word",), figures=("faults",))),
            store.exits(None, None, ALWAYS, limit=99, before=None),
        ]

    def store_late() -> None:
        # Of the first VM, in an hour that is summed up; then it is summed up again.
        assert store.apply(a_batch(8000, vm=f"{1:08x}{1:08x}"), RECEIVED_NS)
        late = make_batch(
            1,
            stream="f" * 32,
            host=make_host("host-0"),
            vms=[],
            fault_counts=[fault_count(f"{1:08x}{1:08x}", second=5, word=1, faults=100)],
            ledger=[ledger_entry(f"{1:08x}{1:08x}", second=5, seen=100, seen_total=200)],
        )
        assert store.apply(late, RECEIVED_NS)
        roll_up(store)

    with store.snapshot():
        before = ask()
        thread = Thread(target=store_late)
        thread.start()
        thread.join()
        assert ask() == before
    assert ask() != before


def test_rows_of_a_batch_that_never_came_again_are_removed_after_a_day(
    open_anew: Callable[[], SqlStore], monkeypatch: pytest.MonkeyPatch, clickhouse: ClickHouse
) -> None:
    store = open_anew()
    assert store.apply(a_batch(0), RECEIVED_NS)
    with killed_at(10**6, monkeypatch) as count:
        store.apply(a_batch(1), RECEIVED_NS)
    number = count[0]
    with killed_at(number, monkeypatch), pytest.raises(Killed):
        store.apply(a_batch(2), RECEIVED_NS)
    store = open_anew()
    before = stored(store)
    assert store.claim_job(CLAIM)
    assert clickhouse.rows(fault_counts) == 6
    store.remove_older(60, CLAIM)
    assert clickhouse.rows(fault_counts) == 6, "it may still be on its way"
    with store.writing() as writer:
        writer.connection.execute(update(series_blocks).values(opened_ns=0))
    store.remove_older(60, CLAIM)
    assert clickhouse.rows(fault_counts) == 4
    with store.reading() as connection:
        assert not connection.execute(select(series_blocks)).all()
        assert not read_noted(connection).open
    assert stored(store) == before


def test_an_insert_that_is_repeated_with_its_token_is_there_once(clickhouse: ClickHouse) -> None:
    clickhouse.empty()
    table = of_sql[fault_counts]
    columns = [["npf"] if column.name == "format" else [1] for column in table.columns]
    with closing(clickhouse.connect()) as database:
        for _ in range(2):
            database.insert(table, columns, "1/fault_counts_1s")
        assert clickhouse.rows(fault_counts) == 1
        # Another batch may count the same in the same second: only the token tells.
        database.insert(table, columns, "2/fault_counts_1s")
    assert clickhouse.rows(fault_counts) == 2


def test_the_greatest_insert_is_one_block_and_is_repeated_as_one(
    clickhouse_server: ClickHouseServer, clickhouse_http: ClickHouse
) -> None:
    clickhouse_http.empty()
    table = of_sql[fault_counts]
    columns = [["npf" if column.name == "format" else 1] * MAX_ROWS for column in table.columns]
    with closing(clickhouse_http.connect()) as database:
        clickhouse_server.have("reset", "after", of="insert_deduplication_token")
        database.insert(table, columns, f"1/{table.name}")
        parts = database.query(
            "SELECT rows FROM system.parts WHERE active AND database = currentDatabase()"
            f" AND table = '{table.name}'"
        )
    assert parts == [(MAX_ROWS,)]


def test_a_catalog_and_a_series_know_one_another(
    empty_url: NewUrl, new_url: NewUrl, clickhouse: ClickHouse
) -> None:
    clickhouse.empty()
    url = empty_url()
    with closing(open_store(url, clickhouse.url)) as store:
        with pytest.raises(SchemaError, match="migrate"):
            store.check_schema()
        for _ in range(2):
            store.prepare()
            store.check_schema()
        _check_strangers(store, url, new_url(), clickhouse)


def _check_strangers(store: Store, url: str, other: str, clickhouse: ClickHouse) -> None:
    with closing(open_store(url)) as half, pytest.raises(SchemaError, match="--series"):
        half.check_schema()
    with closing(open_store(other)) as alone:
        alone.check_schema()
    with closing(open_store(other, clickhouse.url)) as stranger:
        with pytest.raises(SchemaError, match="does not have its series elsewhere"):
            stranger.check_schema()
        store.apply(a_batch(0), RECEIVED_NS)
        with pytest.raises(SchemaError, match="another database's"):
            stranger.prepare()
    with closing(open_store(other)) as alone:
        alone.apply(a_batch(0), RECEIVED_NS)
    clickhouse.empty()
    with (
        closing(open_store(other, clickhouse.url)) as full,
        pytest.raises(SchemaError, match="counts of its own"),
    ):
        full.prepare()
    with pytest.raises(SchemaError, match="another database's"):
        store.check_schema()


def test_on_a_cluster_tables_are_replicated_and_spread_by_owner() -> None:
    made = list(statements(Place("fleet")))
    (counts,) = [one for one in made if "`fault_counts_1s_local`" in one and "MergeTree" in one]
    assert "ON CLUSTER `fleet`" in counts
    assert (
        "ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/fault_counts_1s_local'" in counts
    )
    (sums,) = [one for one in made if "`fault_counts_1h_local`" in one and "MergeTree" in one]
    assert "'{replica}', version)" in sums
    assert "ENGINE = ReplicatedReplacingMergeTree(" in sums
    spread = [one for one in made if "ENGINE = Distributed(" in one]
    assert "cityHash64(`vm_id`)" in "".join(spread)
    assert len(spread) == len(of_sql)


def test_all_levels_are_partitioned_alike() -> None:
    days = {one.partition("PARTITION BY ")[2].partition(" ORDER")[0] for one in statements(Place())}
    assert days == {"", "intDiv(bucket_s, 86400)", "intDiv(time_ns, 86400000000000)"}


def test_nothing_is_summed_or_removed_when_parts_are_merged() -> None:
    """As nobody knows when that is: what an answer has is said by the catalog alone."""
    made = " ".join(statements(Place()))
    assert "TTL" not in made
    assert "MATERIALIZED VIEW" not in made
    engines = set(re.findall(r"ENGINE = (\w+)", made))
    # What replaces is asked for its newest row, whether merged or not.
    assert engines == {"MergeTree", "ReplacingMergeTree"}


def test_where_the_client_is_not_installed_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clickhouse_connect.driver.exceptions", None)
    with pytest.raises(StoreError, match=r"pip install 'kvmfaults\[clickhouse\]'"):
        open_store("sqlite:///unused.db", "clickhousedb://host/name")
