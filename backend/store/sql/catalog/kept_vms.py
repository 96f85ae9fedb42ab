"""Who VMs are, kept in memory: of a list that is asked for each second, only what moves is read each time.

What moves are a VM's times. The rest is a dozen columns, most of them texts, which a batch seldom changes. It
is kept as it is in one version of the store, and goes on to another where it is known which VMs were
described anew in between (``Changes.described_between``): those are forgotten. Where that is not known, as
another process stored something or something was removed, all are. What is not kept is read, whoever asks: an
answer is that of the reader's own snapshot.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from threading import Lock
from typing import Any

from sqlalchemy import Connection, bindparam, select

from backend.store.contract.changes import Version
from backend.store.contract.values import TimeRange, VmFilter, VmMember, VmMembers
from backend.store.sql.catalog.vm_members import ends_of, find_members
from backend.store.sql.catalog.vm_queries import is_running, life_end_ms
from backend.store.sql.ranges import chunks
from backend.store.sql.tables import hosts, vms

MOST_KEPT = 10_000
"""VMs: some 10 MB. In a range with more, all is read."""
_Who = Sequence[Any]
"""Of a VM, what ``_who`` selects."""

# Built once: to build a statement takes longer than to execute it.
_moving = (
    select(vms.c.id, hosts.c.name, vms.c.ended_ns, vms.c.first_seen_ms, life_end_ms, is_running)
    .join(hosts, hosts.c.id == vms.c.host_id)
    .where(life_end_ms >= bindparam("from_ms"), vms.c.first_seen_ms < bindparam("to_ms"))
    .limit(MOST_KEPT + 1)
)
_who = select(
    vms.c.id,
    vms.c.public_id,
    vms.c.reported_id,
    vms.c.arch,
    vms.c.pid,
    vms.c.name,
    vms.c.uuid,
    vms.c.vmm,
    vms.c.manager,
    vms.c.started_ns,
    vms.c.boot_id,
).where(vms.c.id.in_(bindparam("numbers", expanding=True)))


class KeptVms:
    """See above. Thread-safe: what is kept is replaced, never changed."""

    def __init__(self, described_between: Callable[[Version, Version], Collection[int] | None]) -> None:
        self._described_between = described_between
        self._kept: tuple[Version, Mapping[int, _Who]] = {}, {}
        self._lock = Lock()

    def members(self, connection: Connection, version: Version, span: TimeRange) -> VmMembers:
        """Return every VM that existed in the range, as ``find_members`` does.

        :param version: what the connection reads
        """
        moving = connection.execute(_moving, ends_of(span)).all()
        if len(moving) > MOST_KEPT:
            return find_members(connection, VmFilter(), span)
        who = self._at(version)
        new = _read(connection, [row.id for row in moving if row.id not in who])
        if new:
            who = self._keep(version, {**who, **new}, [row.id for row in moving])
        return VmMembers([_member(row, who[row.id]) for row in moving])

    def _at(self, version: Version) -> Mapping[int, _Who]:
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

    def _keep(self, version: Version, who: Mapping[int, _Who], wanted: Sequence[int]) -> Mapping[int, _Who]:
        if len(who) > MOST_KEPT:
            who = {number: who[number] for number in wanted}
        with self._lock:
            if self._kept[0] == version:
                self._kept = version, who
        return who


def _read(connection: Connection, numbers: Sequence[int]) -> Mapping[int, _Who]:
    return {row[0]: row for some in chunks(numbers) for row in connection.execute(_who, {"numbers": some})}


def _member(moving: Sequence[Any], who: _Who) -> VmMember:
    number, host, ended_ns, first_seen_ms, end_ms, is_current = moving
    _, vm_id, reported_id, arch, pid, name, uuid, vmm, manager, started_ns, boot_id = who
    return VmMember(
        number,
        vm_id,
        reported_id,
        host,
        arch,
        pid,
        name,
        uuid,
        vmm,
        manager,
        started_ns,
        ended_ns,
        first_seen_ms,
        end_ms,
        is_current,
        boot_id,
    )
