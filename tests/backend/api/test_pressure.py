# SPDX-License-Identifier: Apache-2.0
"""Pressure as the API answers it: equal to the arithmetic of what is stored, in JSON and as PSI."""

import random
import re
from collections.abc import Sequence
from typing import Any

import pytest

from faultmodel.kinds import ProbeState
from faultmodel.record import Probe
from faultmodel.record_stalls import HostPressure, Pressure
from faultmodel.wire import Batch
from tests.backend.serving import Server
from tests.batches import NS_PER_S, START_MS, START_NS, VM_ID, make_batch, make_host, make_vm

PRESSURE, PSI, SERIES = "/api/v1/pressure", "/api/v1/pressure/psi", "/api/v1/pressure/series"
B = "00000000000000b2"
SHOWS = (Probe(tracepoint="sched:sched_switch", state=ProbeState.ATTACHED),)
_PSI = re.compile(
    r"some avg10=\d+\.\d\d avg60=\d+\.\d\d avg300=\d+\.\d\d total=\d+\n"
    r"full avg10=\d+\.\d\d avg60=\d+\.\d\d avg300=\d+\.\d\d total=\d+\n"
)
Stood = tuple[int, int]
"""Some and full, ns."""


def stood(second: int, of_vms: dict[str, Stood], of_host: Stood = (0, 0), **fields: Any) -> Batch:
    """Return the batch of a second in which VMs, and the host, stood still so long."""
    at_ms = START_MS + second * 1000
    described: dict[str, Any] = {"host": make_host(probes=SHOWS), "vms": [make_vm(vm) for vm in of_vms]}
    return make_batch(
        second,
        pressures=[Pressure(at_ms, vm, *ns) for vm, ns in of_vms.items() if any(ns)],
        host_pressures=[HostPressure(at_ms, *of_host)] if any(of_host) else [],
        **(described | fields),
    )


def at(server: Server, second: float) -> None:
    """Set the clock so many seconds after the first that is covered."""
    server.clock.now_ns = START_NS + round(second * NS_PER_S)


def mean(ns: Sequence[int], length_s: int) -> float:
    """Return the mean of the newest seconds, in percent, as PSI writes it."""
    newest = ns[-length_s:]
    return round(sum(newest) / len(newest) / NS_PER_S * 100, 2)


