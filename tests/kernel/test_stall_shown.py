# SPDX-License-Identifier: Apache-2.0
"""How long a real guest's faults stalled it, as the API shows it: each fault once, whatever became of it."""

import subprocess
import sys
from typing import Any

import pytest

from demo.handler_cases import DELAYS_S
from tests.kernel.guests import Truth, run_guest, truth_of
from tests.product import SEEN_S, TOP, Product, wait_for

pytestmark = pytest.mark.kernel


@pytest.fixture
def measuring(product: Product) -> Product:
    """The product, on a host where stalls are measured."""
    (host,) = product.get("status")["hosts"]
    if host["flavour"] != "pvm":
        pytest.skip(f"stalls are measured on PVM so far, not on {host['flavour']}")
    return product


def _stall(product: Product, truth: Truth) -> dict[str, Any]:
    """What the API has of a guest's stalls, once all of its faults are shown: each is among them."""
    vm_id = product.vm_with(truth.pid, faults=truth.faults)["id"]

    def all_of_them() -> dict[str, Any] | None:
        found: dict[str, Any] = product.get("stall", vm=vm_id)
        return found if sum(item["ended"] for item in found["ledger"]) >= truth.faults else None

    # Stalls are read before the faults, so a fault in between is among the next reading's.
    answer = wait_for(all_of_them, SEEN_S, "every fault's stall")
    (ledger,) = answer["ledger"]
    assert {name: ledger[name] for name in ("faults", "ended", "stalled", "uncounted")} == {
        **dict.fromkeys(("faults", "ended", "stalled"), truth.faults),
        "uncounted": 0,
    }
    assert sum(item["count"] for item in answer["items"]) == truth.faults
    assert answer["warnings"] == []
    return answer


def test_every_fault_of_a_guest_is_among_its_stalls(measuring: Product) -> None:
    truth = run_guest(write=5003, read=503, execute=101, memory_fault=7, bare_error=5, vcpus=2)
    answer = _stall(measuring, truth)
    (measured,) = answer["measured_by"]
    assert (measured["begins"], measured["ends"]) == ("kvm_mmu_pagetable_walk", "kvm_mmu_spte_requested")
    assert measured["blocked"]
    by_outcome = {"mapped_4k": 0, "exit": 0}
    for item in answer["items"]:
        by_outcome[item["outcome"]] += item["count"]
        assert sum(bucket["count"] for bucket in item["buckets"]) == item["count"]
    assert by_outcome == {"mapped_4k": truth.mapped, "exit": len(truth.exits)}


def test_what_a_late_handler_takes_is_time_that_vcpus_were_blocked(measuring: Product) -> None:
    rounds = 2
    command = [sys.executable, "-m", "tests.emulated.act", "SlowHandler", str(rounds * len(DELAYS_S))]
    truth = truth_of(subprocess.run(command, cwd=TOP, check=True, stdout=subprocess.PIPE).stdout)
    answer = _stall(measuring, truth)
    waited_s = rounds * sum(DELAYS_S)
    # The handler sleeps for so long at least, each vCPU's own.
    assert all(vcpu["blocked_s"] >= 0.98 * waited_s for vcpu in answer["vcpus"])
    assert len(answer["vcpus"]) == 2
    for delay_s in DELAYS_S:
        late = [taken for taken in DELAYS_S if taken >= delay_s]
        edge_us = 2.0 ** int(delay_s * 1e6).bit_length() / 2
        longer = sum(
            bucket["count"]
            for item in answer["items"]
            for bucket in item["buckets"]
            if bucket["le_us"] is None or bucket["le_us"] > edge_us
        )
        assert longer >= 2 * rounds * len(late)
