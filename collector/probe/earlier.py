"""Sets of the version before, whose maps are laid out a little otherwise: they are read a last time.

Of what that version did not tell apart nothing is made up: a record says that it is not shown, and a counter
that was not kept stands at 0 in what is read and in what was read before, so that it adds nothing.
"""

import struct
from collections.abc import Mapping
from dataclasses import replace

from collector.probe.layout import (
    EXIT_REASON,
    EXIT_REASONS,
    FAULT_COUNTERS,
    NOT_SHOWN,
    NOT_SHOWN_8,
    SYNDROMES,
    VCPU_HEAD,
    ExitRecord,
    FaultRecord,
)
from collector.probe.probes import Probes
from collector.probe.snapshot import OVERLOOKED, Cut, Records, Table

LAYOUT = bytes.fromhex("1715d92b533c28d0341ea9f184555711")
"""``layout_digest`` of that version."""
LACKING = frozenset({"second_looks", "overlooked_cut"})
"""Maps that it did not have."""

_SYNDROME_BYTES = 104
_HEAD_BYTES = 136
_NEW_IN_HEAD = struct.pack("=IIQQ", NOT_SHOWN_8, 0, NOT_SHOWN, 0)
"""``nested`` and ``kvm_count`` are not known, ``looked``, ``owed`` and ``overlooked`` are nothing."""
_NEW_COUNTERS = bytes(16)
_COUNTERS_BYTES = FAULT_COUNTERS.size - len(_NEW_COUNTERS)
_OLD_EXITS = _HEAD_BYTES + SYNDROMES * _SYNDROME_BYTES
_OLD_BYTES = _OLD_EXITS + EXIT_REASONS * EXIT_REASON.size
_NEW_SYNDROME_BYTES = _SYNDROME_BYTES + len(_NEW_COUNTERS)


class EarlierProbes(Probes):
    """One counting of the version before, as ``Probes`` are."""

    def second_looks(self) -> Mapping[str, int]:
        """Return nothing: it took no second looks."""
        return {}

    def records(self) -> Records:
        """Read the records that wait."""
        found = super().records()
        faults, exits = len(FaultRecord._fields) - 1, len(ExitRecord._fields) - 1
        assert FaultRecord._fields[faults] == ExitRecord._fields[exits] == "nested"
        return replace(
            found,
            faults=[(*record[:faults], NOT_SHOWN_8) for record in found.faults],
            exits=[(*record[:exits], NOT_SHOWN_8) for record in found.exits],
        )

    def again(self, table: str, key: bytes) -> bytes | None:
        """Read one vCPU's counts anew."""
        value = super().again(table, key)
        return None if value is None else widen(table, value)

    def last_cut(self) -> Cut:
        """Return where the newest batch was cut."""
        cut = super().last_cut()
        return replace(cut, tables={name: _widened(name, table) for name, table in cut.tables.items()})

    def keep_cut(self, cut: Cut) -> None:
        """Note that a batch was cut at these counters."""
        tables = {
            name: {key: narrow(name, value) for key, value in table.items()}
            for name, table in cut.tables.items()
            if name != OVERLOOKED
        }
        super().keep_cut(replace(cut, tables=tables))

    def _overlooked(self) -> dict[bytes, bytes]:
        return {}

    def _table(self, name: str) -> Table:
        return _widened(name, super()._table(name))


def widen(name: str, value: bytes) -> bytes:
    """Return a map's value as this version lays it out; one that it lays out so already, as it is."""
    if name == "fault_counts" and len(value) == _COUNTERS_BYTES:
        return value + _NEW_COUNTERS
    if name not in ("homes", "vcpus") or len(value) != _OLD_BYTES:
        return value
    starts = range(_HEAD_BYTES, _OLD_EXITS, _SYNDROME_BYTES)
    syndromes = (value[start : start + _SYNDROME_BYTES] + _NEW_COUNTERS for start in starts)
    return b"".join((value[:_HEAD_BYTES], _NEW_IN_HEAD, *syndromes, value[_OLD_EXITS:]))


def narrow(name: str, value: bytes) -> bytes:
    """Return what ``widen`` was given; a value of that version, as it is."""
    if name == "fault_counts" and len(value) == FAULT_COUNTERS.size:
        return value[:_COUNTERS_BYTES]
    if name not in ("homes", "vcpus") or len(value) == _OLD_BYTES:
        return value
    exits = VCPU_HEAD.size + SYNDROMES * _NEW_SYNDROME_BYTES
    starts = range(VCPU_HEAD.size, exits, _NEW_SYNDROME_BYTES)
    syndromes = (value[start : start + _SYNDROME_BYTES] for start in starts)
    return b"".join((value[:_HEAD_BYTES], *syndromes, value[exits:]))


def _widened(name: str, table: Table) -> Table:
    return {key: widen(name, value) for key, value in table.items()}
