# SPDX-License-Identifier: Apache-2.0
"""What vCPUs waited for, and how long VMs stood still, between two copies of the maps."""

import ctypes
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from collector.counting.wait_differences import HOST, Waits, wait_differences
from collector.probe import compiled
from collector.probe.layout import FORMATS, MEANINGS, STALLS, VmKey, Wait, WaitKey
from collector.probe.snapshot import Table
from collector.probe.wait_views import WaitViews

VM = VmKey(0xFFFF888100000000, 77)
STALLED, IDLE = 1 << 42, 1 << 21
NOW_NS = 50_000_000_000_000


class _VmKey(ctypes.Structure):
    _fields_ = [("kvm", ctypes.c_uint64), ("instance", ctypes.c_uint64)]


class _WaitKey(ctypes.Structure):
    _fields_ = [("vm", _VmKey), ("stack", ctypes.c_int32), ("pad", ctypes.c_uint32)]


class _Wait(ctypes.Structure):
    _fields_ = [("sleeps", ctypes.c_uint64), ("ns", ctypes.c_uint64)]


class _Pressure(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in ("state", "number", "some_begun_ns", "some_ended_ns", "full_begun_ns", "full_ended_ns")
    ]


_TYPES: dict[str, tuple[type[Any], type[Any]]] = {
    "wait_counts": (_WaitKey, _Wait),
    "pressures": (_VmKey, _Pressure),
}
LAYOUT = compiled.describe(
    {
        STALLS: _TYPES
        | {f"{name}_checkpoint": types for name, types in _TYPES.items()}
        | {"gone_vcpus": (ctypes.c_uint32, ctypes.c_uint64)}
    },
    MEANINGS,
    {},
    FORMATS,
)
VIEWS = WaitViews(LAYOUT)
KEY = bytes(_VmKey(*VM))


class Kernel:
    """A VM's pressure as the programs keep it (wait.bpf.h), of vCPUs that change state one after another."""

    def __init__(self, vcpus: int) -> None:
        self.of = _Pressure(state=vcpus)
        self._vcpus = vcpus

    def change(self, delta: int, now_ns: int) -> None:
        """Make one change."""
        before, after = self.of.state, (self.of.state + delta) % 2**64
        self.of.state = after
        for name, was, will_be in (
            ("some", self.is_some(before), self.is_some(after)),
            ("full", self.is_full(before), self.is_full(after)),
        ):
            if was != will_be:
                field = f"{name}_{'begun' if will_be else 'ended'}_ns"
                setattr(self.of, field, (getattr(self.of, field) + now_ns) % 2**64)

    def is_some(self, state: int) -> bool:
        """Whether a vCPU is stalled."""
        return state >> 42 > 0

    def is_full(self, state: int) -> bool:
        """Whether one is, and none runs."""
        stalled, idle = state >> 42, state >> 21 & (1 << 21) - 1
        return stalled > 0 and stalled + idle >= self._vcpus

    def table(self) -> dict[str, Table]:
        """A copy of the maps."""
        return {"wait_counts": {}, "pressures": {KEY: bytes(self.of)}}


EMPTY: Mapping[str, Table] = {"wait_counts": {}, "pressures": {}}


def _row(found: Waits) -> tuple[int, int]:
    return found.pressures.get(VM, (0, 0))


def test_waits_are_what_was_added() -> None:
    key, other = bytes(_WaitKey(_VmKey(*VM), 3)), bytes(_WaitKey(_VmKey(*VM), -1))
    before = {**EMPTY, "wait_counts": {key: bytes(_Wait(2, 500))}}
    now = {**EMPTY, "wait_counts": {key: bytes(_Wait(5, 900)), other: bytes(_Wait(1, 70))}}
    found = wait_differences(now, before, VIEWS, (0, 1))
    assert found.waits == {WaitKey(*VM, 3): Wait(3, 400), WaitKey(*VM, -1): Wait(1, 70)}
    assert found.changed["wait_counts"] == now["wait_counts"]
    assert not wait_differences(now, now, VIEWS, (0, 1)).waits


