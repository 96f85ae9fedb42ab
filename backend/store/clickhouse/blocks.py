# SPDX-License-Identifier: Apache-2.0
"""Numbers of blocks and versions: what the catalog notes of a series that lies elsewhere.

Numbers are given some at a time, in a short transaction of their own, in which they are noted as open::

    given, open ──► inserted ──► struck off in the transaction that notes the batch: it counts
        │              └───────► that is undone: open for good; its rows are removed after a day
        └──────────────────────► not used: given to the next batch
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, insert, select, update

from backend.errors import StoreError
from backend.store.clickhouse.tables import BLOCK
from backend.store.sql.series.stored import IDENTITY, Writing
from backend.store.sql.tables import series_blocks, series_state
from backend.store.sql.writer import Writer

_AT_ONCE = 16
_USED_WITHIN_S = 3_600
"""Numbers that were given so long ago are no longer used."""
LEFT_FOR_NS = 24 * 3_600 * 10**9
"""So long after it was given, nobody inserts under a number any more."""
_BLOCK, _VERSION = "block", "version"
_state = select(series_state)
_open = select(series_blocks.c.number)
_strike_off = delete(series_blocks).where(series_blocks.c.number == bindparam("block"))
_strike_off_one = _strike_off.returning(series_blocks.c.number)
_go_on = (
    update(series_state)
    .where(series_state.c.name == bindparam("which"))
    .values(value=series_state.c.value + bindparam("by"))
    .returning(series_state.c.value)
)


@dataclass(frozen=True, slots=True)
class Noted:
    """What a state of the catalog has noted: the newest block, those that are open, the newest version."""

    newest: int
    open: Sequence[int]
    version: int

    def counts(self, table: Table) -> Sequence[ColumnElement[bool]]:
        """Return the conditions for rows that count."""
        block = table.c[BLOCK]
        conditions = [block <= self.newest]
        if self.open:
            conditions.append(block.not_in(self.open))
        return conditions


def read_noted(connection: Connection) -> Noted:
    """Return what is noted in the state that a connection reads."""
    values = {row.name: row.value for row in connection.execute(_state)}
    return Noted(values.get(_BLOCK, 0), sorted(connection.scalars(_open)), values.get(_VERSION, 0))


def read_identity(connection: Connection) -> int | None:
    """Return by which number the catalog knows its series, None where it has none elsewhere."""
    return connection.scalar(select(series_state.c.value).where(series_state.c.name == IDENTITY))


def begin(connection: Connection, identity: int) -> None:
    """Note that the series lies elsewhere."""
    rows = ((IDENTITY, identity), (_BLOCK, 0), (_VERSION, 0))
    connection.execute(insert(series_state), [{"name": name, "value": value} for name, value in rows])


def next_version(writer: Writer) -> int:
    """Return a version that is greater than all before. Its transaction has it alone until its end."""
    return _next(writer, _VERSION, 1)


def strike_off(writer: Writer, number: int) -> None:
    """Have a block count once the transaction is committed. :raises StoreError: it is not open any more"""
    if writer.connection.scalar(_strike_off_one, {"block": number}) is None:
        raise StoreError(f"block {number} of the series is not open; the batch is to be sent again")


def read_left(connection: Connection, before_ns: int) -> Sequence[int]:
    """Return blocks that were given before a time, and are open."""
    return list(connection.scalars(_open.where(series_blocks.c.opened_ns < before_ns)))


class Numbers:
    """Gives numbers of blocks. Thread-safe."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._given: deque[tuple[int, float]] = deque()
        """Not used yet, with when they were given."""
        self._used: set[int] = set()
        self._lock = Lock()

    @contextmanager
    def opening(self) -> Iterator[int]:
        """Give a number for as long as a batch is applied; it is given again unless it was used."""
        number, given_s = self._take()
        try:
            yield number
        finally:
            with self._lock:
                if number in self._used:
                    self._used.remove(number)
                else:
                    self._given.appendleft((number, given_s))

    def use(self, number: int) -> None:
        """Note that something is about to be inserted under a number: it is not given again."""
        with self._lock:
            self._used.add(number)

    def close(self) -> None:
        """Take back what was not used."""
        with self._lock:
            numbers = [{"block": number} for number, _ in self._given]
            self._given.clear()
        if numbers:
            with self._writing() as writer:
                writer.connection.execute(_strike_off, numbers)

    def _take(self) -> tuple[int, float]:
        with self._lock:
            while self._given:
                number, given_s = self._given.popleft()
                if time.monotonic() - given_s < _USED_WITHIN_S:
                    return number, given_s
        given_s = time.monotonic()
        with self._writing() as writer:
            newest = _next(writer, _BLOCK, _AT_ONCE)
            first, *others = range(newest - _AT_ONCE + 1, newest + 1)
            opened_ns = time.time_ns()
            rows = [{"number": number, "opened_ns": opened_ns} for number in (first, *others)]
            writer.connection.execute(insert(series_blocks), rows)
        with self._lock:
            self._given.extend((number, given_s) for number in others)
        return first, given_s


def _next(writer: Writer, which: str, by: int) -> int:
    return int(writer.connection.execute(_go_on, {"which": which, "by": by}).scalar_one())
