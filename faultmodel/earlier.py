"""What batches of earlier versions say, in the form of this one. Their sentences are left as they are."""

import msgspec

from faultmodel.kinds import EventKind, RecordingLevel
from faultmodel.record import HostEvent

FIELDS = 4
"""The version since which events have fields; before, a sentence."""
_OF_RECORDS = (EventKind.RECORDS, EventKind.VM_RECORDS)


def events(version: int, said: tuple[HostEvent, ...]) -> tuple[HostEvent, ...]:
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
