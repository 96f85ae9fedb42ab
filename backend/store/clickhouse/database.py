# SPDX-License-Identifier: Apache-2.0
"""Connections to ClickHouse: statements and inserts, and what they raise as the server's own errors.

Nobody waits for an answer without end: for one to a question until the time to read is over, for an insert a
minute, and for what may have to work through all of a table as long as the client waits of its own accord
(``send_receive_timeout``, which the URL may set). What is then executed all the same changes no answer.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Select, Table, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from backend.errors import StoreError
from backend.store.clickhouse.errors import said
from backend.store.clickhouse.tables import Place, column_types
from backend.store.contract.time_limit import check_time, current_limit

# What the client, and what it asks over, warn of is raised, too.
_LOGGERS = ("clickhouse_connect", "urllib3")
_KEPT_CONNECTIONS = 8
_MORE_CONNECTIONS = 32
_CLUSTER, _PASSWORD_FILE = "cluster", "password_file"
_INSERTED_WITHIN_S = 60.0
"""The catalog's transaction is open meanwhile."""
_ANSWERED_WITHIN_S = 1.0
"""After the time to read, within which the server ends a statement by itself."""
_MAX_QUERY_BYTES = 64 * 2**20
"""Lists of VMs are part of a statement."""
_READING: Mapping[str, Any] = {
    # Of rows with the same key the greatest version alone, also before they are merged. They are of one day.
    "final": 1,
    "do_not_merge_across_partitions_select_final": 1,
}
# Given once for each connection: around a statement with its own, the engine within a process is asked for
# those that it has, and sets each of them twice.
_OF_CONNECTION: Mapping[str, Any] = {
    "max_query_size": _MAX_QUERY_BYTES,
    "max_partitions_per_insert_block": 0,
    "mutations_sync": 2,
    "lightweight_deletes_sync": 2,
    # What is acknowledged is stored, and what is repeated with its token is stored once, whatever the profile
    # of the server says. Nor is an insert put off to go with others', unless the URL asks for it: those of
    # a batch would wait one after the other.
    "async_insert": 0,
    "wait_for_async_insert": 1,
    "insert_deduplicate": 1,
    "async_insert_deduplicate": 1,
}
_OF_URL = frozenset({"async_insert"})
"""Of these settings, those that the URL may set."""
# Without a session, in which nothing would be kept: where an answer did not come, the next question would be
# refused for as long as the server is at the one before.
_OF_NETWORK: Mapping[str, Any] = {"autogenerate_session_id": False}
# What is inserted is read by the next statement, whichever server that is sent to.
_OF_CLUSTER: Mapping[str, Any] = {
    "distributed_foreground_insert": 1,
    "insert_quorum": "auto",
    "insert_quorum_parallel": 0,
    "select_sequential_consistency": 1,
}


