# SPDX-License-Identifier: Apache-2.0
"""Which VMs are lives of one guest: by UUID, else by host and name; whatever comes first."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.errors import NotFoundError
from backend.store.contract.guests import IdentifiedBy, by_uuid
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter
from faultmodel.kinds import HostState
from faultmodel.record import Span, Vm
from tests.batches import NS_PER_S, START_NS, make_batch, make_host, make_vm

ALWAYS = TimeRange()
UUID = "6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11"
OTHER_UUID = "6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a22"
A, B, C, D = (f"00000000000000{letter}1" for letter in "abcd")


class Hosts:
    """Hosts that describe VMs, one batch a second."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._sequences: dict[str, int] = {}

    def describe(self, host: str, *vms: Vm, at_s: int = 0, boot_id: str = "", **changes: object) -> None:
        """Store a batch of a host that describes VMs, which are first seen at this second."""
        sequence = self._sequences[host] = self._sequences.get(host, -1) + 1
        at_ns = START_NS + at_s * NS_PER_S
        named = make_host(host, **({"boot_id": boot_id} if boot_id else {}), **changes)
        batch = make_batch(
            sequence,
            host=named,
            stream=f"{sum(host.encode()):032x}",
            covered=(Span(at_ns, at_ns + NS_PER_S),),
            vms=vms,
            fault_counts=(),
            ledger=(),
        )
        assert self.store.apply(batch, at_ns + 2 * NS_PER_S)

    @property
    def guest_of(self) -> Mapping[str, str]:
        """Each VM's guest."""
        found = {vm.id: vm.guest for vm in self.store.vms(VmFilter(), ALWAYS, limit=100, after=None)}
        # Whichever way they are read.
        assert found == {vm.id: vm.guest for vm in self.store.members(VmFilter(), ALWAYS).vms}
        return found

    def lives(self, guest: str) -> list[str]:
        """The VMs of a guest."""
        current = self.store.guests_named([guest])[guest].id
        found = self.store.vms(VmFilter(guests=(current,)), ALWAYS, limit=100, after=None)
        members = self.store.members(VmFilter(guests=(current,)), ALWAYS).vms
        assert sorted(vm.id for vm in found) == sorted(vm.id for vm in members)
        return sorted(vm.id for vm in found)


@pytest.fixture
def hosts(store: Store) -> Hosts:
    """Return hosts without VMs."""
    return Hosts(store)


def vm(vm_id: str, **changes: object) -> Vm:
    """Return a VM with no UUID that is called ``guest``."""
    return make_vm(vm_id, **({"uuid": ""} | changes))


def ended(vm_id: str, at_s: int, **changes: object) -> Vm:
    """Return the same with an end."""
    return vm(vm_id, ended_ns=START_NS + at_s * NS_PER_S, **changes)


def test_a_uuid_is_one_guest_on_every_host_with_every_pid_and_name(hosts: Hosts) -> None:
    hosts.describe("host-1", ended(A, 1, uuid=UUID))
    hosts.describe("host-1", vm(B, uuid=UUID.upper(), pid=5, name="renamed"), at_s=5)
    hosts.describe("host-2", vm(C, uuid=UUID, pid=6), at_s=6)
    hosts.describe("host-2", vm(D, uuid=OTHER_UUID, pid=7), at_s=6)
    guest = hosts.guest_of[A]
    assert hosts.lives(guest) == [A, B, C]
    assert hosts.guest_of[D] != guest
    found = hosts.store.guests_named([guest])[guest]
    assert (found.by, found.uuid) == (IdentifiedBy.UUID, UUID)
    assert len(guest) == 16


def test_without_a_uuid_a_guest_is_a_name_on_a_host(hosts: Hosts) -> None:
    hosts.describe("host-1", ended(A, 1))
    hosts.describe("host-1", vm(B, pid=5), at_s=5, boot_id="another boot")
    hosts.describe("host-2", vm(C), at_s=6)
    assert hosts.lives(hosts.guest_of[A]) == [A, B]
    assert hosts.lives(hosts.guest_of[C]) == [C]
    assert hosts.store.guests_named([hosts.guest_of[A]])[hosts.guest_of[A]].by is IdentifiedBy.NAME


@pytest.mark.parametrize(
    "nothing",
    [
        "",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "no uuid",
    ],
)
def test_what_is_no_uuid_joins_no_guests(hosts: Hosts, nothing: str) -> None:
    hosts.describe("host-1", vm(A, uuid=nothing, name="web"))
    hosts.describe("host-2", vm(B, uuid=nothing, name="web"))
    hosts.describe("host-2", vm(C, uuid=nothing, name="db", pid=3))
    assert len(set(hosts.guest_of.values())) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "qemu", "vmm": "qemu"},
        {"name": "qemu-system-x86", "command": "/usr/bin/qemu-system-x86_64 -m 1G"},
        {"name": "vmm.py", "command": "python3 vmm.py", "name_is_comm": True},
    ],
    ids=["nothing", "kind", "program", "comm"],
)
def test_what_is_but_the_programs_name_joins_no_guests(hosts: Hosts, changes: dict[str, object]) -> None:
    hosts.describe("host-1", ended(A, 1, **changes))
    hosts.describe("host-1", vm(B, pid=5, **changes), at_s=5)
    assert len(set(hosts.guest_of.values())) == 2


