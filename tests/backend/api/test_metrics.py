# SPDX-License-Identifier: Apache-2.0
"""What Prometheus scrapes: the totals of the API, in counters that do not fall."""

import subprocess
from contextlib import closing
from typing import Any

import pytest

from backend.store import open_store
from backend.store.contract.jobs import JobClaim
from backend.store.contract.retention import Kept
from backend.store.sql.migrate import migrate
from faultmodel.exposition import Form
from faultmodel.kinds import EventKind, HostState, LossKind
from faultmodel.outcomes import Outcome
from faultmodel.record import Access, Cost, EventFacts, HostEvent, Loss
from faultmodel.record_stalls import Pressure
from faultmodel.waits import Handler
from faultmodel.wire import Batch
from tests.backend.api.scraping import READ, WRITE, asked, scraped, second_of
from tests.backend.serving import Server, make_server
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    START_S,
    VM_ID,
    exit_count,
    fault_count,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
    outstanding,
    outstanding_look,
    stall_count,
)
from tests.postgresql import postgresql_server, postgresql_url

__all__ = ["postgresql_server", "postgresql_url"]
B = "00000000000000b2"
DAY_S = 86_400
READS = "kvmfaults_faults_total"
ALL = {"from_": 0, "to": (START_S + 1000 * DAY_S) * 1000}
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


def everything(**changes: Any) -> Batch:
    """Return a batch that counts something of everything, of two VMs."""
    stalls = [
        stall_count(octave=-1, q0=0, q3=2, running_ns=1600, max_ns=900),
        stall_count(octave=2, q0=3, running_ns=12_000, max_ns=4000),
        stall_count(octave=30, q0=1, running_ns=7, blocked_ns=2**30 * 1000, max_ns=2**30 * 1000 + 7),
        stall_count(octave=-2, q0=4, running_ns=0, max_ns=0, access=Access.READ, outcome=Outcome.FAST),
    ]
    fields: dict[str, Any] = {
        "fault_counts": [
            fault_count(word=READ, faults=7),
            fault_count(word=READ, vcpu=1, faults=2),
            fault_count(word=WRITE, faults=4),
            fault_count(B, word=WRITE, faults=5),
        ],
        "ledger": [
            ledger_entry(seen=16, uncounted=3, dropped=2, seen_total=20),
            ledger_entry(B, seen=5),
        ],
        "exit_counts": [
            exit_count(count=3),
            exit_count(reason=6, errno=0, count=11),
            exit_count(B, vcpu=1, reason=0, errno=14, count=2),
            exit_count(B, reason=77, errno=99, count=1),
        ],
        "stalls": stalls,
        "pressures": [Pressure(START_MS, VM_ID, 5 * 10**8, 10**8)],
        "lost": [Loss(LossKind.KEYS_FULL, 9)],
        "costs": [Cost(from_ns=START_NS, to_ns=START_NS + NS_PER_S, cpu_ns=10**7, resident_bytes=5000)],
    }
    return make_batch(0, **(fields | changes))


def test_the_counters_are_the_totals_of_the_api(server: Server) -> None:
    server.apply(everything())
    found = scraped(server)
    vms = server.get("/api/v1/vms", **ALL)["items"]
    assert {vm["id"] for vm in vms} == {VM_ID, B}
    for vm in vms:
        of_vm = {"vm": vm["id"]}
        assert found.sum("kvmfaults_faults_total", **of_vm) == vm["faults"] > 0
        for kind in ("memory_fault", "bare_error"):
            assert found.value("kvmfaults_error_exits_total", kind=kind, **of_vm) == vm[f"{kind}_exits"]
        detail = server.get(f"/api/v1/vms/{vm['id']}", **ALL)
        exits = sum(item["count"] for item in detail["exit_reasons"]) + detail["exits_of_other_reasons"]
        assert found.sum("kvmfaults_exits_total", **of_vm) == exits > 0
        (account,) = server.get("/api/v1/ledger", **of_vm, **ALL, step="1000d")["vms"]
        for state in ("recorded", "sampled_out", "dropped"):
            records = found.value("kvmfaults_fault_records_total", state=state, **of_vm)
            assert records == account[state]["total"]
        assert found.value("kvmfaults_faults_uncounted_total", **of_vm) == account["uncounted"]["total"]
        assert found.value("kvmfaults_faults_missing", **of_vm) == account["missing"]
    by_access = {
        series["key"]: series["total"]
        for series in server.get("/api/v1/rates", by="access", vm=VM_ID, **ALL, step="1000d")["series"]
    }
    assert by_access == {"read": 9, "write": 4}
    for access, total in by_access.items():
        assert found.value("kvmfaults_faults_total", vm=VM_ID, access=access) == total


