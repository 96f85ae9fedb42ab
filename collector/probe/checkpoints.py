# SPDX-License-Identifier: Apache-2.0
"""The newest checkpoint of one set, in the kernel: its maps ``*_checkpoint`` and ``about`` (``snapshot``)."""

from collections.abc import Collection

from collector.errors import ProbeError
from collector.probe import syscall
from collector.probe.layout import VmKey
from collector.probe.maps import Maps
from collector.probe.rings import Rings
from collector.probe.snapshot import (
    COUNTED,
    COUNTED_STALLS,
    COUNTED_WAITS,
    MISSED_FAULTS,
    Checkpoint,
    Positions,
    Table,
)

_MISSED_FAULTS = f"{MISSED_FAULTS}_checkpoint"


class Checkpoints:
    """Reads, commits and cleans the checkpoint. For one thread."""

    def __init__(self, maps: Maps, rings: Rings | None) -> None:
        """:param rings: None where this version cannot read the set's records"""
        self._maps = maps
        self._rings = rings

    def last(self) -> Checkpoint:
        """Return the newest checkpoint, and skip the records that its batch has.

        :raises ProbeError: the kernel refuses
        """
        try:
            about = self._maps.about()
            tables: dict[str, Table] = {
                name: dict(syscall.entries(self._maps[f"{name}_checkpoint"]))
                for name in (*COUNTED, *COUNTED_STALLS, *COUNTED_WAITS)
                # A set of a version that did not take the time of faults has no such maps.
                if name != "lost" and (name in COUNTED or f"{name}_checkpoint" in self._maps)
            }
            tables["lost"] = self._maps.array("lost_checkpoint")
            tables[MISSED_FAULTS] = self._missed_faults()
        except OSError as exc:
            raise ProbeError(f"cannot read the probes' maps: {exc.strerror}") from exc
        # The newest batch has these records. Its collector may have been killed before it released them.
        positions = Positions(exits=about.exits_position, faults=about.faults_position)
        if self._rings is not None:
            self._rings.skip_to(positions)
            positions = self._rings.positions
        return Checkpoint(
            counting=about.counting.hex(),
            batch=about.batch,
            monotonic_ns=about.checkpoint_monotonic_ns,
            utc_ns=about.checkpoint_utc_ns,
            missed_runs=about.missed_runs,
            tables=tables,
            positions=positions,
        )

    def can_commit(self, checkpoint: Checkpoint) -> bool:
        """Return whether a checkpoint's values fit these maps. A version before may have had other sizes."""
        return all(
            len(value) == self._maps[f"{name}_checkpoint"].value_size
            for name, table in checkpoint.tables.items()
            if f"{name}_checkpoint" in self._maps
            for value in table.values()
        )

    def commit(self, checkpoint: Checkpoint) -> None:
        """Store the newest batch's checkpoint in the kernel, and release the records that the batch has.

        :raises ProbeError: the kernel refuses
        """
        try:
            for name, changed in checkpoint.tables.items():
                # A set of another version may not keep all that this one does, or a later one did.
                if f"{name}_checkpoint" in self._maps:
                    syscall.update_all(self._maps[f"{name}_checkpoint"], changed)
            self._maps.set_about(
                self._maps.about()._replace(
                    batch=checkpoint.batch,
                    checkpoint_monotonic_ns=checkpoint.monotonic_ns,
                    checkpoint_utc_ns=checkpoint.utc_ns,
                    missed_runs=checkpoint.missed_runs,
                    exits_position=checkpoint.positions.exits,
                    faults_position=checkpoint.positions.faults,
                )
            )
        except OSError as exc:
            raise ProbeError(f"cannot note what was read: {exc.strerror}") from exc
        if self._rings is not None:
            self._rings.release(checkpoint.positions)

    def forget(self, name: str, key: bytes) -> None:
        """Remove an ended VM's key of a map that counts, once it is removed there: no count, no checkpoint.

        :raises OSError: the kernel refuses
        """
        syscall.delete(self._maps[f"{name}_checkpoint"], key)

    def forget_missed_faults(self, vms: Collection[VmKey]) -> None:
        """Remove the missed faults of ended VMs. :raises OSError: the kernel refuses"""
        for key in self._missed_faults():
            if self._maps.views.vm.unpack(key) in vms:
                syscall.delete(self._maps[_MISSED_FAULTS], key)

    def _missed_faults(self) -> dict[bytes, bytes]:
        # A set of a version that did not count them has no such map.
        return dict(syscall.entries(self._maps[_MISSED_FAULTS])) if _MISSED_FAULTS in self._maps else {}
