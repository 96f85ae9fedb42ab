# SPDX-License-Identifier: Apache-2.0
"""What a batch says of its host, no more of it than can be of use: the rest is left out, and that is said.

It is cut and not refused: what a batch counts is worth more than how its host is described.
"""

from collections.abc import Iterator, Sequence

import msgspec

from faultmodel.kinds import CheckState
from faultmodel.record import Check, Host, HostEvent

MOST_PROBES = 256
MOST_CHECKS = 64
MOST_CAPABILITIES = 64
"""Linux has 41."""


def host(said: Host) -> Host:
    """Return a host with so many probes, checks and capabilities at most; a check says what is left out."""
    left_out = list(_left_out(said))
    if not left_out:
        return said
    checks = said.checks[:MOST_CHECKS]
    found = f"the host reports more than a server keeps: left out are {', '.join(left_out)}"
    collector = said.collector
    if collector is not None:
        kept = collector.capabilities[:MOST_CAPABILITIES]
        collector = msgspec.structs.replace(collector, capabilities=kept)
    return msgspec.structs.replace(
        said,
        probes=said.probes[:MOST_PROBES],
        checks=(*checks, Check(name="left_out", state=CheckState.LACKING, found=found)),
        collector=collector,
    )


def _left_out(said: Host) -> Iterator[str]:
    capabilities = said.collector.capabilities if said.collector else ()
    for what, reported, most in (
        ("probes", said.probes, MOST_PROBES),
        ("checks", said.checks, MOST_CHECKS),
        ("capabilities", capabilities, MOST_CAPABILITIES),
    ):
        if len(reported) > most:
            yield f"{len(reported) - most} {what}"


def events(said: Sequence[HostEvent]) -> Sequence[HostEvent]:
    """Return events that name each kind of time that was moved once. There are few kinds."""
    return tuple(map(_event, said))


def _event(event: HostEvent) -> HostEvent:
    if event.facts is None or len(event.facts.moved) < 2:
        return event
    facts = msgspec.structs.replace(event.facts, moved=tuple(dict.fromkeys(event.facts.moved)))
    return msgspec.structs.replace(event, facts=facts)
