# SPDX-License-Identifier: Apache-2.0
"""Which buckets of hosts are yet to be summed anew, and from when on each level is kept."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from backend.store.contract.levels import COARSEST_S, LENGTHS_S, Levels, Range, joined, whole_buckets
from backend.store.contract.retention import BY_LENGTH_S
from backend.store.sql.once import once, rows_once
from backend.store.sql.tables import kept_from, rollup_pending

_of_all = select(rollup_pending.c.length_s, rollup_pending.c.from_s, rollup_pending.c.to_s).distinct()
_kept = select(kept_from.c.kept, kept_from.c.from_s)
_of_host = (
    rollup_pending.c.host_id == bindparam("host"),
    rollup_pending.c.length_s == bindparam("length"),
)
_touching = (
    select(rollup_pending)
    .where(*_of_host, rollup_pending.c.from_s <= bindparam("to"), rollup_pending.c.to_s >= bindparam("from"))
    .order_by(rollup_pending.c.from_s)
)
_one = delete(rollup_pending).where(*_of_host, rollup_pending.c.from_s == bindparam("from"))
_insert = insert(rollup_pending)
_set_part = (
    update(rollup_pending)
    .where(*_of_host, rollup_pending.c.from_s <= bindparam("part"), rollup_pending.c.to_s > bindparam("part"))
    .values(part_s=bindparam("part"), after_vm=bindparam("after"))
)


class _Pending(NamedTuple):
    """A row. ``part_s``: the bucket that is summed for the VMs up to ``after_vm``; None for none."""

    from_s: int
    to_s: int
    part_s: int | None
    after_vm: int | None


def read_levels(connection: Connection) -> Levels:
    """Return where each level may be read, of hosts that are traced."""
    return once(connection, read_levels, lambda: _read_levels(connection))


def _read_levels(connection: Connection) -> Levels:
    pending: dict[int, list[Range]] = defaultdict(list)
    for length_s, from_s, to_s in connection.execute(_of_all):
        pending[length_s].append(Range(from_s, to_s))
    return Levels(pending, read_kept(connection))


def read_kept(connection: Connection) -> Mapping[int, int]:
    """Return from when on levels are kept, by the length of their buckets, s."""
    found = {row.kept: row.from_s for row in rows_once(connection, _kept)}
    return {length_s: found[kept] for length_s, kept in BY_LENGTH_S.items() if kept in found}


def add_pending(connection: Connection, host: int, length_s: int, starts: Iterable[int]) -> None:
    """Have the next coarser buckets summed anew of those of a level to which something was added.

    :param starts: of these buckets, s
    """
    if length_s != COARSEST_S:
        coarser_s = LENGTHS_S[LENGTHS_S.index(length_s) + 1]
        for one in joined(whole_buckets([Range(start, start + length_s) for start in starts], coarser_s)):
            _add(connection, host, coarser_s, one)


def remove_pending(connection: Connection, host: int, length_s: int, done: Range) -> None:
    """Take a range off what is to be summed anew."""
    for before in _overlapping(connection, host, length_s, done):
        left = [
            Range(before.from_s, min(before.to_s, done.from_s)),
            Range(max(before.from_s, done.to_s), before.to_s),
        ]
        _replace(connection, host, length_s, [before], left, _parts([before], length_s, done))


def set_part(connection: Connection, host: int, length_s: int, part_s: int, after_vm: int) -> None:
    """Note that a bucket that is pending is summed for the VMs up to one, by their numbers."""
    connection.execute(_set_part, {"host": host, "length": length_s, "part": part_s, "after": after_vm})


def _add(connection: Connection, host: int, length_s: int, one: Range) -> None:
    known = _overlapping(connection, host, length_s, one)
    hull = Range(min([one.from_s, *(k.from_s for k in known)]), max([one.to_s, *(k.to_s for k in known)]))
    parts = _parts(known, length_s, one)
    if len(known) == 1 and known[0] == (*hull, *next(iter(parts.items()), (None, None))):
        return
    _replace(connection, host, length_s, known, [hull], parts)


def _parts(known: Sequence[_Pending], length_s: int, touched: Range) -> Mapping[int, int]:
    """Return which buckets are summed up to which VM: none of a range that is touched."""
    return {
        row.part_s: row.after_vm
        for row in known
        if row.part_s is not None
        and row.after_vm is not None
        and not (row.part_s < touched.to_s and row.part_s + length_s > touched.from_s)
    }


def _overlapping(connection: Connection, host: int, length_s: int, one: Range) -> list[_Pending]:
    asked = {"host": host, "length": length_s, "from": one.from_s, "to": one.to_s}
    rows = connection.execute(_touching, asked)
    return [_Pending(row.from_s, row.to_s, row.part_s, row.after_vm) for row in rows]


def _replace(
    connection: Connection,
    host: int,
    length_s: int,
    before: Sequence[_Pending],
    after: Sequence[Range],
    parts: Mapping[int, int],
) -> None:
    of_host = {"host": host, "length": length_s}
    for row in before:
        connection.execute(_one, {**of_host, "from": row.from_s})
    rows = []
    for one in after:
        if one.from_s < one.to_s:
            # One bucket is summed in part at a time: of several, one is gone on with.
            part_s = next((start for start in parts if one.from_s <= start < one.to_s), None)
            after_vm = None if part_s is None else parts[part_s]
            rows.append(
                {
                    **{"host_id": host, "length_s": length_s, "from_s": one.from_s, "to_s": one.to_s},
                    **{"part_s": part_s, "after_vm": after_vm},
                }
            )
    if rows:
        connection.execute(_insert, rows)