def test_waits_that_are_left_for_later_are_not_taken() -> None:
    now = {**EMPTY, "wait_counts": {bytes(_WaitKey(_VmKey(*VM), 3)): bytes(_Wait(5, 900))}}
    found = wait_differences(now, EMPTY, VIEWS, (0, 1), with_waits=False)
    assert (found.waits, found.changed["wait_counts"]) == ({}, {})


def test_two_vcpus_that_are_asleep_at_overlapping_times() -> None:
    kernel = Kernel(vcpus=2)
    for at_s, delta in ((0, STALLED), (1, STALLED), (2, -STALLED), (3, -STALLED)):
        kernel.change(delta, NOW_NS + at_s * 10**9)
    found = wait_differences(kernel.table(), EMPTY, VIEWS, (NOW_NS, NOW_NS + 4 * 10**9))
    assert _row(found) == (3 * 10**9, 10**9)


def test_a_vcpu_that_is_idle_does_not_run() -> None:
    kernel = Kernel(vcpus=2)
    for at_s, delta in ((0, IDLE), (1, STALLED), (2, -IDLE), (3, -STALLED)):
        kernel.change(delta, NOW_NS + at_s * 10**9)
    found = wait_differences(kernel.table(), EMPTY, VIEWS, (NOW_NS, NOW_NS + 4 * 10**9))
    assert _row(found) == (2 * 10**9, 10**9)


_CHANGES = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["stalled", "idle"]), st.integers(0, 10**9)), max_size=40
)


@given(_CHANGES, st.sets(st.integers(0, 40)))
def test_readings_add_up_to_what_the_vcpus_did_whenever_they_are_taken(
    changes: list[tuple[int, str, int]], read_after: set[int]
) -> None:
    kernel, vcpus = Kernel(vcpus=4), ["runs"] * 4
    expected, found = [0, 0], [0, 0]
    before, read_ns, now_ns = EMPTY, NOW_NS, NOW_NS

    def read(at_ns: int) -> None:
        nonlocal before, read_ns
        table = kernel.table()
        for place, ns in enumerate(_row(wait_differences(table, before, VIEWS, (read_ns, at_ns)))):
            found[place] += ns
        before, read_ns = table, at_ns

    for number, (vcpu, into, after_ns) in enumerate(changes):
        if "stalled" in vcpus:
            expected[0] += after_ns
            expected[1] += after_ns if "runs" not in vcpus else 0
        now_ns += after_ns
        state = {"runs": 0, "stalled": STALLED, "idle": IDLE}
        new = into if vcpus[vcpu] == "runs" else "runs"
        kernel.change(state[new] - state[vcpus[vcpu]], now_ns)
        vcpus[vcpu] = new
        if number in read_after:
            read(now_ns)
    read(now_ns)
    assert found == expected


def test_a_copy_between_two_additions_is_read_again() -> None:
    kernel = Kernel(vcpus=1)
    kernel.change(STALLED, NOW_NS)
    whole, torn = kernel.table(), kernel.table()
    # The state says so, and the time is yet to be added.
    torn["pressures"] = {KEY: bytes(_Pressure(state=kernel.of.state))}
    span = (NOW_NS - 10**9, NOW_NS + 10**9)
    copies: Iterator[bytes] = iter([torn["pressures"][KEY], whole["pressures"][KEY]])
    found = wait_differences(torn, EMPTY, VIEWS, span, lambda _table, _key: next(copies))
    assert _row(found) == (10**9, 10**9)
    unread = wait_differences(torn, EMPTY, VIEWS, span, lambda _table, _key: torn["pressures"][KEY])
    assert (unread.pressures, unread.changed["pressures"]) == ({}, {})


def test_the_host_has_a_key_of_its_own() -> None:
    kernel = Kernel(vcpus=1)
    kernel.change(STALLED, NOW_NS)
    now = {**EMPTY, "pressures": {bytes(16): bytes(kernel.of)}}
    assert wait_differences(now, EMPTY, VIEWS, (NOW_NS, NOW_NS + 5)).pressures == {HOST: (5, 5)}
