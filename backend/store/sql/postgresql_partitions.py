# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's partitions: counts and records of faults lie in parts of time, and old parts go as a whole.

Each such table (``is_parted``) has three kinds of partitions:

- ``TABLE_first`` has all of before the time at which the table was parted: recordings of years ago, too.
- ``TABLE_2026112804`` and the like have the hours from then on. A job makes them ahead of time, each as long
  as an eighth of what is kept, or a little less (``hours_of``).
- ``TABLE_other``, the default one, has all times for which there is none: nobody made it in time, or the time
  is of a clock that was wrong, or was removed already and is of a recording that was imported later.

Where a partition has only what is no longer kept, it is dropped, and its files are gone. In ``first`` and
``other``, and in a partition that has something of a recording, rows are deleted. Nobody waits long for any
of this: what needs a lock gives up after ``_LOCK_MS`` and is tried again by the next run.

A partition is dropped for everyone, whatever state of the database they read. So it is only dropped once
everyone who reads knows that it is no longer kept (``_UNAWARE``). For the same reason no row is ever moved.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import psycopg
from sqlalchemy import Connection, Table, text
from sqlalchemy.exc import DBAPIError

from backend.errors import StoreError
from backend.store.contract.retention import BY_LENGTH_S, Kept, Retention
from backend.store.contract.time_limit import check_time
from backend.store.sql.tables import families
from backend.store.sql.tables.levels import levels
from backend.store.sql.writer import Removed, Writer
from faultmodel.units import NS_PER_S

_HOUR_S = 3600
_SHARE = 8
"""What is kept lies in so many partitions at least, and in less than twice as many."""
_FOR_EVER_H = 8 * 8192
"""What is kept for ever, by default too, lies in partitions as if it were kept up to this age: 7.5 years."""
_LONGEST_H = 8192
_MANY = 24
"""With so many partitions, of recordings or of what is kept for ever, further ones are twice as long."""
_AHEAD = 3
"""Partitions, beside the one that has the time now."""
_LOCK_MS, _LOOK_MS = 30, 60
"""How long a lock is waited for, and a statement takes that has one: less than 100 ms together."""
_ATTEMPTS = 4
_PAUSE_S = 0.5
"""To make a partition of a table that others use."""

Reading = Callable[[], AbstractContextManager[Connection]]
Writing = Callable[[], AbstractContextManager[Writer]]

