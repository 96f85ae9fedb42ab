# SPDX-License-Identifier: Apache-2.0
"""URLs of databases that cannot be used get one clear line."""

from pathlib import Path

import pytest

from backend.errors import SchemaError, StoreError
from backend.store import open_store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter
from tests.batches import START_NS, make_batch
from tests.postgresql import PostgresqlServer


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/name", "no store for mysql://; there is sqlite://, postgresql://"),
        ("", "the database URL cannot be read"),
        ("no url", "the database URL cannot be read"),
        ("postgresql://host:port/name", "the database URL cannot be read"),
        ("sqlite://", "sqlite:// names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////nowhere/at/all.db", "folder /nowhere/at is not there"),
        ("postgresql://host", "names no database"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        open_store(url)


def test_a_password_is_not_in_the_message() -> None:
    with pytest.raises(StoreError) as caught:
        open_store("mysql://me:secret@host/name")
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear database, " * 100)
    store = open_store(f"sqlite:///{path}")

    with pytest.raises(StoreError, match="file is not a database"):
        store.check_schema()
    store.close()


def test_a_database_that_is_not_migrated_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    store = open_store(f"sqlite:///{tmp_path / 'empty.db'}")

    with pytest.raises(SchemaError, match="no tables"):
        store.check_schema()
    with pytest.raises(StoreError, match="no such table"):
        store.apply(make_batch(), START_NS)
    store.close()


def test_a_server_that_does_not_answer_is_a_store_error(postgresql_server: PostgresqlServer) -> None:
    store = open_store(postgresql_server.url("no_such_database"))

    with pytest.raises(StoreError, match='database "no_such_database" does not exist'):
        store.vms(VmFilter(), TimeRange(), limit=1, after=None)
    store.close()