def test_a_pid_that_is_used_again_is_another_guest(hosts: Hosts) -> None:
    hosts.describe("host-1", ended(A, 1, name="web"))
    hosts.describe("host-1", vm(B, name="db"), at_s=5)
    assert hosts.guest_of[A] != hosts.guest_of[B]


@pytest.mark.parametrize("uuid", ["", UUID], ids=["name", "uuid"])
def test_two_vms_that_a_process_has_at_once_are_two_guests(hosts: Hosts, uuid: str) -> None:
    first, second = vm(A, uuid=uuid), vm(B, uuid=uuid, started_ns=START_NS - 59 * NS_PER_S)
    hosts.describe("host-1", first, second)
    hosts.describe("host-1", first, second, at_s=5)
    assert hosts.guest_of[A] != hosts.guest_of[B]


@pytest.mark.parametrize("uuid", ["", UUID], ids=["name", "uuid"])
def test_two_vms_of_a_process_of_which_no_order_is_known_are_two_guests(hosts: Hosts, uuid: str) -> None:
    # All in one second, as a test's VMs may be.
    hosts.describe("host-1", ended(A, 1, uuid=uuid), ended(B, 1, uuid=uuid))
    hosts.describe("host-1", ended(C, 6, uuid=uuid, pid=5), vm(D, uuid=uuid, pid=5), at_s=5)
    assert len(set(hosts.guest_of.values())) == 3


def test_a_vm_that_a_process_makes_anew_is_the_next_life(hosts: Hosts) -> None:
    hosts.describe("host-1", vm(A, uuid=UUID))
    hosts.describe("host-1", ended(A, 6, uuid=UUID), vm(B, uuid=UUID), at_s=5)
    assert hosts.lives(hosts.guest_of[A]) == [A, B]


def test_a_uuid_that_becomes_known_later_splits_no_history(hosts: Hosts) -> None:
    hosts.describe("host-1", ended(A, 1))
    hosts.describe("host-1", vm(B, pid=5), at_s=5)
    by_name = hosts.guest_of[A]
    hosts.describe("host-1", vm(B, pid=5, uuid=UUID), at_s=6)
    guest = hosts.guest_of[B]
    assert hosts.lives(guest) == [A, B]
    assert hosts.store.guests_named([guest])[guest].by is IdentifiedBy.UUID
    # Whoever kept the former id finds it.
    assert hosts.store.guests_named([by_name])[by_name].id == guest
    hosts.describe("host-1", ended(B, 8, pid=5, uuid=UUID), vm(C, pid=6), at_s=9)
    assert hosts.lives(guest) == [A, B, C]


def test_a_life_whose_uuid_is_known_takes_the_history_of_its_name_along(hosts: Hosts) -> None:
    hosts.describe("host-1", ended(A, 1))
    hosts.describe("host-2", vm(C, uuid=UUID), at_s=4)
    hosts.describe("host-1", vm(B, pid=5, uuid=UUID), at_s=5)
    assert hosts.lives(hosts.guest_of[C]) == [A, B, C]


@pytest.mark.parametrize("is_end_late", [False, True])
def test_what_came_before_a_uuid_was_known_is_its_guests_though_it_arrives_later(
    hosts: Hosts, is_end_late: bool
) -> None:
    hosts.describe("host-1", vm(C, uuid=UUID, pid=6), at_s=9)
    if is_end_late:
        hosts.describe("host-1", vm(A))
        hosts.describe("host-1", vm(B, pid=5), at_s=5)
    hosts.describe("host-1", ended(A, 1))
    hosts.describe("host-1", ended(B, 6, pid=5), at_s=5)
    assert hosts.lives(hosts.guest_of[C]) == [A, B, C]


def test_a_name_without_a_uuid_after_one_that_had_one_is_another_guest(hosts: Hosts) -> None:
    hosts.describe("host-1", ended(A, 1, uuid=UUID))
    hosts.describe("host-1", ended(B, 6, pid=5), at_s=5)
    assert hosts.guest_of[A] != hosts.guest_of[B]


def test_of_two_vms_of_one_name_neither_takes_the_others_history(hosts: Hosts) -> None:
    hosts.describe("host-1", vm(A), vm(B, pid=5))
    hosts.describe("host-1", vm(A), vm(B, pid=5, uuid=UUID), at_s=5)
    assert hosts.lives(hosts.guest_of[A]) == [A]
    assert hosts.lives(hosts.guest_of[B]) == [B]


