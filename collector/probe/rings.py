# SPDX-License-Identifier: Apache-2.0
"""The ring buffers of one set: records of single faults and exits."""

from collections.abc import Mapping

from collector.probe.layout import ExitRecord, FaultRecord
from collector.probe.ring import Ring
from collector.probe.snapshot import Positions, Records
from collector.probe.syscall import Map
from collector.probe.views import RecordViews


class Rings:
    """Both rings of a set. Records that were read stay in them until they are released."""

    def __init__(self, maps: Mapping[str, Map], views: RecordViews) -> None:
        """:raises OSError: the kernel refuses to share one"""
        self._exits: Ring[ExitRecord] = Ring(maps["exit_records"], views.exit_record)
        self._faults: Ring[FaultRecord] = Ring(maps["fault_records"], views.fault_record)

    @property
    def positions(self) -> Positions:
        """Up to where they were read."""
        return Positions(exits=self._exits.position, faults=self._faults.position)

    def read(self) -> Records:
        """Return the records that were written since the last call. :raises PinnedError: as ``Ring.read``"""
        faults, exits = self._faults.read(), self._exits.read()
        return Records(
            faults=faults, exits=exits, positions=self.positions, is_drained=self._faults.is_drained()
        )

    def take_faults(self) -> list[FaultRecord]:
        """Read the fault records and release them at once. :raises PinnedError: as ``Ring.read``"""
        faults = self._faults.read()
        self._faults.release(self._faults.position)
        return faults

    def skip_to(self, positions: Positions) -> None:
        """Go on from where an earlier reader had been, if it is further."""
        self._exits.skip_to(positions.exits)
        self._faults.skip_to(positions.faults)

    def release(self, positions: Positions) -> None:
        """Let the kernel overwrite the records before these positions."""
        self.skip_to(positions)
        self._exits.release(positions.exits)
        self._faults.release(positions.faults)

    def close(self) -> None:
        """Unmap them."""
        self._exits.close()
        self._faults.close()
