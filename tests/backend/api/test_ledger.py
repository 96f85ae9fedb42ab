# SPDX-License-Identifier: Apache-2.0
"""The ledger over HTTP: what was seen is stored, or it is said what became of it."""

from typing import Any

import pytest

from backend.auth import TokenKind
from faultmodel.kinds import LossKind
from faultmodel.record import LedgerEntry, Loss
from tests.backend.api.warned import not_covered
from tests.backend.serving import Server
from tests.backend.store.test_folding import AT, aged, fold
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    STREAM,
    VM_ID,
    fault_count,
    fault_record,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
)

LEDGER = "/api/v1/ledger"
OTHER_VM = "00000000000000b2"
OTHER_STREAM = "6" * 32
GRID = {"from_": START_MS, "to": START_MS + 4000, "step": "1s"}


def _zero(*values: int | None) -> dict[str, Any]:
    return {"total": sum(value or 0 for value in values), "values": list(values)}


def test_the_ledger_of_a_vm_and_its_host(server: Server) -> None:
    entries = [
        ledger_entry(second=0, seen=10, recorded=2, uncounted=1, dropped=3),
        ledger_entry(second=2, seen=5, seen_total=22),
    ]
    server.apply(
        make_batch(0, vms=[make_vm()], ledger=entries[:1], lost=[Loss(LossKind.KEYS_FULL, 1)]),
        make_batch(2, vms=[make_vm()], ledger=entries[1:]),
    )
    assert server.get(LEDGER, **GRID) == {
        "step_ms": 1000,
        "times_ms": [START_MS, START_MS + 1000, START_MS + 2000, START_MS + 3000],
        "vms": [
            {
                "vm": VM_ID,
                "host": "host-1",
                "seen": _zero(10, None, 5, None),
                "counted": _zero(9, None, 5, None),
                "uncounted": _zero(1, None, 0, None),
                "recorded": _zero(2, None, 0, None),
                "sampled_out": _zero(5, None, 5, None),
                "dropped": _zero(3, None, 0, None),
                "missing": 7,
                "balanced": True,
                "findings": [],
            }
        ],
        "others": None,
        "hosts": [
            {
                "host": "host-1",
                "covered_ms": [1000, 0, 1000, 0],
                "lost": {"keys_full": _zero(1, None, 0, None)},
                "batches": {"shipped": 3, "stored": 2, "dropped": 0, "under_way": 1},
                "folded": None,
                "balanced": False,
                "findings": [],
            }
        ],
        "kept_from_ms": None,
        "warnings": [not_covered(START_MS + 1000, START_MS + 4000, 2000)],
        "warnings_left_out": 0,
        "recordings_left_out": 0,
        "as_of": {
            "hosts": [
                {
                    "host": "host-1",
                    "stream": STREAM,
                    "batch": 2,
                    "changes": 2,
                    "covered_to": "2027-01-15T08:00:03.000000000Z",
                }
            ],
            "left_out": 0,
        },
    }


def test_a_batch_that_arrives_late_is_missing_no_more(server: Server) -> None:
    batches = [
        make_batch(n, vms=[make_vm()], ledger=[ledger_entry(second=n, seen=5, seen_total=5 * n + 5)])
        for n in range(3)
    ]
    server.apply(batches[2], batches[0])
    (vm,) = server.get(LEDGER, **GRID)["vms"]
    assert (vm["seen"]["total"], vm["missing"]) == (10, 5)
    assert server.get(LEDGER, **GRID)["hosts"][0]["batches"]["under_way"] == 1
    server.apply(batches[1])
    (vm,) = server.get(LEDGER, **GRID)["vms"]
    assert (vm["seen"]["total"], vm["missing"]) == (15, 0)
    assert server.get(LEDGER, **GRID)["hosts"][0]["batches"]["under_way"] == 0


def test_what_is_missing_adds_up_over_countings(server: Server) -> None:
    # Of each counting a batch did not come: of the one with 3 faults, of the other with 5.
    for stream, missing in (("1" * 32, 3), ("2" * 32, 5)):
        entry = ledger_entry(seen=10, seen_total=10 + missing)
        server.apply(make_batch(1, stream=stream, vms=[make_vm()], ledger=[entry]))
    (vm,) = server.get(LEDGER, **GRID)["vms"]
    assert (vm["seen"]["total"], vm["missing"]) == (20, 8)


def test_more_stored_than_was_seen_does_not_balance(server: Server) -> None:
    for sequence in range(2):
        entry = ledger_entry(second=sequence, seen=5, seen_total=5)
        server.apply(make_batch(sequence, vms=[make_vm()], ledger=[entry]))
    (vm,) = server.get(LEDGER, **GRID)["vms"]
    assert (vm["balanced"], vm["missing"]) == (False, 0)


