# SPDX-License-Identifier: Apache-2.0
"""Retention: removes counts and records of hosts that are traced once they are older than is kept.

First it is noted from when on a level, or records, are kept, at once for all. From then on nobody reads
what is older, and counts that come so late are added to a coarser level (``append``). Then the rows are
removed, in many short transactions: a crash leaves some for the next run.

What is noted never breaks this: whatever is yet to be summed up to a level is kept at the level below.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Delete,
    Select,
    Table,
    bindparam,
    delete,
    func,
    select,
    tuple_,
    update,
)

from backend.store.contract.changes import FOR_EVER_MS, Change, Note
from backend.store.contract.levels import BEFORE_ALL_S, COARSEST_S, LENGTHS_S, Levels
from backend.store.contract.retention import BY_LENGTH_S, Kept
from backend.store.contract.time_limit import check_time
from backend.store.sql.once import rows_once
from backend.store.sql.series.measures import MEASURES
from backend.store.sql.series.pending import read_levels
from backend.store.sql.tables import families, hosts, kept_from, losses, vms
from backend.store.sql.tables.levels import levels
from backend.store.sql.writer import Removed, Writer, key_names
from faultmodel.kinds import LossKind
from faultmodel.record import ExitKind
from faultmodel.units import NS_PER_S

Reading = Callable[[], AbstractContextManager[Connection]]
Writing = Callable[[], AbstractContextManager[Writer]]
_AT_ONCE = 2_000
"""Rows of one statement: some 10 ms."""
_WITHIN_S = 0.03
"""Of one transaction, about: others wait to write meanwhile."""
_ATTEMPTS = 4
_PAUSE_S = 0.5
"""To remove a part of a table that others read or write."""
_all = select(kept_from)
_RECORDS = (Kept.EXITS, Kept.FAULTS)


def read_kept_from(connection: Connection) -> Mapping[Kept, int]:
    """Return from when on things are kept, s; what is not there, from the beginning."""
    known = set(Kept)
    return {Kept(row.kept): row.from_s for row in rows_once(connection, _all) if row.kept in known}


def is_later(connection: Connection, wanted_s: Mapping[Kept, int]) -> bool:
    """Return whether to note that would change anything now."""
    before_s = read_kept_from(connection)
    return _noted(before_s, read_levels(connection), wanted_s) != before_s


def note_kept(writer: Writer, wanted_s: Mapping[Kept, int], note: Note) -> bool:
    """Note from when on things are kept, and return whether that is later than before for any.

    Never earlier than before, and of levels only as far as all is summed up to the next.

    :param wanted_s: from when on they are to be kept; what is not there, as far as before
    :param note: takes the change of each host
    """
    # Nobody adds counts meanwhile: some of a time that is no longer kept would not be summed up.
    writer.hold_hosts()
    connection = writer.connection
    before_s = read_kept_from(connection)
    after_s = _noted(before_s, read_levels(connection), wanted_s)
    if after_s == before_s:
        return False
    for kept, from_s in after_s.items():
        if from_s != before_s.get(kept):
            statement = writer.insert(kept_from).values(kept=kept.value, from_s=from_s)
            statement = statement.on_conflict_do_update(index_elements=["kept"], set_={"from_s": from_s})
            connection.execute(statement)
    # Any answer about what is over may be another one from now on. What was counted in a bucket stays as it
    # was: who has it in memory need not read it again.
    following = update(hosts).values(applied=hosts.c.applied + 1).returning(hosts.c.id, hosts.c.applied)
    for row in connection.execute(following).all():
        change = Change(first_ms=0, counted={}, described=(), counts_from_ms=FOR_EVER_MS)
        note(row.id, row.applied, change)
    return True


def _noted(before_s: Mapping[Kept, int], levels: Levels, wanted_s: Mapping[Kept, int]) -> Mapping[Kept, int]:
    """Return from when on things are kept then: whole hours, and no finer level further back than a coarser
    one."""
    after_s = dict(before_s)
    finer_s: int | None = None
    for length_s, next_s in zip(LENGTHS_S, (*LENGTHS_S[1:], None), strict=True):
        kept = BY_LENGTH_S[length_s]
        pending = levels.pending.get(next_s, ()) if next_s is not None else ()
        ends = [wanted_s.get(kept, BEFORE_ALL_S), *(one.from_s for one in pending)]
        from_s = min(ends if finer_s is None else [*ends, finer_s]) // COARSEST_S * COARSEST_S
        finer_s = max(from_s, before_s.get(kept, BEFORE_ALL_S))
        if finer_s != BEFORE_ALL_S:
            after_s[kept] = finer_s
    for kept in _RECORDS:
        if kept in wanted_s:
            from_s = wanted_s[kept] // COARSEST_S * COARSEST_S
            after_s[kept] = max(from_s, before_s.get(kept, BEFORE_ALL_S))
    return after_s


def is_all_removed(connection: Connection) -> bool:
    """Return whether all rows are removed that are older than was noted."""
    return all(row.removed_to_s == row.from_s for row in connection.execute(_all))


def remove_older(reading: Reading, writing: Writing, within_s: float) -> int:
    """Remove what is older than is kept, for a while, and return how many rows that were.

    Those of parts of a table that were removed as a whole are not counted.
    """
    end_s = time.monotonic() + within_s
    with reading() as connection:
        found = connection.execute(_all).all()
    removed = 0
    for row in found:
        if row.removed_to_s == row.from_s or row.kept not in set(Kept):
            continue
        if not _remove_parts(writing, Kept(row.kept), row.from_s, end_s):
            # The next run goes on with it: to delete its rows would be work for nothing.
            continue
        for old in each_old(Kept(row.kept), row.from_s):
            some, is_all = _remove(reading, writing, old, end_s)
            removed += some
            if not is_all:
                return removed
        with writing() as writer:
            writer.connection.execute(
                update(kept_from).where(kept_from.c.kept == row.kept).values(removed_to_s=row.from_s)
            )
    return removed


@dataclass(frozen=True)
class _Old:
    """Rows of a table that are too old. ``when``: the column of their time; ``where``: leads to an index.

    ``order``: columns of that index, apart from ``where``: the owner, ``when``, and what else a key has.
    """

    table: Table
    owner: str
    when: Column[Any]
    before: int
    order: Sequence[str]
    where: Sequence[ColumnElement[bool]] = ()

    @property
    def _is_older(self) -> Sequence[ColumnElement[bool]]:
        return [self.when < bindparam("before"), *self.where]

    @cached_property
    def owners(self) -> Select[int]:
        """Whose rows they are, of hosts that are traced."""
        traced = select(hosts.c.id).where(hosts.c.is_recording.is_(False))
        owners = hosts if self.owner == "host_id" else vms
        of_traced = owners.c.id.in_(traced) if owners is hosts else vms.c.host_id.in_(traced)
        column = self.table.c[self.owner]
        return select(owners.c.id).where(
            of_traced, select(column).where(column == owners.c.id, *self._is_older).exists()
        )

    @cached_property
    def last(self) -> Select[*tuple[Any, ...]]:
        """The key of the last row of an owner that is removed at once, where there are more."""
        order = self._order
        return select(*order).where(*self._theirs).order_by(*order).limit(1).offset(_AT_ONCE - 1)

    @cached_property
    def first(self) -> Select[Any]:
        """The time of an owner's first row."""
        return select(func.min(self.when)).where(*self._theirs)

    # With one bound of time, and by time alone wherever it can be: with two bounds SQLite may go by the wider
    # one, and to compare keys it goes through all of an owner's rows.

    @cached_property
    def until(self) -> Delete:
        """Removes an owner's rows of before a time."""
        return delete(self.table).where(*self._owned, self.when < bindparam(f"last_{self.when.name}"))

    @cached_property
    def some(self) -> Delete:
        """Removes an owner's rows of one time, up to a key."""
        key = self._order[2:]
        ends = [bindparam(f"last_{column.name}", type_=column.type) for column in key]
        of_time = delete(self.table).where(*self._owned, self.when == bindparam(f"last_{self.when.name}"))
        return of_time.where(tuple_(*key) <= tuple_(*ends)) if key else of_time

    @property
    def _order(self) -> Sequence[Column[Any]]:
        return [self.table.c[name] for name in self.order]

    @property
    def _owned(self) -> Sequence[ColumnElement[bool]]:
        return [self.table.c[self.owner] == bindparam("owner"), *self.where]

    @property
    def _theirs(self) -> Sequence[ColumnElement[bool]]:
        return [*self._owned, self.when < bindparam("before")]

    @cached_property
    def rest(self) -> Delete:
        """Removes all of an owner's rows."""
        return delete(self.table).where(*self._theirs)


