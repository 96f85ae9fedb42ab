"""What a reading finds of one vCPU, made to fit together.

The programs go on counting while the maps are copied one after the other, and a collector may be killed at
any moment. So the copies disagree, each in one direction only:

    fault_counts    is copied before the vCPU's state. The state may know of faults in it that the copy lacks:
                    they are in flight, and come with the next reading. It is never the other way round, but
                    for the one fault that a program is about to add to the state.
    fault_records   is read after the state, and a record is written before its fault is counted. The ring
                    may have a record whose fault is not seen yet: it waits for the reading that sees it. A
                    record that the state has and the ring has not, though all of the ring was read, went
                    with a collector that was killed: it counts as dropped.

What is in flight, waits or is due is carried over to the next reading. So every account balances: it is about
the faults that were seen, each of them recorded, dropped or not to be recorded.
"""

from dataclasses import dataclass

from collector.counting.differences import VcpuAccount
from collector.probe.layout import FaultRecord


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a reading says of one vCPU. ``dropped`` are as many records of the faults that were ``seen``.

    ``unbalanced``: faults that its state and the map ``fault_counts`` do not agree on.
    """

    seen: int
    records: list[FaultRecord]
    dropped: int
    unbalanced: int


class Reconciler:
    """Of one vCPU, over all readings of one counting."""

    __slots__ = ("_dropped", "_due", "_in_flight", "_records")

    def __init__(self, in_flight: int = 0) -> None:
        """:param in_flight: faults that its state has as counted in ``fault_counts``, and the map has not"""
        self._in_flight = in_flight
        self._records: list[FaultRecord] = []
        self._due = 0
        self._dropped = 0

    @property
    def is_waiting(self) -> bool:
        """Whether the next reading has something to say of it, also where nothing is added."""
        return bool(self._due or self._in_flight)

    def keep(self, record: FaultRecord) -> None:
        """Take a record from the ring, for the reading that sees its fault."""
        self._records.append(record)

    def reconcile(self, added: VcpuAccount, *, is_drained: bool, is_unread: bool) -> Reconciled:
        """Return what this reading says.

        :param is_drained: whether every record that was written has been kept
        :param is_unread: whether its state could not be read, so that only the map is known this time
        """
        seen = added.seen - added.in_map + added.found_in_map
        unbalanced = self._unbalanced(added, is_unread=is_unread)
        self._due += added.recorded
        self._dropped += added.dropped
        gone = max(0, self._due - len(self._records)) if is_drained else 0
        self._due -= gone
        self._dropped += gone
        number = min(self._due, len(self._records), seen)
        records, self._records = self._records[:number], self._records[number:]
        self._due -= number
        dropped = min(self._dropped, seen - number)
        self._dropped -= dropped
        return Reconciled(seen, records, dropped, unbalanced)

    def _unbalanced(self, added: VcpuAccount, *, is_unread: bool) -> int:
        in_flight = self._in_flight + added.in_map - added.found_in_map
        # More than was added just now should have come by now; and the map is ahead by one fault at most.
        explained = in_flight if is_unread else min(max(in_flight, -1), added.in_map)
        self._in_flight = explained
        return abs(in_flight - explained)
