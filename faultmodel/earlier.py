# SPDX-License-Identifier: Apache-2.0
"""What batches of earlier versions say, in the form of this one. Their sentences are left as they are."""

from collections.abc import Sequence

import msgspec

from faultmodel.kinds import CheckState, EventKind, ProbeState, RecordingLevel
from faultmodel.record import Check, Host, HostEvent, Probe

FIELDS = 4
"""The version since which events and checks have fields; before, a sentence."""
_POSED = {"bpffs:pins": "pins", "uevent:kvm": "ends"}
"""Checks that were sent as if they were tracepoints."""
_OF_RECORDS = (EventKind.RECORDS, EventKind.VM_RECORDS)


def events(version: int, said: Sequence[HostEvent]) -> Sequence[HostEvent]:
    """Return events with the level that ``one_in`` said: 1 for every fault, 0 for none."""
    return said if version >= FIELDS else tuple(map(_with_level, said))


def _with_level(event: HostEvent) -> HostEvent:
    if event.kind not in _OF_RECORDS:
        return event
    if event.one_in == 0:
        level = RecordingLevel.NONE
    else:
        level = RecordingLevel.ALL if event.one_in == 1 else RecordingLevel.SAMPLE
    return msgspec.structs.replace(event, level=level)


def host(version: int, said: Host) -> Host:
    """Return a host without probes that are none: whether it pins, and receives KVM's events, are checks."""
    if version >= FIELDS:
        return said
    checks = tuple(_check(probe) for probe in said.probes if probe.tracepoint in _POSED)
    probes = tuple(probe for probe in said.probes if probe.tracepoint not in _POSED)
    return msgspec.structs.replace(said, probes=probes, checks=checks)


def _check(probe: Probe) -> Check:
    is_ok = probe.state is ProbeState.ATTACHED
    return Check(
        name=_POSED[probe.tracepoint],
        state=CheckState.OK if is_ok else CheckState.LACKING,
        found=probe.detail,
    )
