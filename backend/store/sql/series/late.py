# SPDX-License-Identifier: Apache-2.0
"""Counts that came so late that seconds of their time are no longer kept: as rows of a coarser level."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Table

from backend.store.sql.tables.levels import MEASURED_SEEN, levels
from backend.store.sql.writer import Columns


def at_level(table: Table, columns: Columns, length_s: int) -> Columns:
    """Return rows of seconds as rows of a coarser level. Several may have the same key.

    :param columns: of the table of seconds
    :param length_s: of that level's buckets
    """
    names = list(table.columns.keys())
    place = names.index("bucket_s")
    found = list(columns)
    found[place] = [start // length_s * length_s for start in columns[place]]
    if MEASURED_SEEN in levels[table][length_s].columns:
        found.append(_measured_seen(dict(zip(names, columns, strict=True))))
    return found


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
