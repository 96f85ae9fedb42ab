# SPDX-License-Identifier: Apache-2.0
"""Makes events of the host, which go into the next cycle's batch."""

from faultmodel.kinds import EventKind, EventReason
from faultmodel.record import DETAIL_LENGTH, EventFacts, HostEvent
from faultmodel.text import cut


def note(
    kind: EventKind, reason: EventReason | None = None, detail: str = "", facts: EventFacts | None = None
) -> HostEvent:
    """Return an event; ``Session.note`` sets its time.

    :param detail: words of the kernel or of another program
    """
    return HostEvent(time_ns=0, kind=kind, reason=reason, detail=cut(detail, DETAIL_LENGTH), facts=facts)