def test_how_faults_ended_is_what_the_api_answers(server: Server) -> None:
    server.apply(everything())
    found = scraped(server)
    outcomes = server.get("/api/v1/outcomes", vm=VM_ID, **ALL)["items"]
    assert {(item["access"], item["outcome"]): item["count"] for item in outcomes} == {
        (labels["access"], labels["outcome"]): value
        for labels, value in found.values("kvmfaults_faults_ended_total", vm=VM_ID)
    }
    total = server.get("/api/v1/stall", vm=VM_ID, **ALL)["total"]
    assert found.value("kvmfaults_stall_seconds_count", vm=VM_ID) == total["timed"] == 6
    assert found.value("kvmfaults_stall_blocked_seconds_total", vm=VM_ID) == total["blocked_s"]
    sum_s = found.value("kvmfaults_stall_seconds_sum", vm=VM_ID)
    assert sum_s == pytest.approx(total["blocked_s"] + 1.3607e-05, abs=1e-9)


def test_buckets_of_stalls_end_at_powers_of_two_of_a_microsecond(server: Server) -> None:
    server.apply(everything())
    found = {
        labels["le"]: value
        for labels, value in scraped(server).values("kvmfaults_stall_seconds_bucket", vm=VM_ID)
    }
    assert [float(edge) for edge in found] == [*(2**power / 10**6 for power in range(24)), float("inf")]
    assert list(found.values()) == [2, 2, 2, *[5] * 21, 6]


def test_a_host_has_what_it_was_covered_lost_and_cost(server: Server) -> None:
    server.apply(everything(), second_of(1))
    found = scraped(server)
    of_host = {"host": "host-1"}
    account = server.get("/api/v1/ledger", **ALL, step="1000d")["hosts"][0]
    covered_ms = sum(account["covered_ms"])
    assert found.value("kvmfaults_host_covered_seconds_total", **of_host) == covered_ms / 1000 == 2
    assert found.value("kvmfaults_losses_total", kind="keys_full", **of_host) == 9
    assert found.value("kvmfaults_losses_total", kind="unattributed", **of_host) == 0
    assert found.value("kvmfaults_batches_stored_total", **of_host) == 2
    assert found.value("kvmfaults_collector_cpu_seconds_total", **of_host) == 0.01
    assert found.value("kvmfaults_collector_seconds_total", **of_host) == 1
    assert found.value("kvmfaults_collector_resident_bytes", **of_host) == 5000
    assert found.value("kvmfaults_host_attached", **of_host) == 1
    assert found.value("kvmfaults_probe_attached", probe="kvm:kvm_page_fault", **of_host) == 1
    server.apply(make_batch(2, host=make_host(state=HostState.STOPPED, probes=())))
    assert scraped(server).value("kvmfaults_host_attached", **of_host) == 0


def test_a_batch_that_comes_late_is_counted_once_whenever_it_was_scraped_before(server: Server) -> None:
    server.clock.now_ns = START_NS + (10 * DAY_S + 60) * NS_PER_S
    server.apply(second_of(0), second_of(10 * DAY_S, sequence=1))
    assert scraped(server).sum("kvmfaults_faults_total", vm=VM_ID) == 20
    for sequence, second in enumerate((20, 5 * DAY_S, 10 * DAY_S - 4000, 10 * DAY_S + 30), 2):
        server.clock.now_ns += NS_PER_S
        server.apply(second_of(second, sequence=sequence))
        assert scraped(server).sum("kvmfaults_faults_total", vm=VM_ID) == 10 * (sequence + 1)
    # Also once what is new is of a day that is over, and of a VM that was not there.
    for days in (11, 12, 40):
        server.clock.now_ns = START_NS + days * DAY_S * NS_PER_S
        server.apply(second_of(days * DAY_S, B, sequence=days))
        found = scraped(server)
        assert (
            found.sum("kvmfaults_faults_total")
            == server.get("/api/v1/vms", totals="true", **ALL)["totals"]["faults"]
        )


def test_servers_on_one_database_agree_whichever_took_a_batch(postgresql_url: str) -> None:
    migrate(postgresql_url)
    with closing(open_store(postgresql_url)) as one, closing(open_store(postgresql_url)) as another:
        servers = [make_server(store) for store in (one, another)]
        for sequence, second in enumerate((0, 1, 2, -5 * DAY_S, 3)):
            servers[sequence % 2].apply(second_of(second, sequence=sequence))
            for server in servers:
                # Neither listens for what the other stores: answers of one second are the same.
                server.clock.now_ns += NS_PER_S
                assert scraped(server).value(READS, vm=VM_ID, access="read") == 10 * (sequence + 1)


