# SPDX-License-Identifier: Apache-2.0
"""As of which batch of each host something is read, in the transaction in which it is read."""

from collections.abc import Collection
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from backend.store.contract.hosts import MOST_NEWEST_BATCHES, AsOf, NewestBatch
from backend.store.sql.once import rows_once
from backend.store.sql.tables import hosts, streams

_described = hosts.join(streams, streams.c.id == hosts.c.described_stream_id)


def read_as_of(connection: Connection, names: Collection[str] | None) -> AsOf:
    """Return the newest batch of these hosts, None for every one: of those that were heard of last."""
    asked = {} if names is None else {"names": tuple(sorted(names))}
    rows = rows_once(connection, _newest(names is None), asked)
    found = sorted(map(NewestBatch._make, rows))
    if len(found) < MOST_NEWEST_BATCHES:
        return AsOf(found, 0)
    return AsOf(found, connection.execute(_number(names is None), asked).scalar_one() - len(found))


@cache  # To build a statement takes longer than to execute it.
def _newest(is_everyone: bool) -> Select[Any]:
    columns = (
        hosts.c.name,
        streams.c.stream,
        hosts.c.described_sequence,
        hosts.c.applied,
        hosts.c.covered_to_ns,
    )
    found = select(*columns).select_from(_described)
    newest = found.order_by(hosts.c.last_batch_ns.desc(), hosts.c.id).limit(MOST_NEWEST_BATCHES)
    return newest if is_everyone else newest.where(_is_named)


@cache
def _number(is_everyone: bool) -> Select[Any]:
    number = select(func.count()).select_from(_described)
    return number if is_everyone else number.where(_is_named)


_is_named = hosts.c.name.in_(bindparam("names", expanding=True))
