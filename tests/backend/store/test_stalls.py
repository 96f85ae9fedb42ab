# SPDX-License-Identifier: Apache-2.0
"""How long guests stood still, as a store answers it: each figure once, of whatever VMs and times."""

from collections import Counter
from typing import Any

import pytest

from backend.errors import BatchError
from backend.store.contract.hosts import HostProbes
from backend.store.contract.stalls import (
    PressurePoint,
    PressureSum,
    StallLedgerSum,
    VcpuStallSum,
    WaitSum,
)
from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange
from faultmodel.kinds import ProbeState
from faultmodel.record import Probe
from faultmodel.record_stalls import HostPressure, Pressure, StallCount, VcpuStall
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    VM_ID,
    fault_count,
    later_sections,
    make_batch,
    make_host,
    make_vm,
    sections_of,
    stall_count,
)

ALWAYS = TimeRange()
OTHER_VM = "00000000000000b2"
STEPS = Steps(START_MS, START_MS + 4000, 2000)
RECEIVED_NS = START_NS + 100 * NS_PER_S


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with stalls of two VMs in each of four seconds: of the first 1 to 4 of a kind."""
    for second in range(4):
        rows = (
            later_sections(VM_ID, seconds=[second], vcpu=second % 2, count=1 + second),
            later_sections(OTHER_VM, seconds=[second], count=10),
        )
        assert store.apply(make_batch(second, **sections_of(*rows)), RECEIVED_NS)
    return store


def test_histograms_have_every_fault_that_ended(filled: Store) -> None:
    found = {
        (item.vm, item.octave, item.nested): item for item in filled.stall_sums([VM_ID, OTHER_VM], ALWAYS)
    }
    assert sorted(found) == sorted(
        (vm, octave, octave == -2) for vm in (VM_ID, OTHER_VM) for octave in (-2, -1, 31)
    )
    long = found[VM_ID, 31, False]
    assert (long.access, long.outcome) == ("write", "mapped_4k")
    assert (list(long.quarters), long.running_ns) == ([4, 0, 0, 10], 16_000)
    assert (long.blocked_ns, long.max_ns) == (10, 4004)
    assert found[VM_ID, -2, True].outcome == "fast"
    (ledger,) = filled.stall_ledger([VM_ID], ALWAYS)
    stalled = sum(sum(item.quarters) for key, item in found.items() if key[0] == VM_ID)
    assert ledger == StallLedgerSum(VM_ID, 0, stalled + 8, stalled, 8, vcpus=2)


def test_the_ledger_has_what_began_beside_what_ended(store: Store) -> None:
    stalls = [stall_count(q0=3)]
    store.apply(make_batch(0, fault_counts=[fault_count(faults=5)], stalls=stalls), RECEIVED_NS)
    store.apply(make_batch(1, fault_counts=[fault_count(OTHER_VM, second=1, faults=2)]), RECEIVED_NS)
    assert store.stall_ledger(None, ALWAYS) == [
        StallLedgerSum(VM_ID, 5, 3, 3, 0, vcpus=1),
        StallLedgerSum(OTHER_VM, 2, 0, 0, 0, vcpus=1),
    ]
    steps = Steps(START_MS, START_MS + 2000, 1000)
    found: Counter[tuple[int, str]] = Counter()
    for point in store.stall_ledger_points([VM_ID, OTHER_VM], steps):
        found[point.step, "seen"] += point.seen
        found[point.step, "ended"] += point.ended
    assert +found == {(0, "seen"): 5, (0, "ended"): 3, (1, "seen"): 2}


def test_what_hosts_read_is_as_their_newest_batch_says(store: Store) -> None:
    probe = Probe(tracepoint="kvm:kvm_entry", state=ProbeState.ATTACHED)
    store.apply(make_batch(0), RECEIVED_NS)
    store.apply(make_batch(1, host=make_host(flavour="vmx", probes=(probe,))), RECEIVED_NS)
    assert store.probes_of(["host-1", "nobody"]) == [HostProbes("host-1", "vmx", (probe,))]


def test_steps_have_what_the_range_has(filled: Store) -> None:
    found: Counter[tuple[int, int]] = Counter()
    for point in filled.stall_points(None, STEPS):
        found[point.step, point.octave] += sum(point.quarters)
    longest = max(point.max_ns for point in filled.stall_points(None, STEPS))
    assert longest == max(item.max_ns for item in filled.stall_sums(None, ALWAYS))
    for name in ("running_ns", "blocked_ns"):
        of_steps = sum(getattr(point, name) for point in filled.stall_points(None, STEPS))
        assert of_steps == sum(getattr(item, name) for item in filled.stall_sums(None, ALWAYS)) > 0
    # Of each octave with a time one in each second, and then as many as the VM has.
    assert found == {
        **{(step, -2): 4 for step in range(2)},
        **{(0, octave): 4 + 1 + 2 + 20 for octave in (-1, 31)},
        **{(1, octave): 4 + 3 + 4 + 20 for octave in (-1, 31)},
    }
    waited: Counter[tuple[int, str]] = Counter()
    for wait in filled.wait_points([VM_ID], STEPS):
        waited[wait.step, wait.waits_for] += wait.count
    assert waited == {(0, "swap"): 3, (0, "lock"): 3, (1, "swap"): 7, (1, "lock"): 7}


def test_vcpus_waits_and_pressure_add_up(filled: Store) -> None:
    assert filled.vcpu_stalls([VM_ID], ALWAYS) == [
        VcpuStallSum(VM_ID, 0, 12, 4, 10, 12, 6),
        VcpuStallSum(VM_ID, 1, 18, 6, 10, 12, 7),
    ]
    assert set(filled.wait_sums([VM_ID], ALWAYS)) == {
        WaitSum(VM_ID, "swap", "", 10, 280),
        WaitSum(VM_ID, "lock", "rwsem_down_read_slowpath", 10, 32),
    }
    assert filled.pressure_sums([VM_ID], ALWAYS) == [PressureSum(VM_ID, 100, 10)]
    assert sorted(filled.pressure_points([VM_ID], STEPS)) == [
        PressurePoint(0, VM_ID, 30, 3),
        PressurePoint(1, VM_ID, 70, 7),
    ]
    assert filled.host_pressures(["host-1", "host-9"], ALWAYS) == {
        "host-1": PressureSum("host-1", 11 * 50, 50)
    }
    assert filled.host_pressures([], ALWAYS) == {}
    assert filled.pressure_sums(["f" * 16], ALWAYS) == []


def test_a_vcpu_that_only_stalls_is_a_vcpu(store: Store) -> None:
    store.apply(make_batch(vcpu_stalls=[VcpuStall(START_MS, VM_ID, 3, 1, 0, 0, 0, 0)]), RECEIVED_NS)
    assert [vcpu.vcpu for vcpu in store.vcpus([VM_ID], ALWAYS)] == [3]


def _far(**fields: Any) -> StallCount:
    return stall_count(octave=31, **fields)


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ({"stalls": [_far(q1=2**40), _far(q1=1)]}, "q1"),
        ({"stalls": [_far(blocked_ns=2**60), _far(blocked_ns=1)]}, "blocked_ns"),
        ({"stalls": [stall_count(octave=0)] * 2 + [_far(max_ns=2**60)]}, "max_ns"),
        ({"pressures": [Pressure(START_MS, VM_ID, 2**61, 0)]}, "some_ns"),
        ({"host_pressures": [HostPressure(START_MS, 0, 2**61)]}, "full_ns"),
        ({"pressures": [Pressure(START_MS + 1, VM_ID, 1, 0)]}, "does not start a second"),
    ],
)
def test_what_no_host_can_have_is_refused(store: Store, rows: dict[str, Any], named: str) -> None:
    with pytest.raises(BatchError, match=named):
        store.apply(make_batch(vms=[make_vm()], **rows), RECEIVED_NS)
    assert store.hosts() == []


def test_the_longest_times_that_can_be_are_summed_exactly(store: Store) -> None:
    most = 2**60
    for number in range(3):
        store.apply(make_batch(number, pressures=[Pressure(START_MS, VM_ID, most, 0)]), RECEIVED_NS)
    assert store.pressure_sums([VM_ID], ALWAYS) == [PressureSum(VM_ID, 3 * most, 0)]
