# SPDX-License-Identifier: Apache-2.0
"""Connections to ClickHouse: statements and inserts, and what they raise as the server's own errors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Select, Table, create_engine
from sqlalchemy.engine import URL

from backend.errors import StoreError
from backend.store.clickhouse.tables import Place, column_types
from backend.store.contract.time_limit import check_time, current_limit

_KEPT_CONNECTIONS = 8
_MORE_CONNECTIONS = 32
_CLUSTER = "cluster"
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
}
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
        """Take a URL as clickhouse-connect has it. ``?cluster=NAME``: tables are spread over that cluster.

        :raises StoreError: clickhouse-connect is not installed, or the URL says what it does not know
        """
        cluster = url.query.get(_CLUSTER, "")
        self.place = Place(cluster if isinstance(cluster, str) else cluster[-1])
        try:
            import clickhouse_connect.driver.exceptions as exceptions

            settings = {**_OF_CONNECTION, **(_OF_CLUSTER if self.place.cluster else {})}
            self._engine = create_engine(
                url.difference_update_query([_CLUSTER]),
                connect_args={f"ch_{name}": value for name, value in settings.items()},
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
        with self._client() as client:
            found = client.query(statement, parameters=dict(parameters or {}), settings=settings)
            rows: Sequence[tuple[Any, ...]] = found.result_rows
            return rows

    def insert(self, table: Table, columns: Sequence[Sequence[Any]], token: str) -> None:
        """Insert rows as one block. ``token``: another one for each block that is inserted."""
        with self._client() as client:
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
        with self._client() as client:
            client.command(statement, parameters=dict(parameters or {}))

    def insert_from(self, table: Table, statement: Select[*tuple[Any, ...]]) -> None:
        """Insert the columns that a statement finds, under their names."""
        names = ", ".join(f"`{column.name}`" for column in statement.selected_columns)
        compiled = statement.compile(self._engine, compile_kwargs={"render_postcompile": True})
        reading = ", ".join(f"{name} = {value}" for name, value in _READING.items())
        # Inserted twice, it is the same row: what was summed up equally before must not keep it out.
        into = f"INSERT INTO `{table.name}` ({names}) SETTINGS insert_deduplicate = 0"
        self.command(f"{into} {compiled} SETTINGS {reading}", compiled.params)

    def close(self) -> None:
        """Release every connection."""
        self._engine.dispose()

    @contextmanager
    def _client(self) -> Iterator[Any]:
        try:
            connection = self._engine.raw_connection()
            try:
                driver: Any = connection.driver_connection
                yield driver.client
            finally:
                connection.close()
        except self._error as exc:
            check_time(exc)
            raise StoreError(f"series: {_first_line(exc)}") from exc
        except ImportError as exc:
            raise StoreError(f"series: {_first_line(exc)}") from exc


def _first_line(exc: BaseException) -> str:
    return str(exc).strip().partition("\n")[0][:500]
