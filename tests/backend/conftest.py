# SPDX-License-Identifier: Apache-2.0
"""A server with an empty SQLite store for each test. How databases differ is tested in ``store``."""

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.sql.migrate import migrate
from tests.backend.serving import Server, make_server
from tests.clickhouse import clickhouse, clickhouse_http, clickhouse_server

__all__ = ["clickhouse", "clickhouse_http", "clickhouse_server"]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated SQLite file, to copy."""
    path = tmp_path_factory.mktemp("migrated") / "template.db"
    path.touch(mode=0o600)  # Another mode is warned of.
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(migrated_file: Path, tmp_path: Path) -> str:
    """Return the URL of a migrated, empty database."""
    path = tmp_path / "kvmfaults.db"
    shutil.copy(migrated_file, path)
    return f"sqlite:///{path}"


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """Return an empty store."""
    with closing(open_store(database)) as opened:
        yield opened


@pytest.fixture
def server(store: Store) -> Server:
    """Return a server on loopback with an empty store."""
    return make_server(store)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that ask for ClickHouse's engine: they have a process of their own."""
    for item in items:
        if isinstance(item, pytest.Function) and _asks_for_clickhouse(item):
            item.add_marker("clickhouse")


def _asks_for_clickhouse(item: pytest.Function) -> bool:
    chosen = item.callspec.params.values() if hasattr(item, "callspec") else ()
    of_several = [part for value in chosen for part in (value if isinstance(value, tuple) else [value])]
    names = [*item.fixturenames, *(part for part in of_several if isinstance(part, str))]
    return any(re.match(r"clickhouse\b|clickhouse_(http|server)$", name) for name in names)
