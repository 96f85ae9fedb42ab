# SPDX-License-Identifier: Apache-2.0
"""VMs and hosts are chosen by several names at once, and by globs."""

from collections.abc import Mapping
from typing import Any

import pytest

from faultmodel.record import Cost, Span
from faultmodel.record_stalls import HostPressure, Pressure, WaitCount
from faultmodel.waits import WaitsFor
from tests.backend.serving import Server
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    X86,
    exit_record,
    fault_count,
    later_sections,
    make_batch,
    make_host,
    make_vm,
    stall_count,
)

RANGE = {"from_": START_MS, "to": START_MS + 10_000, "step": "1s"}
HOSTS = ("kvm-a1", "kvm-a2", "kvm-b*", "other")
NAMES = ("web-1", "web-2", "db-1", "we?")
LOOKED = ("memslots", "kvm_counts", "vm_pages", "causes", "livelocks", "outstanding")
"""Sections of what was looked at, of livelocks and of faults under way."""
IDS = tuple(f"{number:016x}" for number in range(1, 5))


@pytest.fixture
def fleet(server: Server) -> Server:
    """Return a server with a VM on each of four hosts: with 1, 10, 100, 1,000 faults, and an exit."""
    for number, (host, name, vm) in enumerate(zip(HOSTS, NAMES, IDS, strict=True)):
        arch = "aarch64" if number == 2 else X86
        server.apply(
            make_batch(
                0,
                stream=f"{number + 1:032x}",
                arch=arch,
                host=make_host(host, arch=arch),
                covered=(Span(START_NS, START_NS + 10 * NS_PER_S),),
                vms=[make_vm(vm, name=name, uuid="", pid=number + 1)],
                fault_counts=[fault_count(vm, arch_name=arch, second=1, faults=10**number)],
                exits=[exit_record(vm, arch_name=arch)],
                stalls=[stall_count(vm, second=1, q0=10**number)],
                **{name: later_sections(vm)[name] for name in LOOKED},
                waits=[WaitCount(START_MS + 1000, vm, WaitsFor.SWAP, "", 1, 10**number)],
                pressures=[Pressure(START_MS + 1000, vm, 10**number, 0)],
                host_pressures=[HostPressure(START_MS + 1000, 10**number, 0)],
                costs=[Cost(from_ns=START_NS, to_ns=START_NS + NS_PER_S, cpu_ns=7, resident_bytes=1)],
            )
        )
    return server


CHOICES: Mapping[str, tuple[dict[str, Any], set[int]]] = {
    "one": ({"host": "kvm-a1"}, {0}),
    "several": ({"host": ["kvm-a1", "other"]}, {0, 3}),
    "glob": ({"host": "kvm-*"}, {0, 1, 2}),
    "glob-and-name": ({"host": ["kvm-a?", "other"]}, {0, 1, 3}),
    "escaped": ({"host": r"kvm-b\*"}, {2}),
    "letter-case": ({"host": "KVM-*"}, set()),
    "no-part-of-a-name": ({"host": "kvm"}, set()),
    "names": ({"name": ["web-1", "db-1"]}, {0, 2}),
    "glob-of-names": ({"name": "web-*"}, {0, 1}),
    "escaped-name": ({"name": r"we\?"}, {3}),
    "question-mark": ({"name": "we?"}, {3}),
    "all-must-hold": ({"host": "kvm-*", "name": "*-1"}, {0, 2}),
    "pids": ({"pid": [1, 4]}, {0, 3}),
    "glob-of-architectures": ({"arch": "x86*"}, {0, 1, 3}),
    "architectures": ({"arch": ["arm64", "riscv64"]}, {2}),
    "none-of-a-glob": ({"host": "nobody-*"}, set()),
}


def rates_sum(rates: dict[str, Any]) -> int:
    """Return the counts of all series."""
    return sum(one["total"] for one in rates["series"])


@pytest.mark.parametrize("choice", CHOICES)
def test_lists_rates_and_exits_are_of_the_vms_that_are_chosen(fleet: Server, choice: str) -> None:
    asked, numbers = CHOICES[choice]
    wanted = {IDS[number] for number in numbers}
    plain = fleet.get("/api/v1/vms", **asked)
    summed = fleet.get("/api/v1/vms", totals=True, **asked, **RANGE)
    assert {vm["id"] for vm in plain["items"]} == wanted
    assert {vm["id"] for vm in summed["items"]} == wanted
    assert summed["totals"]["faults"] == sum(10**number for number in numbers)
    assert {one["name"] for one in fleet.get("/api/v1/guests", **asked)["items"]} == {
        NAMES[number] for number in numbers
    }
    rates = fleet.get("/api/v1/rates", by="vm", **asked, **RANGE)
    assert {one["key"]: one["total"] for one in rates["series"]} == {
        IDS[number]: 10**number for number in numbers
    }
    for path in (
        "exits",
        "stall",
        "outcomes",
        "waits",
        "pressure",
        "memslots",
        "kvm-stats",
        "causes",
        "livelocks",
        "outstanding",
    ):
        assert {row["vm"] for row in fleet.get(f"/api/v1/{path}", **asked)["items"]} == wanted
    stall = fleet.get("/api/v1/stall", **asked)
    assert stall["total"]["count"] == fleet.get("/api/v1/outcomes", **asked)["ended"] == rates_sum(rates)
    heat = fleet.get("/api/v1/stall/heat", **asked, **RANGE)
    assert sum(sum(counts or ()) for counts in heat["counts"]) == rates_sum(rates)
    waited = fleet.get("/api/v1/waits/series", **asked, **RANGE)
    assert sum(round(one["total_s"] * NS_PER_S) for one in waited["series"]) == rates_sum(rates)


@pytest.mark.parametrize("choice", [name for name, (asked, _) in CHOICES.items() if set(asked) == {"host"}])
def test_what_is_of_hosts_is_of_those_that_are_chosen(fleet: Server, choice: str) -> None:
    asked, numbers = CHOICES[choice]
    wanted = [HOSTS[number] for number in sorted(numbers)]
    if not wanted and "*" not in asked["host"]:
        for path in ("ledger", "costs", "host-events"):
            assert fleet.problem(f"/api/v1/{path}", **asked)[0] == 404
        return
    ledger = fleet.get("/api/v1/ledger", **asked, **RANGE)
    assert [one["host"] for one in ledger["hosts"]] == wanted
    assert {one["vm"] for one in ledger["vms"]} == {IDS[number] for number in numbers}
    assert [one["host"] for one in fleet.get("/api/v1/costs", **asked, **RANGE)["hosts"]] == wanted
    assert fleet.get("/api/v1/host-events", **asked)["items"] == []


def test_a_vm_is_chosen_in_one_way(fleet: Server) -> None:
    lists = (
        "exits",
        "stall",
        "outcomes",
        "waits",
        "pressure",
        "memslots",
        "kvm-stats",
        "causes",
        "livelocks",
        "outstanding",
    )
    for path in (*lists, "rates", "stall/heat", "waits/series"):
        status, detail = fleet.problem(f"/api/v1/{path}", vm=IDS[0], host="kvm-*")
        assert (status, "not by both" in detail) == (400, True)


def test_too_many_values_are_refused(fleet: Server) -> None:
    status, detail = fleet.problem("/api/v1/vms", host=[f"h{number}" for number in range(101)])
    assert (status, "host" in detail) == (400, True)
