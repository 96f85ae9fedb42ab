# SPDX-License-Identifier: Apache-2.0
"""What has changed since an earlier answer, and with it the same as an answer from the beginning."""

from typing import Any

import pytest

from tests.backend.serving import Server
from tests.batches import START_MS, VM_ID, fault_count, make_batch, make_host, make_vm

RATES = "/api/v1/rates"
B, C = "00000000000000b2", "00000000000000c3"


def rates(server: Server, seconds: int, **parameters: Any) -> dict[str, Any]:
    """Return the rates of so many seconds from the start, in steps of one."""
    asked = {"from": START_MS, "to": START_MS + seconds * 1000, "step": "1s", **parameters}
    return dict(server.get(RATES, **asked))


def second(at: int, *, vm: str = VM_ID, name: str = "guest", sequence: int | None = None) -> Any:
    """Return the batch of a second in which a VM faults once more than its number."""
    batch = make_batch(
        at, vms=[make_vm(vm, name=name)], fault_counts=[fault_count(vm, second=at, faults=at + 1)]
    )
    if sequence is not None:
        batch = make_batch(
            sequence,
            covered=batch.covered,
            vms=batch.vms,
            fault_counts=batch.fault_counts,
            ledger=batch.ledger,
        )
    return batch


@pytest.fixture
def three(server: Server) -> Server:
    """Return a server that has the first three seconds of a VM."""
    server.apply(second(0), second(1), second(2))
    return server


@pytest.mark.parametrize("by", ["vm", "access", "arch", "level", "vcpu"])
def test_only_the_steps_that_are_new_come(three: Server, by: str) -> None:
    known = rates(three, 3, by=by)
    three.apply(second(3))
    new = rates(three, 5, by=by, after=known["version"])
    assert new["times_ms"] == [START_MS + 3000, START_MS + 4000]
    whole = rates(three, 5, by=by)
    if by != "vcpu":
        assert [(one["key"], one["counts"]) for one in new["series"]] == [
            (one["key"], one["counts"][3:]) for one in whole["series"] if any(one["counts"][3:])
        ]
    assert new["quiet"] == whole["quiet"][3:]
    assert new["coverage"] == whole["coverage"]


@pytest.mark.parametrize("by", ["vcpu", "vm", "guest"])
def test_which_series_are_the_greatest_is_told_by_the_whole_range(server: Server, by: str) -> None:
    vms = {VM_ID: 0, B: 1, C: 2}

    def batch(at: int, *faults: int) -> Any:
        return make_batch(
            at,
            vms=[make_vm(vm, name=f"web-{number}", uuid="", pid=number + 1) for vm, number in vms.items()],
            fault_counts=[
                fault_count(vm, vcpu=number, second=at, faults=count)
                for (vm, number), count in zip(vms.items(), faults, strict=True)
                if count
            ],
        )

    server.apply(batch(0, 10, 1, 2), batch(1, 0, 4, 2))
    known = rates(server, 2, by=by, most=1)
    assert [one["counts"] for one in known["series"]] == [[10, 0]]
    # The second series has the most of the new step, and the first of all.
    server.apply(batch(2, 1, 3, 0))
    found = rates(server, 3, by=by, most=1, after=known["version"])
    whole = rates(server, 3, by=by, most=1)
    assert [one["counts"] for one in whole["series"]] == [[10, 0, 1]]
    assert (whole["others"]["count"], whole["others"]["counts"]) == (2, [3, 6, 3])
    since = len(whole["times_ms"]) - len(found["times_ms"])
    assert found["series"][0]["key"] == whole["series"][0]["key"]
    assert found["series"][0]["counts"] == whole["series"][0]["counts"][since:]
    assert found["others"]["counts"] == whole["others"]["counts"][since:]
    assert found["others"]["count"] == 2


def test_nothing_new_is_no_step(three: Server) -> None:
    known = rates(three, 3)
    assert rates(three, 3, after=known["version"])["times_ms"] == []


def test_a_batch_that_comes_late_brings_the_steps_from_its_own_on(server: Server) -> None:
    server.apply(second(0), second(1), second(3, sequence=2))
    known = rates(server, 4)
    server.apply(second(2, sequence=3))
    assert rates(server, 4, after=known["version"])["times_ms"] == [START_MS + 2000, START_MS + 3000]


