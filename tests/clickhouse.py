# SPDX-License-Identifier: Apache-2.0
"""A ClickHouse for tests: the engine within this process (chdb), or a server that the environment names.

``KVMFAULTS_TEST_CLICKHOUSE`` is the URL of an empty database of a server: clickhousedb://user:password@host/name.
Whatever it has in tables of these names is removed.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Table
from sqlalchemy.engine import make_url

from backend.store.clickhouse.database import Database
from backend.store.clickhouse.tables import IDENTITY, metadata, statements

SHARED_MEMORY = Path("/dev/shm")
"""Each part that is inserted is some dozen files."""


class ClickHouse:
    """An empty database for one test after the other. ``url``: of the series."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Open as long as it is used: the engine within the process ends with the last connection.
        self._database = Database(make_url(url))
        for statement in statements(self._database.place):
            self._database.command(statement)

    def empty(self) -> None:
        """Remove all rows."""
        place = self._database.place
        names = {*(place.local(table) for table in metadata.sorted_tables), IDENTITY}
        if not place.cluster:
            # To empty a table takes long, and most are.
            filled = "SELECT DISTINCT table FROM system.parts WHERE active AND database = currentDatabase()"
            names &= {name for (name,) in self._database.query(filled)}
        for name in names:
            self._database.command(f"TRUNCATE TABLE `{name}`{place.everywhere}")

    def rows(self, table: Table) -> int:
        """Return how many rows there are of a table, whether they count or not."""
        ((found,),) = self._database.query(f"SELECT count() FROM `{table.name}`")
        return int(found)

    def connect(self) -> Database:
        """Return a database of one's own, to be closed."""
        return Database(make_url(self.url))

    def close(self) -> None:
        """Release every connection."""
        self._database.close()


@pytest.fixture(scope="session")
def clickhouse() -> Iterator[ClickHouse]:
    """Return a ClickHouse."""
    with ExitStack() as stack:
        url = os.environ.get("KVMFAULTS_TEST_CLICKHOUSE")
        if not url:
            parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
            folder = tempfile.mkdtemp(prefix="kvmfaults-chdb-", dir=parent)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            url = f"clickhousedb:///default?interface=chdb&path={folder}"
        made = ClickHouse(url)
        stack.callback(made.close)
        yield made
