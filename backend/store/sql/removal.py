# SPDX-License-Identifier: Apache-2.0
"""Removes what is stored of VMs and hosts, in transactions of so many rows: others write in between."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update

from backend.errors import NotFoundError, StoreError
from backend.store.contract.hosts import Contents
from backend.store.sql.catalog import guests, record_requests
from backend.store.sql.series.removal import delete_by
from backend.store.sql.series.stored import StoredSeries, Writing
from backend.store.sql.sums import sum_of
from backend.store.sql.tables import (
    alerts,
    applied_batches,
    causes,
    countings,
    coverage,
    findings,
    folded,
    host_events,
    hosts,
    livelocks,
    loss_totals,
    memslots,
    outstanding,
    outstanding_looks,
    refusals,
    rollup_pending,
    sources,
    state_changes,
    stream_tokens,
    streams,
    vcpus,
    vm_pages,
    vm_streams,
    vms,
    waiting_coverage,
)
from backend.store.sql.tables import record_requests as record_requests_table
from backend.store.sql.writer import Writer

_ROUNDS = 10
"""A host that goes on delivering is emptied so often at most."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose rows are removed: a host's number and name."""

    host_id: int
    name: str


def read_contents(connection: Connection, host_id: int | None) -> Contents:
    """Return how much is stored, of one host or of all."""
    of_host = [] if host_id is None else [vms.c.host_id == host_id]
    faults = select(sum_of(countings.c.seen)).join(vms, vms.c.id == countings.c.vm_id).where(*of_host)
    of_folded = select(sum_of(folded.c.faults)).where(
        *([] if host_id is None else [folded.c.host_id == host_id])
    )
    batches = (
        select(sum_of(applied_batches.c.last_sequence - applied_batches.c.first_sequence + 1))
        .join(streams, streams.c.id == applied_batches.c.stream_id)
        .where(*([] if host_id is None else [streams.c.host_id == host_id]))
    )
    return Contents(
        hosts=1 if host_id is not None else connection.scalar(select(func.count(hosts.c.id))) or 0,
        vms=connection.scalar(select(func.count(vms.c.id)).where(*of_host)) or 0,
        faults=(connection.scalar(faults) or 0) + (connection.scalar(of_folded) or 0),
        batches=connection.scalar(batches) or 0,
    )


def read_vm_faults(connection: Connection, vm_number: int) -> int:
    """Return how many faults of a VM are stored."""
    return connection.scalar(select(sum_of(countings.c.seen)).where(countings.c.vm_id == vm_number)) or 0


def remove_vm(writing: Writing, series: StoredSeries, vm_number: int, arch: str, owner: Owner) -> None:
    """Remove a VM. One that is counted still comes again, with what is counted from then on.

    :raises NotFoundError: its host was removed meanwhile
    """
    locked = _locking(writing, owner)
    series.empty_vm(locked, vm_number, arch)
    delete_by(locked, state_changes, state_changes.c.vm_id, vm_number, state_changes.c.position)
    with locked() as writer:
        series.remove_vm(writer, vm_number, arch)
        remove_emptied(writer.connection, vm_number, owner)
        # What readers keep of this host's counts is out of date.
        writer.connection.execute(
            update(hosts).where(hosts.c.id == owner.host_id).values(applied=hosts.c.applied + 1)
        )


def remove_emptied(connection: Connection, vm_number: int, owner: Owner) -> None:
    """Remove a VM of which the series has nothing. Its host is locked."""
    for table in (
        countings,
        vcpus,
        vm_streams,
        causes,
        memslots,
        vm_pages,
        livelocks,
        outstanding,
        state_changes,
        alerts,
    ):
        connection.execute(delete(table).where(table.c.vm_id == vm_number))
    record_requests.forget_requests(connection, record_requests_table.c.vm_id == vm_number)
    guest_id = connection.scalar(select(vms.c.guest_id).where(vms.c.id == vm_number))
    connection.execute(delete(vms).where(vms.c.id == vm_number, vms.c.host_id == owner.host_id))
    if guest_id:
        guests.forget_without_lives(connection, guest_id)


def remove_host(writing: Writing, series: StoredSeries, owner: Owner) -> None:
    """Remove a host and everything that is its own.

    :raises NotFoundError: it was removed meanwhile, or goes by another name now
    :raises StoreError: batches of it keep coming
    """
    host_id = owner.host_id
    locked = _locking(writing, owner)
    for _ in range(_ROUNDS):
        with writing() as writer:
            rows = writer.connection.execute(
                select(vms.c.id, vms.c.arch).where(vms.c.host_id == host_id)
            ).all()
        for row in rows:
            remove_vm(writing, series, row.id, row.arch, owner)
        series.empty_host(locked, host_id)
        delete_by(locked, host_events, host_events.c.host_id, host_id, host_events.c.id)
        if _remove_empty_host(locked, series, owner):
            return
    raise StoreError(f"batches of host {owner.name} keep coming; revoke its tokens, then remove it")


def _remove_empty_host(locked: Writing, series: StoredSeries, owner: Owner) -> bool:
    host_id = owner.host_id
    with locked() as writer:
        connection = writer.connection
        if connection.scalar(select(vms.c.id).where(vms.c.host_id == host_id).limit(1)) is not None:
            return False
        series.remove_host(writer, host_id)
        own_streams = select(streams.c.id).where(streams.c.host_id == host_id)
        own_sources = select(sources.c.id).where(sources.c.host_id == host_id)
        for table in (applied_batches, waiting_coverage, stream_tokens, vm_streams):
            connection.execute(delete(table).where(table.c.stream_id.in_(own_streams)))
        connection.execute(delete(coverage).where(coverage.c.source_id.in_(own_sources)))
        for table in (
            streams,
            sources,
            findings,
            folded,
            loss_totals,
            host_events,
            rollup_pending,
            outstanding_looks,
            alerts,
        ):
            connection.execute(delete(table).where(table.c.host_id == host_id))
        connection.execute(delete(findings).where(findings.c.subject == str(host_id)))
        connection.execute(delete(refusals).where(refusals.c.host == owner.name))
        connection.execute(delete(hosts).where(hosts.c.id == host_id))
        return True


def _locking(writing: Writing, owner: Owner) -> Writing:
    """Return what opens transactions in which nobody adds anything of the host."""

    @contextmanager
    def locked() -> Iterator[Writer]:
        with writing() as writer:
            lock_host(writer.connection, owner)
            yield writer

    return locked


def lock_host(connection: Connection, owner: Owner) -> None:
    """Lock a host's row. :raises NotFoundError: it was removed meanwhile, or goes by another name now"""
    # By name as well: whoever removes it was asked about the host of that name.
    this_host = hosts.c.id == owner.host_id, hosts.c.name == owner.name
    row = connection.execute(select(hosts.c.id).where(*this_host).with_for_update()).one_or_none()
    if row is None:
        raise NotFoundError(f"host {owner.name!r} was removed meanwhile, or goes by another name")
