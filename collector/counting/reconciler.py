# SPDX-License-Identifier: Apache-2.0
"""Reconciles the counts and records that a reading has of one vCPU.

The programs continue to count while the maps are copied one after the other, and a collector may be killed at
any moment. So the copies can disagree, each in one direction only:

    fault_counts    is copied before the vCPU's state. The state may count faults that the copy lacks: these
                    are in flight, and the next reading finds them. The copy has at most one fault more, which
                    a program is about to add to the state.
    fault_records   is read after the state, and a record is written before its fault is counted. The ring may
                    have a record whose fault is not counted yet: the record waits for the next reading. If
                    the state counts a record that a completely read ring lacks, a killed collector had taken
                    it: the record counts as dropped.

Faults in flight, waiting records and expected records are carried over to the next reading. So every account
balances: each fault that was seen is either recorded, dropped or sampled out.
"""

from dataclasses import dataclass

from collector.counting.differences import VcpuAccount
from collector.probe.layout import FaultRecord


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One vCPU's part of a reading. ``dropped``: how many of the ``seen`` faults lost their record.

    ``unbalanced``: how many faults the vCPU's state and the map ``fault_counts`` differ by without a reason.
    """

    seen: int
    records: list[FaultRecord]
    dropped: int
    unbalanced: int


class Reconciler:
    """Reconciles one vCPU, over all readings of one counting."""

    __slots__ = ("_dropped", "_due", "_in_flight", "_records")

    def __init__(self, in_flight: int = 0) -> None:
        """:param in_flight: faults that the state counts as being in ``fault_counts``, and the copy lacks"""
        self._in_flight = in_flight
        self._records: list[FaultRecord] = []
        self._due = 0
        self._dropped = 0

    @property
    def is_waiting(self) -> bool:
        """Whether the next reading has to reconcile this vCPU even if nothing was added."""
        return bool(self._due or self._in_flight)

    def keep(self, record: FaultRecord) -> None:
        """Take a record from the ring, for the reading that counts its fault."""
        self._records.append(record)

    def reconcile(self, added: VcpuAccount, *, is_drained: bool, is_unread: bool) -> Reconciled:
        """Return this reading's part of the vCPU.

        :param is_drained: whether all of the ring was read
        :param is_unread: whether the state could not be read, so that only the map is known
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
        # Faults in flight are at most those that this reading added; the map is ahead by one at most.
        explained = in_flight if is_unread else min(max(in_flight, -1), added.in_map)
        self._in_flight = explained
        return abs(in_flight - explained)
