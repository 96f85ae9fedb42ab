# SPDX-License-Identifier: Apache-2.0
"""What a killed collector left counting is read on, whatever the next one finds first."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from resource import RLIMIT_NOFILE, prlimit
from typing import Any

import msgspec
import pytest

from collector.probe import compiled, syscall
from collector.probe.compiled import Layout
from collector.probe.layout import About
from collector.probe.view import View
from tests.kernel.guests import end_endless, endless, run_guest, start_guest, truth_of
from tests.product import SEEN_S, TOP, Product, wait_for

pytestmark = pytest.mark.kernel

_FIRST = bytes(4)
_OF_ANOTHER_VERSION = "it is of another version, whose last counts this one cannot read"


def _spans(product: Product, at_least: int = 1) -> list[object] | None:
    spans = product.get("rates", metric="faults", from_="now-1h", step="1s", most=1)["coverage"]
    return spans if len(spans) >= at_least else None


def _left(product: Product) -> Path:
    """Kill the collector; where its programs and maps are pinned."""
    folder = product.bpffs / "kvmfaults" / (product.directory / "pins").read_text()
    product.kill_collector()
    return folder


def _events(product: Product, kind: str) -> list[dict[str, Any]]:
    """The host's events of a kind, oldest first."""
    items = product.get("host-events", host=product.host)["items"]
    return [item for item in reversed(items) if item["kind"] == kind]


def _replaced(product: Product) -> list[tuple[str, str]] | None:
    """Why countings were replaced."""
    return [(item["reason"], item["detail"]) for item in _events(product, "replaced")] or None


def _as_of_another_version(folder: Path) -> None:
    view = View.of(_layout(folder).value("about"), About)
    about = _pinned_map(folder, "about")
    value = syscall.lookup(about, _FIRST)
    assert value is not None
    syscall.update(about, _FIRST, view.pack(view.unpack(value)._replace(fingerprint=bytes(16))))


def _layout(folder: Path) -> Layout:
    return compiled.read(_pinned_map(folder, "layout"))


def _pinned_map(folder: Path, name: str) -> syscall.Map:
    return syscall.open_map(syscall.open_pinned(folder / f"map-{name}"))


def _is_waiting(product: Product) -> bool | None:
    return any(host["state"] == "waiting" for host in product.get("status")["hosts"]) or None


@pytest.fixture
def own_cache(own_server: Product) -> Product:
    """A product whose collector has its headers for itself."""
    own_server.cache_dir = own_server.directory
    own_server.start_collector()
    return own_server


def test_counting_goes_on_while_the_next_collector_waits_for_its_host(own_cache: Product) -> None:
    _left(own_cache)
    headers = own_cache.directory / "headers"
    headers.rename(own_cache.directory / "away")
    headers.write_text("no directory")
    own_cache.spawn_collector()
    wait_for(lambda: _is_waiting(own_cache), SEEN_S, "the collector waits")
    unseen = run_guest(write=503, memory_fault=7)
    headers.unlink()
    (own_cache.directory / "away").rename(headers)
    vm = own_cache.vm_with(unseen.pid, faults=unseen.faults, memory_fault_exits=7)
    assert (vm["faults"], vm["memory_fault_exits"]) == (unseen.faults, 7)
    assert _events(own_cache, "taken_over")


def test_a_collector_that_waits_and_is_stopped_leaves_nothing_counting(own_cache: Product) -> None:
    folder = _left(own_cache)
    headers = own_cache.directory / "headers"
    headers.rename(own_cache.directory / "away")
    headers.write_text("no directory")
    own_cache.spawn_collector()
    wait_for(lambda: _is_waiting(own_cache), SEEN_S, "the collector waits")
    assert folder.exists()
    assert own_cache.collector is not None
    own_cache.collector.terminate()
    own_cache.collector.wait(60)
    assert not folder.exists()


def test_programs_of_another_version_are_read_a_last_time_and_replaced(own_product: Product) -> None:
    folder = _left(own_product)
    _as_of_another_version(folder)
    unseen = run_guest(write=503)
    own_product.start_collector()
    assert own_product.vm_with(unseen.pid, faults=unseen.faults)["faults"] == unseen.faults
    assert not folder.exists()
    wait_for(lambda: _replaced(own_product), SEEN_S, "the switch is reported")
    assert _replaced(own_product) == [("other_version", "")]


def test_a_switch_of_versions_opens_no_gap(own_product: Product) -> None:
    folder = _left(own_product)
    _as_of_another_version(folder)
    with endless(steadily=True) as guest:
        own_product.start_collector()
        assert guest.poll() is None, "the guest was done before the switch"
        truth = end_endless(guest)
    vm = own_product.vm_with(truth.pid, faults=truth.faults)
    # Of one vCPU: a fault that was under way at the switch is in both.
    assert truth.faults <= vm["faults"] <= truth.faults + 1
    assert len(_spans(own_product) or []) == 1


