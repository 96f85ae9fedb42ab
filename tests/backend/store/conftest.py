# SPDX-License-Identifier: Apache-2.0
"""Stores for tests: one of each database, migrated, its own for each test."""

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from backend.store import open_store
from backend.store.clickhouse import tables
from backend.store.contract.store import Store
from backend.store.sql.migrate import migrate
from backend.store.sql.tables import metadata
from tests.backend.store.migrating import FIRST_HOUR, begin_parting
from tests.clickhouse import ClickHouse
from tests.postgresql import PostgresqlServer, postgresql_server, postgresql_url

__all__ = ["postgresql_server", "postgresql_url"]

NewUrl = Callable[[], str]
NewStore = Callable[[], Store]


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated file to copy: that is faster than to migrate anew."""
    path = tmp_path_factory.mktemp("migrated") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_server: PostgresqlServer) -> str:
    """Return a migrated database's name, to copy."""
    name = postgresql_server.new_database()
    url = postgresql_server.url(name)
    migrate(url)
    begin_parting(url, FIRST_HOUR)
    return name


@pytest.fixture(scope="session")
def shared_postgresql(postgresql_server: PostgresqlServer, migrated_postgresql: str) -> str:
    """Return a migrated database's name, for one test after the other."""
    return postgresql_server.new_database(migrated_postgresql)


CLICKHOUSE = "clickhouse"
"""The series in ClickHouse, beside a catalog in SQLite."""
CLICKHOUSE_BESIDE_POSTGRESQL = "clickhouse-postgresql"
"""The same, beside one in PostgreSQL."""
CLICKHOUSE_OVER_HTTP = "clickhouse-http-postgresql"
"""That, and ClickHouse reached over HTTP, as where it is a server."""
_OF_SERIES = (
    "test_apply",
    "test_arrivals",
    "test_costs",
    "test_counts",
    "test_delivery",
    "test_exits",
    "test_fault_series",
    "test_faults",
    "test_ledger",
    "test_levels",
    "test_removal",
    "test_retention",
    "test_series",
    "test_stall_answers",
    "test_wait_answers",
)
"""Tests of counts and records; others are of the catalog, which is the same beside any series."""
_OF_BOTH = ("test_apply", "test_arrivals", "test_removal")
"""Of these, tests in which transactions of the catalog and what lies in ClickHouse go together: with either
catalog. The others read, or sum up in one transaction, which each catalog's own tests hold."""
_OVER_HTTP = (
    "test_a_batch_that_comes_twice_counts_once",
    "test_batches_of_several_hosts_applied_at_once_all_count",
    "test_every_counter_adds_up_on_its_own",
    "test_every_exit_record_of_every_architecture_comes_back",
    "test_no_total_changes_and_what_is_kept_coarsely_is_read_coarsely",
    "test_a_host_is_removed_and_no_other",
)
"""Tests over HTTP, too: of each sort of statement one at least, each type of value, and many at once. What
the engine makes of them is the same."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on every database; one that opens a URL by itself, on those that one URL names."""
    chosen = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "database" in metafunc.fixturenames and "database" not in chosen:
        names = ["sqlite", "postgresql"]
        name = metafunc.module.__name__.rpartition(".")[2]
        if name in _OF_SERIES and {"new_store", "new_url"} & set(metafunc.fixturenames) == {"new_store"}:
            names.append(CLICKHOUSE)
            if name in _OF_BOTH:
                names.append(CLICKHOUSE_BESIDE_POSTGRESQL)
            if metafunc.function.__name__ in _OVER_HTTP:
                names.append(CLICKHOUSE_OVER_HTTP)
        metafunc.parametrize("database", names, indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Name the database that the test runs on."""
    name: str = request.param
    return name


def _has_postgresql(database: str) -> bool:
    return database.endswith("postgresql")


@pytest.fixture
def new_url(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Iterator[NewUrl]:
    """Return a function that makes a migrated database for this test alone, and returns its URL."""
    if not _has_postgresql(database):
        template: Path = request.getfixturevalue("migrated_sqlite")
        numbers = count()
        yield lambda: f"sqlite:///{shutil.copy(template, tmp_path / f'store-{next(numbers)}.db')}"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    made: list[str] = []

    def copy_database() -> str:
        made.append(server.new_database(request.getfixturevalue("migrated_postgresql")))
        return server.url(made[-1])

    yield copy_database
    for name in made:
        server.drop_database(name)


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, database: str) -> NewUrl:
    """Return a function that returns the URL of an empty database, in place of the one before."""
    name = "emptied_postgresql" if _has_postgresql(database) else "new_url"
    made: NewUrl = request.getfixturevalue(name)
    return made


@pytest.fixture
def new_store(request: pytest.FixtureRequest, database: str, empty_url: NewUrl) -> Iterator[NewStore]:
    """Return a function that opens an empty store, in place of the one that it opened before."""
    opened: list[Store] = []
    clickhouse: ClickHouse | None = None
    if database.startswith(CLICKHOUSE):
        is_over_http = database == CLICKHOUSE_OVER_HTTP
        clickhouse = request.getfixturevalue("clickhouse_http" if is_over_http else "clickhouse")

    def make() -> Store:
        while opened:
            opened.pop().close()
        if clickhouse is None:
            opened.append(open_store(empty_url()))
        else:
            clickhouse.empty()
            opened.append(open_store(empty_url(), clickhouse.url))
            with pytest.MonkeyPatch.context() as patched:
                # Its tables are there: to make sure of each takes longer than most tests.
                patched.setattr(tables, "statements", lambda _: ())
                opened[-1].prepare()
        return opened[-1]

    yield make
    while opened:
        opened.pop().close()


@pytest.fixture(scope="session")
def emptying(
    postgresql_server: PostgresqlServer, shared_postgresql: str
) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Return a connection to the shared database: a new one takes longer than all that is done with it."""
    with psycopg.connect(postgresql_server.url(shared_postgresql), autocommit=True) as connection:
        yield connection


@pytest.fixture
def emptied_postgresql(
    postgresql_server: PostgresqlServer,
    shared_postgresql: str,
    emptying: psycopg.Connection[tuple[object, ...]],
) -> NewUrl:
    """Return a function that empties the shared database, which is much faster than to make one."""
    names = [sql.Identifier(table.name) for table in reversed(metadata.sorted_tables)]
    statement = sql.SQL("; ").join(sql.SQL("DELETE FROM {}").format(name) for name in names)

    def empty() -> str:
        emptying.execute(statement)
        return postgresql_server.url(shared_postgresql)

    return empty


@pytest.fixture
def store(new_store: NewStore) -> Store:
    """Return an empty store."""
    return new_store()