def test_faults_under_way_are_those_that_the_api_lists(server: Server) -> None:
    found = [outstanding(vcpu=vcpu, age_ns=(3 + vcpu) * NS_PER_S) for vcpu in range(2)]
    closed = outstanding(B, handler=Handler.CLOSED)
    looks: dict[str, Any] = {"outstanding": [*found, closed], "outstanding_looks": [outstanding_look()]}
    server.apply(make_batch(0, vms=[make_vm(), make_vm(B)], **looks))
    for second, oldest_s in ((0, 4), (10, 14)):
        server.clock.now_ns = START_NS + second * NS_PER_S
        scrape = scraped(server)
        assert scrape.value("kvmfaults_outstanding_faults", vm=VM_ID) == 2
        assert scrape.value("kvmfaults_oldest_outstanding_seconds", vm=VM_ID) == oldest_s
        assert scrape.value("kvmfaults_outstanding_faults", vm=B) == 0
    assert len(server.get("/api/v1/outstanding", vm=VM_ID)["items"]) == 2
    # Nor is it of a host that has shed what shows it.
    shed = HostEvent(time_ns=START_NS, kind=EventKind.SHED, facts=EventFacts(hook="sched:sched_switch"))
    server.apply(make_batch(1, events=[shed], outstanding_looks=[outstanding_look(1)]))
    assert scraped(server).values("kvmfaults_outstanding_faults") == []
    restored = HostEvent(time_ns=START_NS + NS_PER_S, kind=EventKind.RESTORED, facts=shed.facts)
    server.apply(make_batch(2, events=[restored]))
    assert scraped(server).value("kvmfaults_outstanding_faults", vm=VM_ID) == 0
    # What is so now is not known of a host that was not heard of for an hour.
    server.clock.now_ns = START_NS + 3600 * NS_PER_S
    assert scraped(server).values("kvmfaults_outstanding_faults") == []


def remove_old(server: Server) -> None:
    """Have old counts removed, as the jobs do."""
    now_s = server.clock.now_ns // NS_PER_S
    claim = JobClaim(name="retention", holder="us", began_ns=START_NS, within_ns=10**17, every_ns=0)
    server.store.claim_job(claim)
    while server.store.roll_up(now_s, claim):
        pass
    server.store.note_kept(now_s, claim)
    server.store.remove_older(60, claim)


def test_no_counter_falls_as_counts_are_removed(server: Server) -> None:
    """Where hours have an age, counters begin anew at 0 at times that do not depend on what was removed."""
    age_s = 4 * DAY_S
    server.store.set_ages(dict.fromkeys((Kept.COUNTS_1MIN, Kept.COUNTS_10MIN, Kept.COUNTS_1H), age_s))
    first_s = -(-START_S // age_s) * age_s - START_S
    counts: list[float] = []
    for day in range(10):
        second = first_s + day * DAY_S + 7200
        server.clock.now_ns = START_NS + (second + 60) * NS_PER_S
        server.apply(second_of(second, sequence=day))
        remove_old(server)
        counts.append(scraped(server).sum("kvmfaults_faults_total", vm=VM_ID))
    assert counts == [10 * (1 + day % 4) for day in range(10)]
    assert scraped(server).value("kvmfaults_counters_from_timestamp_seconds") == START_S + first_s + 2 * age_s


@pytest.mark.parametrize(("most_bytes", "period_s"), [(10**9, 30 * DAY_S), (None, 400 * DAY_S)])
def test_counters_begin_anew_no_later_than_space_may_end_hours(
    server: Server, most_bytes: int | None, period_s: int
) -> None:
    server.store.set_ages(dict.fromkeys((Kept.COUNTS_10MIN, Kept.COUNTS_1H), 400 * DAY_S))
    server.store.set_max_bytes(most_bytes)
    server.apply(second_of(0))
    remove_old(server)
    begins_s = scraped(server).value("kvmfaults_counters_from_timestamp_seconds")
    assert begins_s == (START_S + 60) // period_s * period_s


def test_where_all_hours_are_kept_counters_count_all_that_there_was(server: Server) -> None:
    for day in range(0, 40, 10):
        server.clock.now_ns = START_NS + (day * DAY_S + 60) * NS_PER_S
        server.apply(second_of(day * DAY_S, sequence=day))
        remove_old(server)
        assert scraped(server).sum("kvmfaults_faults_total", vm=VM_ID) == day + 10
    assert scraped(server).value("kvmfaults_counters_from_timestamp_seconds") == 0


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, Form.TEXT),
        ("*/*", Form.TEXT),
        ("text/html", Form.TEXT),
        (PROMETHEUS, Form.OPEN_METRICS),
        ("application/openmetrics-text", Form.OPEN_METRICS),
        ("application/openmetrics-text; version=2.0.0, text/plain;q=0.1", Form.TEXT),
        ("application/openmetrics-text;q=0.3, text/plain;version=0.0.4;q=0.9", Form.TEXT),
        ("application/openmetrics-text;q=0, */*", Form.TEXT),
    ],
)
def test_the_form_is_the_one_that_the_client_prefers(server: Server, accept: str | None, form: Form) -> None:
    server.apply(everything())
    # Whatever others have just been given.
    asked(server, Accept="application/openmetrics-text")
    response = asked(server, **({} if accept is None else {"Accept": accept}))
    assert response.headers["content-type"] == form.value
    assert "Accept" in response.headers["vary"].split(", ")
    assert response.text.endswith("# EOF\n") is (form is Form.OPEN_METRICS)


def test_names_of_vms_are_escaped(server: Server) -> None:
    name = 'a "quoted" \\ name'
    server.apply(make_batch(0, vms=[make_vm(name=name)]))
    ((labels, value),) = scraped(server).values("kvmfaults_vm_info")
    assert (labels["name"], value) == (name, 1)


def test_promtool_has_nothing_to_remark(server: Server) -> None:
    server.apply(everything())
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=asked(server).text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
