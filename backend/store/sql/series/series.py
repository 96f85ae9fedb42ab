# SPDX-License-Identifier: Apache-2.0
"""The series over an SQL database: in the transaction that the store has open."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Table, select

from backend.errors import SchemaError
from backend.store.contract.levels import FINEST_S, Levels, fitting
from backend.store.contract.retention import Kept
from backend.store.contract.series import Block, Metric, Page, Recorded, Row, Top
from backend.store.contract.values import RecordRow, Steps, TimeRange
from backend.store.sql.series import recorded, removal, retention, rows, totals
from backend.store.sql.series.append import append
from backend.store.sql.series.owners import are_recordings
from backend.store.sql.series.pending import read_levels
from backend.store.sql.series.sizes import Measured
from backend.store.sql.series.stored import IDENTITY, Reading, Transactions, Writing
from backend.store.sql.series.summing import Summing, sum_up
from backend.store.sql.tables import series_state
from backend.store.sql.writer import Columns, Writer
from faultmodel.record import ExitKind
from faultmodel.units import MS_PER_S

_identity = select(series_state).where(series_state.c.name == IDENTITY)


class SqlSeries:
    """A series in the catalog's own database."""

    pace = 1
    is_elsewhere = False

    def __init__(self, transactions: Transactions) -> None:
        self._reading = transactions.reading
        self._writing = transactions.writing

    def check(self, connection: Connection) -> None:
        """Check that the catalog has its series in the same database."""
        if connection.execute(_identity).one_or_none() is not None:
            raise SchemaError(
                "the series of this database lies in another one, and it is of no use alone; name both, with "
                "--series URL"
            )

    def prepare(self) -> None:
        """Do nothing: its tables are migrated with the catalog's."""

    def begin_summing(self) -> None:
        """Do nothing: of a transaction that is undone no sum is left."""

    @contextmanager
    def opening(self) -> Iterator[int]:
        """Give no number: what a transaction that is undone has added is gone."""
        yield 0

    def append(self, block: Block) -> None:
        """Add what a batch counts, and its records. The catalog notes the batch in the same transaction."""
        with self._writing() as writer:
            append(writer, writer.connection, block)

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
        with self._reading() as connection:
            # Such short steps are read from seconds alone, as a page that is open asks for them each second.
            levels = Levels()
            if len(fitting(steps)) > 1:
                levels = levels_of(connection, metric, selector, steps.span)
            yield from totals.points(connection, levels, metric, selector, steps, by, figures)

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
        with self._reading() as connection:
            levels = levels_of(connection, metric, selector, span)
            yield from totals.totals(connection, levels, metric, selector, span, by, figures, top)

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
        with self._reading() as connection:
            return recorded.read_records(connection, kind, selector, span, page, exit_kind)

    def exits_after(
        self, after: int, to: int, span: TimeRange, limit: int
    ) -> Sequence[tuple[int, RecordRow]]:
        """Return the first exits by position, each with its owner's number."""
        with self._reading() as connection:
            return recorded.read_exits_after(connection, after, to, span, limit)

    def exit_counts_between(
        self, after: int, to: int, span: TimeRange
    ) -> Sequence[tuple[int, int, int, int]]:
        """Return how many exits owners have, and the times of the earliest and the latest."""
        with self._reading() as connection:
            return recorded.read_exit_counts(connection, after, to, span)

    def sum_up(self, writer: Writer, summing: Summing) -> None:
        """Replace buckets of a level by what they are now."""
        sum_up(writer, summing)

    def remove_older(self, reading: Reading, writing: Writing, within_s: float) -> int:
        """Remove what is older than is kept, for a while, and return how many rows that were."""
        return retention.remove_older(reading, writing, within_s)

    def empty_vm(self, locked: Writing, vm_number: int, arch: str) -> None:
        """Remove what there is of a VM."""
        removal.empty_vm(locked, vm_number, arch)

    def remove_vm(self, writer: Writer, vm_number: int, arch: str) -> None:
        """Remove what was added since."""
        removal.remove_vm(writer, vm_number, arch)

    def empty_host(self, locked: Writing, host_id: int) -> None:
        """Remove what there is of a host itself."""
        removal.empty_host(locked, host_id)

    def remove_host(self, writer: Writer, host_id: int) -> None:
        """Remove what was added since."""
        removal.remove_host(writer, host_id)

    def read_rows(
        self, connection: Connection, table: Table, after: Sequence[Any] | None, limit: int
    ) -> rows.Rows:
        """Return rows of a table, in the order of its key."""
        return rows.plain_rows(connection, table, after, limit)

    def put_rows(self, writer: Writer, number: int, table: Table, columns: Columns) -> None:
        """Add rows of a table that are not there yet."""
        writer.append(table, columns)

    def row_sums(self, connection: Connection, table: Table) -> tuple[int, Sequence[int]]:
        """Return how many rows a table has, and the sums of its counts."""
        return rows.plain_sums(connection, table)

    def measured(self, table: Table) -> Measured | None:
        """Return None: they lie in the catalog's database."""
        return None

    def size(self) -> int:
        """Return 0: it lies in the catalog's database."""
        return 0

    def ends_s(self) -> Mapping[Kept, Sequence[int]]:
        """Return none: its parts are the database's own affair."""
        return {}

    def close(self) -> None:
        """Do nothing: the connections are the store's."""


def levels_of(
    connection: Connection, metric: Metric, owners: Sequence[int] | None, span: TimeRange
) -> Levels:
    """Return where levels may be read of these owners: of recordings alone, all is kept."""
    levels = read_levels(connection)
    finest_ms = levels.kept_from(FINEST_S) * MS_PER_S
    if owners is None or (span.from_ms is not None and span.from_ms >= finest_ms):
        return levels
    return Levels(levels.pending) if are_recordings(connection, metric, owners) else levels