@pytest.mark.parametrize("generation", [0, 2], ids=["stopped", "another generation"])
def test_a_set_that_was_stopped_is_read_a_last_time_as_not_covered(
    own_product: Product, generation: int
) -> None:
    folder = _left(own_product)
    before = run_guest(write=101)
    syscall.update(
        syscall.open_map(syscall.open_pinned(folder / "map-active_generation")),
        _FIRST,
        generation.to_bytes(4, sys.byteorder),
    )
    unseen = run_guest(write=503)
    own_product.start_collector()
    seen = run_guest(write=211)
    assert own_product.vm_with(seen.pid, faults=seen.faults)["faults"] == seen.faults
    assert own_product.vm_with(before.pid, faults=before.faults)["faults"] == before.faults
    assert own_product.vm(unseen.pid) is None
    assert _replaced(own_product) == [("paused", "")]
    # The second that runs is in no answer yet.
    spans = wait_for(lambda: _spans(own_product, at_least=2), SEEN_S, "what is covered since")
    assert len(spans) == 2


def test_maps_that_this_version_cannot_read_are_replaced_and_it_is_said(own_product: Product) -> None:
    folder = _left(own_product)
    layout = _layout(folder)
    concerns = {
        name: msgspec.structs.replace(one, meaning=one.meaning + 1) for name, one in layout.concerns.items()
    }
    compiled.write(_pinned_map(folder, "layout"), msgspec.structs.replace(layout, concerns=concerns))
    # As in a version that had no such map.
    (folder / "map-active_generation").unlink()
    own_product.start_collector()
    truth = run_guest(write=211)
    assert own_product.vm_with(truth.pid, faults=truth.faults)["faults"] == truth.faults
    assert not folder.exists()
    assert _replaced(own_product) == [("unreadable", _OF_ANOTHER_VERSION)]


def test_a_set_that_lacks_a_map_is_replaced_and_it_is_said(own_product: Product) -> None:
    folder = _left(own_product)
    (folder / "map-own_generation").unlink()
    own_product.start_collector()
    assert not folder.exists()
    assert _replaced(own_product) == [("unreadable", "it has no map own_generation")]


def test_what_cannot_be_opened_now_is_opened_once_it_can_be(own_product: Product) -> None:
    folder = _left(own_product)
    unseen = run_guest(write=503)
    few_files = ["prlimit", "--nofile=24:1024", sys.executable, "-m", *own_product.collector_command()]
    with subprocess.Popen(few_files, cwd=TOP, stderr=subprocess.PIPE, text=True) as collector:
        assert collector.stderr is not None
        first = next(line for line in collector.stderr if "waiting" in line)
        assert "cannot open what was left counting" in first
        assert folder.exists()
        prlimit(collector.pid, RLIMIT_NOFILE, (1024, 1024))
        assert own_product.vm_with(unseen.pid, faults=unseen.faults)["faults"] == unseen.faults
        collector.terminate()
        collector.stderr.read()
    assert collector.returncode == 0
    assert not folder.exists()


def test_a_set_that_does_not_say_what_it_is_is_replaced_and_it_is_said(own_product: Product) -> None:
    folder = _left(own_product)
    other = syscall.open_pinned(folder / "map-used")
    (folder / "map-about").unlink()
    syscall.pin(other, folder / "map-about")
    own_product.start_collector()
    assert not folder.exists()
    assert _replaced(own_product) == [("unreadable", _OF_ANOTHER_VERSION)]


@pytest.mark.parametrize("damage", ["the newest batch", "every batch"])
def test_a_damaged_spool_costs_what_was_in_it_and_stops_nobody(own_product: Product, damage: str) -> None:
    own_product.kill_server()
    truth = run_guest(write=503)
    batches = own_product.directory / "spool"
    wait_for(lambda: len(list(batches.glob("*.batch"))) > 3 or None, SEEN_S, "batches wait")
    _left(own_product)
    files = sorted(batches.glob("*.batch"))
    for path in files[-1:] if damage == "the newest batch" else files:
        path.write_bytes(path.read_bytes()[:-1])
    after = run_guest(write=211)
    own_product.start_server()
    own_product.start_collector()
    assert own_product.vm_with(after.pid, faults=after.faults)["faults"] == after.faults
    if damage == "the newest batch":
        assert own_product.vm_with(truth.pid, faults=truth.faults)["faults"] == truth.faults


def test_a_vm_that_ended_while_no_collector_ran_is_shown_to_have_ended_in_that_time(
    own_product: Product,
) -> None:
    guest = start_guest(write=200, name="gone-guest", hold=True)
    truth = truth_of(guest.stdout.readline() if guest.stdout else b"")
    vm = own_product.vm_with(truth.pid, faults=truth.faults)
    own_product.wait_until_vms_are_kept()
    own_product.kill_collector()
    looked_ns = (own_product.data_dir / "vms.json").stat().st_mtime_ns
    guest.communicate(timeout=60)
    # Long enough to be more than the time between two readings, on a clock of its own.
    time.sleep(max(0.0, looked_ns / 1e9 + 3 - time.time()))
    own_product.start_collector()

    def its_end() -> list[dict[str, Any]] | None:
        # Another test's guest may have ended meanwhile, too.
        return [item for item in _events(own_product, "ended_unseen") if item["vm"] == vm["id"]] or None

    (event,) = wait_for(its_end, SEEN_S, "the end is reported")
    ended_at = own_product.get(f"vms/{vm['id']}")["ended_at"]
    since = datetime.fromtimestamp(looked_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert event["vm_name"] == "gone-guest"
    assert (event["since"][:19], event["until"][:19]) == (since, ended_at[:19])
