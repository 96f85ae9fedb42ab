"""The kinds and states that collector, server and API have in common, each listed once.

A value that this version does not know is read as ``OTHER``: what was told under it is kept, its name is not.
"""

from enum import StrEnum
from typing import Self


class _Open(StrEnum):
    """An enumeration to which a later version may add. Each has a member ``OTHER``."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls("other")


class HostState(_Open):
    """What a host's collector is about."""

    ATTACHED = "attached"
    """The probes are in place and being read."""
    WAITING = "waiting"
    """Something is missing; the host's checks say what."""
    STOPPED = "stopped"
    """The collector ended in order."""
    REPLAY = "replay"
    """No host: a recording."""
    OTHER = "other"


class ProbeState(_Open):
    """Whether a tracepoint is being read."""

    ATTACHED = "attached"
    ABSENT = "absent"
    """This kernel has no such tracepoint."""
    REFUSED = "refused"
    OTHER = "other"


class CheckState(_Open):
    """What a point that was looked at means for counting."""

    OK = "ok"
    LACKING = "lacking"
    """It works without, with less."""
    MISSING = "missing"
    """Nothing can be traced."""
    OTHER = "other"


class EventKind(_Open):
    """What changed how a host is read."""

    RECORDS = "records"
    """How guest faults are recorded from now on."""
    VM_RECORDS = "vm_records"
    """The same of one VM."""
    ATTACHED = "attached"
    """A new counting begins."""
    TAKEN_OVER = "taken_over"
    """A counting goes on that an earlier collector left running."""
    REPLACED = "replaced"
    """A counting was ended for another."""
    STOPPED = "stopped"
    """The collector was stopped in order, and counting with it."""
    ENDED_UNSEEN = "ended_unseen"
    """A VM ended while no collector looked."""
    CLOCK_STEPPED = "clock_stepped"
    """The server sets a host's times right from now on, or no longer does."""
    TIMES_MOVED = "times_moved"
    """Single times could not be, and the server moved them."""
    OTHER = "other"


class LossKind(_Open):
    """What was seen and could not be kept."""

    KEYS_FULL = "keys_full"
    """A fault or exit that found the map of counts full."""
    UNATTRIBUTED = "unattributed"
    """No vCPU could be told."""
    MISSED_RUNS = "missed_runs"
    """Events for which the kernel skipped every program: another thread of that CPU was in it."""
    UNREAD_VCPUS = "unread_vcpus"
    """vCPUs whose counts could not be read just then; a later reading has them."""
    UNBALANCED = "unbalanced"
    """Faults on which the kernel's own counters do not agree."""
    EXIT_RECORDS = "exit_records"
    """Exits counted, whose record found the ring buffer full, or contradicts its reason."""
    SPOOL_BATCHES = "spool_batches"
    """Batches that the spool had to drop."""
    COSTS = "costs"
    """Figures of what tracing costs that cannot be."""
    TRACE_LINES = "trace_lines"
    """Lines of a recording that could not be read."""
    TRACE_EVENTS = "trace_events"
    """Events that a recording's buffer overran."""
    OTHER = "other"
