# SPDX-License-Identifier: Apache-2.0
"""Counts that came so late that seconds of their time are no longer kept: as rows of a coarser level."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Table

from backend.store.sql.sums import MOST
from backend.store.sql.tables.levels import MEASURED_SEEN, levels
from backend.store.sql.writer import Columns, Row, columns_of, is_greatest


def at_level(table: Table, columns: Columns, length_s: int) -> Columns:
    """Return rows of seconds as rows of a coarser level, of which no two have the same key.

    :param columns: of the table of seconds
    :param length_s: of that level's buckets
    """
    names = list(table.columns.keys())
    place = names.index("bucket_s")
    found = list(columns)
    found[place] = [start // length_s * length_s for start in columns[place]]
    coarser = levels[table][length_s]
    if MEASURED_SEEN in coarser.columns:
        found.append(_measured_seen(dict(zip(names, columns, strict=True))))
    return _added_up(coarser, found)


def _added_up(table: Table, columns: Columns) -> Columns:
    """Add up the rows that have the same key: a series may keep one row of a batch for each key."""
    keys = [place for place, column in enumerate(table.columns) if column.primary_key]
    values = [place for place, column in enumerate(table.columns) if not column.primary_key]
    greatest = [is_greatest(table.columns.values()[place]) for place in values]
    found: dict[Row, Row] = {}
    for row in zip(*columns, strict=True):
        key, new = tuple(row[place] for place in keys), tuple(row[place] for place in values)
        known = found.get(key)
        found[key] = new if known is None else _added(known, new, greatest)
    places = [*keys, *values]
    ordered = columns_of((*key, *of_key) for key, of_key in found.items())
    return [ordered[places.index(place)] for place in range(len(places))]


def _added(one: Row, other: Row, greatest: Sequence[bool]) -> Row:
    return tuple(
        max(a, b) if is_greatest else min(a + b, MOST)
        for a, b, is_greatest in zip(one, other, greatest, strict=True)
    )


def _measured_seen(costs: Mapping[str, Sequence[int]]) -> Sequence[float]:
    """Return a value for each row, of which those of a second add up to what was measured of its faults.

    Of a reading that came in several batches, the faults of those without its costs count as not measured:
    which second they are of is not kept, so that no later batch shows it.
    """
    sums: dict[int, Counter[str]] = defaultdict(Counter)
    for name in ("seen", "measured_ns", "wall_ns"):
        for start, value in zip(costs["bucket_s"], costs[name], strict=True):
            sums[start][name] += value
    # The first row of each second has it.
    left = {
        start: of["seen"] * of["measured_ns"] / of["wall_ns"] if of["wall_ns"] else 0.0
        for start, of in sums.items()
    }
    return [left.pop(start, 0.0) for start in costs["bucket_s"]]
