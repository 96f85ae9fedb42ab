# SPDX-License-Identifier: Apache-2.0
"""Which series have lines of their own, and what the others add up to, with room for all and without."""

from typing import Any

import pytest

from faultmodel.record import Span
from tests.backend.serving import Server
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    VM_ID,
    exit_count,
    fault_count,
    make_batch,
    make_host,
    make_vm,
)

RATES = "/api/v1/rates"
OTHER = "00000000000000b2"
FEW_POINTS = {"from": START_MS, "to": START_MS + 4000, "step": "1s"}
MANY_POINTS = {"from": START_MS, "to": START_MS + 11_000_000, "step": "1s"}
"""So many that 27 series have room, and the counts of more are read again, of those that are shown."""
RANGES = pytest.mark.parametrize("steps", [FEW_POINTS, MANY_POINTS], ids=["room", "no_room"])


def ranked(found: dict[str, Any]) -> list[tuple[str, int, list[int]]]:
    """Return label, total and the first counts of each series."""
    return [(one["label"], one["total"], one["counts"][:3]) for one in found["series"]]


def others(found: dict[str, Any]) -> tuple[int, int, list[int]]:
    """Return how many others there are, their total and their first counts."""
    return found["others"]["count"], found["others"]["total"], found["others"]["counts"][:3]


@RANGES
def test_the_sum_of_all_steps_ranks(server: Server, steps: dict[str, Any]) -> None:
    small = [fault_count(vcpu=vcpu, second=1) for vcpu in range(2, 40)]
    server.apply(
        make_batch(
            vms=[make_vm(), make_vm(OTHER)],
            fault_counts=[
                fault_count(vcpu=0, second=0, faults=30),
                fault_count(vcpu=0, second=2, faults=30),
                fault_count(vcpu=1, second=0, faults=50),
                *small,
                # Two rows of one vCPU and one second: another word.
                fault_count(vcpu=2, second=1, word=0x2, faults=4),
                # Of a VM that is not asked for.
                fault_count(OTHER, vcpu=0, second=1, faults=1000),
            ],
        )
    )
    found = server.get(RATES, by="vcpu", vm=VM_ID, most=1, **steps)
    assert ranked(found) == [("vCPU 0", 60, [30, 0, 30])]
    assert others(found) == (39, 92, [50, 42, 0])
    assert found["others"]["values"][:3] == [50.0, None, None]
    found = server.get(RATES, by="vcpu", vm=VM_ID, most=2, **steps)
    assert ranked(found) == [("vCPU 0", 60, [30, 0, 30]), ("vCPU 1", 50, [50, 0, 0])]
    assert others(found) == (38, 42, [0, 42, 0])


@pytest.mark.parametrize("number", [27, 28])
def test_of_as_many_series_as_have_room_and_of_one_more_all_are_there(server: Server, number: int) -> None:
    server.apply(make_batch(fault_counts=[fault_count(vcpu=vcpu, faults=1 + vcpu) for vcpu in range(number)]))
    found = server.get(RATES, by="vcpu", most=27, **MANY_POINTS)
    assert [one["total"] for one in found["series"]] == list(range(number, number - 27, -1))
    assert (found["others"] is None) == (number == 27)
    if number == 28:
        assert others(found) == (1, 1, [1, 0, 0])


@RANGES
def test_exits_are_ranked_as_faults_are(server: Server, steps: dict[str, Any]) -> None:
    exits = [exit_count(vcpu=vcpu, count=2 + (vcpu == 3)) for vcpu in range(40)]
    bare = exit_count(vcpu=9, reason=0, count=100)
    server.apply(make_batch(fault_counts=[fault_count(vcpu=7, faults=50)], exit_counts=[*exits, bare]))
    found = server.get(RATES, by="vcpu", metric="memory_fault_exits", most=1, **steps)
    assert ranked(found) == [("vCPU 3", 3, [3, 0, 0])]
    assert others(found) == (39, 78, [78, 0, 0])


