# SPDX-License-Identifier: Apache-2.0
"""What is kept of hosts and VMs as batches describe them over time."""

import pytest

from backend.errors import NotFoundError
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter, VmPlace, VmSummary
from faultmodel.kinds import HostState, LossKind, ProbeState
from faultmodel.record import Host, Loss, Probe
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    VM_ID,
    exit_record,
    fault_count,
    make_batch,
    make_host,
    make_vm,
)

ALWAYS = TimeRange()
LATER_STREAM = "7" * 32


def _vm(store: Store) -> VmSummary:
    return store.vm(VM_ID, ALWAYS)


def test_a_vm_is_kept_as_it_is_described(store: Store) -> None:
    store.apply(make_batch(vms=[make_vm(manager="libvirt")]), START_NS)

    vm = _vm(store)
    assert (vm.id, vm.pid, vm.name, vm.vmm, vm.manager) == (VM_ID, 4242, "guest", "qemu", "libvirt")
    assert vm.uuid == "6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11"
    assert vm.command == "qemu-system-x86_64 -name guest"
    assert (vm.host, vm.arch) == ("host-1", "x86_64")
    assert (vm.started_ns, vm.ended_ns) == (START_NS - 60 * NS_PER_S, None)


def test_an_older_batch_does_not_overwrite_a_newer_description(store: Store) -> None:
    store.apply(make_batch(5, vms=[make_vm(name="new")], host=make_host(state=HostState.STOPPED)), START_NS)
    store.apply(make_batch(4, vms=[make_vm(name="old")], host=make_host(state=HostState.ATTACHED)), START_NS)

    assert _vm(store).name == "new"
    assert store.hosts()[0].state == "stopped"


def test_a_newer_batch_overwrites_the_description(store: Store) -> None:
    store.apply(make_batch(0, vms=[make_vm(name="", vmm="qemu")]), START_NS)
    store.apply(make_batch(1, vms=[make_vm(name="known by now")]), START_NS)

    assert _vm(store).name == "known by now"


def test_a_collector_that_came_too_late_to_look_does_not_unname_a_vm(store: Store) -> None:
    store.apply(make_batch(0, vms=[make_vm(name="web")]), START_NS)
    store.apply(make_batch(1, vms=[make_vm(name="qemu-system-x86", uuid="", command="")]), START_NS)

    assert (_vm(store).name, _vm(store).command) == ("web", "qemu-system-x86_64 -name guest")


def test_a_later_stream_overwrites_the_description_and_an_earlier_one_does_not(store: Store) -> None:
    store.apply(make_batch(90, vms=[make_vm(name="before")]), START_NS)
    store.apply(make_batch(0, vms=[make_vm(name="after")], stream=LATER_STREAM), START_NS)
    store.apply(make_batch(91, vms=[make_vm(name="late")]), START_NS)

    assert _vm(store).name == "after"


def test_an_end_once_known_stays(store: Store) -> None:
    store.apply(make_batch(1, vms=[make_vm(ended_ns=START_NS + 5)]), START_NS)
    store.apply(make_batch(2, vms=[make_vm()]), START_NS)
    store.apply(make_batch(3, vms=[make_vm(ended_ns=START_NS + 9)]), START_NS)

    assert _vm(store).ended_ns == START_NS + 5


def test_an_end_is_learned_from_an_older_batch_too(store: Store) -> None:
    store.apply(make_batch(2, vms=[make_vm()]), START_NS)
    store.apply(make_batch(1, vms=[make_vm(ended_ns=START_NS + 5)]), START_NS)

    assert _vm(store).ended_ns == START_NS + 5


def test_a_vm_is_seen_from_its_first_count_or_exit(store: Store) -> None:
    store.apply(make_batch(8, fault_counts=[fault_count(second=8)]), START_NS)
    store.apply(make_batch(6, exits=[exit_record(time_ns=START_NS + 6 * NS_PER_S + 250_000_000)]), START_NS)

    assert _vm(store).first_seen_ms == START_MS + 6250