def each_old(kept: Kept, from_s: int) -> Iterator[_Old]:
    """Yield what is too old where something is kept from a time on."""
    if kept not in _RECORDS:
        (length_s,) = (length for length, name in BY_LENGTH_S.items() if name is kept)
        for measure in MEASURES.values():
            table = measure.tables[length_s]
            if table in levels[losses].values():
                for loss in LossKind:
                    of_loss = [table.c.kind == loss.value]
                    yield _Old(table, "host_id", table.c.bucket_s, from_s, ("host_id", "bucket_s"), of_loss)
                continue
            yield _Old(table, measure.owner, table.c.bucket_s, from_s, key_names(table))
        return
    for family in families.values():
        if kept is Kept.FAULTS:
            table = family.faults
            yield _Old(table, "vm_id", table.c.time_ns, from_s * NS_PER_S, key_names(table))
            continue
        table = family.exits
        for kind in ExitKind:
            order = ("vm_id", "time_ns", "position")
            of_kind = [table.c.kind == kind.value]
            yield _Old(table, "vm_id", table.c.time_ns, from_s * NS_PER_S, order, of_kind)


def _remove_parts(writing: Writing, kept: Kept, from_s: int, end_s: float) -> bool:
    """Remove parts of tables as a whole, and return whether none is left that can be removed so."""
    tables = list(dict.fromkeys(old.table for old in each_old(kept, from_s)))
    attempts = 0
    while attempts < _ATTEMPTS and time.monotonic() < end_s:
        check_time()
        with writing() as writer:
            # One at a time: whoever stores batches waits meanwhile.
            each = (writer.remove_parts(table, from_s) for table in tables)
            found = next((one for one in each if one is not Removed.ALL), Removed.ALL)
        if found is Removed.ALL:
            return True
        if found is Removed.IN_USE:
            attempts += 1
            time.sleep(_PAUSE_S)
    return False