_PARTITIONS = text(
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i"
    " JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(:name) ORDER BY c.relname"
)
_ALL_NAMES = text(
    "SELECT c.relname FROM pg_class AS c WHERE c.relispartition AND c.relkind = 'r'"
    " AND pg_table_is_visible(c.oid)"
)
_BOUNDS = re.compile(r"FOR VALUES FROM \((MINVALUE|'-?\d+')\) TO \('(-?\d+)'\)")
# Whose snapshot is older than the note may read what is no longer kept. ``xmin`` of its row: who noted it.
_UNAWARE = text(
    "SELECT EXISTS (SELECT 1 FROM pg_stat_activity AS a, kept_from AS k WHERE k.kept = :kept"
    " AND a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'"
    " AND a.backend_xmin IS NOT NULL AND age(a.backend_xmin) >= age(k.xmin))"
)
_GIVEN_UP = (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled, psycopg.errors.DeadlockDetected)


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of [``from_h``, ``to_h``), hours since the epoch; ``from_h`` is None for all of before.

    The default one has neither.
    """

    name: str
    from_h: int | None = None
    to_h: int | None = None

    def has(self, hour: int) -> bool:
        """Return whether it has the rows of an hour."""
        return self.to_h is not None and hour < self.to_h and (self.from_h is None or self.from_h <= hour)


def is_parted(table: Table) -> bool:
    """Return whether a table has partitions on PostgreSQL."""
    return table in _kept_by_table()


def parted_at(connection: Connection) -> Mapping[Kept, Sequence[int]]:
    """Return where partitions begin and end, s since the epoch, ascending."""
    found: dict[Kept, set[int]] = {}
    for table, kept in _kept_by_table().items():
        for one in read_partitions(connection, table):
            ends = (one.from_h, one.to_h)
            found.setdefault(kept, set()).update(hour * _HOUR_S for hour in ends if hour is not None)
    return {kept: sorted(ends) for kept, ends in found.items()}


def read_partitions(connection: Connection, table: Table) -> Sequence[Partition]:
    """Return a table's partitions. :raises StoreError: one is bounded in a way that this program does not"""
    hour = _HOUR_S * _units(table)
    found = []
    for name, said in connection.execute(_PARTITIONS, {"name": table.name}):
        bounds = _BOUNDS.fullmatch(said)
        if bounds is None and said != "DEFAULT":
            raise StoreError(f"partition {name} of {table.name} is bounded by {said}; detach it")
        if bounds is None:
            found.append(Partition(name))
            continue
        from_text, to_text = bounds[1].strip("'"), bounds[2]
        from_h = None if from_text == "MINVALUE" else int(from_text) // hour
        found.append(Partition(name, from_h, int(to_text) // hour))
    return found


def partition_names(connection: Connection) -> Sequence[str]:
    """Return the names of all tables that are partitions; none on another database."""
    if connection.dialect.name != "postgresql":
        return []
    return list(connection.scalars(_ALL_NAMES))


def hours_of(age_s: int | None, kept: Kept, number: int) -> int:
    """Return how long a partition is to be, in hours: a power of two, so that each divides the next.

    :param age_s: up to which something is kept, None for ever
    :param number: how many partitions the table has
    """
    if age_s is None:
        age_s = Retention().age_s(kept)
    hours = (_FOR_EVER_H if age_s is None else age_s // _HOUR_S) // _SHARE
    length_h: int = 1 << (max(1, hours).bit_length() - 1)
    return min(length_h << (number // _MANY), _LONGEST_H)


def make_ahead(reading: Reading, writing: Writing, wanted: Retention, now_s: int) -> None:
    """Make the partitions of now and of some time to come that are not there yet.

    Where rows of its time are in the default partition already, none is made: they stay there.

    :raises StoreError: one could not be made, as others use the table, or its default partition is large
    """
    failed = []
    for table, kept in _kept_by_table().items():
        check_time()
        with reading() as connection:
            known = read_partitions(connection, table)
            length_h = hours_of(wanted.age_s(kept), kept, len(known))
            new_parts = [
                new
                for new in missing_parts(known, now_s // _HOUR_S, length_h)
                if not any(_is_taken(connection, table, one.name, *new) for one in known if one.to_h is None)
            ]
        for from_h, to_h in new_parts:
            if not _make(writing, table, from_h, to_h):
                failed.append(table.name)
                break
    if failed:
        raise StoreError(
            f"no further partition could be made of {', '.join(failed)}: others use it, or it takes too long"
            " to look through its default partition; what comes is stored there, and deleted row by row"
        )


def drop_old(connection: Connection, table: Table, before_s: int) -> Removed:
    """Drop one of the partitions that have only rows of before a time, unless it has some of a recording."""
    if not is_parted(table):
        return Removed.ALL
    for old in read_partitions(connection, table):
        if old.to_h is None or old.to_h * _HOUR_S > before_s or _is_emptied(connection, old):
            continue
        if _has_recordings(connection, old):
            continue
        if connection.scalar(_UNAWARE, {"kept": _kept_by_table()[table].value}):
            return Removed.IN_USE
        execute = connection.exec_driver_sql
        try:
            with _briefly(connection):
                # Nobody adds to it from here on, and all may read.
                execute(f"LOCK TABLE {old.name} IN SHARE MODE")
                if _has_recordings(connection, old):
                    continue
                if old.from_h is None:
                    execute(f"TRUNCATE {old.name}")
                else:
                    execute(f"LOCK TABLE ONLY {table.name} IN ACCESS EXCLUSIVE MODE")
                    execute(f"DROP TABLE {old.name}")
        except _InUseError:
            return Removed.IN_USE
        return Removed.SOME
    return Removed.ALL


def missing_parts(known: Sequence[Partition], now_h: int, length_h: int) -> Iterator[tuple[int, int]]:
    """Yield the partitions, from one hour to another, that are to be there and are not."""
    bounded = [one for one in known if one.to_h is not None]
    at_h = now_h
    for _ in range(1 + _AHEAD):
        there = next((one for one in bounded if one.has(at_h)), None)
        if there is not None:
            assert there.to_h is not None
            at_h = there.to_h
            continue
        begins_h = at_h // length_h * length_h
        # No two have the same hour, whatever the length was before.
        from_h = max([begins_h, *(one.to_h for one in bounded if one.to_h is not None and one.to_h <= at_h)])
        to_h = min(
            [
                begins_h + length_h,
                *(one.from_h for one in bounded if one.from_h is not None and one.from_h > at_h),
            ]
        )
        yield from_h, to_h
        at_h = to_h


def _make(writing: Writing, table: Table, from_h: int, to_h: int) -> bool:
    """Make a partition, and return whether it was: others may use the table."""
    name = f"{table.name}_{datetime.fromtimestamp(from_h * _HOUR_S, UTC):%Y%m%d%H}"
    hour = _HOUR_S * _units(table)
    # To attach it has nobody wait who stores or reads anything of another partition than the default one.
    statements = (
        f"CREATE TABLE {name} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING INDEXES)",
        f"ALTER TABLE {table.name} ATTACH PARTITION {name}"
        f" FOR VALUES FROM ({from_h * hour}) TO ({to_h * hour})",
    )
    for attempt in range(_ATTEMPTS):
        time.sleep(_PAUSE_S if attempt else 0)
        check_time()
        with writing() as writer, suppress(_InUseError), _briefly(writer.connection):
            for statement in statements:
                writer.connection.exec_driver_sql(statement)
            return True
    return False


@contextmanager
def _briefly(connection: Connection) -> Iterator[None]:
    """Lock tables, of which nothing is done where that takes long. :raises _InUseError: it does"""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_LOCK_MS}")
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {_LOOK_MS}")
            yield
            connection.exec_driver_sql("SET LOCAL lock_timeout TO DEFAULT")
            connection.exec_driver_sql("SET LOCAL statement_timeout TO DEFAULT")
    except DBAPIError as exc:
        if isinstance(exc.orig, _GIVEN_UP):
            raise _InUseError from exc
        raise


class _InUseError(Exception):
    """Others use a table."""


def _is_taken(connection: Connection, table: Table, default: str, from_h: int, to_h: int) -> bool:
    hour = _HOUR_S * _units(table)
    found = connection.exec_driver_sql(
        f"SELECT EXISTS (SELECT 1 FROM {default}"
        f" WHERE {_column(table)} >= {from_h * hour} AND {_column(table)} < {to_h * hour})"
    )
    return bool(found.scalar_one())


def _is_emptied(connection: Connection, one: Partition) -> bool:
    """Return whether it is the first one, which stays, and there is nothing in it."""
    if one.from_h is not None:
        return False
    return not connection.exec_driver_sql(f"SELECT pg_relation_size('{one.name}'::regclass)").scalar_one()


def _has_recordings(connection: Connection, one: Partition) -> bool:
    # VM by VM along the key: a partition has many rows.
    found = connection.exec_driver_sql(
        "SELECT EXISTS (SELECT 1 FROM hosts AS h JOIN vms AS v ON v.host_id = h.id CROSS JOIN LATERAL"
        f" (SELECT 1 FROM {one.name} AS p WHERE p.vm_id = v.id LIMIT 1) AS found WHERE h.is_recording)"
    )
    return bool(found.scalar_one())


@cache
def _kept_by_table() -> Mapping[Table, Kept]:
    """Return the tables that have partitions, and as what each is kept."""
    counts = {
        at_level: BY_LENGTH_S[length_s]
        for table, at_levels in levels.items()
        if "vm_id" in table.columns
        for length_s, at_level in at_levels.items()
    }
    return {**counts, **{family.faults: Kept.FAULTS for family in families.values()}}


def _column(table: Table) -> str:
    return "bucket_s" if "bucket_s" in table.columns else "time_ns"


def _units(table: Table) -> int:
    """Return how many units of a table's time a second has."""
    return 1 if "bucket_s" in table.columns else NS_PER_S
