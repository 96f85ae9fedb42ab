# SPDX-License-Identifier: Apache-2.0
"""What a rule may watch: a closed list of what the server knows of VMs and of hosts."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """What a watched value is in."""

    PER_SECOND = "per_second"
    SECONDS = "seconds"
    COUNT = "count"


class Subject(StrEnum):
    """What a rule judges one by one."""

    VM = "vm"
    HOST = "host"


class Watch(StrEnum):
    """What a rule watches."""

    FAULTS = "faults"
    MEMORY_FAULT_EXITS = "memory_fault_exits"
    BARE_ERROR_EXITS = "bare_error_exits"
    UNCLASSIFIED_ERROR_EXITS = "unclassified_error_exits"
    EXITS = "exits"
    UNCOUNTED_FAULTS = "uncounted_faults"
    LIVELOCKS = "livelocks"
    OUTSTANDING_FAULT = "outstanding_fault"
    GAP = "gap"
    LOST = "lost"
    COLLECTOR_GONE = "collector_gone"


@dataclass(frozen=True, slots=True)
class Watched:
    """What one of them is. ``has_window``: it is taken over a rule's window of time, not as it is now."""

    subject: Subject
    unit: Unit
    words: str
    has_window: bool


WATCHED: Mapping[Watch, Watched] = {
    Watch.FAULTS: Watched(Subject.VM, Unit.PER_SECOND, "guest faults", has_window=True),
    Watch.MEMORY_FAULT_EXITS: Watched(Subject.VM, Unit.PER_SECOND, "memory-fault exits", has_window=True),
    Watch.BARE_ERROR_EXITS: Watched(Subject.VM, Unit.PER_SECOND, "bare error exits", has_window=True),
    Watch.UNCLASSIFIED_ERROR_EXITS: Watched(
        Subject.VM, Unit.PER_SECOND, "unclassified error exits", has_window=True
    ),
    Watch.EXITS: Watched(Subject.VM, Unit.PER_SECOND, "exits to user space", has_window=True),
    Watch.UNCOUNTED_FAULTS: Watched(
        Subject.VM, Unit.PER_SECOND, "faults that were seen and could not be counted", has_window=True
    ),
    Watch.LIVELOCKS: Watched(Subject.VM, Unit.COUNT, "vCPUs in a livelock", has_window=False),
    Watch.OUTSTANDING_FAULT: Watched(
        Subject.VM, Unit.SECONDS, "age of the oldest outstanding fault", has_window=False
    ),
    Watch.GAP: Watched(Subject.HOST, Unit.SECONDS, "time that was not covered", has_window=True),
    Watch.LOST: Watched(Subject.HOST, Unit.PER_SECOND, "things lost", has_window=True),
    Watch.COLLECTOR_GONE: Watched(
        Subject.HOST, Unit.SECONDS, "time since the collector's newest batch", has_window=False
    ),
}
WITH_PAST = frozenset(
    {
        Watch.FAULTS,
        Watch.MEMORY_FAULT_EXITS,
        Watch.BARE_ERROR_EXITS,
        Watch.UNCLASSIFIED_ERROR_EXITS,
    }
)
"""Those that may be held against the VM's own past: sums of them are kept."""
