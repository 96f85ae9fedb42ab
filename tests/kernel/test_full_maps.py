# SPDX-License-Identifier: Apache-2.0
"""What does not fit is counted elsewhere or as lost, and never taken for something else."""

from pathlib import Path

import pytest

from collector.counting.reader import Reader
from collector.probe.source import Limits
from demo.exact import ExactGuest, Order
from faultmodel.kinds import LossKind
from tests.kernel.attached import attached, exits, faults, own_vms, read

pytestmark = pytest.mark.kernel

FAULTS = 307


def test_nothing_is_counted_for_a_vm_that_has_no_room(headers_cache: Path) -> None:
    with attached(headers_cache, Limits(vms=1)) as probes:
        reader = Reader(probes)
        for _ in range(3):
            with ExactGuest(Order(write=FAULTS)) as guest:
                guest.follow("full")
        reading = read(reader, probes)
    assert len(reading.vms) == 1
    assert {key[:2] for key in (*reading.fault_counts, *reading.exit_counts)} <= set(reading.vms)
    assert reading.lost[LossKind.KEYS_FULL] >= 2 * FAULTS


def test_a_fault_that_has_no_room_is_seen_and_reported_as_uncounted(headers_cache: Path) -> None:
    with attached(headers_cache, Limits(keys=1, syndromes=1, exit_reasons=1)) as probes:
        reader = Reader(probes)
        with ExactGuest(Order(write=FAULTS, read=FAULTS, memory_fault=3)) as guest:
            extra = guest.follow("full").extra_faults
            reading = read(reader, probes)
    (vm,) = own_vms(reading)
    account = reading.accounts[vm]
    assert account.seen == 2 * FAULTS + 3 + extra.read + extra.write + extra.execute
    assert account.uncounted > 0
    assert faults(reading, {vm}) == account.seen - account.uncounted
    assert reading.lost[LossKind.KEYS_FULL] >= account.uncounted


@pytest.mark.parametrize(
    "limits", [Limits(syndromes=1, exit_reasons=1), Limits(slots=2)], ids=["few in place", "few slots"]
)
def test_what_has_no_room_in_place_is_counted_as_exactly(headers_cache: Path, limits: Limits) -> None:
    order = Order(write=20_011, read=10_007, execute=503, memory_fault=12, vcpus=4)
    counted = left = 0
    with attached(headers_cache, limits) as probes:
        reader = Reader(probes)
        with ExactGuest(order) as guest:
            extra = guest.follow("slow").extra_faults
            for _ in range(2):
                reading = read(reader, probes)
                counted += faults(reading, own_vms(reading))
                left += exits(reading, own_vms(reading))
                assert not reading.lost
    assert counted == 20_011 + 10_007 + 503 + 12 + extra.read + extra.write + extra.execute
    assert left >= 12
