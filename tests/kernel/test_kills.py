# SPDX-License-Identifier: Apache-2.0
"""Killing either side, at any moment."""

import signal
import time
from pathlib import Path

import pytest

from tests.kernel.guests import end_endless, endless, run_guest, start_guest, truth_of
from tests.product import SEEN_S, Product, wait_for

pytestmark = pytest.mark.kernel


def test_killing_the_server_while_a_guest_faults_changes_no_total(own_product: Product) -> None:
    with endless(vcpus=2) as guest:
        for _ in range(3):
            time.sleep(0.3)
            own_product.kill_server()
            own_product.start_server()
        truth = end_endless(guest)
    exits = len(truth.memory_fault_exits)
    vm = own_product.vm_with(truth.pid, faults=truth.faults, memory_fault_exits=exits)
    assert (vm["faults"], vm["memory_fault_exits"]) == (truth.faults, exits)


def test_faults_while_the_server_is_away_arrive_when_it_is_back(own_product: Product) -> None:
    own_product.kill_server()
    truth = run_guest(write=2003, read=101)
    time.sleep(1.2)  # Two more readings are shipped into the void.
    own_product.start_server()
    vm = own_product.vm_with(truth.pid, faults=truth.faults)
    assert vm["faults"] == truth.faults


def test_a_killed_collector_loses_no_count_and_leaves_no_gap(own_product: Product) -> None:
    before = run_guest(write=1009)
    own_product.vm_with(before.pid, faults=before.faults)
    killed_ms = time.time_ns() // 1_000_000
    own_product.kill_collector()
    unseen = run_guest(write=503, memory_fault=7)
    time.sleep(1.5)
    restarted_ms = time.time_ns() // 1_000_000
    own_product.start_collector()
    after = run_guest(write=211)
    assert own_product.vm_with(after.pid, faults=after.faults)["faults"] == after.faults
    vm = own_product.vm_with(unseen.pid, faults=unseen.faults, memory_fault_exits=7)
    assert (vm["faults"], vm["memory_fault_exits"]) == (unseen.faults, 7)
    first = own_product.vm(before.pid)
    assert first is not None
    assert first["faults"] == before.faults
    spans = own_product.get("rates", metric="faults", from_="now-1h", step="1s", most=1)["coverage"]
    assert any(span["from_ms"] < killed_ms and span["to_ms"] > restarted_ms for span in spans)


def test_where_nothing_can_be_pinned_a_killed_collector_leaves_a_gap_and_says_so(
    own_server: Product, tmp_path: Path
) -> None:
    own_server.start_collector("--bpffs", str(tmp_path))
    (host,) = own_server.get("status")["hosts"]
    assert "counting ends with the collector" in host["detail"]
    killed_ms = time.time_ns() // 1_000_000
    own_server.kill_collector()
    unseen = run_guest(write=503)
    time.sleep(1.5)
    restarted_ms = time.time_ns() // 1_000_000
    own_server.start_collector()
    after = run_guest(write=211)
    assert own_server.vm_with(after.pid, faults=after.faults)["faults"] == after.faults
    assert own_server.vm(unseen.pid) is None
    spans = own_server.get("rates", metric="faults", from_="now-1h", step="1s", most=1)["coverage"]
    assert not any(span["from_ms"] < restarted_ms and span["to_ms"] > killed_ms for span in spans)


def test_a_collector_asked_to_hand_over_loses_no_count(own_product: Product) -> None:
    collector = own_product.collector
    assert collector is not None
    collector.send_signal(signal.SIGHUP)
    assert collector.wait(60) == 0
    unseen = run_guest(write=607)
    own_product.start_collector()
    assert own_product.vm_with(unseen.pid, faults=unseen.faults)["faults"] == unseen.faults
    kinds = [event["kind"] for event in own_product.get("host-events")["items"]]
    # That nobody saw the guest end may be reported by now, or with a later batch.
    others = [kind for kind in kinds if kind not in ("records", "ended_unseen")]
    assert sorted(others) == ["attached", "taken_over"]


def test_an_ordered_end_leaves_nothing_counting(own_product: Product) -> None:
    assert own_product.collector is not None
    own_product.collector.terminate()
    own_product.collector.wait(60)
    detach = ("collector", "detach", "--data-dir", str(own_product.directory))
    removed = own_product.command(*detach, "--bpffs", str(own_product.bpffs))
    assert removed == "removed 0 sets of programs and maps\n"


def test_detach_removes_what_a_killed_collector_left(own_product: Product) -> None:
    own_product.kill_collector()
    detach = ("collector", "detach", "--data-dir", str(own_product.directory))
    there = ("--bpffs", str(own_product.bpffs))
    assert own_product.command(*detach, *there) == "removed 1 set of programs and maps\n"
    assert own_product.command(*detach, *there) == "removed 0 sets of programs and maps\n"


def test_an_ordered_end_delivers_the_last_counts(own_product: Product) -> None:
    truth = run_guest(write=701)
    assert own_product.collector is not None
    own_product.collector.terminate()
    own_product.collector.wait(60)
    vm = own_product.vm_with(truth.pid, faults=truth.faults)
    assert vm["faults"] == truth.faults


def test_a_vm_is_seen_to_end(own_product: Product) -> None:
    guest = start_guest(write=10, hold=True)
    assert guest.stdout is not None
    truth = truth_of(guest.stdout.readline())
    alive = own_product.vm_with(truth.pid, faults=truth.faults)
    assert alive["ended_at"] is None
    guest.communicate()

    def ended() -> str | None:
        vm = own_product.vm(truth.pid)
        return vm["ended_at"] if vm else None

    assert wait_for(ended, SEEN_S, "the VM's end is shown") > alive["started_at"]


def test_a_vm_that_ends_while_no_collector_runs_is_seen_to_have_ended(own_product: Product) -> None:
    guest = start_guest(write=10, hold=True)
    assert guest.stdout is not None
    truth = truth_of(guest.stdout.readline())
    own_product.vm_with(truth.pid, faults=truth.faults)
    own_product.wait_until_vms_are_kept()
    own_product.kill_collector()
    guest.communicate()
    own_product.start_collector()

    def ended() -> str | None:
        vm = own_product.vm(truth.pid)
        return vm["ended_at"] if vm else None

    wait_for(ended, SEEN_S, "the VM's end is shown")
    vm = own_product.vm(truth.pid)
    assert vm is not None
    assert vm["faults"] == truth.faults
