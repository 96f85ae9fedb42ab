# SPDX-License-Identifier: Apache-2.0
"""The series in ClickHouse. How it and the catalog go together is in the package's description."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from secrets import randbits
from typing import Any

from sqlalchemy import Connection, Select, Table, select
from sqlalchemy.engine import URL

from backend.errors import SchemaError, StoreError
from backend.store.clickhouse import blocks, copied, recorded, removal, sums, tables
from backend.store.clickhouse.database import Database
from backend.store.clickhouse.tables import IDENTITY, of_sql
from backend.store.contract.levels import (
    AFTER_ALL_S,
    BEFORE_ALL_S,
    FINEST_S,
    LENGTHS_S,
    Levels,
    Piece,
    Range,
    fitting,
)
from backend.store.contract.retention import Kept
from backend.store.contract.series import Block, Metric, Page, Recorded, Row, Top
from backend.store.contract.values import RecordRow, Steps, TimeRange
from backend.store.sql.series import rows
from backend.store.sql.series.append import append
from backend.store.sql.series.measures import MEASURES
from backend.store.sql.series.pending import read_levels
from backend.store.sql.series.series import levels_of
from backend.store.sql.series.sizes import Measured
from backend.store.sql.series.stored import Reading, Transactions, Writing
from backend.store.sql.series.summing import Summing, vms_summed
from backend.store.sql.series.totals import range_of
from backend.store.sql.tables import families, hosts
from backend.store.sql.words import Word, to_unsigned
from backend.store.sql.writer import Columns, Writer
from faultmodel.record import ExitKind
from faultmodel.sections import MAX_ROWS

_EXITS = frozenset(family.exits for family in families.values())
_OWNERS_AT_ONCE = 5_000
_OTHERS = "the series is another database's; name the two that belong together"
_any_host = select(hosts.c.id).limit(1)
_MIGRATE = "run: kvmfaults-server migrate --database URL --series URL"


class ClickHouseSeries:
    """A series beside a catalog in SQL. ``transactions`` are the catalog's."""

    pace = 25
    is_elsewhere = True

    def __init__(self, url: URL, transactions: Transactions) -> None:
        self._database = Database(url)
        self._catalog = transactions
        self._numbers = blocks.Numbers(transactions.writing)

    def check(self, connection: Connection) -> None:
        """Check that the two know one another, and that there are tables."""
        expected = blocks.read_identity(connection)
        if expected is None:
            raise SchemaError(f"the database does not have its series elsewhere; {_MIGRATE}")
        if self._read_identity() != expected:
            raise SchemaError(_OTHERS)

    def prepare(self) -> None:
        """Make the tables, and have an empty catalog and an empty series know one another."""
        for statement in tables.statements(self._database.place):
            self._database.command(statement)
        found = self._read_identity()
        is_empty = found is None and not self._has_rows()
        with self._catalog.writing() as writer:
            expected = blocks.read_identity(writer.connection)
            if expected is None:
                expected = _begin(writer.connection, is_empty=is_empty)
            # The release before numbered exits by their blocks.
            writer.go_beyond(blocks.read_noted(writer.connection).newest * MAX_ROWS + MAX_ROWS)
        # The catalog knows it first: an insert of which nobody knows whether it was done is done again.
        if is_empty:
            self._database.command(f"INSERT INTO {IDENTITY} VALUES ({expected})")
        elif expected != found:
            raise SchemaError(_OTHERS)

    def opening(self) -> AbstractContextManager[int]:
        """Give the number of the next block."""
        return self._numbers.opening()

    def append(self, block: Block) -> None:
        """Insert what a batch counts, and have it count with the catalog's transaction."""
        with self._catalog.writing() as writer:
            self._numbers.use(block.number)
            append(_Rows(self._database, block.number, writer), writer.connection, block)
            blocks.strike_off(writer, block.number)

    def points(
        self,
        metric: Metric,
        selector: Sequence[int] | None,
        steps: Steps,
        *,
        by: Sequence[str],
        figures: Sequence[str],
    ) -> Iterator[Row]:
        """Yield (number of the step, *keys, *figures)."""
        for owners in _some(selector):

            def ask(
                noted: blocks.Noted, pieces: Sequence[Piece], owners: Sequence[int] | None = owners
            ) -> Select[Any]:
                question = sums.Question(metric, owners, tuple(by), tuple(figures), noted)
                return sums.in_steps(question, pieces, steps)

            yield from self._answer(ask, metric, owners, steps.span, fitting(steps))

    def totals(
        self,
        metric: Metric,
        selector: Sequence[int],
        span: TimeRange,
        *,
        by: Sequence[str],
        figures: Sequence[str],
        top: Top | None = None,
    ) -> Iterator[Row]:
        """Yield (*keys, *figures) over a range."""
        for owners in _some(selector):

            def ask(
                noted: blocks.Noted, pieces: Sequence[Piece], owners: Sequence[int] | None = owners
            ) -> Select[Any]:
                question = sums.Question(metric, owners, tuple(by), tuple(figures), noted)
                return sums.in_all(question, pieces, top)

            yield from self._answer(ask, metric, owners, span, LENGTHS_S)

    def records(
        self,
        kind: Recorded,
        selector: Mapping[int, str] | None,
        span: TimeRange,
        page: Page,
        *,
        exit_kind: ExitKind | None = None,
    ) -> Sequence[tuple[int, RecordRow]]:
        """Return records, newest first, each with its owner's number."""
        with self._catalog.reading() as connection:
            noted = blocks.read_noted(connection)
        return recorded.read_records(self._database, noted, kind, selector, span, page, exit_kind)

    def exits_after(
        self, after: int, to: int, span: TimeRange, limit: int
    ) -> Sequence[tuple[int, RecordRow]]:
        """Return the first exits by position, each with its owner's number."""
        with self._catalog.reading() as connection:
            noted = blocks.read_noted(connection)
        return recorded.read_exits_after(self._database, noted, after, to, span, limit)

    def exit_counts_between(
        self, after: int, to: int, span: TimeRange
    ) -> Sequence[tuple[int, int, int, int]]:
        """Return how many exits owners have, and the times of the earliest and the latest."""
        with self._catalog.reading() as connection:
            noted = blocks.read_noted(connection)
        return recorded.read_exit_counts(self._database, noted, after, to, span)

    def begin_summing(self) -> None:
        """Have sums from now on be newer than all that were begun before.

        One may be inserted at any time yet, long after its transaction was undone: its statement had no
        answer, or the server ended that had sent it.
        """
        with self._catalog.writing() as writer:
            blocks.next_version(writer)

    def sum_up(self, writer: Writer, summing: Summing) -> None:
        """Insert a new version of buckets, in the catalog's transaction: until its end they are pending."""
        noted = blocks.read_noted(writer.connection)
        version = blocks.next_version(writer)
        vms = vms_summed(writer.connection, summing)
        for metric, measure in MEASURES.items():
            of_host = measure.owner == "host_id"
            owners = ([summing.host] if summing.is_whole else []) if of_host else vms
            table = of_sql[measure.tables[summing.length_s]]
            if not self._has_any(of_sql[measure.tables[summing.finer_s]]):
                continue
            for first in range(0, len(owners), _OWNERS_AT_ONCE):
                some = owners[first : first + _OWNERS_AT_ONCE]
                self._database.insert_from(table, sums.up_to(metric, some, summing, noted, version))

    def remove_older(self, reading: Reading, writing: Writing, within_s: float) -> int:
        """Remove what is older than is kept, for a while, and return how many rows that were."""
        return removal.remove_older(self._database, reading, writing, within_s)

    def empty_vm(self, locked: Writing, vm_number: int, arch: str) -> None:
        """Remove what there is of a VM. Its number is never given again, so that nobody need be kept away."""
        removal.remove_owner(self._database, "vm_id", vm_number)

    def remove_vm(self, writer: Writer, vm_number: int, arch: str) -> None:
        """Remove what was added since."""
        removal.remove_owner(self._database, "vm_id", vm_number)

    def empty_host(self, locked: Writing, host_id: int) -> None:
        """Remove what there is of a host itself."""
        removal.remove_owner(self._database, "host_id", host_id)

    def remove_host(self, writer: Writer, host_id: int) -> None:
        """Remove what was added since."""
        removal.remove_owner(self._database, "host_id", host_id)

    def read_rows(
        self, connection: Connection, table: Table, after: Sequence[Any] | None, limit: int
    ) -> rows.Rows:
        """Return rows of a table that count, one of each key, in the order in which they lie."""
        return copied.read_rows(self._database, blocks.read_noted(connection), table, after, limit)

    def put_rows(self, writer: Writer, number: int, table: Table, columns: Columns) -> None:
        """Insert rows as a block that counts with the catalog's transaction."""
        self._numbers.use(number)
        if tables.VERSION in of_sql[table].columns:
            # Sums of their buckets: the next take their place.
            _Rows(self._database, 0, writer, blocks.next_version(writer), str(number)).append(table, columns)
        else:
            _Rows(self._database, number, writer).append(table, columns)
        if table in _EXITS:
            place = list(table.columns.keys()).index("position")
            writer.go_beyond(max(columns[place]))
        blocks.strike_off(writer, number)

    def row_sums(self, connection: Connection, table: Table) -> tuple[int, Sequence[int]]:
        """Return how many keys have rows that count, and the sums of their counts."""
        return copied.row_sums(self._database, blocks.read_noted(connection), table)

    def measured(self, table: Table) -> Measured | None:
        """Return what a table takes, its parts merged or not; of each shard on one server."""
        parts = self._database.place.parts
        ((number, size),) = self._database.query(
            f"SELECT sum(rows), sum(bytes_on_disk) FROM {parts} WHERE active AND table = %(name)s"
            " AND database = currentDatabase()",
            {"name": self._database.place.local(of_sql[table])},
        )
        return Measured(int(number), int(size), is_about=False)

    def size(self) -> int:
        """Return how many bytes the tables take; of each shard on one server."""
        parts = self._database.place.parts
        ((size,),) = self._database.query(
            f"SELECT sum(bytes_on_disk) FROM {parts} WHERE active AND database = currentDatabase()"
        )
        return int(size)

    def ends_s(self) -> Mapping[Kept, Sequence[int]]:
        """Return from when on things have to be kept for another day to be dropped, s, ascending."""
        return removal.ends_s(self._database)

    def close(self) -> None:
        """Take back numbers that were not used, and release every connection."""
        with suppress(StoreError):
            self._numbers.close()
        self._database.close()

    def _has_any(self, table: Table) -> bool:
        return bool(self._database.query(f"SELECT 1 FROM {tables.quoted(table.name)} LIMIT 1"))

    def _has_rows(self) -> bool:
        some = (
            f"(SELECT 1 FROM {tables.quoted(table.name)} LIMIT 1)" for table in tables.metadata.sorted_tables
        )
        return bool(self._database.query(" UNION ALL ".join(some)))

    def _read_identity(self) -> int | None:
        found = self._database.query(f"SELECT min(id), count() FROM {IDENTITY}")
        return int(found[0][0]) if found[0][1] else None

    def _answer(
        self,
        ask: Callable[[blocks.Noted, Sequence[Piece]], Select[Any]],
        metric: Metric,
        owners: Sequence[int] | None,
        span: TimeRange,
        lengths_s: Sequence[int],
    ) -> Iterator[Row]:
        """Yield an answer that is of the state of the catalog that this thread reads.

        Buckets that are pending in that state are not read. Such as have become so since may be replaced at
        any time, even while they are read: then all is read once more, from the finest levels that are kept,
        where nothing is ever replaced.
        """
        with self._catalog.reading() as connection:
            levels = Levels() if len(lengths_s) == 1 else levels_of(connection, metric, owners, span)
            noted = blocks.read_noted(connection)
        pieces = _pieces(levels, range_of(span), lengths_s)
        if not pieces:
            return
        found = self._database.rows(ask(noted, pieces))
        if not self._are_same(noted, levels, pieces):
            of_finest = Levels({LENGTHS_S[1]: [Range(BEFORE_ALL_S, AFTER_ALL_S)]}, levels.kept_from_s)
            pieces = of_finest.pieces(range_of(span), lengths_s)
            found = self._database.rows(ask(noted, pieces))
        yield from found

    def _are_same(self, noted: blocks.Noted, levels: Levels, pieces: Sequence[Piece]) -> bool:
        """Return whether none of the pieces can have been replaced since that state of the catalog."""
        summed = [piece for piece in pieces if piece.length_s != levels.finest_at(piece.from_s)]
        if not summed:
            return True
        with self._catalog.checking() as connection:
            if blocks.read_noted(connection).version != noted.version:
                return False
            now = read_levels(connection).pending
        return not any(
            length_s <= piece.length_s and one.from_s < piece.to_s and one.to_s > piece.from_s
            for length_s, ranges in now.items()
            for one in ranges
            for piece in summed
        )


