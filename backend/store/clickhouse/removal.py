# SPDX-License-Identifier: Apache-2.0
"""Removes what is no longer kept, what belongs to VMs and hosts that are removed, and what never counted.

Of what is too old, whole days are dropped, a while after it was noted from when on a level is kept: by then
no reader has a state of the catalog of before. Where recordings have rows of such a day, which are kept, the
others are deleted.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection, Table, delete, select, update

from backend.store.clickhouse.blocks import LEFT_FOR_NS, read_left
from backend.store.clickhouse.database import Database
from backend.store.clickhouse.tables import BLOCK, day_of, metadata, of_sql, quoted
from backend.store.contract.retention import BY_LENGTH_S, Kept
from backend.store.sql import tables as sql
from backend.store.sql.series.measures import MEASURES
from backend.store.sql.series.stored import Reading, Writing

_DAY_S = 86_400
_AFTER_S = 3_600
"""Levels are noted as kept an hour later each hour: what is dropped was noted as too old long ago."""
_kept_from = select(sql.kept_from)
_recordings = select(sql.hosts.c.id).where(sql.hosts.c.is_recording)
_of_recordings = select(sql.vms.c.id).where(sql.vms.c.host_id.in_(_recordings))


def remove_older(database: Database, reading: Reading, writing: Writing, within_s: float) -> int:
    """Remove what is too old, for a while, and return how many rows that were."""
    end_s = time.monotonic() + within_s
    _remove_left(database, reading, writing)
    with reading() as connection:
        noted = connection.execute(_kept_from).all()
        recorded = _owners_of_recordings(connection)
    removed = 0
    for row in noted:
        if row.removed_to_s == row.from_s or row.kept not in set(Kept):
            continue
        for table in _tables_of(Kept(row.kept)):
            before_day = (row.from_s - _AFTER_S) // _DAY_S
            for day, rows in _days(database, table, before_day):
                if time.monotonic() > end_s:
                    return removed
                removed += _remove_day(database, table, day, rows, recorded["vm_id" in table.columns])
        with writing() as writer:
            of_this = sql.kept_from.c.kept == row.kept
            writer.connection.execute(update(sql.kept_from).where(of_this).values(removed_to_s=row.from_s))
    return removed


def ends_s(database: Database) -> Mapping[Kept, Sequence[int]]:
    """Return from when on things have to be kept for another of their days to be dropped, s, ascending."""
    place = database.place
    kept_by_name = {place.local(table): kept for kept in Kept for table in _tables_of(kept)}
    found: dict[Kept, set[int]] = defaultdict(set)
    # Others may have tables in this database, with partitions that are no days since 1970.
    ours = ", ".join(f"'{name}'" for name in kept_by_name)
    days = database.query(
        f"SELECT DISTINCT table, partition FROM {place.parts} WHERE active"
        f" AND database = currentDatabase() AND table IN ({ours})"
    )
    for name, day in days:
        found[kept_by_name[name]].add((int(day) + 1) * _DAY_S + _AFTER_S)
    return {kept: sorted(ends) for kept, ends in found.items()}


def remove_owner(database: Database, owner: str, number: int) -> None:
    """Remove all rows of a VM (``owner`` is ``vm_id``) or of a host (``host_id``)."""
    for table in metadata.sorted_tables:
        if owner in table.columns:
            _delete(database, table, f"{owner} = {number}")


def _remove_left(database: Database, reading: Reading, writing: Writing) -> None:
    """Remove rows of blocks of which nobody noted the batch, and forget that these are open."""
    with reading() as connection:
        left = read_left(connection, time.time_ns() - LEFT_FOR_NS)
    if not left:
        return
    numbers = ", ".join(map(str, left))
    for table in metadata.sorted_tables:
        _delete(database, table, f"{BLOCK} IN ({numbers})")
    with writing() as writer:
        writer.connection.execute(delete(sql.series_blocks).where(sql.series_blocks.c.number.in_(left)))


def _owners_of_recordings(connection: Connection) -> dict[bool, Sequence[int]]:
    """Return numbers of VMs of recordings (True), and of recordings."""
    return {
        True: list(connection.scalars(_of_recordings)),
        False: list(connection.scalars(_recordings)),
    }


def _tables_of(kept: Kept) -> Iterator[Table]:
    if kept in (Kept.EXITS, Kept.FAULTS):
        for family in sql.families.values():
            yield of_sql[family.exits if kept is Kept.EXITS else family.faults]
        return
    (length_s,) = (length for length, name in BY_LENGTH_S.items() if name is kept)
    for measure in MEASURES.values():
        yield of_sql[measure.tables[length_s]]


def _days(database: Database, table: Table, before: int) -> Sequence[tuple[int, int]]:
    """Return days that are over, each with the number of its rows."""
    statement = (
        f"SELECT {day_of(table)} AS day, count() FROM {quoted(table.name)}"
        f" WHERE {day_of(table)} < {before} GROUP BY day ORDER BY day"
    )
    return [(day, rows) for day, rows in database.query(statement)]


def _remove_day(database: Database, table: Table, day: int, rows: int, recorded: Sequence[int]) -> int:
    owner = "vm_id" if "vm_id" in table.columns else "host_id"
    place = database.place
    alter = f"ALTER TABLE {quoted(place.local(table))}{place.everywhere}"
    kept = 0
    if recorded:
        of_recordings = f"{owner} IN ({', '.join(map(str, recorded))})"
        ((kept,),) = database.query(
            f"SELECT count() FROM {quoted(table.name)} WHERE {day_of(table)} = {day} AND {of_recordings}"
        )
        if kept == rows:
            return 0
        if kept:
            # Rows that are deleted in the light way take their space until parts are merged.
            database.command(f"{alter} DELETE IN PARTITION {day} WHERE NOT {of_recordings}")
            return rows - int(kept)
    database.command(f"{alter} DROP PARTITION {day}")
    return rows


def _delete(database: Database, table: Table, condition: str) -> None:
    # Each deletion waits for a mutation of all parts, also where it finds nothing.
    if not database.query(f"SELECT 1 FROM {quoted(table.name)} WHERE {condition} LIMIT 1"):
        return
    place = database.place
    database.command(f"DELETE FROM {quoted(place.local(table))}{place.everywhere} WHERE {condition}")
