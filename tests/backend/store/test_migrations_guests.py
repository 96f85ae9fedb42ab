# SPDX-License-Identifier: Apache-2.0
"""VMs that an earlier release stored are lives of the guests whose they would be if they came now."""

from contextlib import closing

from backend.store import open_store
from backend.store.sql.migrate import downgrade, migrate
from faultmodel.kinds import HostState
from faultmodel.record import Vm
from tests.backend.store.conftest import NewUrl
from tests.backend.store.migrating import every_vm
from tests.batches import NS_PER_S, START_NS, make_batch, make_host, make_vm

UUID = "6f1d0c9a-52a5-4ad5-8f43-0f6b1f0d7a11"


def vms() -> list[list[Vm]]:
    """Return the VMs of three hosts, of which the last is a recording."""
    ended = START_NS + NS_PER_S
    return [
        [
            make_vm("00000000000000a1", uuid=UUID, pid=1, ended_ns=ended),
            make_vm("00000000000000a2", uuid=UUID.upper(), pid=2, name="renamed"),
            make_vm("00000000000000a3", uuid="", pid=3, name="db", ended_ns=ended),
            make_vm("00000000000000a4", uuid="", pid=4, name="db"),
            make_vm("00000000000000a5", uuid="", pid=5, name="pair"),
            make_vm("00000000000000a6", uuid="", pid=5, name="pair"),
            make_vm("00000000000000a7", uuid="", pid=7, name="qemu"),
            make_vm("00000000000000a8", uuid="", pid=8, name="qemu-system-x86"),
            make_vm("00000000000000a9", uuid="0" * 8 + "-0000-0000-0000-" + "0" * 12, pid=9, name=""),
        ],
        [
            make_vm("00000000000000b1", uuid=UUID, pid=1),
            make_vm("00000000000000b2", uuid="", pid=2, name="db"),
        ],
        [
            make_vm("00000000000000c1", uuid="", pid=1, name="db"),
            make_vm("00000000000000c2", uuid="", pid=2, name="db"),
        ],
    ]


def test_what_is_stored_is_joined_as_what_comes_now(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        for number, of_host in enumerate(vms()):
            state = HostState.REPLAY if number == 2 else HostState.ATTACHED
            host = make_host(f"host-{number}", state=state)
            assert store.apply(
                make_batch(host=host, stream=str(number) * 32, vms=of_host, fault_counts=(), ledger=()),
                START_NS + 2 * NS_PER_S,
            )
        before = {vm.id: vm.guest for vm in every_vm(store)}
        guests = store.guests_named(list(before.values()))
    assert len(set(before.values())) == 10

    downgrade(url, "0018")
    migrate(url)

    with closing(open_store(url)) as store:
        assert {vm.id: vm.guest for vm in every_vm(store)} == before
        assert store.guests_named(list(before.values())) == guests