class _Rows:
    """Inserts the rows of a block: those of a table at once."""

    def __init__(
        self, database: Database, number: int, writer: Writer, version: int = 0, token: str = ""
    ) -> None:
        self._database = database
        self._number = number
        self._writer = writer
        self._version = version
        self._token = token or str(number)

    def add(self, table: Table, columns: Columns) -> None:
        """Insert counts."""
        self.append(table, columns)

    def append(self, table: Table, columns: Columns) -> None:
        """Insert records."""
        stored = of_sql[table]
        count = len(columns[0])
        found: list[Sequence[Any]] = [
            _unsigned(values) if isinstance(column.type, Word) else values
            for column, values in zip(table.columns, columns, strict=True)
        ]
        found.append([self._number] * count)
        if tables.VERSION in stored.columns:
            found.append([self._version] * count)
        self._database.insert(stored, found, f"{self._token}/{stored.name}")

    def next_positions(self, count: int) -> Sequence[int]:
        """Return positions that the catalog gives: whoever follows them misses none."""
        return self._writer.next_positions(count)


def _pieces(levels: Levels, span: Range, lengths_s: Sequence[int]) -> Sequence[Piece]:
    """Return pieces as ``Levels.pieces``; behind what is pending, where nothing is yet, of the finest level.

    So what comes next replaces nothing that is read.
    """
    ends = [one.to_s for ranges in levels.pending.values() for one in ranges]
    if not ends:
        return levels.pieces(span, lengths_s)
    end_s = min(max(*ends, span.from_s, levels.kept_from(FINEST_S)), span.to_s)
    return [
        *levels.pieces(Range(span.from_s, end_s), lengths_s),
        *levels.pieces(Range(end_s, span.to_s), lengths_s[:1]),
    ]


def _begin(connection: Connection, *, is_empty: bool) -> int:
    """Note a new series in the catalog, and return by which number. ``is_empty``: nothing is in it."""
    if connection.execute(_any_host).one_or_none() is not None:
        raise SchemaError(
            "the database has counts of its own, and its series cannot lie elsewhere from now on; begin"
            " with an empty database, and copy what this one has: kvmfaults-server copy"
        )
    if not is_empty:
        raise SchemaError(_OTHERS)
    identity = randbits(62)
    blocks.begin(connection, identity)
    return identity


def _some(owners: Sequence[int] | None) -> Iterator[Sequence[int] | None]:
    if owners is None:
        yield None
        return
    for first in range(0, len(owners), _OWNERS_AT_ONCE):
        yield owners[first : first + _OWNERS_AT_ONCE]


def _unsigned(words: Sequence[int | None]) -> Sequence[int | None]:
    return [None if word is None else to_unsigned(word) for word in words]
