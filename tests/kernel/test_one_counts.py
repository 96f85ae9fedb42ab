# SPDX-License-Identifier: Apache-2.0
"""One set of programs counts on a machine at a time, and what nobody reads any more is seen to."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.counting.pinned_sets import find_sets, set_of
from collector.counting.pins import Pins
from collector.counting.reader import Reader
from collector.probe.probes import Probes
from tests.kernel.attached import attached
from tests.kernel.guests import end_endless, endless, run_guest
from tests.product import SEEN_S, TOP, Product, wait_for

pytestmark = pytest.mark.kernel


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Product]:
    """A second server, whose collector a test starts on the same machine."""
    (tmp_path / "other").mkdir()
    running = Product(tmp_path / "other")
    running.rename("other-host")
    try:
        running.start_server()
        yield running
    finally:
        running.stop()


def _waiting(product: Product) -> str | None:
    details = [host["detail"] for host in product.get("status")["hosts"] if host["state"] == "waiting"]
    return next((detail for detail in details if "another collector" in detail), None)


def _reasons(product: Product, kind: str) -> list[str]:
    items = product.get("host-events", host=product.host)["items"]
    return [item["reason"] for item in items if item["kind"] == kind]


@pytest.mark.parametrize("shared", ["lock file", "pins"])
def test_a_second_collector_waits_says_so_and_counts_when_it_is_alone(
    own_product: Product, other: Product, shared: str
) -> None:
    # As on one file system; or as in two containers, each with a file system of its own.
    if shared == "lock file":
        other.lock_file = own_product.lock_file
    else:
        other.bpffs = own_product.bpffs
    other.spawn_collector()
    reason = wait_for(lambda: _waiting(other), SEEN_S, "the second collector waits")
    assert "as host test-host" in reason
    assert f"--data-dir {own_product.data_dir}" in reason
    assert own_product.collector is not None
    if shared == "lock file":
        assert f"process {own_product.collector.pid}," in reason
    truth = run_guest(write=503)
    assert own_product.vm_with(truth.pid, faults=truth.faults)["faults"] == truth.faults
    assert other.vm(truth.pid) is None
    own_product.collector.terminate()
    own_product.collector.wait(30)
    wait_for(lambda: other.status("/readyz") == 200 or None, SEEN_S + 15, "the second collector counts")
    after = run_guest(write=211)
    assert other.vm_with(after.pid, faults=after.faults)["faults"] == after.faults


def test_two_collectors_of_one_name_count_nothing_twice(own_product: Product, tmp_path: Path) -> None:
    own_product.data_dir = tmp_path / "second"
    first, log = own_product.collector, own_product.directory / "collector.log"
    own_product.spawn_collector()
    second = own_product.collector
    assert second is not None
    wait_for(lambda: "another collector counts" in log.read_text() or None, SEEN_S, "it is logged")
    truth = run_guest(write=2003, read=101)
    assert own_product.vm_with(truth.pid, faults=truth.faults)["faults"] == truth.faults
    second.terminate()
    assert second.wait(30) == 0
    (host,) = own_product.get("status")["hosts"]
    assert host["state"] == "attached"
    assert own_product.vm_with(truth.pid, faults=truth.faults)["faults"] == truth.faults
    own_product.collector = first


def test_a_data_directory_that_is_lost_costs_no_count_that_was_not_in_it(
    own_product: Product, tmp_path: Path
) -> None:
    before = run_guest(write=101)
    own_product.vm_with(before.pid, faults=before.faults)
    own_product.kill_collector()
    unseen = run_guest(write=503, memory_fault=7)
    (own_product.data_dir / "pins").unlink()
    own_product.data_dir = tmp_path / "new"
    own_product.start_collector()
    vm = own_product.vm_with(unseen.pid, faults=unseen.faults, memory_fault_exits=7)
    assert (vm["faults"], vm["memory_fault_exits"]) == (unseen.faults, 7)
    after = run_guest(write=211)
    assert own_product.vm_with(after.pid, faults=after.faults)["faults"] == after.faults
    first = own_product.vm(before.pid)
    assert first is not None
    assert first["faults"] == before.faults
    reasons = wait_for(lambda: _reasons(own_product, "taken_over") or None, SEEN_S, "it is reasons")
    assert reasons == ["adopted"]
    assert len(find_sets(own_product.bpffs)) == 1


@contextmanager
def _pinned_by_another(probes: Probes, product: Product, data_dir: Path) -> Iterator[Path]:
    data_dir.mkdir()
    pins = Pins(data_dir / "pins", product.bpffs, "another")
    assert pins.keep(probes, 0) is None
    pins.release()
    yield product.bpffs / "kvmfaults" / (data_dir / "pins").read_text()


@pytest.fixture
def probes(headers_cache: Path) -> Iterator[Probes]:
    with attached(headers_cache) as probes:
        yield probes


def test_a_set_that_nobody_comes_back_for_is_removed_and_it_is_said(
    own_product: Product, probes: Probes, tmp_path: Path
) -> None:
    own_product.kill_collector()
    unseen = run_guest(write=503)
    with _pinned_by_another(probes, own_product, tmp_path / "lost") as folder:
        (tmp_path / "lost/pins").unlink()
        own_product.start_collector()
        assert own_product.vm_with(unseen.pid, faults=unseen.faults)["faults"] == unseen.faults
        assert not folder.exists()
        assert len(find_sets(own_product.bpffs)) == 1
        reasons = wait_for(lambda: _reasons(own_product, "replaced") or None, SEEN_S, "it is reasons")
        assert reasons == ["unread"]


def test_a_set_whose_collector_may_come_back_is_stopped_and_kept(
    own_product: Product, probes: Probes, tmp_path: Path
) -> None:
    own_product.kill_collector()
    with _pinned_by_another(probes, own_product, tmp_path / "another") as folder:
        assert probes.is_counting()
        own_product.start_collector()
        assert folder.exists()
        assert not probes.is_counting()
        truth = run_guest(write=211)
        assert own_product.vm_with(truth.pid, faults=truth.faults)["faults"] == truth.faults


def test_what_another_left_counting_stops_before_this_one_begins(
    own_product: Product, probes: Probes, tmp_path: Path
) -> None:
    assert own_product.collector is not None
    own_product.collector.terminate()
    own_product.collector.wait(60)
    with _pinned_by_another(probes, own_product, tmp_path / "another"), endless(steadily=True) as guest:
        own_product.start_collector()
        assert guest.poll() is None, "the guest was done before the collector began"
        truth = end_endless(guest)
        ended = datetime.now(UTC)
        wait_for(lambda: own_product.covers(ended) or None, SEEN_S, "all is counted")
        vm = own_product.vm(truth.pid)
        reading = Reader(probes).read()
    (left,) = [one.seen for key, one in reading.accounts.items() if reading.vms[key].tgid == truth.pid]
    assert vm is not None
    assert left > 0
    # Of one vCPU: a fault that was under way may be in both.
    assert left + vm["faults"] <= truth.faults + 1


def test_detach_leaves_what_a_running_collector_reads(
    own_product: Product, probes: Probes, tmp_path: Path
) -> None:
    with _pinned_by_another(probes, own_product, tmp_path / "another") as folder:
        removed = own_product.command("collector", "detach", "--all", "--bpffs", str(own_product.bpffs))
        assert removed == ("removed 1 set of programs and maps\nleft 1 set that a running collector reads\n")
        assert not folder.exists()
    (left,) = find_sets(own_product.bpffs)
    assert left.is_read()
    assert left.owner == set_of(left.folder).owner
    assert left.owner is not None
    assert (left.owner.host, left.owner.data_dir) == ("test-host", str(own_product.data_dir))


def _doctor(product: Product) -> dict[str, dict[str, str]]:
    command = [sys.executable, "-m", "collector", "doctor", "--json", "--no-attach"]
    command += ["--data-dir", str(product.data_dir), "--bpffs", str(product.bpffs)]
    command += ["--lock-file", str(product.lock_file)]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True)
    return {finding["name"]: finding for finding in json.loads(done.stdout)}


def test_the_doctor_finds_who_counts_and_what_nobody_reads(
    own_product: Product, probes: Probes, tmp_path: Path
) -> None:
    with _pinned_by_another(probes, own_product, tmp_path / "another"):
        findings = _doctor(own_product)
        assert own_product.collector is not None
        assert f"process {own_product.collector.pid}" in findings["counting"]["found"]
        assert findings["left"]["state"] == "lacking"
        assert f"1 set that --data-dir {tmp_path / 'another'} left" in findings["left"]["found"]
        (tmp_path / "another/pins").unlink()
        assert "1 set whose data directory is gone" in _doctor(own_product)["left"]["found"]
    own_product.command("collector", "detach", "--all", "--bpffs", str(own_product.bpffs))
    assert _doctor(own_product)["left"]["state"] == "ok"


def _faults(product: Product, pid: int, host: str | None = None) -> int:
    """What is shown of a process's VMs: of all hosts, or of one."""
    vms = product.get("vms", pid=pid, **({"host": host} if host else {}))["items"]
    return sum(vm["faults"] for vm in vms)