class Database:
    """A ClickHouse database. Thread-safe."""

    def __init__(self, url: URL) -> None:
        """Take a URL as clickhouse-connect has it, and more.

        ``?cluster=NAME``: tables are spread over that cluster. ``?password_file=PATH``: the password is the
        first line of that file.

        :raises StoreError: clickhouse-connect is not installed, or the password cannot be read
        """
        self.place = Place(_said(url, _CLUSTER))
        if path := _said(url, _PASSWORD_FILE):
            url = url.set(password=_read_password(path))
        self._address = f"{url.host}:{url.port or _port(url)}" if url.host else ""
        try:
            import clickhouse_connect.driver.exceptions as exceptions

            for name in _LOGGERS:
                logging.getLogger(name).setLevel(logging.ERROR)
            settings = {**_OF_CONNECTION, **(_OF_CLUSTER if self.place.cluster else {})}
            settings = {name: value for name, value in settings.items() if name not in _OF_URL & {*url.query}}
            self._engine = create_engine(
                url.difference_update_query([_CLUSTER, _PASSWORD_FILE]),
                connect_args={
                    **{f"ch_{name}": value for name, value in settings.items()},
                    **(_OF_NETWORK if self._address else {}),
                },
                pool_size=_KEPT_CONNECTIONS,
                max_overflow=_MORE_CONNECTIONS,
            )
        except ImportError as exc:
            raise StoreError(
                "a series in ClickHouse needs clickhouse-connect; install it: pip install"
                " 'kvmfaults[clickhouse]'"
            ) from exc
        self._error: type[Exception] = exceptions.ClickHouseError

    def rows(self, statement: Select[*tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
        """Return what a statement finds. :raises TooLongError: the time to read is over"""
        compiled = statement.compile(self._engine, compile_kwargs={"render_postcompile": True})
        return self.query(str(compiled), compiled.params)

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Sequence[tuple[Any, ...]]:
        """Return what a statement in SQL finds. :raises TooLongError: the time to read is over"""
        check_time()
        limit = current_limit()
        settings = dict(_READING)
        if limit is not None:
            settings["max_execution_time"] = max(limit.left_s, 0.01)
        within_s = None if limit is None else limit.left_s + _ANSWERED_WITHIN_S
        with self._client(within_s) as client:
            found = client.query(statement, parameters=dict(parameters or {}), settings=settings)
            rows: Sequence[tuple[Any, ...]] = found.result_rows
            return rows

    def insert(self, table: Table, columns: Sequence[Sequence[Any]], token: str) -> None:
        """Insert rows as one block. ``token``: another one for each block that is inserted."""
        with self._client(_INSERTED_WITHIN_S) as client:
            client.insert(
                table.name,
                list(columns),
                column_names=[column.name for column in table.columns],
                column_type_names=list(column_types(table)),
                column_oriented=True,
                settings={"insert_deduplication_token": token},
            )

    def command(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Execute a statement that changes something."""
        self._command(statement, parameters, None)

    def insert_from(self, table: Table, statement: Select[*tuple[Any, ...]]) -> None:
        """Insert the columns that a statement finds, under their names."""
        names = ", ".join(f"`{column.name}`" for column in statement.selected_columns)
        compiled = statement.compile(self._engine, compile_kwargs={"render_postcompile": True})
        reading = ", ".join(f"{name} = {value}" for name, value in _READING.items())
        # Inserted twice, it is the same row: what was summed up equally before must not keep it out.
        into = f"INSERT INTO `{table.name}` ({names}) SETTINGS insert_deduplicate = 0"
        self._command(f"{into} {compiled} SETTINGS {reading}", compiled.params, _INSERTED_WITHIN_S)

    def close(self) -> None:
        """Release every connection."""
        self._engine.dispose()

    def _command(self, statement: str, parameters: Mapping[str, Any] | None, within_s: float | None) -> None:
        with self._client(within_s) as client:
            client.command(statement, parameters=dict(parameters or {}))

    @contextmanager
    def _client(self, within_s: float | None) -> Iterator[Any]:
        """Yield a client. ``within_s``: it waits so long at most; None for as long as of its own accord."""
        try:
            connection = self._engine.raw_connection()
            try:
                driver: Any = connection.driver_connection
                with _waiting(driver.client, within_s):
                    yield driver.client
            finally:
                connection.close()
        except (self._error, DBAPIError) as exc:
            check_time(exc)
            # The first connection is asked for what SQLAlchemy wants to know, which wraps what comes of it.
            cause = exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc
            raise StoreError(f"series: {said(cause, self._address)}") from exc
        except ImportError as exc:
            raise StoreError(f"series: {said(exc, '')}") from exc


@contextmanager
def _waiting(client: Any, within_s: float | None) -> Iterator[None]:  # noqa: ANN401 - it has no types
    """Have a client wait for no answer longer than so. The engine within the process has nothing to set."""
    usual = getattr(client, "timeout", None)
    if usual is None or within_s is None:
        yield
        return
    longest_s = within_s if usual.read_timeout is None else min(within_s, usual.read_timeout)
    client.timeout = type(usual)(connect=usual.connect_timeout, read=longest_s)
    try:
        yield
    finally:
        client.timeout = usual


def _said(url: URL, name: str) -> str:
    """Return what a URL's query says of a name, last where several times; empty where nothing."""
    values = url.query.get(name, "")
    return values if isinstance(values, str) else values[-1]


def _read_password(path: str) -> str:
    try:
        return Path(path).read_text().partition("\n")[0]
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is no text"
        raise StoreError(f"series: the password file {path} cannot be read: {reason}") from exc


def _port(url: URL) -> int:
    is_secure = _said(url, "secure").lower() in ("1", "true", "yes", "on", "y")
    return 8443 if is_secure else 8123
