# SPDX-License-Identifier: Apache-2.0
"""A VM that begins while a reading is taken: whatever of it is in the reading, the reading names it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.counting.reader import Reader
from collector.counting.reading import Reading
from collector.probe.layout import VmKey
from collector.probe.probes import Probes
from collector.probe.snapshot import Records
from demo.exact import ExactGuest, Order
from tests.kernel.attached import attached, faults, own_vms, read

pytestmark = pytest.mark.kernel


class _Interrupted:
    """Probes of which something happens between the counts and the records of the first reading."""

    def __init__(self, probes: Probes, act: Callable[[], None]) -> None:
        self._probes = probes
        self._acts = [act]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._probes, name)

    def records(self) -> Records:
        """Return the records that there are by now."""
        while self._acts:
            self._acts.pop()()
        return self._probes.records()


def test_a_vm_that_begins_while_the_counts_are_read_is_named(headers_cache: Path) -> None:
    with attached(headers_cache) as probes:
        interrupted: Any = _Interrupted(probes, _run_and_fail)
        reader = Reader(interrupted)
        first, second = read(reader, probes), read(reader, probes)
    (vm,) = own_vms(first)
    assert [VmKey(record.kvm, record.instance) for record in first.exits].count(vm) == 3
    assert _names_all(first)
    assert faults(second, {vm}) >= 11
    assert _names_all(second)


def _run_and_fail() -> None:
    with ExactGuest(Order(write=11, bare_error=3)) as guest:
        guest.follow("new")


def _names_all(reading: Reading) -> bool:
    shown = {VmKey(key.kvm, key.instance) for key in reading.fault_counts}
    shown |= {VmKey(key.kvm, key.instance) for key in reading.exit_counts}
    shown |= {VmKey(record.kvm, record.instance) for record in reading.faults}
    shown |= {VmKey(record.kvm, record.instance) for record in reading.exits}
    return shown | set(reading.accounts) <= set(reading.vms)
