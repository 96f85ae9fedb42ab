# SPDX-License-Identifier: Apache-2.0
"""Which buckets of hosts are yet to be summed anew."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select

from backend.store.contract.levels import COARSEST_S, LENGTHS_S, Levels, Range, joined, whole_buckets
from backend.store.sql.tables import rollup_pending

_of_all = select(rollup_pending.c.length_s, rollup_pending.c.from_s, rollup_pending.c.to_s).distinct()
_of_host = (
    rollup_pending.c.host_id == bindparam("host"),
    rollup_pending.c.length_s == bindparam("length"),
)
_touching = (
    select(rollup_pending.c.from_s, rollup_pending.c.to_s)
    .where(*_of_host, rollup_pending.c.from_s <= bindparam("to"), rollup_pending.c.to_s >= bindparam("from"))
    .order_by(rollup_pending.c.from_s)
)
_one = delete(rollup_pending).where(*_of_host, rollup_pending.c.from_s == bindparam("from"))
_insert = insert(rollup_pending)


def read_levels(connection: Connection) -> Levels:
    """Return where each level may be read."""
    pending: dict[int, list[Range]] = defaultdict(list)
    for length_s, from_s, to_s in connection.execute(_of_all):
        pending[length_s].append(Range(from_s, to_s))
    return Levels(pending)


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
        _replace(
            connection,
            host,
            length_s,
            [before],
            [
                Range(before.from_s, min(before.to_s, done.from_s)),
                Range(max(before.from_s, done.to_s), before.to_s),
            ],
        )


def _add(connection: Connection, host: int, length_s: int, one: Range) -> None:
    known = _overlapping(connection, host, length_s, one)
    hull = Range(min([one.from_s, *(k.from_s for k in known)]), max([one.to_s, *(k.to_s for k in known)]))
    if known != [hull]:
        _replace(connection, host, length_s, known, [hull])


def _overlapping(connection: Connection, host: int, length_s: int, one: Range) -> list[Range]:
    asked = {"host": host, "length": length_s, "from": one.from_s, "to": one.to_s}
    return [Range(row.from_s, row.to_s) for row in connection.execute(_touching, asked)]


def _replace(
    connection: Connection, host: int, length_s: int, before: Sequence[Range], after: Sequence[Range]
) -> None:
    of_host = {"host": host, "length": length_s}
    for one in before:
        connection.execute(_one, {**of_host, "from": one.from_s})
    rows = [
        {"host_id": host, "length_s": length_s, "from_s": one.from_s, "to_s": one.to_s}
        for one in after
        if one.from_s < one.to_s
    ]
    if rows:
        connection.execute(_insert, rows)
