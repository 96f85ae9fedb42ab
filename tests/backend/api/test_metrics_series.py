# SPDX-License-Identifier: Apache-2.0
"""Of which VMs there are series, for how long, and how many."""

import gzip

import pytest

from backend.query import exposed_vms
from faultmodel.kinds import HostState
from faultmodel.metrics import MOST_SERIES_OF_VM
from faultmodel.outcomes import Outcome
from faultmodel.record import Access, Vm
from faultmodel.wire import Batch
from tests.backend.api.scraping import READ, WRITE, asked, scraped, second_of
from tests.backend.serving import Server
from tests.batches import (
    NS_PER_S,
    START_NS,
    START_S,
    VM_ID,
    exit_count,
    fault_count,
    make_batch,
    make_host,
    make_vm,
    stall_count,
)
from tests.scraped import Scrape


def ended(second: int, vm_id: str = VM_ID) -> Vm:
    """Return a VM that ended in a second."""
    return make_vm(vm_id, ended_ns=START_NS + second * NS_PER_S)


def test_a_vm_that_has_ended_leaves_after_two_intervals(server: Server) -> None:
    server.apply(second_of(0), make_batch(1, vms=[ended(1)]))
    for second, is_shown in ((2, True), (exposed_vms.GONE_S, True), (exposed_vms.GONE_S + 2, False)):
        server.clock.now_ns = START_NS + second * NS_PER_S
        assert bool(scraped(server).of_vm(VM_ID)) is is_shown, second


def test_the_last_counts_of_a_vm_that_ended_while_its_host_was_away_are_shown(server: Server) -> None:
    server.apply(second_of(0))
    away_s = 6 * 3600
    for second in (1, 3600, away_s):
        server.clock.now_ns = START_NS + second * NS_PER_S
        assert scraped(server).sum("kvmfaults_faults_total", vm=VM_ID) == 10
    server.apply(second_of(30, faults=5, sequence=1), make_batch(2, vms=[ended(31)]))
    for second, shown in ((1, [15.0]), (exposed_vms.GONE_S - 1, [15.0]), (exposed_vms.GONE_S + 1, [])):
        server.clock.now_ns = START_NS + (away_s + second) * NS_PER_S
        reads = scraped(server).values("kvmfaults_faults_total", vm=VM_ID, access="read")
        assert [value for _, value in reads] == shown


def test_vms_of_a_host_that_is_gone_leave_and_the_host_stays(server: Server) -> None:
    server.apply(second_of(0))
    server.clock.now_ns = START_NS + (exposed_vms.ABSENT_S + 60) * NS_PER_S
    found = scraped(server)
    assert found.of_vm(VM_ID) == []
    assert found.value("kvmfaults_host_last_batch_timestamp_seconds", host="host-1") == START_S + 60


def test_recordings_are_not_there(server: Server) -> None:
    recording = make_host("import/trace", state=HostState.REPLAY)
    server.apply(make_batch(0, host=recording, fault_counts=[fault_count()]))
    found = scraped(server)
    assert found.of_vm(VM_ID) == []
    assert found.values("kvmfaults_host_info") == []


def test_a_vm_has_no_more_series_than_is_said_whatever_its_host_sends(server: Server) -> None:
    exits = [exit_count(vcpu=n % 7, reason=n % 83, errno=n % 151) for n in range(9000)]
    words = [fault_count(word=word) for word in range(2000)]
    stalls = [
        stall_count(access=access, outcome=outcome, octave=octave)
        for access in Access
        for outcome in Outcome
        for octave in (-2, -1, 31)
    ]
    server.apply(make_batch(0, exit_counts=exits, fault_counts=words, stalls=stalls))
    found = scraped(server)
    assert 300 < len(found.of_vm(VM_ID)) <= MOST_SERIES_OF_VM
    assert found.sum("kvmfaults_exits_total", vm=VM_ID) == len(exits)
    assert found.sum("kvmfaults_faults_total", vm=VM_ID) == len(words)
    assert {name for _, labels, _ in found.samples for name in labels}.isdisjoint(
        {"pid", "vcpu", "gpa", "pc"}
    )


def many(vms: int) -> Batch:
    """Return a batch of so many VMs, each of which has something of most metrics."""
    ids = [f"{number:016x}" for number in range(1, vms + 1)]
    stalls = [
        stall_count(vm_id, outcome=outcome, octave=octave, q0=number)
        for number, vm_id in enumerate(ids, 1)
        for outcome in (Outcome.MAPPED_4K, Outcome.MAPPED_2M, Outcome.FAST)
        for octave in (0, 3, 9)
    ]
    return make_batch(
        0,
        vms=[
            make_vm(vm_id, name=f"guest-{vm_id}", uuid=f"6f1d0c9a-52a5-4ad5-8f43-0f6b1f{vm_id[-6:]}")
            for vm_id in ids
        ],
        fault_counts=[
            fault_count(vm_id, word=word, faults=number)
            for number, vm_id in enumerate(ids, 1)
            for word in (READ, WRITE)
        ],
        exit_counts=[
            exit_count(vm_id, reason=reason, count=reason + number)
            for number, vm_id in enumerate(ids)
            for reason in (0, 2, 6, 39)
        ],
        stalls=stalls,
    )


def test_500_vms_are_less_than_a_megabyte(server: Server) -> None:
    server.apply(many(500))
    response = asked(server, **{"Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert Scrape(response.text).value("kvmfaults_vms", state="shown") == 500
    assert int(response.headers["content-length"]) < 1_000_000
    assert int(response.headers["content-length"]) == len(gzip.compress(response.content, 4, mtime=0))


def test_more_vms_than_there_is_room_for_are_counted_as_left_out(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposed_vms, "MOST_VMS", 3)
    server.apply(many(5))
    found = scraped(server)
    assert found.value("kvmfaults_vms", state="shown") == len(found.values("kvmfaults_vm_info")) == 3
    assert found.value("kvmfaults_vms", state="left_out") == 2
