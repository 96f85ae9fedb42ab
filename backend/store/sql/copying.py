# SPDX-License-Identifier: Apache-2.0
"""Copies a whole store into an empty one, of any database: table by table, in the order of a key.

Each page is written with a note of how far it is, in one transaction: a copy that ends half-way goes on
there. While it is not whole, the target has a table of its own (``copying``), and no server begins on it.
Nothing may be written to the source meanwhile: what shows it is compared when a copy begins, goes on, and
ends.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    MetaData,
    Table,
    Text,
    func,
    insert,
    inspect,
    select,
    update,
)

from backend.errors import StoreError
from backend.store.sql import tables as sql
from backend.store.sql.revision import COPYING, check_revision, check_whole
from backend.store.sql.series.rows import SERIES_TABLES, plain_rows, plain_sums
from backend.store.sql.store import SqlStore
from backend.store.sql.writer import columns_of

Progress = Callable[[str, int, int], None]
"""Takes a table's name, and of how many rows how many are copied."""
_AT_ONCE = 20_000
"""Rows of one transaction."""
_SOURCE = ""
"""In place of a table's name: what shows whether the source was written to."""
_NOT_COPIED = (sql.series_state, sql.series_blocks, sql.stored_sizes)
"""What is each store's own: what is noted of a series that lies elsewhere, and what tables take."""
_SHOWING = (
    sql.hosts,
    sql.vms,
    sql.streams,
    sql.tokens,
    sql.sessions,
    sql.jobs,
    sql.kept_from,
    sql.retention,
    sql.retention_state,
    sql.rollup_pending,
    sql.refusals,
    sql.record_requests,
)
"""Of these, one changes with whatever is written: jobs alone, wherever a server runs."""

copying = Table(
    COPYING,
    MetaData(),
    Column("name", Text, primary_key=True),
    Column("after", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("is_whole", Boolean, nullable=False),
)


def copy(source: SqlStore, target: SqlStore, progress: Progress) -> Sequence[tuple[str, int]]:
    """Copy all, and return how many rows each table has. What an earlier copy did is not done again.

    :raises StoreError: the target is not empty; the source is being written to; or the totals differ
    """
    with source.checking() as connection:
        check_revision(connection)
        check_whole(connection)
        source.series.check(connection)
        shows = _what_shows(connection)
    _begin(target, shows)
    with source.reading() as connection:
        for table in sql.metadata.sorted_tables:
            if table not in _NOT_COPIED:
                _copy_table(source, connection, target, table, progress)
        numbers = source.numbers_given(connection)
    with target.writing() as writer:
        target.give_after(writer, numbers)
    _check_unchanged(source, shows)
    found = _compare(source, target)
    _check_unchanged(source, shows)
    with target.writing() as writer:
        copying.drop(writer.connection)
    return found


def _begin(target: SqlStore, shows: str) -> None:
    """Note that a copy has begun, or check that this one goes on."""
    with target.writing() as writer:
        connection = writer.connection
        check_revision(connection)
        target.series.check(connection)
        if inspect(connection).has_table(copying.name):
            before = connection.scalar(select(copying.c.after).where(copying.c.name == _SOURCE))
            if before != shows:
                raise StoreError(
                    "the source was written to since the copy began, or it is another one; stop its servers,"
                    " and begin with an empty target"
                )
            return
        for table in sql.metadata.sorted_tables:
            if table not in _NOT_COPIED and not _is_empty(target, connection, table):
                raise StoreError(f"the target is not empty, it has {table.name}; name an empty database")
        copying.create(connection)
        connection.execute(insert(copying).values(name=_SOURCE, after=shows, rows=0, is_whole=False))


def _is_empty(store: SqlStore, connection: Connection, table: Table) -> bool:
    if table in SERIES_TABLES:
        return not store.series.read_rows(connection, table, None, 1)[0]
    return connection.execute(select(table).limit(1)).first() is None


def _copy_table(
    source: SqlStore, connection: Connection, target: SqlStore, table: Table, progress: Progress
) -> None:
    with target.checking() as checked:
        noted = checked.execute(select(copying).where(copying.c.name == table.name)).one_or_none()
    if noted is not None and noted.is_whole:
        return
    is_series = table in SERIES_TABLES
    read = source.series.read_rows if is_series else plain_rows
    whole, _ = _sums(source, connection, table)
    after: Sequence[Any] | None = None if noted is None else json.loads(noted.after)
    done = 0 if noted is None else noted.rows
    while True:
        rows, last = read(connection, table, after, _AT_ONCE)
        is_whole = len(rows) < _AT_ONCE
        done += len(rows)
        note = {"after": json.dumps(last), "rows": done, "is_whole": is_whole}
        with target.series.opening() as number, target.writing() as writer:
            if rows and is_series:
                target.series.put_rows(writer, number, table, columns_of(rows))
            elif rows:
                writer.append(table, columns_of(rows))
            of_table = copying.c.name == table.name
            if not writer.connection.execute(update(copying).where(of_table).values(**note)).rowcount:
                writer.connection.execute(insert(copying).values(name=table.name, **note))
        progress(table.name, done, max(whole, done))
        if is_whole:
            return
        after = last


def _compare(source: SqlStore, target: SqlStore) -> Sequence[tuple[str, int]]:
    found = []
    with source.reading() as one, target.reading() as other:
        for table in sql.metadata.sorted_tables:
            if table in _NOT_COPIED:
                continue
            expected, copied = _sums(source, one, table), _sums(target, other, table)
            if expected != copied:
                raise StoreError(
                    f"{table.name} was not copied whole: {_text(copied)} of {_text(expected)}; begin with an"
                    " empty target"
                )
            found.append((table.name, expected[0]))
    return found


def _sums(store: SqlStore, connection: Connection, table: Table) -> tuple[int, Sequence[int]]:
    """Return how many rows a table has, and the sums of what it counts."""
    if table in SERIES_TABLES:
        return store.series.row_sums(connection, table)
    return plain_sums(connection, table)


def _text(sums: tuple[int, Sequence[int]]) -> str:
    return f"{sums[0]:,} rows with sums {', '.join(f'{one:,}' for one in sums[1])}"


def _check_unchanged(source: SqlStore, shows: str) -> None:
    with source.checking() as connection:
        if _what_shows(connection) == shows:
            return
    raise StoreError(
        "the source was written to while it was copied, and the target lacks some of that; stop its servers,"
        " and begin with an empty target"
    )


def _what_shows(connection: Connection) -> str:
    """Return a text that is another one once the source was written to."""
    digest = hashlib.sha256()
    for table in _SHOWING:
        for row in connection.execute(select(table).order_by(*table.primary_key)):
            digest.update(repr(tuple(row)).encode())
    newest = select(func.max(sql.host_events.c.id))
    digest.update(repr(connection.scalar(newest)).encode())
    return digest.hexdigest()
