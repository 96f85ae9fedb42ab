# SPDX-License-Identifier: Apache-2.0
"""How long a real guest's faults stalled it, as the API shows it: each fault once, whatever became of it."""

import pytest

from tests.kernel.guests import run_guest
from tests.product import SEEN_S, Product, wait_for

pytestmark = pytest.mark.kernel


def test_every_fault_of_a_guest_is_among_its_stalls(product: Product) -> None:
    (host,) = product.get("status")["hosts"]
    if host["flavour"] != "pvm":
        pytest.skip(f"stalls are measured on PVM so far, not on {host['flavour']}")
    truth = run_guest(write=5003, read=503, execute=101, memory_fault=7, bare_error=5, vcpus=2)
    vm_id = str(product.vm_with(truth.pid, faults=truth.faults)["id"])
    answer = wait_for(
        lambda: found if (found := product.get("stall", vm=vm_id))["items"] else None, SEEN_S, "stalls"
    )
    (measured,) = answer["measured_by"]
    assert (measured["begins"], measured["ends"]) == ("kvm_mmu_pagetable_walk", "kvm_mmu_spte_requested")
    assert measured["blocked"]
    by_outcome = {"mapped_4k": 0, "exit": 0}
    for item in answer["items"]:
        by_outcome[item["outcome"]] += item["count"]
        assert sum(bucket["count"] for bucket in item["buckets"]) == item["count"]
    assert by_outcome == {"mapped_4k": truth.mapped, "exit": len(truth.exits)}
    (ledger,) = answer["ledger"]
    assert (ledger["faults"], ledger["ended"], ledger["stalled"], ledger["uncounted"]) == (
        *(truth.faults,) * 3,
        0,
    )
    assert answer["warnings"] == []