def _remove(reading: Reading, writing: Writing, old: _Old, end_s: float) -> tuple[int, bool]:
    """Return how many rows were removed, and whether these were all."""
    with reading() as connection:
        waiting: list[int] = list(connection.scalars(old.owners, {"before": old.before}))
    removed = 0
    while waiting:
        check_time()
        began_s = time.monotonic()
        if began_s > end_s:
            return removed, False
        with writing() as writer:
            while waiting and time.monotonic() < began_s + _WITHIN_S:
                found, is_more = remove_some(writer.connection, old, waiting[-1])
                removed += found
                if not is_more:
                    waiting.pop()
        # Whoever stores batches has as much of the time.
        time.sleep(min(time.monotonic() - began_s, _WITHIN_S))
    return removed, True


def remove_some(connection: Connection, old: _Old, owner: int) -> tuple[int, bool]:
    """Remove some of an owner's rows, and return how many these were, and whether there are more."""
    asked = {"owner": owner, "before": old.before}
    last = connection.execute(old.last, asked).one_or_none()
    if last is None:
        return connection.execute(old.rest, asked).rowcount, False
    ends = {f"last_{name}": value for name, value in last._mapping.items() if name != old.owner}
    when = f"last_{old.when.name}"
    if connection.scalar(old.first, asked) < ends[when]:
        return connection.execute(old.until, {**asked, when: ends[when]}).rowcount, True
    return connection.execute(old.some, {**asked, **ends}).rowcount, True
