# SPDX-License-Identifier: Apache-2.0
"""Who is who: a VM, a stream and a recording are their host's own, whatever others call theirs."""

import pytest

from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter
from faultmodel.kinds import HostState
from tests.batches import (
    START_NS,
    VM_ID,
    exit_count,
    exit_record,
    fault_count,
    fault_record,
    make_batch,
    make_host,
    make_vm,
)

ALWAYS = TimeRange()
OTHER_VM = "00000000000000b2"
OTHER_STREAM = "6" * 32
THIRD_STREAM = "7" * 32


def faults_by_host(store: Store) -> dict[str, dict[str, int]]:
    """Return each host's faults by the id that it reports."""
    found: dict[str, dict[str, int]] = {}
    for vm in store.vms(VmFilter(), ALWAYS, limit=100, after=None):
        found.setdefault(vm.host, {})[vm.reported_id] = vm.faults
    return found


def test_two_hosts_that_report_one_id_have_a_vm_each(store: Store) -> None:
    first = make_batch(fault_counts=[fault_count(faults=3)])
    second = make_batch(
        host=make_host("host-2"),
        stream=OTHER_STREAM,
        fault_counts=[fault_count(faults=5), fault_count(OTHER_VM, faults=7)],
    )
    assert store.apply(first, START_NS)
    assert store.apply(second, START_NS)

    assert faults_by_host(store) == {"host-1": {VM_ID: 3}, "host-2": {VM_ID: 5, OTHER_VM: 7}}
    assert store.vm(VM_ID, ALWAYS).host == "host-1"
    (other,) = [
        vm.id
        for vm in store.vms(VmFilter(hosts=("host-2",)), ALWAYS, limit=9, after=None)
        if vm.reported_id == VM_ID
    ]
    assert other != VM_ID
    assert len(other) == 16
    assert store.vm(other, ALWAYS).faults == 5
    assert store.host_of([VM_ID, other]) == {VM_ID: "host-1", other: "host-2"}


def test_a_public_id_stays_whatever_comes_after(store: Store) -> None:
    for number in range(3):
        for place, name in enumerate(["host-1", "host-2"]):
            stream = f"{place:032x}"
            counts = [fault_count(second=number, faults=1 + place)]
            assert store.apply(
                make_batch(number, host=make_host(name), stream=stream, fault_counts=counts), START_NS
            )

    assert faults_by_host(store) == {"host-1": {VM_ID: 3}, "host-2": {VM_ID: 6}}


def test_what_is_recorded_of_a_vm_is_found_by_its_public_id(store: Store) -> None:
    for name, stream in (("host-1", THIRD_STREAM), ("host-2", OTHER_STREAM)):
        batch = make_batch(
            host=make_host(name),
            stream=stream,
            faults=[fault_record()],
            exits=[exit_record()],
            exit_counts=[exit_count()],
        )
        assert store.apply(batch, START_NS)

    for vm in store.vms(VmFilter(), ALWAYS, limit=9, after=None):
        assert [row.record.vm for row in store.faults([vm.id], ALWAYS, limit=9, before=None)] == [vm.id]
        exits = store.exits([vm.id], None, ALWAYS, limit=9, before=None)
        assert [row.record.vm for row in exits] == [vm.id]


def test_ids_taken_in_advance_lock_nobody_out(store: Store) -> None:
    store.apply(make_batch(fault_counts=[fault_count()]), START_NS)
    store.apply(make_batch(host=make_host("host-2"), stream=OTHER_STREAM, vms=[make_vm()]), START_NS)
    (derived,) = [vm.id for vm in store.vms(VmFilter(hosts=("host-2",)), ALWAYS, limit=9, after=None)]
    # Another server's rows show which id that is, so someone may take it here before its host comes.
    taker = make_batch(host=make_host("taker"), stream=THIRD_STREAM, vms=[make_vm(derived)])
    store.apply(taker, START_NS)
    assert store.vm(derived, ALWAYS).host == "host-2"
    assert faults_by_host(store) == {"host-1": {VM_ID: 1}, "host-2": {VM_ID: 0}, "taker": {derived: 0}}


def test_one_host_may_report_an_id_under_two_architectures(store: Store) -> None:
    store.apply(make_batch(0, fault_counts=[fault_count(faults=2)]), START_NS)
    arm = make_batch(1, arch="aarch64", fault_counts=[fault_count(arch_name="aarch64", faults=3)])
    assert store.apply(arm, START_NS)

    found = store.vms(VmFilter(), ALWAYS, limit=9, after=None)
    assert sorted((vm.arch, vm.reported_id, vm.faults) for vm in found) == [
        ("aarch64", VM_ID, 3),
        ("x86_64", VM_ID, 2),
    ]


def test_two_hosts_may_have_streams_of_one_name(store: Store) -> None:
    for name in ("host-1", "host-2"):
        assert store.apply(make_batch(host=make_host(name), fault_counts=[fault_count()]), START_NS)
        assert not store.apply(make_batch(host=make_host(name), fault_counts=[fault_count()]), START_NS)

    assert faults_by_host(store) == {"host-1": {VM_ID: 1}, "host-2": {VM_ID: 1}}


@pytest.mark.parametrize("order", [("attached", "replay"), ("replay", "attached")])
def test_a_recording_and_a_live_host_of_one_name_are_two_hosts(store: Store, order: tuple[str, str]) -> None:
    streams = {"attached": THIRD_STREAM, "replay": OTHER_STREAM}
    for sequence in (0, 1):
        for state in order:
            batch = make_batch(
                sequence,
                host=make_host(state=state),
                stream=streams[state],
                fault_counts=[fault_count(second=sequence, faults=2 if state == "replay" else 1)],
            )
            assert store.apply(batch, START_NS)

    assert {host.name: host.state for host in store.hosts()} == {
        "host-1": "attached",
        "host-1 (recording)": "replay",
    }
    assert faults_by_host(store) == {"host-1": {VM_ID: 2}, "host-1 (recording)": {VM_ID: 4}}
    assert {(span.host, span.is_recording) for span in store.coverage(None, ALWAYS)} == {
        ("host-1", False),
        ("host-1 (recording)", True),
    }


def test_a_recording_makes_way_for_a_live_host_whatever_it_is_called(store: Store) -> None:
    names = [("a", "attached"), ("a", "replay"), ("a (recording)", "attached"), ("a (recording)", "replay")]
    for number, (name, state) in enumerate(names):
        host = make_host(name, state=state, detail=str(number))
        assert store.apply(make_batch(host=host, stream=f"{number:032x}"), START_NS)

    found = {host.detail: host.name for host in store.hosts()}
    assert found == {
        "0": "a",
        "1": "a (recording 2)",
        "2": "a (recording)",
        "3": "a (recording) (recording)",
    }


@pytest.mark.parametrize(("first", "then"), [("night/good", "night/x-good"), ("night/x-good", "night/good")])
def test_a_recording_counts_once_below_a_host_whatever_it_is_called_there(
    store: Store, first: str, then: str
) -> None:
    def part(name: str, sequence: int) -> bool:
        host = make_host(name, state=HostState.REPLAY)
        return store.apply(make_batch(sequence, host=host, fault_counts=[fault_count(faults=3)]), START_NS)

    # The first import was interrupted: the second brings what is missing.
    assert part(first, 0)
    assert [part(then, 0), part(then, 1), part(first, 1)] == [False, True, False]
    assert faults_by_host(store) == {first: {VM_ID: 6}}
    assert part("other/good", 0)
    assert faults_by_host(store) == {first: {VM_ID: 6}, "other/good": {VM_ID: 3}}