def test_a_restarted_collector_that_takes_a_counting_over_misses_nothing(server: Server) -> None:
    first = make_batch(vms=[make_vm()], ledger=[ledger_entry(seen=5, seen_total=5)])
    second = make_batch(
        stream=OTHER_STREAM,
        counting=first.counting,
        vms=[make_vm()],
        ledger=[ledger_entry(second=1, seen=3, seen_total=8)],
    )
    server.apply(first, second)
    (vm,) = server.get(LEDGER, **GRID)["vms"]
    assert (vm["missing"], vm["balanced"]) == (0, True)


def test_vms_and_hosts_are_found_alone(server: Server) -> None:
    other = make_host("host-2")
    server.apply(
        make_batch(fault_counts=[fault_count(faults=2)]),
        make_batch(host=other, stream=OTHER_STREAM, fault_counts=[fault_count(OTHER_VM, faults=3)]),
    )
    everything = server.get(LEDGER, **GRID)
    assert [(item["vm"], item["seen"]["total"]) for item in everything["vms"]] == [(OTHER_VM, 3), (VM_ID, 2)]
    assert [item["host"] for item in everything["hosts"]] == ["host-1", "host-2"]
    for found in (server.get(LEDGER, host="host-2", **GRID), server.get(LEDGER, vm=OTHER_VM, **GRID)):
        assert [item["vm"] for item in found["vms"]] == [OTHER_VM]
        assert [item["host"] for item in found["hosts"]] == ["host-2"]


def test_what_is_not_there_is_said_to_be_so(server: Server) -> None:
    server.apply(make_batch(vms=[make_vm()]))
    assert server.problem(LEDGER, vm=OTHER_VM) == (404, f"no VM {OTHER_VM!r}")
    assert server.problem(LEDGER, host="nobody") == (404, "no host 'nobody'")
    server.apply(make_batch(host=make_host("host-2"), stream=OTHER_STREAM))
    status, detail = server.problem(LEDGER, vm=VM_ID, host="host-2")
    assert (status, detail) == (400, f"vm: VM {VM_ID} is of host 'host-1', which `host` leaves out")


def test_an_empty_server_has_an_empty_ledger(server: Server) -> None:
    found = server.get(LEDGER, **GRID)
    assert (found["vms"], found["hosts"]) == ([], [])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            ledger_entry(seen=6, counted=5, recorded=1),
            "seen = counted + uncounted, but 6 and 5",
        ),
        (
            ledger_entry(seen=5, recorded=1, sampled_out=5),
            "recorded + sampled_out + dropped = seen, but 6 and 5",
        ),
        (
            ledger_entry(seen=4, recorded=1),
            "counted = faults of the fault counts, but 4 and 5",
        ),
        (
            ledger_entry(seen=5, recorded=2),
            "recorded = number of fault records, but 2 and 1",
        ),
    ],
)
def test_a_batch_whose_ledger_does_not_balance_is_refused_whole(
    server: Server, entry: LedgerEntry, message: str
) -> None:
    batch = make_batch(fault_counts=[fault_count(faults=5)], faults=[fault_record()], ledger=[entry])
    response = server.send(batch, server.new_token(TokenKind.INGEST, "host-1"))
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == f"ledger of VM {VM_ID} does not balance: {message}"
    assert server.get("/api/v1/status")["hosts"] == []
    assert server.get("/api/v1/vms")["items"] == []


def test_faults_without_a_ledger_are_refused(server: Server) -> None:
    batch = make_batch(fault_counts=[fault_count(faults=5)], ledger=[])
    response = server.send(batch, server.new_token(TokenKind.INGEST, "host-1"))
    assert response.status_code == 400
    assert response.json()["detail"] == f"ledger lacks VM {VM_ID}, of which the batch has faults"


def test_a_batch_whose_ledger_balances_is_taken(server: Server) -> None:
    batch = make_batch(
        fault_counts=[fault_count(faults=5)],
        faults=[fault_record()],
        ledger=[ledger_entry(seen=6, uncounted=1, recorded=1, dropped=2)],
    )
    token = server.new_token(TokenKind.INGEST, "host-1")
    assert server.send(batch, token).json() == {"applied": True}
    (vm,) = server.get(LEDGER, **GRID)["vms"]
    assert (vm["seen"]["total"], vm["counted"]["total"], vm["uncounted"]["total"]) == (6, 5, 1)


def test_what_is_folded_of_a_host_is_a_sum(server: Server) -> None:
    fold(aged(server.store))
    server.clock.now_ns = START_NS + (AT + 3600) * NS_PER_S
    one, recording = server.get(
        LEDGER, from_=START_MS + AT * 1000, to=START_MS + (AT + 60) * 1000, step="60s"
    )["hosts"]
    assert one["folded"] == {"vms": 1, "faults": 5, "before": "2027-04-24T08:00:00.000000000Z"}
    assert recording["folded"] is None
