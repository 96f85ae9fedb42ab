"""Stores for tests: one of each database, migrated, its own for each test."""

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from backend.store import open_store
from backend.store.base import Store
from backend.store.migrate import migrate
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
    migrate(postgresql_server.url(name))
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    """Return a function that makes a migrated database and returns its URL."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("migrated_sqlite")
        numbers = count()

        def copy_file() -> str:
            path = tmp_path / f"store-{next(numbers)}.db"
            shutil.copyfile(template, path)
            return f"sqlite:///{path}"

        return copy_file
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    database: str = request.getfixturevalue("migrated_postgresql")
    return lambda: server.url(server.new_database(database))


@pytest.fixture
def new_store(new_url: NewUrl) -> Iterator[NewStore]:
    """Return a function that opens an empty store; all are closed at the end."""
    opened: list[Store] = []

    def make() -> Store:
        opened.append(open_store(new_url()))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(new_store: NewStore) -> Store:
    """Return an empty store."""
    return new_store()
