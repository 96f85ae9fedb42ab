# SPDX-License-Identifier: Apache-2.0
"""What each table of counts and records takes, as a job measured it last: a question reads no table whole."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from sqlalchemy import Connection, Table, select

from backend.errors import TooLongError
from backend.store.contract.series import Metric, Recorded
from backend.store.contract.storage import Size, added
from backend.store.sql.series.measures import MEASURES
from backend.store.sql.tables import families, stored_sizes
from backend.store.sql.writer import Writer
from faultmodel.units import NS_PER_S

_EVERY_NS = 50 * NS_PER_S
"""Less than a minute, as often as the job comes."""
_SHARE = 100
"""A table is measured again after so many times what that took."""
_all = select(stored_sizes)


class Measured(NamedTuple):
    """What a table takes. ``is_about``: whether that is an estimate."""

    rows: int
    bytes: int
    is_about: bool


class _Known(NamedTuple):
    """What was measured before. ``took_ns``: what that took."""

    size: Size
    took_ns: int


Measure = Callable[[Connection, Table], Measured]
Reading = Callable[[], AbstractContextManager[Connection]]
Sizes = Mapping[str, _Known]
"""By the table's name."""


def read_sizes(connection: Connection) -> Sizes:
    """Return what is known."""
    return {
        row.name: _Known(Size(row.rows, row.bytes, row.is_about, row.measured_ns), row.took_ns)
        for row in connection.execute(_all)
    }


def counts_size(known: Sizes, metric: Metric, length_s: int) -> Size:
    """Return what counts of a metric take at a level."""
    return _size(known, MEASURES[metric].tables[length_s])


def records_size(known: Sizes, kind: Recorded) -> Size:
    """Return what records take, over all architectures."""
    return added(
        _size(known, family.exits if kind is Recorded.EXITS else family.faults)
        for family in families.values()
    )


def measure_due(known: Sizes, reading: Reading, measure: Measure, now_ns: int) -> Sizes:
    """Measure what was measured long ago, the smallest first, and return what was found.

    A table that cannot be measured in time stays as it was known to be, and is tried again much later.
    """
    found: dict[str, _Known] = {}
    tables = [table for table in every_table() if _is_due(known.get(table.name), now_ns)]
    for table in sorted(tables, key=lambda table: _size(known, table).bytes or 0):
        began_ns = time.monotonic_ns()
        try:
            with reading() as connection:
                new = measure(connection, table)
        except TooLongError:
            took_ns = time.monotonic_ns() - began_ns
            before = _size(known, table)
            found[table.name] = _Known(Size(before.rows, before.bytes, True, now_ns), took_ns)
            break
        found[table.name] = _Known(Size(*new, now_ns), time.monotonic_ns() - began_ns)
    return found


def note_sizes(writer: Writer, found: Sizes) -> None:
    """Note what was measured."""
    for name, (size, took_ns) in found.items():
        values = {
            "rows": size.rows,
            "bytes": size.bytes,
            "is_about": size.is_about,
            "measured_ns": size.measured_ns,
            "took_ns": took_ns,
        }
        statement = writer.insert(stored_sizes).values(name=name, **values)
        writer.connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def every_table() -> Sequence[Table]:
    """Return every table of counts and records."""
    counts = [table for measure in MEASURES.values() for table in measure.tables.values()]
    return [*counts, *(table for family in families.values() for table in (family.exits, family.faults))]


def _size(known: Sizes, table: Table) -> Size:
    return known[table.name].size if table.name in known else Size()


def _is_due(before: _Known | None, now_ns: int) -> bool:
    if before is None or before.size.measured_ns is None:
        return True
    # A time that lies ahead is of a clock that was wrong.
    since_ns = now_ns - before.size.measured_ns
    return since_ns < 0 or since_ns >= max(_EVERY_NS, _SHARE * before.took_ns)