@pytest.mark.parametrize(
    "changed", [{"by": "access"}, {"most": 1}, {"step": "2s"}, {"search": "x"}, {"from": START_MS - 4000}]
)
def test_another_question_is_answered_in_full(three: Server, changed: dict[str, object]) -> None:
    version = rates(three, 4)["version"]
    found = rates(three, 4, **changed, after=version)
    assert found["times_ms"] == rates(three, 4, **changed)["times_ms"]


def test_a_version_that_is_not_known_is_answered_in_full(three: Server) -> None:
    assert len(rates(three, 3, after="never-1")["times_ms"]) == 3


def test_the_filter_of_the_list_holds_for_the_chart(server: Server) -> None:
    server.apply(second(0, name="web"), second(1, vm=B, name="db"))
    assert [one["label"] for one in rates(server, 3)["series"]] == ["db", "web"]
    assert [one["label"] for one in rates(server, 3, search="we")["series"]] == ["web"]
    assert rates(server, 3, by="access", search="db")["series"][0]["counts"] == [0, 2, 0]
    assert server.problem(RATES, vm=VM_ID, search="web")[0] == 400


def test_a_vm_that_fits_the_filter_from_now_on_is_answered_whole(server: Server) -> None:
    server.apply(second(0, name=""), second(1, name=""))
    known = rates(server, 3, search="web")
    assert known["series"] == []
    server.apply(second(2, name="web"))
    assert rates(server, 3, search="web", after=known["version"])["series"][0]["counts"] == [1, 2, 3]


def test_series_are_named_and_those_of_one_name_kept_apart(server: Server) -> None:
    server.apply(
        make_batch(
            vms=[
                make_vm(VM_ID, name="web", pid=1),
                make_vm(B, name="web", pid=2),
                make_vm(C, name="", uuid="u-1"),
            ],
            fault_counts=[fault_count(vm, faults=faults) for vm, faults in ((VM_ID, 3), (B, 2), (C, 1))],
        )
    )
    assert [one["label"] for one in rates(server, 1)["series"]] == ["web · pid 1", "web · pid 2", "u-1"]


def test_before_a_vm_began_and_after_it_ended_nothing_is_said(server: Server) -> None:
    born = make_vm(VM_ID, started_ns=(START_MS + 1000) * 10**6, ended_ns=None)
    server.apply(
        make_batch(0, vms=[make_vm(B)]),
        make_batch(1, vms=[born, make_vm(B)], fault_counts=[fault_count(second=1)]),
        make_batch(2, vms=[make_vm(VM_ID, started_ns=born.started_ns, ended_ns=(START_MS + 2000) * 10**6)]),
        make_batch(3, vms=[make_vm(B)]),
    )
    assert rates(server, 4, vm=VM_ID)["series"][0]["values"] == [None, 1.0, 0.0, None]
    assert rates(server, 4, vm=VM_ID, by="access")["quiet"] == [None, 0.0, 0.0, None]


def test_a_vm_that_ended_is_no_longer_one_of_those_that_run(three: Server) -> None:
    three.apply(make_batch(3, vms=[make_vm(), make_vm(B)], fault_counts=[fault_count(B, second=3)]))
    known = rates(three, 4, by="arch", state="running")
    assert known["series"][0]["counts"] == [1, 2, 3, 1]
    three.apply(make_batch(4, vms=[make_vm(ended_ns=(START_MS + 4500) * 10**6), make_vm(B)]))
    new = rates(three, 5, by="arch", state="running", after=known["version"])
    assert new["times_ms"] == [START_MS + at * 1000 for at in range(5)]
    assert new["series"][0]["counts"] == [0, 0, 0, 1, 0]


def test_a_host_whose_first_vm_is_new_was_covered_before(server: Server) -> None:
    other: dict[str, Any] = {"host": make_host("host-2"), "stream": "2" * 32}
    server.apply(second(0), make_batch(0, vms=[], **other), make_batch(1, vms=[], **other))
    known = rates(server, 2, by="arch", state="running")
    assert known["quiet"] == [0, None]
    server.apply(make_batch(2, vms=[make_vm(B)], fault_counts=[fault_count(B, second=2)], **other))
    new = rates(server, 3, by="arch", state="running", after=known["version"])
    whole = rates(server, 3, by="arch", state="running")
    assert (new["times_ms"], new["quiet"]) == (whole["times_ms"], whole["quiet"])
    assert whole["quiet"] == [0, 0, 0]
