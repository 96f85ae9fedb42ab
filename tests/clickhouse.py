# SPDX-License-Identifier: Apache-2.0
"""A ClickHouse for tests: the engine within this process (chdb), or a server that the environment names.

``KVMFAULTS_TEST_CLICKHOUSE`` is the URL of an empty database of a server: clickhousedb://user:password@host/name.
Whatever it has in tables of these names is removed. What is about HTTP has a process that serves the engine.
"""

import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
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


class ClickHouseServer:
    """A process that serves the engine over HTTP (``clickhouse_http``), ends, and begins again as it was."""

    PASSWORD = "s3cret"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self.begin()

    @property
    def url(self) -> str:
        """The series' URL."""
        return self.url_with()

    def url_with(self, *, password: str = PASSWORD, database: str = "kvmfaults", query: str = "") -> str:
        """Return a URL that says something else."""
        return f"clickhousedb://kvmfaults:{password}@127.0.0.1:{self._port}/{database}{query}"

    def begin(self) -> None:
        """Begin to serve; on the port as before."""
        command = [sys.executable, "-m", "tests.clickhouse_http"]
        options = ["--path", str(self._folder), "--port", str(self._port)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([*command, *options], stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self.PASSWORD}\n")
        self._process.stdin.flush()
        ready = self._process.stdout.readline()
        assert ready, "it ended instead"
        self._port = int(ready.rpartition(" ")[2])

    def end(self) -> None:
        """End it by SIGKILL, if it has not ended by itself."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def wait(self) -> None:
        """Wait until it has ended."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def have(self, what: str, when: str, *, of: str, number: int = 1, times: int = 1) -> None:
        """Have something happen to a request: see ``clickhouse_http.Mishap``."""
        self._tell("/mishap", {"of": of, "what": what, "when": when, "number": number, "times": times})

    def go_on(self) -> None:
        """Have nothing happen any more, and what waits go on."""
        self._tell("/go-on", {})

    def _tell(self, path: str, said: Mapping[str, object]) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port)) as connection:
            connection.request("POST", path, json.dumps(said))
            assert connection.getresponse().status == 200


@contextmanager
def engine_folder() -> Iterator[Path]:
    """Yield a folder for an engine."""
    parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(
        prefix="kvmfaults-chdb-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def clickhouse() -> Iterator[ClickHouse]:
    """Return a ClickHouse."""
    with ExitStack() as stack:
        url = os.environ.get("KVMFAULTS_TEST_CLICKHOUSE")
        if not url:
            url = f"clickhousedb:///default?interface=chdb&path={stack.enter_context(engine_folder())}"
        yield stack.enter_context(closing(ClickHouse(url)))


@pytest.fixture(scope="session")
def clickhouse_server() -> Iterator[ClickHouseServer]:
    """Return a server that serves."""
    with engine_folder() as folder:
        server = ClickHouseServer(folder)
        yield server
        server.end()


@pytest.fixture(scope="session")
def clickhouse_http(clickhouse_server: ClickHouseServer) -> Iterator[ClickHouse]:
    """Return a ClickHouse that is reached over HTTP."""
    with closing(ClickHouse(clickhouse_server.url)) as made:
        yield made
