# SPDX-License-Identifier: Apache-2.0
"""The kinds and states that collector, server and API have in common, each listed once.

A value that this version does not know is read as ``OTHER``: what was sent under it is kept, its name is not.
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
    SHED = "shed"
    """It costs the host too much now; it is attached again later."""
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
    """What changed how a host is read, or befell a VM."""

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
    """The collector was stopped on purpose, and counting with it."""
    ENDED_UNSEEN = "ended_unseen"
    """A VM ended while no collector looked."""
    USERFAULTFD_CLOSED = "userfaultfd_closed"
    """A userfaultfd was closed while a vCPU waited for a page of it, which the VM then read as zeros."""
    SHED = "shed"
    """A tracepoint is not read from now on, since that costs the host more than is granted: see ``hook``."""
    RESTORED = "restored"
    """It is read again."""
    CLOCK_STEPPED = "clock_stepped"
    """The server sets a host's times right from now on, or no longer does."""
    TIMES_MOVED = "times_moved"
    """Single times could not be, and the server moved them."""
    SERVER_CLOCK_WAS_AHEAD = "server_clock_was_ahead"
    """The server's own clock was, and what it received then is dated anew."""
    OTHER = "other"


class RecordingLevel(_Open):
    """Which guest faults are recorded one by one."""

    NONE = "none"
    SAMPLE = "sample"
    ALL = "all"
    OTHER = "other"


class RecordEnd(_Open):
    """Why a server's request to record every fault of a VM is over."""

    TIME = "time"
    """The time that was asked for is over."""
    WITHDRAWN = "withdrawn"
    VM_ENDED = "vm_ended"
    OTHER = "other"


class EventReason(_Open):
    """Why a host is read otherwise; an event has one at most."""

    BUDGET = "budget"
    """Of ``records`` and ``vm_records``: what the collector used of the CPU time that it is granted."""
    ASKED_FOR = "asked_for"
    """Of ``vm_records``: somebody asked for this VM's faults."""
    NO_LONGER_ASKED_FOR = "no_longer_asked_for"
    """Of ``vm_records``: the time that was asked for is over; the VM is recorded as the others."""
    NOT_PINNED = "not_pinned"
    """Of ``attached``: counting ends with the collector."""
    COLLECTOR_AWAY = "collector_away"
    """Of ``taken_over``: counting went on while no collector ran."""
    ADOPTED = "adopted"
    """Of ``taken_over``: the same, and the data directory of the collector that began it is gone, with what
    waited there for the server."""
    UNREADABLE = "unreadable"
    """Of ``replaced``: the earlier counting could not be read."""
    UNREAD = "unread"
    """Of ``replaced``: nobody read it any more; what it had counted since it was read last is lost."""
    RENAMED = "renamed"
    """Of ``replaced``: it counted under another name of the host. What it counted since its last batch has
    the new one."""
    OTHER_VERSION = "other_version"
    """Of ``replaced``: another version's. Its last counts were read; each vCPU's may be one too high."""
    PAUSED = "paused"
    """Of ``replaced``: it had been stopped. Its last counts were read, of a time that is not covered."""
    OTHER = "other"


class TimesOf(_Open):
    """What a batch has times of."""

    COVERED_TIME = "covered_time"
    RECORDS = "records"
    EVENTS = "events"
    COUNTS = "counts"
    STARTS = "vm_starts"
    ENDS = "vm_ends"
    COSTS = "costs"
    OTHER = "other"


class LossKind(_Open):
    """What was seen and could not be kept."""

    KEYS_FULL = "keys_full"
    """A fault or exit that found the map of counts full."""
    UNATTRIBUTED = "unattributed"
    """No vCPU could be found."""
    MISSED_RUNS = "missed_runs"
    """Events for which the kernel skipped every program: another thread of that CPU was in it."""
    UNREAD_VCPUS = "unread_vcpus"
    """vCPUs whose counts could not be read just then; a later reading has them."""
    UNBALANCED = "unbalanced"
    """Faults on which the kernel's own counters do not agree."""
    EXIT_RECORDS = "exit_records"
    """Exits counted, whose record found the ring buffer full, or contradicts its reason."""
    STALLS_FULL = "stalls_full"
    """Faults that ended, and found the map of stalls full."""
    WAITS_FULL = "waits_full"
    """Sleeps within faults, and what was waited for found no room."""
    SPOOL_BATCHES = "spool_batches"
    """Batches that the spool had to drop."""
    COSTS = "costs"
    """Impossible figures of what tracing costs."""
    TRACE_LINES = "trace_lines"
    """Lines of a recording that could not be read."""
    TRACE_EVENTS = "trace_events"
    """Events that a recording's buffer overran."""
    OTHER = "other"
