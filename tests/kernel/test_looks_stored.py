# SPDX-License-Identifier: Apache-2.0
"""From the kernel to the store: what was looked at of a guest is what the guest did."""

import platform
from contextlib import closing

import pytest

from backend.store import open_store
from backend.store.contract.looks import KvmCountSum
from backend.store.contract.values import TimeRange
from tests.kernel.guests import start_guest, truth_of
from tests.product import SEEN_S, Product, wait_for

pytestmark = pytest.mark.kernel

EVER = TimeRange(0, 2**62)


def test_memslots_and_kvms_own_counts_of_a_guest_are_stored(own_product: Product) -> None:
    states = _checks(own_product)
    assert states == {"memslots": "ok"} | ({"kvm_counts": "ok"} if platform.machine() == "x86_64" else {})
    with (
        closing(open_store(own_product.database)) as store,
        start_guest(hold=True, write=1500, read=300, vcpus=2) as guest,
    ):
        assert guest.stdout is not None
        truth = truth_of(guest.stdout.readline())
        vm = own_product.vm_with(truth.pid, faults=truth.faults)["id"]

        def counts() -> KvmCountSum | None:
            found = store.kvm_count_sums([vm], EVER)
            return found[0] if found and found[0].seen >= truth.faults else None

        lives = wait_for(lambda: store.memslots([vm], EVER, limit=100), SEEN_S, "memslots are stored")
        if platform.machine() == "x86_64":
            of_kvm = wait_for(counts, SEEN_S, "KVM's own counts are stored")
            assert (of_kvm.pf_taken, of_kvm.seen) == (truth.faults, truth.faults)
            (fixed,) = store.fixed_sums([vm], EVER)
            assert sum(fixed[1:]) == of_kvm.pf_fixed == truth.faults
            (pages,) = store.vm_pages([vm])
            assert pages.pages_4k > 0
        guest.communicate(timeout=60)
    assert {life.memslot.backing for life in lives} == {"anonymous", "memfd"}
    assert all(life.to_ns is None for life in lives)


def _checks(product: Product) -> dict[str, str]:
    """Return the state of all that is looked at, as soon as the collector looks."""

    def found() -> dict[str, str] | None:
        (host,) = product.get("status")["hosts"]
        names = ("looks", "mappings", "memslots", "kvm_counts")
        return {check["name"]: check["state"] for check in host["checks"] if check["name"] in names} or None

    return wait_for(found, SEEN_S, "the kernel was looked at")