def test_a_name_that_becomes_known_later_splits_no_history(hosts: Hosts) -> None:
    hosts.describe("host-1", ended(A, 1, name="web"))
    hosts.describe("host-1", vm(B, name="qemu", pid=5, command=""), at_s=5)
    unnamed = hosts.guest_of[B]
    assert unnamed != hosts.guest_of[A]
    hosts.describe("host-1", vm(B, name="web", pid=5), at_s=6)
    assert hosts.lives(hosts.guest_of[A]) == [A, B]
    assert hosts.store.guests_named([unnamed])[unnamed].id == hosts.guest_of[A]


def test_a_life_of_which_less_is_known_later_stays_whose_it_was(hosts: Hosts) -> None:
    hosts.describe("host-1", vm(A, uuid=UUID))
    before = hosts.guest_of[A]
    hosts.describe("host-1", vm(A), at_s=1)
    hosts.describe("host-1", vm(A, name="qemu", command=""), at_s=2)
    assert hosts.guest_of[A] == before


def test_a_host_that_states_anothers_uuid_takes_none_of_its_lives(hosts: Hosts) -> None:
    hosts.describe("host-1", vm(A, uuid=UUID))
    hosts.describe("host-2", vm(A, uuid=UUID), at_s=3)
    places = {life.host for life in hosts.store.members(VmFilter(), ALWAYS).vms}
    guests = set(hosts.guest_of.values())
    assert places == {"host-1", "host-2"}
    assert len(guests) == 1
    at_once = hosts.store.lives_at_once()
    assert sorted(life.host for life in at_once) == ["host-1", "host-2"]


def test_hosts_that_deliver_at_once_have_their_vms_in_the_same_guests(hosts: Hosts) -> None:
    guests, names = range(20), [f"host-{number}" for number in range(4)]

    def deliver(host: str) -> None:
        # Each in another order, so that two could wait for one another.
        shift = names.index(host) * 5
        for batch in range(4):
            vms = [
                vm(
                    f"{names.index(host):02x}{number:014x}",
                    uuid=f"6f1d0c9a-52a5-4ad5-8f43-{number:012x}",
                    pid=number,
                    name="",
                )
                for number in guests[batch * 5 : batch * 5 + 5]
            ]
            hosts.describe(host, *vms[shift % 5 :], *vms[: shift % 5], at_s=batch)

    with ThreadPoolExecutor(len(names)) as threads:
        for _ in threads.map(deliver, names):
            pass
    for number in guests:
        key = by_uuid(f"6f1d0c9a-52a5-4ad5-8f43-{number:012x}")
        assert key is not None
        assert len(hosts.lives(key.id)) == len(names)


def test_lives_at_once_are_those_without_an_end_of_guests_with_several(hosts: Hosts) -> None:
    hosts.describe("host-1", vm(A, uuid=UUID), vm(B, uuid=UUID, pid=5), vm(C, uuid=OTHER_UUID, pid=6))
    assert sorted(life.id for life in hosts.store.lives_at_once()) == [A, B]
    hosts.describe("host-1", ended(A, 3, uuid=UUID), at_s=3)
    assert hosts.store.lives_at_once() == []


def test_vms_of_a_recording_are_guests_of_their_own(hosts: Hosts) -> None:
    hosts.describe("trace.txt", vm(A, name="web"), state=HostState.REPLAY)
    hosts.describe("trace.txt", vm(B, name="web", pid=5), at_s=5, state=HostState.REPLAY)
    assert len(set(hosts.guest_of.values())) == 2


def test_a_guest_that_nothing_is_known_of_is_not_there(store: Store) -> None:
    for unknown in ("0" * 16, "nul\0"):
        with pytest.raises(NotFoundError, match="no guest"):
            store.guests_named([unknown])


def test_a_guest_goes_with_its_last_life(hosts: Hosts) -> None:
    hosts.describe("host-1", ended(A, 1))
    hosts.describe("host-1", vm(B, pid=5), at_s=2)
    former = hosts.guest_of[A]
    hosts.describe("host-1", vm(B, pid=5, uuid=UUID), at_s=3)
    guest = hosts.guest_of[B]
    hosts.store.remove_vm(B)
    assert hosts.lives(guest) == [A]
    hosts.store.remove_host("host-1")
    for gone in (guest, former):
        with pytest.raises(NotFoundError):
            hosts.store.guests_named([gone])
    hosts.describe("host-1", vm(C, uuid=UUID), at_s=9)
    assert hosts.lives(guest) == [C]


def test_a_guests_id_follows_from_what_identifies_it(hosts: Hosts) -> None:
    hosts.describe("host-1", vm(A, uuid=UUID))
    key = by_uuid(UUID)
    assert key is not None
    assert hosts.guest_of[A] == key.id
