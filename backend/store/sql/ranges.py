# SPDX-License-Identifier: Apache-2.0
"""Ranges of time as SQL conditions, and lists cut to the length that a database takes."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, or_

from backend.store.contract.values import Place, TimeRange
from backend.store.sql.words import SIGNED_MAX
from faultmodel.units import NS_PER_MS

MOST_AT_ONCE = 500
"""Of a list in one statement: far below what SQLite (32,766) and PostgreSQL (65,535) allow as parameters."""

_Item = TypeVar("_Item")


def chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Cut a list into pieces that fit in one statement."""
    for start in range(0, len(items), MOST_AT_ONCE):
        yield items[start : start + MOST_AT_ONCE]


def in_ns(time_ns: ColumnElement[int], span: TimeRange) -> list[ColumnElement[bool]]:
    """Return the conditions for times, in ns, within the range."""
    conditions: list[ColumnElement[bool]] = []
    if span.from_ms is not None:
        conditions.append(time_ns >= bounded_ns(span.from_ms))
    if span.to_ms is not None:
        conditions.append(time_ns < bounded_ns(span.to_ms))
    return conditions


def in_page(
    time_ns: ColumnElement[int], position: ColumnElement[int], span: TimeRange, before: Place | None
) -> list[ColumnElement[bool]]:
    """Return the conditions for what is within the range and, newest first, follows ``before``."""
    if before is None:
        return in_ns(time_ns, span)
    last_ns, last_position = bounded(before[0]), bounded(before[1])
    # The time of the page before is also the range's new end, as SQLite seeks by one bound only and would
    # otherwise walk through all pages before.
    until_ns = last_ns if span.to_ms is None else min(last_ns, bounded_ns(span.to_ms) - 1)
    return [
        *in_ns(time_ns, TimeRange(from_ms=span.from_ms)),
        time_ns <= until_ns,
        or_(time_ns < last_ns, position < last_position),
    ]


def bounded_ns(time_ms: int) -> int:
    """Return a time in ns; one that SQL cannot hold becomes the last or first that it can."""
    return bounded(time_ms * NS_PER_MS)


def bounded(value: int) -> int:
    """Return the number, or the last or first that SQL can hold: nothing stored lies beyond."""
    return max(-SIGNED_MAX, min(SIGNED_MAX, value))