@pytest.mark.parametrize("seconds", [7, 45, 320])
def test_averages_and_totals_are_the_arithmetic_of_what_is_stored(server: Server, seconds: int) -> None:
    dice = random.Random(seconds)
    some = {VM_ID: [dice.randrange(NS_PER_S) for _ in range(seconds)], B: [0] * seconds}
    full = [ns // 3 for ns in some[VM_ID]]
    of_host = [min(NS_PER_S, 2 * ns) for ns in some[VM_ID]]
    at(server, seconds + 1.5)
    for second in range(seconds):
        vms = {VM_ID: (some[VM_ID][second], full[second]), B: (0, 0)}
        server.apply(stood(second, vms, (of_host[second], full[second])))
    found = server.get(PRESSURE)
    assert [(item["vm"], item["host"]) for item in found["items"]] == [(VM_ID, "host-1"), (B, "host-1")]
    busy, calm = found["items"]
    for name, ns in (("some", some[VM_ID]), ("full", full)):
        wanted = {f"avg{length}": mean(ns, length) for length in (10, 60, 300)}
        assert busy[name] == {**wanted, "total_us": sum(ns) // 1000}
    assert calm["some"] == calm["full"] == {"avg10": 0, "avg60": 0, "avg300": 0, "total_us": 0}
    (host,) = found["hosts"]
    assert host["some"]["avg60"] == mean(of_host, 60)
    assert (host["some"]["total_us"], host["full"]["total_us"]) == (sum(of_host) // 1000, sum(full) // 1000)
    assert busy["at_ms"] == host["at_ms"] == START_MS + seconds * 1000

    text = server.request("GET", PSI, params={"vm": VM_ID})
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert _PSI.fullmatch(text.text)
    assert text.text.splitlines()[0] == (
        f"some avg10={mean(some[VM_ID], 10):.2f} avg60={mean(some[VM_ID], 60):.2f} "
        f"avg300={mean(some[VM_ID], 300):.2f} total={sum(some[VM_ID]) // 1000}"
    )
    assert f"total={sum(of_host) // 1000}\n" in server.request("GET", PSI, params={"host": "host-1"}).text


def test_two_vcpus_that_are_asleep_at_overlapping_times(server: Server) -> None:
    """[0 s, 2 s) and [1 s, 3 s): some of 3 s, full of 1 s."""
    for second, ns in enumerate([(NS_PER_S, 0), (NS_PER_S, NS_PER_S), (NS_PER_S, 0), (0, 0)]):
        server.apply(stood(second, {VM_ID: ns}))
    at(server, 4)
    (item,) = server.get(PRESSURE, vm=VM_ID)["items"]
    assert (item["some"]["avg10"], item["full"]["avg10"]) == (75.0, 25.0)
    assert (item["some"]["total_us"], item["full"]["total_us"]) == (3_000_000, 1_000_000)


def test_a_second_that_is_not_read_whole_is_not_in_an_average(server: Server) -> None:
    server.apply(stood(0, {VM_ID: (NS_PER_S // 2, 0)}))
    half = make_batch(1).covered[0]
    half = type(half)(half.from_ns, half.from_ns + NS_PER_S // 4)
    server.apply(stood(1, {VM_ID: (NS_PER_S // 4, 0)}, covered=(half,)))
    at(server, 1.5)
    (item,) = server.get(PRESSURE)["items"]
    assert (item["some"]["avg10"], item["some"]["total_us"], item["at_ms"]) == (
        50.0,
        750_000,
        START_MS + 1000,
    )


def test_time_that_was_not_covered_or_in_which_the_vm_was_not_there_counts_for_nothing(
    server: Server,
) -> None:
    server.apply(stood(0, {B: (0, 0)}))
    began_ns = START_NS + 6 * NS_PER_S
    later = make_vm(VM_ID, started_ns=began_ns)
    for second in (6, 7):
        server.apply(
            stood(second, {VM_ID: (NS_PER_S // 4, 0), B: (NS_PER_S // 2, 0)}, vms=[later, make_vm(B)])
        )
    at(server, 8)
    found = {item["vm"]: item["some"]["avg10"] for item in server.get(PRESSURE)["items"]}
    assert found == {VM_ID: 25.0, B: round(100 / 3, 2)}


def test_a_host_that_is_not_read_any_more_has_no_average(server: Server) -> None:
    server.apply(stood(0, {VM_ID: (NS_PER_S, 0)}, (NS_PER_S, 0)))
    at(server, 16)
    (item,) = server.get(PRESSURE)["items"]
    assert item["some"]["avg10"] == 100.0
    at(server, 17)
    found = server.get(PRESSURE)
    for one in (*found["items"], *found["hosts"]):
        assert one["some"] == {"avg10": None, "avg60": None, "avg300": None, "total_us": 1_000_000}
        assert one["at_ms"] is None
    for asked in ({"vm": VM_ID}, {"host": "host-1"}):
        status, detail = server.problem(PSI, **asked)
        assert (status, "not known" in detail) == (404, True)


def test_what_is_not_shown_is_not_there_and_not_zero(server: Server) -> None:
    server.apply(stood(0, {VM_ID: (0, 0)}, host=make_host()))
    at(server, 1)
    found = server.get(PRESSURE)
    assert (found["items"], found["hosts"]) == ([], [])
    assert [one["blocked"] for one in found["measured_by"]] == [False]
    assert server.problem(PSI, vm=VM_ID)[0] == 404
    series = server.get(SERIES, vm=VM_ID, from_=START_MS, to=START_MS + 1000, step="1s")
    assert series["some"] == series["full"] == [None]


def test_a_range_has_its_own_end_and_total(server: Server) -> None:
    for second in range(20):
        server.apply(stood(second, {VM_ID: (second * 10**7, 0)}))
    at(server, 60)
    (item,) = server.get(PRESSURE, from_=START_MS + 5000, to=START_MS + 15_000)["items"]
    assert item["some"]["avg10"] == round(sum(range(5, 15)) / 10, 2)
    assert item["some"]["total_us"] == sum(range(5, 15)) * 10_000
    assert item["some"]["avg60"] == round(sum(range(15)) / 15, 2)


def test_vms_are_those_of_late_and_those_that_are_named(server: Server) -> None:
    long_ago = make_vm(B, ended_ns=START_NS + NS_PER_S)
    server.apply(stood(0, {B: (NS_PER_S // 2, 0)}, vms=[long_ago]))
    at(server, 501)
    server.apply(stood(500, {VM_ID: (0, 0)}))
    assert [item["vm"] for item in server.get(PRESSURE)["items"]] == [VM_ID]
    assert [item["vm"] for item in server.get(PRESSURE, host="host-*")["items"]] == [VM_ID]
    (item,) = server.get(PRESSURE, vm=B)["items"]
    assert (item["some"]["avg300"], item["some"]["total_us"]) == (None, 500_000)


def test_hosts_are_chosen_by_name(server: Server) -> None:
    for number, name in enumerate(("host-1", "host-2")):
        vm = f"{number + 1:016x}"
        host = make_host(name, probes=SHOWS)
        batch = stood(0, {vm: (NS_PER_S, 0)}, (NS_PER_S, 0), host=host, stream=f"{number + 1:032x}")
        server.apply(batch)
    at(server, 1)
    assert [host["host"] for host in server.get(PRESSURE)["hosts"]] == ["host-1", "host-2"]
    found = server.get(PRESSURE, host="host-2")
    assert [host["host"] for host in found["hosts"]] == ["host-2"]
    assert [item["host"] for item in found["items"]] == ["host-2"]


def test_pages_of_pressure_hold_each_once_the_greatest_first(server: Server) -> None:
    ids = [f"{number:016x}" for number in range(1, 8)]
    server.apply(stood(0, {vm: (10**8 * place, 0) for place, vm in enumerate(ids)}))
    at(server, 1)
    pages: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = server.get(PRESSURE, limit=3, **cursor)
        pages.append([item["vm"] for item in page["items"]])
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert [vm for page in pages for vm in page] == ids[::-1]


def test_over_time_each_step_has_its_share(server: Server) -> None:
    server.apply(
        stood(0, {VM_ID: (NS_PER_S // 2, NS_PER_S // 4)}),
        stood(1, {VM_ID: (0, 0)}),
        stood(3, {VM_ID: (NS_PER_S, 0)}),
    )
    found = server.get(SERIES, vm=VM_ID, from_=START_MS, to=START_MS + 4000, step="1s")
    assert (found["some"], found["full"]) == ([50.0, 0.0, None, 100.0], [25.0, 0.0, None, 0.0])
    found = server.get(SERIES, vm=VM_ID, from_=START_MS, to=START_MS + 4000, step="2s")
    assert found["some"] == [25.0, 100.0]


@pytest.mark.parametrize(
    ("path", "asked"),
    [(PSI, {}), (PSI, {"vm": VM_ID, "host": "host-1"}), (PSI, {"vm": "x"}), (SERIES, {})],
)
def test_one_vm_or_host_is_named(server: Server, path: str, asked: dict[str, str]) -> None:
    assert server.problem(path, **asked)[0] == 400


@pytest.mark.parametrize("path", [PRESSURE, PSI, SERIES])
def test_an_unknown_vm_is_not_found(server: Server, path: str) -> None:
    assert server.problem(path, vm=B) == (404, f"no VM {B!r}")


def test_of_an_unknown_host_nothing_is_known(server: Server) -> None:
    assert server.problem(PSI, host="nobody")[0] == 404
    assert server.get(PRESSURE, host="nobody")["hosts"] == []