def test_an_idle_vm_is_seen_from_the_start_of_the_covered_time(store: Store) -> None:
    store.apply(make_batch(3, vms=[make_vm()]), START_NS)

    assert _vm(store).first_seen_ms == START_MS + 3000


def test_a_running_vm_is_seen_as_long_as_its_host_is_covered(store: Store) -> None:
    store.apply(make_batch(0, vms=[make_vm()]), START_NS)
    store.apply(make_batch(1), START_NS)

    assert _vm(store).last_seen_ms == START_MS + 2000


def test_of_many_vms_each_keeps_what_changed_of_it_alone(store: Store) -> None:
    ids = [f"{number:016x}" for number in range(1200)]
    vms = {vm_id: make_vm(vm_id) for vm_id in ids}
    store.apply(make_batch(0, vms=list(vms.values())), START_NS)
    vms[ids[7]] = make_vm(ids[7], name="renamed")
    vms[ids[8]] = make_vm(ids[8], ended_ns=START_NS + NS_PER_S // 2)
    store.apply(make_batch(1, vms=list(vms.values())), START_NS)

    found = [store.vm(vm_id, ALWAYS) for vm_id in ids[6:9]]
    assert [(vm.name, vm.last_seen_ms - START_MS, vm.ended_ns) for vm in found] == [
        ("guest", 2000, None),
        ("renamed", 2000, None),
        ("guest", 1000, START_NS + NS_PER_S // 2),
    ]
    every = store.vms(VmFilter(), ALWAYS, limit=2000, after=None)
    assert sum(vm.last_seen_ms == START_MS + 2000 for vm in every) == 1199


def test_an_ended_vm_is_seen_until_its_end(store: Store) -> None:
    store.apply(make_batch(0, vms=[make_vm(ended_ns=START_NS + NS_PER_S // 2)]), START_NS)
    store.apply(make_batch(1), START_NS)

    assert _vm(store).last_seen_ms == START_MS + 500


def test_a_vm_of_an_earlier_boot_is_seen_no_more(store: Store) -> None:
    store.apply(make_batch(0, vms=[make_vm()]), START_NS)
    store.apply(make_batch(9, stream=LATER_STREAM, host=make_host(boot_id="another")), START_NS)

    assert _vm(store).last_seen_ms == START_MS + 1000


def test_a_host_is_kept_as_it_is_described(store: Store) -> None:
    host = Host(
        name="host-1",
        boot_id="b",
        arch="aarch64",
        state=HostState.WAITING,
        kernel="6.18",
        flavour="nVHE",
        detail="no BTF",
        collector_version="1.2",
        probes=(Probe(tracepoint="kvm:kvm_exit", state=ProbeState.REFUSED, detail="EPERM"),),
    )
    store.apply(make_batch(host=host, covered=()), START_NS + 77)

    (found,) = store.hosts()
    assert (found.name, found.boot_id, found.arch, found.state) == ("host-1", "b", "aarch64", "waiting")
    assert (found.kernel, found.flavour, found.detail) == ("6.18", "nVHE", "no BTF")
    assert found.collector_version == "1.2"
    assert tuple(found.probes) == host.probes
    assert (found.last_batch_ns, found.covered_to_ns, found.lost) == (START_NS + 77, None, {})


def test_hosts_are_listed_by_name(store: Store) -> None:
    for number, name in enumerate(["b", "c", "a"]):
        store.apply(make_batch(host=make_host(name), stream=f"{number:032x}"), START_NS)

    assert [host.name for host in store.hosts()] == ["a", "b", "c"]


def test_losses_add_up_by_kind(store: Store) -> None:
    store.apply(make_batch(0, lost=[Loss(LossKind.KEYS_FULL, 1), Loss(LossKind.SPOOL_BATCHES, 2)]), START_NS)
    store.apply(make_batch(1, lost=[Loss(LossKind.KEYS_FULL, 10)]), START_NS)

    assert store.hosts()[0].lost == {"keys_full": 11, "spool_batches": 2}


def test_covered_time_ends_with_the_latest_span_however_batches_come(store: Store) -> None:
    store.apply(make_batch(4), START_NS)
    store.apply(make_batch(2), START_NS)

    assert store.hosts()[0].covered_to_ns == START_NS + 5 * NS_PER_S


def test_an_unknown_vm_is_not_found(store: Store) -> None:
    for vm_id in ("00000000000000ff", "", "\0", "no id at all"):
        with pytest.raises(NotFoundError, match="no VM"):
            store.vm(vm_id, ALWAYS)
        with pytest.raises(NotFoundError, match="no VM"):
            store.host_of([vm_id])


def test_vms_are_found_by_each_of_their_fields(store: Store) -> None:
    other = make_vm("00000000000000b2", name="other", pid=7)
    store.apply(make_batch(vms=[make_vm()]), START_NS)
    store.apply(
        make_batch(host=make_host("host-2"), stream=LATER_STREAM, arch="aarch64", vms=[other]), START_NS
    )

    def found(where: VmFilter) -> list[str]:
        return [vm.id for vm in store.vms(where, ALWAYS, limit=9, after=None)]

    assert found(VmFilter()) == [VM_ID, other.id]
    assert found(VmFilter(hosts=("host-2",))) == [other.id]
    assert found(VmFilter(names=("other",))) == [other.id]
    assert found(VmFilter(pids=(7,))) == [other.id]
    assert found(VmFilter(archs=("aarch64",))) == [other.id]
    assert found(VmFilter(hosts=("host-1",), pids=(7,))) == []
    assert found(VmFilter(names=("\0",))) == []
    assert found(VmFilter(pids=(2**80,))) == []


def test_pages_of_vms_follow_one_another_without_gap_or_repeat(store: Store) -> None:
    ids = [f"{number:016x}" for number in range(7)]
    for number, vm_id in enumerate(ids):
        store.apply(
            make_batch(number, vms=[make_vm(vm_id)], covered=make_batch(number // 3).covered), START_NS
        )

    pages, after = [], None
    while page := store.vms(VmFilter(), ALWAYS, limit=2, after=after):
        pages.append([vm.id for vm in page])
        after = VmPlace.of(page[-1])

    assert pages == [[ids[6], ids[3]], [ids[4], ids[5]], [ids[0], ids[1]], [ids[2]]]


def test_vms_that_run_are_on_the_first_pages(store: Store) -> None:
    ids = [f"{number:016x}" for number in range(5)]
    for number, vm_id in enumerate(ids):
        ended_ns = START_NS + number * 10**9 if number in (1, 4) else None
        store.apply(
            make_batch(number, vms=[make_vm(vm_id, ended_ns=ended_ns)], covered=make_batch(number).covered),
            START_NS,
        )

    pages, after = [], None
    while page := store.vms(VmFilter(), ALWAYS, limit=2, after=after):
        pages.append([vm.id for vm in page])
        after = VmPlace.of(page[-1])

    assert pages == [[ids[3], ids[2]], [ids[0], ids[4]], [ids[1]]]


@pytest.mark.parametrize(
    ("span", "is_there"),
    [
        (TimeRange(), True),
        (TimeRange(START_MS + 2000, START_MS + 3000), True),
        (TimeRange(None, START_MS + 2000), False),
        (TimeRange(START_MS + 4000, None), False),
        (TimeRange(START_MS + 3400, None), True),
        (TimeRange(-(10**30), 10**30), True),
        (TimeRange(10**30, None), False),
        (TimeRange(None, -(10**30)), False),
    ],
)
def test_a_vm_is_listed_where_its_life_meets_the_range(store: Store, span: TimeRange, is_there: bool) -> None:
    ended = make_vm(ended_ns=START_NS + 3_500_000_000)
    store.apply(make_batch(2, vms=[ended], fault_counts=[fault_count(second=2)]), START_NS)

    assert bool(store.vms(VmFilter(), span, limit=9, after=None)) is is_there
