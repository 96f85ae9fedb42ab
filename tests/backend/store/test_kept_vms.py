# SPDX-License-Identifier: Apache-2.0
"""Lists of VMs whose texts are kept are those of the database, whoever stores, describes or removes what."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter, VmMember
from faultmodel.record import Span
from tests.backend.store.conftest import NewUrl
from tests.backend.store.statements import asked
from tests.backend.store.two_servers import HOSTS, Step, TwoServers, go_through, steps_of, vm_id
from tests.batches import NS_PER_S, START_MS, START_NS, make_batch, make_host, make_vm

SPANS = (TimeRange(), TimeRange(START_MS + 5_000), TimeRange(START_MS, START_MS + 3_000))
EVERYONE = VmFilter(archs=("x86_64",))
"""The same VMs as without a filter, and read from the database, all of them."""

VMS = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from(["", "one", "two"]), st.integers(1, 2), st.sampled_from([None, 4])
    ),
    max_size=3,
    unique_by=lambda vm: vm[0],
)
"""Which VM, its name, its process, the second in which it ended."""
STORED = st.tuples(
    st.just("store"), st.booleans(), st.integers(0, HOSTS - 1), st.sampled_from(["boot-1", "boot-2"]), VMS
)
STEPS = steps_of(STORED, STORED)


class Scene(TwoServers):
    """Two processes, each with the VMs that it keeps."""

    def __init__(self, ours: Store, theirs: Store) -> None:
        super().__init__(ours, theirs)
        self._sequence = 0

    def store(self, step: Step) -> None:
        """Store a batch that describes VMs."""
        match step:
            case "store", bool(by), int(host), str(boot_id), list(vms):
                self.send(by, host, boot_id, vms)

    def send(
        self, by: bool, host: int, boot_id: str, vms: Sequence[tuple[int, str, int, int | None]]
    ) -> None:
        """Have a process store a batch that covers the next second and describes VMs."""
        self._sequence += 1
        second_ns = START_NS + self._sequence * NS_PER_S
        batch = make_batch(
            self._sequence,
            host=make_host(f"host-{host}", boot_id=boot_id),
            stream=f"{host:032x}",
            covered=(Span(second_ns, second_ns + NS_PER_S),),
            vms=tuple(
                make_vm(
                    vm_id(host, vm),
                    name=name,
                    pid=pid,
                    ended_ns=None if ended_s is None else START_NS + ended_s * NS_PER_S,
                )
                for vm, name, pid, ended_s in vms
            ),
            fault_counts=(),
            ledger=(),
        )
        assert self.stores[by].apply(batch, second_ns + NS_PER_S)

    def check(self) -> None:
        """Hold each process's lists against the database."""
        for store in self.stores:
            for span in SPANS:
                assert found(store, VmFilter(), span) == found(store, EVERYONE, span)


def found(store: Store, where: VmFilter, span: TimeRange) -> list[VmMember]:
    """Return the VMs of a range in one order."""
    return sorted(store.members(where, span).vms)


@pytest.mark.parametrize("are_announced", [False, True], ids=["silent", "announced"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whoever_describes_and_removes_whom_lists_are_those_of_the_database(
    empty_url: NewUrl, are_announced: bool, steps: list[Step]
) -> None:
    go_through(empty_url(), Scene, steps, are_announced=are_announced)


def test_a_vm_that_has_its_name_late_has_it_in_the_next_list(store: Store) -> None:
    scene = Scene(store, store)
    for name in ("", "one", "two"):
        scene.send(False, 0, "boot-1", [(0, name, 1, None), (1, "other", 1, None)])
        assert [vm.name for vm in found(store, VmFilter(), TimeRange())] == [name, "other"]


def test_who_a_vm_is_is_not_read_again_while_it_stays_as_it_was(store: Store) -> None:
    scene = Scene(store, store)
    scene.send(False, 0, "boot-1", [(0, "one", 1, None)])
    before = found(store, VmFilter(), TimeRange())
    scene.send(False, 0, "boot-1", [(0, "one", 1, None)])
    with asked() as texts:
        after = found(store, VmFilter(), TimeRange())
    assert after[0].life_end_ms == before[0].life_end_ms + 1_000
    assert after[0].name == "one"
    assert texts
    assert not any("uuid" in text for text in texts)


def test_a_vm_that_was_seen_before_it_says_it_began_stays_as_it_was(store: Store) -> None:
    for at, started_ns in enumerate([START_NS, *[START_NS + 2 * NS_PER_S] * 4]):
        covered = (Span(START_NS + at * NS_PER_S, START_NS + (at + 1) * NS_PER_S),)
        vms = (make_vm(started_ns=started_ns),)
        assert store.apply(make_batch(at, covered=covered, vms=vms), covered[0].to_ns)
        with asked() as texts:
            (vm,) = found(store, VmFilter(), TimeRange())
        assert vm.started_ns == START_NS
        assert any("uuid" in text for text in texts) == (at == 0)


def test_many_that_another_process_may_have_described_are_read_at_once(new_url: NewUrl) -> None:
    url, number = new_url(), 1_100
    vms = [(vm, f"vm-{vm}", 1, None) for vm in range(number)]
    with closing(open_store(url)) as ours, closing(open_store(url)) as theirs:
        scene = Scene(ours, theirs)
        for begin in range(0, number, 300):
            scene.send(True, 0, "boot-1", vms[begin : begin + 300])
        before = found(ours, VmFilter(), TimeRange())
        scene.send(True, 0, "boot-1", [(0, "renamed", 1, None)])
        with asked() as texts:
            after = found(ours, VmFilter(), TimeRange())
        assert sum("uuid" in text for text in texts) == 1
        assert [vm.name for vm in after] == ["renamed", *(vm.name for vm in before[1:])]
        with asked() as texts:
            assert found(ours, VmFilter(), TimeRange()) == after
        assert not any("uuid" in text for text in texts)


def test_whoever_reads_an_older_state_sees_that_one(store: Store) -> None:
    scene = Scene(store, store)
    scene.send(False, 0, "boot-1", [(0, "one", 1, None)])

    def names() -> list[str]:
        return [vm.name for vm in found(store, VmFilter(), TimeRange())]

    def go_on() -> list[str]:
        scene.send(False, 0, "boot-1", [(0, "two", 1, None)])
        return names()

    with store.snapshot(), ThreadPoolExecutor(1) as other:
        assert names() == ["one"]
        assert other.submit(go_on).result() == ["two"]
        assert names() == ["one"]
    assert names() == ["two"]
