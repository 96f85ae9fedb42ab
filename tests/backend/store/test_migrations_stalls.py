# SPDX-License-Identifier: Apache-2.0
"""The migration that brought stalls: what was stored before stays; taken back, all is as it was."""

from contextlib import closing

from backend.store import open_store
from backend.store.contract.values import TimeRange
from backend.store.sql.migrate import downgrade, migrate
from tests.backend.store.conftest import NewUrl
from tests.backend.store.everything import a_batch, roll_up
from tests.backend.store.migrating import every_vm, rows, tables
from tests.batches import NS_PER_S, START_NS, fault_count, make_batch

_BEFORE = "0024"
_VM = f"{1:08x}{1:08x}"
_RECEIVED_NS = START_NS + 10**6 * NS_PER_S
_LATER = {"stalls", "vcpu_stalls", "stall_ledger", "waits", "pressures", "kvm_counts"}


def test_counts_of_before_stay_when_it_is_made_and_taken_back(new_url: NewUrl) -> None:
    url = new_url()
    downgrade(url, _BEFORE)
    before = tables(url)
    migrate(url)
    with closing(open_store(url)) as store:
        store.apply(make_batch(fault_counts=[fault_count(_VM, faults=3)]), START_NS)
        roll_up(store)
        vms = every_vm(store)
    downgrade(url, _BEFORE)
    assert tables(url) == before
    assert rows(url, "SELECT sum(faults) FROM fault_counts_1h") == [(3,)]
    migrate(url)
    with closing(open_store(url)) as store:
        assert every_vm(store) == vms


def test_what_came_with_it_goes_with_it_and_comes_again(new_url: NewUrl) -> None:
    url = new_url()
    for number in range(2):
        with closing(open_store(url)) as store:
            assert store.apply(a_batch(number), _RECEIVED_NS)
            roll_up(store)
            ledger = store.stall_ledger(None, TimeRange())
            assert [item.stalled + item.uncounted for item in ledger] == [item.ended for item in ledger] != []
            assert len(store.memslots([item.vm for item in ledger], TimeRange(), limit=9)) == 1
            assert store.vm(ledger[0].vm, TimeRange()).faults == 6
        downgrade(url, _BEFORE)
        names = tables(url)
        assert not any(f"{name}_{level}" in names for name in _LATER for level in ("1s", "10s", "1h"))
        assert not {"causes", "memslots", "vm_pages"} & names
        migrate(url)
    with closing(open_store(url)) as store:
        assert sum(vm.faults for vm in every_vm(store)) == 12
        assert not any(item.ended for item in store.stall_ledger(None, TimeRange()))