def test_a_host_that_is_renamed_while_a_vm_lives_loses_and_doubles_nothing(own_product: Product) -> None:
    with endless(steadily=True) as guest:
        wait_for(lambda: _faults(own_product, guest.pid) or None, SEEN_S, "the guest is seen")
        # In between it would fault for nothing.
        guest.send_signal(signal.SIGSTOP)
        old, old_token = own_product.host, own_product.token
        own_product.kill_server()
        spool = own_product.data_dir / "spool"
        wait_for(lambda: len(list(spool.glob("*.batch"))) > 2 or None, SEEN_S, "batches wait")
        own_product.kill_collector()
        own_product.spawn_server()
        wait_for(lambda: own_product.status("/healthz") == 200 or None, 60, "the server answers")
        own_product.rename("new-name")
        own_product.start_collector()
        guest.send_signal(signal.SIGCONT)
        wait_for(
            lambda: _faults(own_product, guest.pid, "new-name") or None,
            SEEN_S,
            "it faults under the new name",
        )
        truth = end_endless(guest)
    new = own_product.get("status")["hosts"]
    assert "put aside (it counts for host 'test-host')" in next(
        host["detail"] for host in new if host["name"] == "new-name"
    )
    # With its old name and token it hands in what had waited.
    own_product.host, own_product.token = old, old_token
    own_product.restart_collector()

    def total() -> int | None:
        faults = _faults(own_product, truth.pid)
        return faults if faults >= truth.faults else None

    assert wait_for(total, SEEN_S + 15, "all was counted") <= truth.faults + 1
    for host in (old, "new-name"):
        (vm,) = own_product.get("vms", pid=truth.pid, host=host)["items"]
        ledger = own_product.get("ledger", host=host)["vms"]
        assert [item["missing"] for item in ledger if item["vm"] == vm["id"]] == [0]


