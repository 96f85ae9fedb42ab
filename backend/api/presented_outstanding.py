# SPDX-License-Identifier: Apache-2.0
"""Faults under way, as bodies of answers."""

from typing import Literal

from backend.api import schemas
from backend.query.outstanding import OutstandingFault, Stalled
from backend.store.contract.outstanding import KnownOutstanding
from backend.times import rfc3339_ns
from faultmodel.units import NS_PER_S
from faultmodel.waits import Handler

_Handler = Literal["alive", "dead", "closed"]
_HANDLERS: dict[Handler | None, _Handler] = {
    Handler.ALIVE: "alive",
    Handler.DEAD: "dead",
    Handler.CLOSED: "closed",
}


def outstanding_body(item: OutstandingFault) -> schemas.Outstanding:
    """Return the body of a fault under way."""
    fault = item.known.fault
    return schemas.Outstanding(
        vm=fault.vm,
        name=item.known.name,
        host=item.known.host,
        vcpu=fault.vcpu,
        gpa=None if fault.gpa is None else hex(fault.gpa),
        gva=None if fault.gva is None else hex(fault.gva),
        age_s=item.age_ns / NS_PER_S,
        waits_for=fault.waits_for,
        detail=fault.detail,
        handler=_HANDLERS.get(fault.handler),
        handler_pid=fault.handler_pid,
        seen_at=rfc3339_ns(fault.time_ns),
        is_stale=item.is_stale,
    )


def listed_body(known: KnownOutstanding) -> schemas.Outstanding:
    """Return the body of a fault as it was when it was listed."""
    return outstanding_body(OutstandingFault(known, known.fault.age_ns, is_stale=False))


def stalled_body(stalled: Stalled) -> schemas.StalledNow:
    """Return the body of what stands still now."""
    return schemas.StalledNow(
        outstanding=stalled.faults,
        vms=stalled.vms,
        oldest_s=stalled.oldest_s,
        hosts_not_shown=len(stalled.shed),
    )
