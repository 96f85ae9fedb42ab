# SPDX-License-Identifier: Apache-2.0
"""Turns what vCPUs waited for, and how long VMs stood still, into the rows of a batch."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from collector.counting.decoder import Share, shares
from collector.counting.reading import Reading
from collector.counting.wait_classes import classify
from collector.counting.wait_differences import HOST
from collector.errors import ProbeError
from collector.probe.layout import VmKey
from collector.probe.symbols import Symbols
from faultmodel.record_stalls import HostPressure, Pressure, WaitCount
from faultmodel.waits import WaitsFor

Stack = Callable[[int], Sequence[int]]
"""Returns the return addresses of a stack, the innermost first."""
_NOT_NAMED = "what vCPUs wait for is not known: the kernel does not name its functions"


class WaitWatcher:
    """Names what vCPUs waited for. A stack is named once: it stays what it is."""

    name = "stacks"

    def __init__(self, symbols: Symbols | None, stack: Stack) -> None:
        """:param symbols: None where the kernel does not name its functions"""
        self._symbols = symbols
        self._stack = stack
        self._known: dict[int, tuple[WaitsFor, str]] = {}
        self._lacking = _NOT_NAMED if symbols is None else ""

    def rows(self, reading: Reading, ids: Mapping[VmKey, str]) -> Mapping[str, Sequence[Any]]:
        """Return the rows. What cannot be named is ``OTHER``."""
        if reading.waits is None:
            return {}
        if self._symbols is not None:
            self._lacking = ""
        sums: dict[tuple[str, WaitsFor, str], list[int]] = defaultdict(lambda: [0, 0])
        for key, (sleeps, ns) in reading.waits.waits.items():
            if (vm := ids.get(VmKey(key.kvm, key.instance))) is not None:
                total = sums[vm, *self.waits_for(key.stack)]
                total[0] += sleeps
                total[1] += ns
        rows = []
        for share in shares(reading):
            for row, figures in sums.items():
                if any(parts := list(map(share.part, figures))):
                    rows.append(WaitCount(share.bucket_ms, *row, *parts))
        return {"waits": tuple(rows)}

    @property
    def names_stacks(self) -> bool:
        """Whether the kernel names its functions."""
        return self._symbols is not None

    def lacking(self) -> str:
        """Return what the newest rows lack."""
        return self._lacking

    def forget(self, vms: Collection[VmKey]) -> None:
        """Do nothing: stacks are the kernel's."""

    def waits_for(self, number: int) -> tuple[WaitsFor, str]:
        """Return what a stack waits for, and the details. :param number: as the kernel's map has it"""
        if self._symbols is None or number < 0:
            return WaitsFor.OTHER, ""
        if number not in self._known:
            try:
                # A return address may be the next function's first.
                names = self._symbols.names([address - 1 for address in self._stack(number)])
            except ProbeError as exc:
                self._lacking = str(exc)
                return WaitsFor.OTHER, ""
            self._known[number] = classify(names)
        return self._known[number]


UNNAMED = WaitWatcher(None, lambda _number: ())
"""For a set of which nothing is looked at any more."""


def pressure_rows(
    reading: Reading, ids: Mapping[VmKey, str]
) -> tuple[tuple[Pressure, ...], tuple[HostPressure, ...]]:
    """Return the sections ``pressures`` and ``host_pressures``."""
    found = reading.waits
    if found is None:
        return (), ()
    parts = shares(reading)
    of_vms = [
        Pressure(share.bucket_ms, ids[vm], *values)
        for vm, figures in found.pressures.items()
        if vm in ids
        for share, values in _parts(parts, figures)
    ]
    of_host = _parts(parts, found.pressures.get(HOST, (0, 0)))
    return tuple(of_vms), tuple(HostPressure(share.bucket_ms, *values) for share, values in of_host)


def _parts(parts: Sequence[Share], figures: tuple[int, int]) -> list[tuple[Share, list[int]]]:
    shared = [(share, list(map(share.part, figures))) for share in parts]
    return [(share, values) for share, values in shared if any(values)]