@RANGES
def test_guests_that_are_asked_for_are_ranked(server: Server, steps: dict[str, Any]) -> None:
    # Two VMs of each guest, one after the other, in processes of their own.
    ids = {(place, life): f"{place:015x}{life}" for place in range(40) for life in range(2)}
    vms = [
        make_vm(
            vm_id, name=f"guest-{place}", uuid="", pid=100 + 2 * place + life, started_ns=START_NS - NS_PER_S
        )
        for (place, life), vm_id in ids.items()
    ]
    counts = [
        fault_count(vm_id, second=life, faults=10 + place) for (place, life), vm_id in ids.items() if place
    ]
    server.apply(
        make_batch(
            covered=(Span(START_NS, START_NS + 4 * NS_PER_S),),
            vms=[*vms, make_vm(OTHER, name="another", uuid="", pid=99)],
            fault_counts=[*counts, fault_count(OTHER, faults=5000)],
        )
    )
    listed = server.get("/api/v1/guests", search="guest-", limit=100)["items"]
    guests = [guest["id"] for guest in listed]
    assert len(guests) == 40
    found = server.get(RATES, by="guest", guest=guests, most=2, **steps)
    assert ranked(found) == [("guest-39", 98, [49, 49, 0]), ("guest-38", 96, [48, 48, 0])]
    of_others = sum(10 + place for place in range(1, 38))
    assert others(found) == (38, 2 * of_others, [of_others, of_others, 0])
    # Who was asked for and was quiet comes last, and is there.
    found = server.get(RATES, by="guest", guest=guests, most=40, **FEW_POINTS)
    assert ranked(found)[-1] == ("guest-0", 0, [0, 0, 0])
    assert found["series"][-1]["values"] == [0.0] * 4


@RANGES
@pytest.mark.parametrize("by", ["guest", "arch"])
@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_of_all_together_each_has_its_own_and_the_others_the_rest(
    server: Server, steps: dict[str, Any], by: str, most: int
) -> None:
    # Faults in the first seconds of a VM of each guest, on a host of each architecture.
    of_each = {"x86_64": [[5, 0, 2], [1, 1, 0]], "arm64": [[0, 9, 0]], "riscv64": [[0, 0, 3], [0, 0, 0]]}
    for place, (name, guests) in enumerate(of_each.items()):
        ids = [f"{place:015x}{guest}" for guest in range(len(guests))]
        counts = [
            fault_count(vm, arch_name=name, word=0, second=second, faults=faults)
            for vm, seconds in zip(ids, guests, strict=True)
            for second, faults in enumerate(seconds)
            if faults
        ]
        batch = make_batch(
            host=make_host(name, arch=name),
            stream=f"{place:032x}",
            arch=name,
            covered=(Span(START_NS, START_NS + 4 * NS_PER_S),),
            vms=[make_vm(vm, name=f"{name} {number}", uuid="") for number, vm in enumerate(ids)],
            fault_counts=counts,
        )
        server.apply(batch)
    named = {
        "arch": {name: list(map(sum, zip(*guests, strict=True))) for name, guests in of_each.items()},
        "guest": {
            f"{name} {number}": one for name, all_of in of_each.items() for number, one in enumerate(all_of)
        },
    }[by]
    counted = sorted((-sum(counts), label, counts) for label, counts in named.items() if sum(counts))
    found = server.get(RATES, by=by, most=most, **steps)
    assert sorted((-total, label, counts) for label, total, counts in ranked(found)) == counted[:most]
    rest = [counts for _, _, counts in counted[most:]]
    if rest:
        assert others(found) == (len(rest), sum(map(sum, rest)), list(map(sum, zip(*rest, strict=True))))
    else:
        assert found["others"] is None


def test_more_series_than_can_be_ranked_are_refused(server: Server) -> None:
    limit = 100_000
    ids = [f"{place:016x}" for place in range(10)]
    vcpus = range(limit // len(ids))
    server.apply(
        make_batch(
            vms=[make_vm(vm_id) for vm_id in ids],
            fault_counts=[fault_count(vm_id, vcpu=vcpu) for vm_id in ids for vcpu in vcpus],
        )
    )
    found = server.get(RATES, by="vcpu", most=1, **FEW_POINTS)
    assert (found["series"][0]["total"], found["others"]["count"]) == (1, limit - 1)
    server.apply(make_batch(1, fault_counts=[fault_count(ids[0], vcpu=len(vcpus))]))
    assert server.problem(RATES, by="vcpu", most=1, **FEW_POINTS) == (
        400,
        f"by: more than {limit} series; ask for those of some VMs",
    )
