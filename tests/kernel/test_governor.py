# SPDX-License-Identifier: Apache-2.0
"""The collector's budget and the operator's requests, end to end."""

import pytest

from tests.kernel.guests import run_guest, start_guest, truth_of
from tests.product import SEEN_S, Product, wait_for

pytestmark = pytest.mark.kernel


def _steps(product: Product) -> list[int | None]:
    """How one of how many faults is recorded, from the first event to the last."""
    items = product.get("host-events", host=product.host)["items"]
    return [item["one_in"] for item in reversed(items) if item["kind"] == "records"]


def _ledger(product: Product, vm_id: str) -> dict[str, int]:
    """Totals of a VM's ledger."""
    (entry,) = product.get("ledger", vm=vm_id, from_="now-1h")["vms"]
    names = ("seen", "counted", "uncounted", "recorded", "sampled_out", "dropped")
    return {name: entry[name]["total"] for name in names}


def test_over_its_budget_the_collector_records_less_says_why_and_counts_as_exactly(
    own_server: Product,
) -> None:
    own_server.start_collector("--records", "all", "--budget", "0.01", "--interval", "0.1")
    wait_for(lambda: _steps(own_server)[-3:] == [1, None, 0] or None, SEEN_S, "two steps down")
    newest = own_server.get("host-events", host=own_server.host)["items"][0]
    assert (newest["reason"], newest["granted_percent"]) == ("budget", 0.01)
    assert newest["used_percent"] > 0.01
    truth = run_guest(write=20_011, read=503, vcpus=2)
    vm = own_server.vm_with(truth.pid, faults=truth.faults)
    assert vm["faults"] == truth.faults
    ledger = _ledger(own_server, vm["id"])
    assert (ledger["seen"], ledger["counted"], ledger["recorded"]) == (truth.faults, truth.faults, 0)
    assert ledger["sampled_out"] == truth.faults


@pytest.mark.alone
def test_with_all_records_every_fault_is_recorded(own_server: Product) -> None:
    own_server.start_collector("--records", "all", "--budget", "0")
    truth = run_guest(write=5003, read=101, vcpus=2)
    vm = own_server.vm_with(truth.pid, faults=truth.faults)
    ledger = _ledger(own_server, vm["id"])
    assert (ledger["recorded"], ledger["sampled_out"], ledger["dropped"]) == (truth.faults, 0, 0)


def test_a_vm_is_recorded_in_full_on_request(own_server: Product) -> None:
    own_server.start_collector("--records", "none", "--budget", "0")
    guest = start_guest(write=10, hold=True)
    assert guest.stdout is not None
    truth = truth_of(guest.stdout.readline())
    vm = own_server.vm_with(truth.pid, faults=truth.faults)
    own_server.command(
        *("collector", "record", str(truth.pid), "--for", "600", "--no-wait"),
        *("--data-dir", str(own_server.directory)),
    )

    def events() -> list[tuple[str, str, str]] | None:
        items = own_server.get("host-events", host=own_server.host)["items"]
        changes = [item for item in items if item["kind"] == "vm_records"]
        return [(item["vm"], item["level"], item["reason"]) for item in changes] or None

    assert wait_for(events, SEEN_S, "the request is reported") == [(vm["id"], "all", "asked_for")]
    guest.communicate()
