# SPDX-License-Identifier: Apache-2.0
"""A copy into another database has all that the source had, and goes on as that would have."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from backend.errors import SchemaError, StoreError
from backend.store import open_store
from backend.store.contract.access import Token
from backend.store.contract.retention import Kept
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.sql import copying
from backend.store.sql.copying import copy
from backend.store.sql.store import SqlStore
from faultmodel.kinds import RecordingLevel
from faultmodel.record import Collector
from faultmodel.record_answers import RecordAnswer
from tests.backend.store.conftest import CLICKHOUSE, CLICKHOUSE_BESIDE_POSTGRESQL
from tests.backend.store.everything import RECEIVED_NS, a_batch, roll_up, stored
from tests.batches import START_NS, make_batch, make_host
from tests.clickhouse import ClickHouse
from tests.postgresql import PostgresqlServer

Open = Callable[[str], SqlStore]
RECORDED, REQUEST = f"{2:08x}{1:08x}", "00000000000000aa"
"""A VM of ``host-1``, and what was asked for of it."""
PAIRS = (
    ("sqlite", "postgresql"),
    ("postgresql", "sqlite"),
    ("sqlite", CLICKHOUSE),
    (CLICKHOUSE_BESIDE_POSTGRESQL, "postgresql"),
)


@pytest.fixture
def open_kind(request: pytest.FixtureRequest, migrated_sqlite: Path, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens an empty store of a kind, migrated."""
    opened: list[Store] = []
    numbers = count()

    def new(kind: str) -> SqlStore:
        series = None
        if kind.endswith("postgresql"):
            server: PostgresqlServer = request.getfixturevalue("postgresql_server")
            name = server.new_database(request.getfixturevalue("migrated_postgresql"))
            request.addfinalizer(lambda: server.drop_database(name))
            url = server.url(name)
        else:
            url = f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / f'copy-{next(numbers)}.db')}"
        if kind.startswith(CLICKHOUSE):
            clickhouse: ClickHouse = request.getfixturevalue("clickhouse")
            clickhouse.empty()
            series = clickhouse.url
        store = open_store(url, series)
        opened.append(store)
        store.prepare()
        assert isinstance(store, SqlStore)
        return store

    yield new
    for store in opened:
        store.close()


def fill(store: Store) -> None:
    """Store batches of two hosts, some of them summed up, and what else there is."""
    for number in range(3):
        for host in range(2):
            assert store.apply(a_batch(number * 700, host=host), RECEIVED_NS)
        if number == 1:
            roll_up(store)
    store.add_token(Token("a" * 64, "read", None))
    store.set_ages({Kept.FAULTS: None})
    collector = Collector(takes_requests=True)
    recorder = make_host("host-1", collector=collector)
    assert store.apply(make_batch(5000, stream="a" * 32, host=recorder), RECEIVED_NS)
    store.add_record_request(RECORDED, REQUEST, 60, "a" * 64, RECEIVED_NS)
    answer = RecordAnswer(time_ns=START_NS, request=REQUEST, part=0, is_found=True, level=RecordingLevel.ALL)
    answers = make_batch(5001, stream="a" * 32, host=recorder, record_answers=[answer])
    assert store.apply(answers, RECEIVED_NS)


def silent(table: str, done: int, whole: int) -> None:
    """Show no progress."""


@pytest.mark.parametrize(("of", "to"), PAIRS)
def test_a_copy_has_all_and_goes_on(
    open_kind: Open, of: str, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_AT_ONCE", 5)
    source, target = open_kind(of), open_kind(to)
    fill(source)
    before = stored(source)
    assert before

    copy(source, target, silent)

    target.check_schema()
    assert stored(target) == stored(source) == before
    assert target.tokens() == source.tokens()
    assert target.record_requests(RECORDED) == source.record_requests(RECORDED)
    assert target.record_requests(RECORDED)[0].recorded is not None
    assert [level.age_s for level in target.storage().levels] == [
        level.age_s for level in source.storage().levels
    ]
    for store in (source, target):
        assert not store.apply(a_batch(0), RECEIVED_NS)
        assert store.apply(a_batch(9000), RECEIVED_NS)
        assert store.apply(a_batch(9001, host=2), RECEIVED_NS)
        roll_up(store)
    assert stored(target) == stored(source)
    places = [row.position for row in target.exits(None, None, TimeRange(), limit=99, before=None)]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("to", ["postgresql", CLICKHOUSE_BESIDE_POSTGRESQL])
def test_a_copy_that_ends_half_way_goes_on_and_no_server_begins_meanwhile(
    open_kind: Open, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_AT_ONCE", 5)
    source, target = open_kind("sqlite"), open_kind(to)
    fill(source)
    pages = count()
    shown: list[tuple[str, int, int]] = []

    def ending(table: str, done: int, whole: int) -> None:
        shown.append((table, done, whole))
        if next(pages) % 7 == 6:
            raise KeyboardInterrupt

    ends = 0
    while True:
        try:
            copy(source, target, ending)
            break
        except KeyboardInterrupt:
            ends += 1
            with pytest.raises(SchemaError, match="being copied into"):
                target.check_schema()
    assert ends > 3
    assert stored(target) == stored(source)
    # No page is copied twice.
    assert len({(table, done) for table, done, whole in shown if whole}) == len(
        [1 for _, _, whole in shown if whole]
    )


def test_a_target_that_is_not_empty_is_left_alone(open_kind: Open) -> None:
    source, target = open_kind("sqlite"), open_kind("sqlite")
    for store in (source, target):
        fill(store)
    before = stored(target)
    with pytest.raises(StoreError, match="not empty"):
        copy(source, target, silent)
    assert stored(target) == before
    target.check_schema()


def test_a_source_that_is_written_to_is_said_to_be(open_kind: Open) -> None:
    source, target = open_kind("sqlite"), open_kind("sqlite")
    fill(source)

    def write(table: str, done: int, whole: int) -> None:
        if table == "vms":
            assert source.apply(a_batch(9000), RECEIVED_NS)

    with pytest.raises(StoreError, match="written to while"):
        copy(source, target, write)
    with pytest.raises(StoreError, match="written to since"):
        copy(source, target, silent)
    with pytest.raises(SchemaError, match="being copied into"), closing(target):
        target.check_schema()
