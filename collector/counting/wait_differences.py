# SPDX-License-Identifier: Apache-2.0
"""What vCPUs waited for between two copies of the maps of waits, and how long VMs stood still meanwhile."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from collector.counting.differences import Reread, changed_entries
from collector.probe.layout import PressureSums, VmKey, Wait, WaitKey
from collector.probe.snapshot import COUNTED_WAITS, Table
from collector.probe.wait_views import WaitViews

HOST = VmKey(0, 0)
"""Has the pressure of all VMs together."""
_STATE_BITS = 21
_WRAPS = 2**64
_TRIES = 5
_LATE_NS = 1_000_000_000
"""The copy is read so much after the reading's end at most; a machine may do something else meanwhile."""


@dataclass(slots=True)
class Waits:
    """What was added: sleeps in faults by VM and stack; how long VMs stood still, some and full, in ns."""

    waits: dict[WaitKey, Wait] = field(default_factory=dict)
    pressures: dict[VmKey, tuple[int, int]] = field(default_factory=dict)
    changed: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    """The entries that have changed, by map."""


def wait_differences(
    now: Mapping[str, Table],
    before: Mapping[str, Table],
    views: WaitViews,
    span: tuple[int, int],
    reread: Reread = lambda _table, _key: None,
    *,
    with_waits: bool = True,
) -> Waits:
    """Return what was added.

    :param now: the maps in ``snapshot.COUNTED_WAITS``
    :param before: the same, earlier; a missing entry was zero
    :param span: when both were read, monotonic ns: a VM that stands still since then or until then does so
    :param reread: used for pressures that are between two additions
    :param with_waits: else they are left for a later reading, and pressures alone are returned
    """
    found = Waits(changed={name: {} for name in COUNTED_WAITS})
    if with_waits:
        changed = found.changed["wait_counts"] = changed_entries(now["wait_counts"], before["wait_counts"])
        blank = bytes(views.wait.size)
        for key, value in changed.items():
            sleeps, ns = views.wait.unpack(value)
            old = views.wait.unpack(before["wait_counts"].get(key, blank))
            found.waits[views.wait_key.unpack(key)] = Wait(sleeps - old.sleeps, ns - old.ns)
    for key, value in now["pressures"].items():
        old_value = before["pressures"].get(key, bytes(views.pressure.size))
        _add_pressure(found, views, key, value, old_value, span, partial(reread, "pressures", key))
    return found


def _add_pressure(
    found: Waits,
    views: WaitViews,
    key: bytes,
    value: bytes | None,
    old_value: bytes,
    span: tuple[int, int],
    again: Callable[[], bytes | None],
) -> None:
    from_ns, to_ns = span
    old = _totals(views.pressure.unpack(old_value), from_ns)
    for _ in range(_TRIES):
        if value is None:
            return
        some_ns, full_ns = (
            (new - was) % _WRAPS
            for new, was in zip(_totals(views.pressure.unpack(value), to_ns), old, strict=True)
        )
        # A program that has changed the state and not added the time yet leaves it off by all of the time
        # since the host has started.
        if full_ns <= some_ns <= to_ns - from_ns + _LATE_NS:
            if some_ns:
                found.pressures[views.pressure_key.unpack(key)] = some_ns, full_ns
            if value != old_value:
                found.changed["pressures"][key] = value
            return
        value = again()


def _totals(sums: PressureSums, at_ns: int) -> tuple[int, int]:
    """Return for how long some, and all, had stood still at a time, modulo 2^64."""
    mask = (1 << _STATE_BITS) - 1
    stalled = sums.state >> 2 * _STATE_BITS
    idle, vcpus = sums.state >> _STATE_BITS & mask, sums.state & mask
    some_ns = sums.some_ended_ns - sums.some_begun_ns + (at_ns if stalled else 0)
    full_ns = sums.full_ended_ns - sums.full_begun_ns + (at_ns if stalled and stalled + idle >= vcpus else 0)
    return some_ns % _WRAPS, full_ns % _WRAPS
