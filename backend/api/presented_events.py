# SPDX-License-Identifier: Apache-2.0
"""Bodies of what changed how hosts are read."""

from backend.api import schemas
from backend.store.contract.hosts import HostEventRow
from backend.times import rfc3339_ns
from faultmodel.kinds import RecordingLevel
from faultmodel.record import EventFacts, HostEvent

_NO_FACTS = EventFacts()
_PPM_OF_A_PERCENT = 10_000


def host_event_body(row: HostEventRow) -> schemas.HostEvent:
    """Return an event's body."""
    event = row.event
    facts = event.facts or _NO_FACTS
    return schemas.HostEvent(
        host=row.host,
        time=rfc3339_ns(event.time_ns),
        kind=event.kind,
        vm=row.vm,
        vm_name=None if row.vm is None else row.vm_name,
        level=event.level,
        one_in=_one_in(event),
        reason=event.reason,
        per_second=facts.per_second,
        used_percent=_percent(facts.used_ppm),
        granted_percent=_percent(facts.granted_ppm),
        since=_time(facts.from_ns),
        until=_time(facts.to_ns),
        clock_set_s=facts.clock_set_s,
        count=facts.count,
        shift_s=facts.shift_s,
        moved=list(facts.moved),
        former_host=facts.former_host,
        hook=facts.hook,
        detail=event.detail,
    )


def recording_body(event: HostEvent) -> schemas.Recording:
    """Return the body of how guest faults are recorded since an event."""
    facts = event.facts or _NO_FACTS
    return schemas.Recording(
        one_in=_one_in(event),
        level=event.level,
        reason=event.reason,
        per_second=facts.per_second,
        used_percent=_percent(facts.used_ppm),
        granted_percent=_percent(facts.granted_ppm),
        since=rfc3339_ns(event.time_ns),
        detail=event.detail,
    )


def _one_in(event: HostEvent) -> int | None:
    if event.level is RecordingLevel.ALL:
        return 1
    return 0 if event.level is RecordingLevel.NONE else event.one_in


def _percent(ppm: int | None) -> float | None:
    return None if ppm is None else ppm / _PPM_OF_A_PERCENT


def _time(time_ns: int | None) -> str | None:
    return None if time_ns is None else rfc3339_ns(time_ns)
