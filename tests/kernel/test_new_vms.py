# SPDX-License-Identifier: Apache-2.0
"""A VM that begins while a reading is taken: whatever of it is in the reading, the reading names it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from collector.counting.clock import ClockOffsets, measure
from collector.counting.reader import Reader
from collector.counting.reading import Reading
from collector.probe.layout import VmKey
from demo.exact import ExactGuest, Order
from tests.kernel.attached import attached, faults, own_vms, read

pytestmark = pytest.mark.kernel


def test_a_vm_that_begins_while_the_counts_are_read_is_named(headers_cache: Path) -> None:
    with attached(headers_cache) as probes:
        # The clock is asked after the counts were read and before the records are.
        reader = Reader(probes, clock=_once(_run_and_fail))
        first, second = read(reader, probes), read(reader, probes)
    (vm,) = own_vms(first)
    assert [VmKey(record.kvm, record.instance) for record in first.exits].count(vm) == 3
    assert _names_all(first)
    assert faults(second, {vm}) >= 11
    assert _names_all(second)


def _run_and_fail() -> None:
    with ExactGuest(Order(write=11, bare_error=3)) as guest:
        guest.follow("new")


def _once(act: Callable[[], None]) -> Callable[[], ClockOffsets]:
    acts = [act]

    def clock() -> ClockOffsets:
        if acts:
            acts.pop()()
        return measure()

    return clock


def _names_all(reading: Reading) -> bool:
    shown = {VmKey(key.kvm, key.instance) for key in reading.fault_counts}
    shown |= {VmKey(key.kvm, key.instance) for key in reading.exit_counts}
    shown |= {VmKey(record.kvm, record.instance) for record in reading.faults}
    shown |= {VmKey(record.kvm, record.instance) for record in reading.exits}
    return shown | set(reading.accounts) <= set(reading.vms)
