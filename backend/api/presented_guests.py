# SPDX-License-Identifier: Apache-2.0
"""Guests as bodies of answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from backend.api import schemas
from backend.query.choice import is_running
from backend.query.guest_history import AtOnce, Event
from backend.query.guest_list import CountedGuest
from backend.query.vm_list import End
from backend.store.contract.guests import Guest
from backend.store.contract.vms import VmMember, VmSummary
from backend.times import rfc3339_ms
from faultmodel.record import ExitKind


def guest_body(item: CountedGuest, end_ms: int) -> schemas.Guest:
    """Return the body of a guest of a list.

    :param end_ms: of the range
    """
    on = sorted({vm.host for vm in item.vms if is_running(vm, end_ms)})
    return schemas.Guest(
        id=item.guest.id,
        identified_by=item.guest.by,
        uuid=item.guest.uuid,
        name=item.newest.name,
        hosts=on or [item.newest.host],
        vms_count=len(item.vms),
        running=item.running,
        first_seen=rfc3339_ms(min(vm.first_seen_ms for vm in item.vms)),
        last_seen=rfc3339_ms(max(vm.life_end_ms for vm in item.vms)),
        faults=item.faults,
        **{f"{kind}_exits": item.exits.get(kind, 0) for kind in ExitKind},
        rate_at_end=item.rate_at_end,
    )


def who(
    guest: Guest, ever: Sequence[VmMember], page: Sequence[VmSummary], ends: Mapping[str, End], number: int
) -> dict[str, Any]:
    """Return the fields of a guest whose VMs in a range are ``page``.

    :param ever: all its VMs
    :param number: how many VMs it had in the range
    """
    newest = max(ever, key=lambda vm: (vm.first_seen_ms, vm.id))
    running = [vm for vm in page if ends[vm.id].is_running]
    rates = [rate for vm in running if (rate := ends[vm.id].rate_at_end) is not None]
    return {
        "id": guest.id,
        "identified_by": guest.by,
        "uuid": guest.uuid,
        "name": newest.name,
        "hosts": sorted({vm.host for vm in running}) or [newest.host],
        "vms_count": number,
        "running": len(running),
        "first_seen": rfc3339_ms(min(vm.first_seen_ms for vm in ever)),
        "last_seen": rfc3339_ms(max(vm.life_end_ms for vm in ever)),
        "faults": sum(vm.faults for vm in page),
        "memory_fault_exits": sum(vm.memory_fault_exits for vm in page),
        "bare_error_exits": sum(vm.bare_error_exits for vm in page),
        "unclassified_error_exits": sum(vm.unclassified_error_exits for vm in page),
        "rate_at_end": sum(rates) if rates else None,
    }


def event_body(event: Event) -> schemas.GuestEvent:
    """Return the body of something that happened to a guest."""
    return schemas.GuestEvent(
        time=rfc3339_ms(event.at_ms),
        kind=event.kind,
        vm=event.vm.id,
        host=event.vm.host,
        from_vm=None if event.former is None else event.former.id,
        from_host=None if event.former is None else event.former.host,
        end_seen=event.is_seen,
    )


def at_once_body(item: AtOnce) -> schemas.VmsAtOnce:
    """Return the body of a time in which several VMs of a guest ran."""
    return schemas.VmsAtOnce(
        since=rfc3339_ms(item.from_ms),
        until=None if item.goes_on else rfc3339_ms(item.to_ms),
        vms=[vm.id for vm in item.vms],
        hosts=list(item.hosts),
    )
