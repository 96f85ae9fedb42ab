# SPDX-License-Identifier: Apache-2.0
"""A descriptor that is replaced while its vCPU runs: the faults are nobody's rather than another vCPU's."""

import contextlib
import os
import threading
from pathlib import Path

import pytest

from collector.counting.reader import Reader
from collector.counting.reading import Reading
from collector.probe.layout import VmKey
from collector.probe.sides import Sides
from demo import memory
from demo.guest import Guest
from demo.layout import Layout
from demo.machine import Op, Touch
from faultmodel.kinds import LossKind
from tests.kernel.attached import attached, own_vms, read
from tests.kernel.withheld import Withheld

pytestmark = pytest.mark.kernel

PAGES = 50
PATIENCE_S = 60.0


def _by_vcpu(reading: Reading, vms: set[VmKey]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for key, counters in reading.fault_counts.items():
        if VmKey(key.kvm, key.instance) in vms:
            counts[key.vcpu] = counts.get(key.vcpu, 0) + counters[0]
    return counts


def _touch_with_another_vcpus_file(guest: Guest, touch: Touch, withheld: Withheld) -> None:
    """Have vCPU 0 touch memory while its descriptor is one of vCPU 1's file."""
    running, other = guest.descriptor(0), guest.descriptor(1)
    own_file = os.dup(running)

    def run() -> None:
        # Whatever the VMM asks of the descriptor once KVM_RUN has returned, vCPU 1 answers.
        with contextlib.suppress(Exception):
            guest.touch(touch)

    thread = threading.Thread(target=run)
    thread.start()
    withheld.await_touch(PATIENCE_S)
    os.dup2(other, running)
    withheld.hand_out()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    os.dup2(own_file, running)
    os.close(own_file)


@pytest.mark.alone
@pytest.mark.parametrize("sides", [Sides.RAW, Sides.BOTH], ids=["one side", "both sides"])
def test_faults_under_another_vcpus_file_are_counted_as_unattributed(
    headers_cache: Path, sides: Sides
) -> None:
    layout = Layout()
    region = layout.add(memory.anonymous(PAGES))
    host = region.require_memory()
    with (
        attached(headers_cache, sides=sides) as probes,
        Guest(layout, vcpus=2) as guest,
        Withheld(host) as withheld,
    ):
        reader = Reader(probes)
        extra = guest.warm_up()
        before = read(reader, probes)
        vms = own_vms(before)
        own_pages = extra.read + extra.write + extra.execute
        assert _by_vcpu(before, vms) == {0: own_pages}
        _touch_with_another_vcpus_file(guest, Touch(Op.WRITE, region.gpa, PAGES), withheld)
        after = read(reader, probes)
    counted = _by_vcpu(after, vms)
    # Where the tracepoint passes the vCPU (VMX, SVM) the descriptor does not matter.
    assert set(counted) <= {0}
    nobodys = after.lost.get(LossKind.UNATTRIBUTED, 0)
    assert counted.get(0, 0) + nobodys >= PAGES
    # An event that neither side can attribute is lost once, and one that the raw side can is not lost.
    assert nobodys in (0, *range(PAGES, 2 * PAGES))
