"""What there is to tell of a host beside its counts: events that the next cycle's batch has."""

from faultmodel.kinds import EventKind, EventReason
from faultmodel.record import DETAIL_LENGTH, EventFacts, HostEvent
from faultmodel.text import cut


def note(
    kind: EventKind, reason: EventReason | None = None, detail: str = "", facts: EventFacts | None = None
) -> HostEvent:
    """Return an event whose time is that of the cycle that tells of it (``Session.note``).

    :param detail: words of the kernel or of another program
    """
    return HostEvent(time_ns=0, kind=kind, reason=reason, detail=cut(detail, DETAIL_LENGTH), facts=facts)
