# SPDX-License-Identifier: Apache-2.0
"""Faults under way: what a host listed last, as a whole, in whatever order its lists come."""

from itertools import permutations
from typing import Any

import pytest

from backend.store.contract.store import Store
from faultmodel.waits import Handler, WaitsFor
from tests.batches import VM_ID, make_batch, make_host, make_vm, outstanding, outstanding_look

RECEIVED_NS = 1_900_000_000 * 10**9
OTHER_VM = "00000000000000b2"
VMS = [make_vm(VM_ID), make_vm(OTHER_VM)]
LISTS: list[list[Any]] = [
    [outstanding(second=1), outstanding(second=1, vcpu=1)],
    [outstanding(second=2, vcpu=1, handler=Handler.ALIVE), outstanding(OTHER_VM, second=2)],
    [outstanding(second=3, vcpu=1, age_ns=7)],
]


def _faults(store: Store, vm_ids: list[str] | None = None) -> list[Any]:
    return [item.fault for item in store.outstanding(vm_ids)]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_the_newest_list_takes_the_place_of_the_others(store: Store, order: tuple[int, ...]) -> None:
    for number in order:
        rows: dict[str, Any] = {
            "outstanding": LISTS[number],
            "outstanding_looks": [outstanding_look(number + 1, number)],
        }
        assert store.apply(make_batch(number, vms=VMS, **rows), RECEIVED_NS)
    assert _faults(store) == LISTS[-1]
    assert store.outstanding_left_out(None) == 2


def test_a_list_with_nothing_in_it_ends_all(store: Store) -> None:
    store.apply(make_batch(0, vms=VMS, outstanding=LISTS[1]), RECEIVED_NS)
    assert len(_faults(store)) == 2
    store.apply(make_batch(1, outstanding_looks=[outstanding_look(3)]), RECEIVED_NS)
    assert _faults(store) == []


def test_a_batch_that_says_nothing_of_it_changes_nothing(store: Store) -> None:
    store.apply(make_batch(0, vms=VMS, outstanding=LISTS[0]), RECEIVED_NS)
    store.apply(make_batch(5), RECEIVED_NS)
    assert _faults(store) == LISTS[0]


def test_a_list_may_come_in_several_batches(store: Store) -> None:
    first, second = LISTS[1]
    store.apply(make_batch(0, vms=VMS, outstanding=LISTS[0]), RECEIVED_NS)
    store.apply(make_batch(1, vms=VMS, outstanding=[first]), RECEIVED_NS)
    rows: dict[str, Any] = {"outstanding": [second], "outstanding_looks": [outstanding_look(2, 9)]}
    store.apply(make_batch(2, part=1, vms=VMS, **rows), RECEIVED_NS)
    assert _faults(store) == [first, second]
    assert store.outstanding_left_out(["host-1", "other"]) == 9


def test_the_longest_come_first_and_each_has_its_host_and_name(store: Store) -> None:
    for number, age_ns in enumerate((5, 9, 7)):
        vm = f"{number:016x}"
        batch = make_batch(
            0,
            host=make_host(name=f"kvm-{number}", boot_id=f"boot-{number}"),
            stream=f"{number:032x}",
            vms=[make_vm(vm, name=f"web-{number}")],
            outstanding=[outstanding(vm, age_ns=age_ns)],
        )
        store.apply(batch, RECEIVED_NS)
    found = store.outstanding(None)
    assert [(item.host, item.name) for item in found] == [
        (f"kvm-{number}", f"web-{number}") for number in (1, 2, 0)
    ]
    assert [item.fault.vm for item in store.outstanding([f"{2:016x}", "f" * 16])] == [f"{2:016x}"]


def test_what_is_not_known_is_none(store: Store) -> None:
    unseen: dict[str, Any] = dict.fromkeys(("gpa", "gva", "waits_for", "handler", "handler_pid"))
    bare = outstanding(**unseen)
    store.apply(make_batch(outstanding=[bare]), RECEIVED_NS)
    assert _faults(store, [VM_ID]) == [bare]


def test_a_removed_host_leaves_nothing(store: Store) -> None:
    locked = outstanding(waits_for=WaitsFor.LOCK, detail="mmap_read_lock", handler=None)
    store.apply(make_batch(outstanding=[locked], outstanding_looks=[outstanding_look(0, 4)]), RECEIVED_NS)
    assert _faults(store) == [locked]
    store.remove_host("host-1")
    assert (_faults(store), store.outstanding_left_out(None)) == ([], 0)
