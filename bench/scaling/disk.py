# SPDX-License-Identifier: Apache-2.0
"""What each table takes on disk, its indexes included, and how many rows it has."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from backend.store import open_store
from bench.scaling.place import Place

Size = tuple[str, int, int]
"""A table, its rows, its bytes."""


def sizes(place: Place) -> Sequence[Size]:
    """Return the tables that have rows, the largest first. No server may run any more."""
    found = list(_sqlite(place) if place.postmaster is None else _postgresql(place))
    if place.series is not None:
        found += _clickhouse(place.series)
    return sorted((size for size in found if size[1]), key=lambda size: -size[2])


def stored_batches(place: Place) -> int:
    """Return how many batches were stored."""
    with closing(open_store(place.database)) as catalog:
        return sum(account.stored for account in catalog.batch_accounts(None))


def _sqlite(place: Place) -> Iterator[Size]:
    with closing(sqlite3.connect(make_url(place.database).database or "")) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        for name in names:
            (rows,) = connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()
            (size,) = connection.execute(
                "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE aggregate = TRUE AND name IN"
                " (SELECT name FROM sqlite_schema WHERE tbl_name = ?)",
                (name,),
            ).fetchone()
            yield name, rows, size


def _postgresql(place: Place) -> Iterator[Size]:
    with psycopg.connect(place.database) as connection:
        names = connection.execute(
            "SELECT relname, coalesce((SELECT sum(pg_total_relation_size(part.relid))"
            " FROM pg_partition_tree(c.oid) part), pg_total_relation_size(c.oid))"
            " FROM pg_class c WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        for name, size in names:
            counted = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
            row = connection.execute(counted).fetchone()
            assert row is not None
            yield name, row[0], int(size or 0)


def _clickhouse(series: str) -> Iterator[Size]:
    from backend.store.clickhouse.database import Database

    with closing(Database(make_url(series))) as database:
        for name, rows, size in database.query(
            "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts"
            " WHERE active AND database = currentDatabase() GROUP BY table"
        ):
            yield f"{name} (ClickHouse)", int(rows), int(size)
