# SPDX-License-Identifier: Apache-2.0
"""Who VMs are, kept in memory: of a list that is asked for each second, only what moves is read each time.

What moves are a VM's times. The rest is a dozen columns, most of them texts, which a batch seldom changes. It
is kept as it is in one version of the store, and goes on to another where it is known which VMs were
described anew in between (``Changes.described_between``): those are forgotten. Where that is not known, as
another process stored something or something was removed, all are. What is not kept is read, whoever asks: an
answer is that of the reader's own snapshot.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from threading import Lock
from typing import Any

from sqlalchemy import Connection, bindparam, select

from backend.store.contract.changes import Version
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter, VmMember, VmMembers
from backend.store.sql.among import among
from backend.store.sql.catalog.vm_members import COLUMNS, find_members
from backend.store.sql.catalog.vm_queries import ends_of, life_end_ms
from backend.store.sql.ranges import chunks
from backend.store.sql.tables import hosts, vms

MOST_KEPT = 10_000
"""VMs: some 10 MB. In a range with more, all is read."""
MOST_READ_BY_NUMBER = 300
"""VMs: of more, all are read, in one statement. So it is with each batch that another process stores."""
_MOVING = ("number", "host", "ended_ns", "first_seen_ms", "life_end_ms", "is_current")
"""Of a VM: what batches change."""
_WHO = tuple(name for name in VmMember._fields if name not in _MOVING or name == "number")
_Row = Sequence[Any]
"""Of a VM, what one of the two names."""

# Built once: to build a statement takes longer than to execute it.
_moving = (
    select(*(COLUMNS[name] for name in _MOVING))
    .join(hosts, hosts.c.id == vms.c.host_id)
    .where(life_end_ms >= bindparam("from_ms"), vms.c.first_seen_ms < bindparam("to_ms"))
    .limit(MOST_KEPT + 1)
)
_who = select(*(COLUMNS[name] for name in _WHO)).where(among(vms.c.id, "numbers"))
_who_of = itemgetter(*map(VmMember._fields.index, _WHO))
_both = itemgetter(*map((*_MOVING, *_WHO).index, VmMember._fields))
_number = itemgetter(0)
"""Of either."""


class KeptVms:
    """See above. Thread-safe: what is kept is replaced, never changed."""

    def __init__(self, described_between: Callable[[Version, Version], Collection[int] | None]) -> None:
        self._described_between = described_between
        self._kept: tuple[Version, Mapping[int, _Row]] = {}, {}
        self._lock = Lock()

    def members(self, connection: Connection, version: Version, span: TimeRange) -> VmMembers:
        """Return every VM that existed in the range, as ``find_members`` does.

        :param version: what the connection reads
        """
        moving = connection.execute(_moving, ends_of(span)).all()
        if len(moving) > MOST_KEPT:
            return find_members(connection, VmFilter(), span)
        who = self._at(version)
        numbers = list(map(_number, moving))
        unknown = [number for number in numbers if number not in who]
        if len(unknown) > MOST_READ_BY_NUMBER:
            found = find_members(connection, VmFilter(), span)
            self._keep(version, {**who, **_by_number(map(_who_of, found.vms))}, numbers)
            return found
        if unknown:
            who = self._keep(version, {**who, **_read(connection, unknown)}, numbers)
        return VmMembers([VmMember._make(_both((*row, *who[_number(row)]))) for row in moving])

    def _at(self, version: Version) -> Mapping[int, _Row]:
        with self._lock:
            before, who = self._kept
            if before != version:
                described = self._described_between(before, version)
                if described is None:
                    who = {}
                elif described:
                    who = {number: one for number, one in who.items() if number not in described}
                self._kept = version, who
            return who

    def _keep(self, version: Version, who: Mapping[int, _Row], wanted: Sequence[int]) -> Mapping[int, _Row]:
        if len(who) > MOST_KEPT:
            who = {number: who[number] for number in wanted}
        with self._lock:
            if self._kept[0] == version:
                self._kept = version, who
        return who


def _read(connection: Connection, numbers: Sequence[int]) -> Mapping[int, _Row]:
    return _by_number(row for some in chunks(numbers) for row in connection.execute(_who, {"numbers": some}))


def _by_number(rows: Iterable[_Row]) -> Mapping[int, _Row]:
    return {_number(row): row for row in rows}