def _remount(product: Product, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(product.bpffs)], check=True)


def test_pins_that_cannot_be_removed_do_not_spoil_the_end(own_product: Product) -> None:
    collector = own_product.collector
    assert collector is not None
    _remount(own_product, "ro")
    truth = run_guest(write=211)
    collector.terminate()
    assert collector.wait(60) == 0
    _remount(own_product, "rw")
    assert own_product.vm_with(truth.pid, faults=truth.faults)["faults"] == truth.faults
    assert "not unpinned" in (own_product.directory / "collector.log").read_text()
    own_product.start_collector()
    after = run_guest(write=101)
    assert own_product.vm_with(after.pid, faults=after.faults)["faults"] == after.faults
    assert len(find_sets(own_product.bpffs)) == 1


def test_where_the_pins_folder_cannot_be_written_it_counts_unpinned_and_says_so(own_product: Product) -> None:
    assert own_product.collector is not None
    own_product.collector.terminate()
    own_product.collector.wait(60)
    _remount(own_product, "ro")
    try:
        own_product.start_collector()
        (host,) = own_product.get("status")["hosts"]
        assert "counting ends with the collector" in host["detail"]
        truth = run_guest(write=101)
        assert own_product.vm_with(truth.pid, faults=truth.faults)["faults"] == truth.faults
    finally:
        _remount(own_product, "rw")
