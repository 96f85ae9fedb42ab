# SPDX-License-Identifier: Apache-2.0
"""The series over an SQL database: in the transaction that the store has open."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from backend.store.contract.levels import FINEST_S, Levels, fitting
from backend.store.contract.series import Block, Metric, Page, Recorded, Row, Top
from backend.store.contract.values import RecordRow, Steps, TimeRange
from backend.store.sql.series import recorded, totals
from backend.store.sql.series.append import append
from backend.store.sql.series.owners import are_recordings
from backend.store.sql.series.pending import read_levels
from backend.store.sql.writer import Writer
from faultmodel.record import ExitKind
from faultmodel.units import MS_PER_S


class SqlSeries:
    """A Series. ``reading`` and ``writing`` go on with what this thread has open."""

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[Connection]],
        writing: Callable[[], AbstractContextManager[Writer]],
    ) -> None:
        self._reading = reading
        self._writing = writing

    def append(self, block: Block, token: str) -> None:
        """Add what a batch counts, and its records. The catalog notes the batch in the same transaction."""
        with self._writing() as writer:
            append(writer, block)

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
                levels = _levels(connection, metric, selector, steps.span)
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
            levels = _levels(connection, metric, selector, span)
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


def _levels(connection: Connection, metric: Metric, owners: Sequence[int] | None, span: TimeRange) -> Levels:
    """Return where levels may be read of these owners: of recordings alone, all is kept."""
    levels = read_levels(connection)
    finest_ms = levels.kept_from(FINEST_S) * MS_PER_S
    if owners is None or (span.from_ms is not None and span.from_ms >= finest_ms):
        return levels
    return Levels(levels.pending) if are_recordings(connection, metric, owners) else levels
