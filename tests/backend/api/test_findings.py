# SPDX-License-Identifier: Apache-2.0
"""What is wrong with how hosts are traced, as the status and the ledger report it."""

from typing import Any

import msgspec
import pytest

from backend.auth import TokenKind
from backend.schedule import EVERY_S, WITHIN_S
from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store
from faultmodel import wire
from faultmodel.kinds import HostState
from faultmodel.record import Span
from tests.backend.serving import NOW_NS, Server, make_server
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    VM_ID,
    fault_count,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
)

LEDGER = "/api/v1/ledger"
GRID = {"from_": str(START_MS), "to": str(START_MS + 6000), "step": "1s"}
OTHER_BOOT = "00000000-3f58-4a57-9f0e-6d7a5b1c2d3e"
OTHER_VM = "00000000000000b2"
ONE, TWO = "1" * 32, "2" * 32


def findings(server: Server) -> dict[str, dict[str, Any]]:
    """Return the status's findings by code."""
    found = server.get("/api/v1/status")["findings"]
    assert len({item["code"] for item in found}) == len(found)
    return {item["code"]: item for item in found}


def test_a_host_that_never_delivered_is_reported(server: Server) -> None:
    server.new_token(TokenKind.INGEST, "host-9")
    server.new_token(TokenKind.READ)
    server.apply(make_batch())
    found = findings(server)
    assert (list(found), found["never_delivered"]["hosts"]) == (["never_delivered"], ["host-9"])
    for parameters in ({}, {"host": "host-9"}):
        host = server.get(LEDGER, **GRID, **parameters)["hosts"][-1]
        assert (host["host"], host["balanced"], host["findings"]) == ("host-9", False, ["never_delivered"])
        assert host["batches"] == {"shipped": 0, "stored": 0, "dropped": 0, "under_way": 0}
        assert set(host["covered_ms"]) == {0}


def test_a_receipt_says_what_is_wrong_with_the_host(server: Server) -> None:
    token = server.new_token(TokenKind.INGEST, "b")
    assert server.send(make_batch(host=make_host("a")), server.new_token(TokenKind.INGEST, "a")).json() == {
        "applied": True
    }
    # Another server of the database, as one reads findings every few seconds.
    other = make_server(server.store)
    receipt = other.send(make_batch(1, stream="5" * 32, host=make_host("b")), token).json()
    (finding,) = receipt["findings"]
    assert (finding["code"], sorted(finding["hosts"])) == ("renamed", ["a", "b"])
    assert finding["is_current"]
    assert "times" not in finding


def test_a_receipt_says_nothing_of_other_hosts(server: Server) -> None:
    for name, number in (("a", 1), ("b", 2)):
        server.apply(make_batch(stream=f"{number:032x}", host=make_host(name)))
    server.apply(make_batch(stream="7" * 32, host=make_host("c", boot_id=OTHER_BOOT)))
    receipt = server.send(
        make_batch(1, stream="7" * 32, host=make_host("c", boot_id=OTHER_BOOT)),
        server.new_token(TokenKind.INGEST, "c"),
    )
    assert receipt.json() == {"applied": True}
    assert "renamed" in findings(server)


def test_a_host_whose_recordings_came_has_delivered(server: Server) -> None:
    token = server.new_token(TokenKind.INGEST, "import")
    server.new_token(TokenKind.INGEST, "imp")
    batch = make_batch(host=make_host("import/night/trace", state=HostState.REPLAY))
    assert server.send(batch, token).status_code == 200
    assert findings(server)["never_delivered"]["hosts"] == ["imp"]


def test_what_is_refused_is_reported_until_batches_are_taken(server: Server) -> None:
    token = server.new_token(TokenKind.INGEST, "host-1")
    batch = make_batch(vms=[make_vm()])
    assert server.send(batch, token).status_code == 200
    content = msgspec.msgpack.decode(wire.encode(make_batch(1)))
    later = msgspec.msgpack.encode(content | {"version": 9})
    for _ in range(3):
        server.clock.now_ns += NS_PER_S // 2
        assert server.send(later, token).status_code == 503

    refused = findings(server)["refused"]
    assert (refused["hosts"], refused["reason"], refused["times"]) == (["host-1"], "unknown_version", 3)
    assert refused["is_current"]
    assert "version 9" in refused["detail"]
    assert len(refused["token"]) == 12
    assert (refused["since"], refused["last"]) == (
        "2027-01-15T08:01:00.500000000Z",
        "2027-01-15T08:01:01.500000000Z",
    )
    answer = server.get(LEDGER, **GRID)
    assert [(vm["balanced"], vm["findings"]) for vm in answer["vms"]] == [(False, ["refused"])]
    assert [(host["balanced"], host["findings"]) for host in answer["hosts"]] == [(False, ["refused"])]

    server.clock.now_ns += NS_PER_S
    assert server.send(make_batch(1), token).status_code == 200
    assert not findings(server)["refused"]["is_current"]
    answer = server.get(LEDGER, **GRID)
    assert [vm["balanced"] for vm in answer["vms"]] == [True]
    assert [host["balanced"] for host in answer["hosts"]] == [True]


def later_version(sequence: int, stream: str) -> bytes:
    """Return a batch that only a later version of the server reads."""
    content = msgspec.msgpack.decode(wire.encode(make_batch(sequence, stream=stream)))
    return msgspec.msgpack.encode(content | {"version": 9})


def balanced(server: Server) -> list[bool]:
    """Return which accounts of hosts and VMs balance."""
    answer = server.get(LEDGER, **GRID)
    return [item["balanced"] for item in (*answer["hosts"], *answer["vms"])]


def test_one_collector_that_is_refused_is_reported_while_another_is_taken(server: Server) -> None:
    token = server.new_token(TokenKind.INGEST, "host-1")
    for number in range(3):
        server.clock.now_ns += NS_PER_S
        assert server.send(later_version(number, TWO), token).status_code == 503
        server.clock.now_ns += NS_PER_S
        assert server.send(make_batch(number, stream=ONE, vms=[make_vm()]), token).status_code == 200
    refused = findings(server)["refused"]
    assert (refused["times"], refused["is_current"]) == (3, True)
    assert balanced(server) == [False, False]

    # It gave up, for example because its disk was lost: what it had is not there, and never will be.
    server.clock.now_ns += 3600 * NS_PER_S
    assert server.send(make_batch(3, stream=ONE, vms=[make_vm()]), token).status_code == 200
    assert not findings(server)["refused"]["is_current"]
    assert balanced(server) == [False, False]

    # Or else it delivers what it kept, once the server reads that.
    for number in range(3):
        assert server.send(make_batch(number, stream=TWO), token).status_code == 200
    assert not findings(server)["refused"]["is_current"]
    assert balanced(server) == [True, True]


def test_what_was_refused_without_its_name_is_reported_for_a_while(server: Server) -> None:
    token = server.new_token(TokenKind.INGEST, "host-1")
    assert server.request("POST", "/api/v1/ingest", content=b"x", headers=token).status_code == 503
    server.clock.now_ns += NS_PER_S
    assert server.send(make_batch(vms=[make_vm()]), token).status_code == 200
    assert (findings(server)["refused"]["is_current"], balanced(server)) == (True, [False, False])
    server.clock.now_ns += 61 * NS_PER_S
    assert (findings(server)["refused"]["is_current"], balanced(server)) == (False, [True, True])


def test_a_token_that_is_taken_away_takes_no_refusal_with_it(server: Server) -> None:
    token = server.new_token(TokenKind.INGEST, "host-1")
    assert server.send(make_batch(vms=[make_vm()]), token).status_code == 200
    assert server.send(b"\xc1", token).status_code == 400
    server.clock.now_ns += 5 * NS_PER_S
    (known,) = server.store.tokens()
    server.store.remove_token(known.sha256)
    server.new_token(TokenKind.INGEST, "host-1")
    assert findings(server)["refused"]["reason"] == "damaged"
    assert balanced(server) == [False, False]
    server.store.remove_host("host-1")
    assert "refused" not in findings(server)


def test_refusals_of_a_host_that_never_was_go_with_the_token(server: Server) -> None:
    assert server.send(b"\xc1", server.new_token(TokenKind.INGEST, "host-9")).status_code == 400
    assert findings(server)["refused"]["is_current"]
    (known,) = server.store.tokens()
    server.store.remove_token(known.sha256)
    assert findings(server) == {}


def test_recordings_are_no_sign_of_a_host_of_their_name(server: Server) -> None:
    for name in ("import", "node-1"):
        token = server.new_token(TokenKind.INGEST, name)
        host = make_host("import/boot" if name == "import" else name, state=HostState.REPLAY)
        assert server.send(make_batch(host=host), token).status_code == 200
    # Nobody is expected with a token that brings recordings, whatever they are called.
    assert "never_delivered" not in findings(server)
    server.new_token(TokenKind.INGEST, "node-1")
    assert findings(server)["never_delivered"]["hosts"] == ["node-1"]


def test_damaged_batches_leave_the_account_open(server: Server) -> None:
    token = server.new_token(TokenKind.INGEST, "host-1")
    assert server.send(b"\xc1", token).status_code == 400
    server.clock.now_ns += NS_PER_S
    assert server.send(make_batch(), token).status_code == 200
    refused = findings(server)["refused"]
    assert (refused["reason"], refused["times"], refused["is_current"]) == ("damaged", 1, False)
    assert [host["balanced"] for host in server.get(LEDGER, **GRID)["hosts"]] == [False]


def test_a_batch_of_another_host_is_reported_of_the_tokens_host(server: Server) -> None:
    token = server.new_token(TokenKind.INGEST, "host-1")
    assert server.send(make_batch(host=make_host("host-2")), token).status_code == 403
    found = findings(server)
    assert (found["refused"]["hosts"], found["refused"]["reason"]) == (["host-1"], "wrong_host")
    assert found["never_delivered"]["hosts"] == ["host-1"]


@pytest.mark.parametrize(
    "absurd",
    [{"arch": "x" * 1_000_000}, {"stream": "s" * 1_000_000}, {"version": 9, "stream": "s" * 1_000_000}],
)
def test_what_is_said_of_a_refusal_is_short_whatever_was_refused(
    server: Server, absurd: dict[str, Any]
) -> None:
    token = server.new_token(TokenKind.INGEST, "host-1")
    batch = msgspec.msgpack.decode(wire.encode(make_batch()))
    refused = server.send(msgspec.msgpack.encode(batch | absurd), token)
    assert refused.status_code in (400, 503)
    assert len(refused.json()["detail"]) <= 1024
    assert 0 < len(findings(server)["refused"]["detail"]) <= 1024
    (stored,) = server.store.refusals()
    assert stored.batch is None or max(map(len, (stored.batch.host, stored.batch.stream))) <= 256


def test_senders_without_a_known_token_are_counted_as_one(server: Server) -> None:
    server.apply(make_batch())
    for number in range(4):
        server.clock.now_ns += NS_PER_S
        token = {"Authorization": f"Bearer nonsense-{number}"}
        assert server.send(make_batch(1), token).status_code == 401
    refused = findings(server)["refused"]
    assert (refused["hosts"], refused["token"], refused["reason"]) == ([], None, "token_unknown")
    assert (refused["times"], refused["is_current"]) == (4, True)
    assert [host["balanced"] for host in server.get(LEDGER, **GRID)["hosts"]] == [True]
    server.clock.now_ns += 61 * NS_PER_S
    assert not findings(server)["refused"]["is_current"]


def second(at_s: int, stream: str, *, vm: str = VM_ID, **host: str) -> Any:
    """Return what a stream, whose counting has its name, says of one second: ten faults."""
    start_ns = START_NS + at_s * NS_PER_S
    return make_batch(
        at_s,
        stream=stream,
        host=make_host(**host),
        covered=(Span(start_ns, start_ns + NS_PER_S),),
        vms=[make_vm(vm)],
        fault_counts=[fault_count(vm, second=at_s, faults=10)],
        ledger=[ledger_entry(vm, second=at_s, seen=10, seen_total=10 * (at_s + 1))],
    )


def test_what_two_countings_count_at_once_does_not_balance(server: Server) -> None:
    for at_s in range(3):
        server.clock.now_ns += NS_PER_S
        server.apply(second(at_s, ONE), second(at_s, TWO))
    found = findings(server)["counted_twice"]
    assert (found["hosts"], found["is_current"]) == (["host-1"], True)
    answer = server.get(LEDGER, **GRID)
    (vm,) = answer["vms"]
    assert (vm["missing"], vm["balanced"], vm["findings"]) == (0, False, ["counted_twice"])
    (host,) = answer["hosts"]
    assert (host["balanced"], host["findings"]) == (False, ["counted_twice"])

    # It was so, and what is stored stays doubled.
    server.clock.now_ns += 3600 * NS_PER_S
    assert not findings(server)["counted_twice"]["is_current"]
    assert not server.get(LEDGER, **GRID)["vms"][0]["balanced"]


def test_a_machine_that_is_not_traced_is_a_gap_though_its_namesake_is(server: Server) -> None:
    for at_s in range(6):
        server.clock.now_ns += NS_PER_S
        if at_s not in (2, 3):
            server.apply(second(at_s, ONE))
        server.clock.now_ns += 1
        server.apply(second(at_s, TWO, vm=OTHER_VM, boot_id=OTHER_BOOT))

    assert findings(server)["two_machines"]["hosts"] == ["host-1"]
    for by in ("vm", "vcpu"):
        answer = server.get("/api/v1/rates", **GRID, by=by)
        values = {series["key"].partition("/")[0]: series["values"] for series in answer["series"]}
        assert values == {VM_ID: [10.0, 10.0, None, None, 10.0, 10.0], OTHER_VM: [10.0] * 6}
    listed = server.get("/api/v1/vms", from_=GRID["from_"], to=GRID["to"], trend=6)["items"]
    trends = {vm["id"]: vm["trend"] for vm in listed}
    assert trends == {VM_ID: [10.0, 10.0, None, None, 10.0, 10.0], OTHER_VM: [10.0] * 6}
    assert {vm["id"]: vm["fault_rate"] for vm in listed} == {VM_ID: 10.0, OTHER_VM: 10.0}
    seen = {vm["vm"]: vm["seen"]["values"] for vm in server.get(LEDGER, **GRID)["vms"]}
    assert seen == {VM_ID: [10, 10, None, None, 10, 10], OTHER_VM: [10] * 6}


def test_a_clock_that_is_ahead_is_reported(server: Server) -> None:
    ahead_ns = NOW_NS + 3600 * NS_PER_S
    server.apply(make_batch(covered=(Span(ahead_ns - NS_PER_S, ahead_ns),)))
    found = findings(server)["clock_ahead"]
    assert (found["hosts"], found["seconds"], found["is_current"]) == (["host-1"], 3600.0, True)
    (host,) = server.get("/api/v1/status")["hosts"]
    assert (host["clock_offset_s"], host["covered_to"]) == (3600.0, "2027-01-15T08:01:00.000000000Z")


def test_nothing_is_found_where_all_is_well(server: Server) -> None:
    token = server.new_token(TokenKind.INGEST, "host-1")
    for number in range(3):
        assert server.send(make_batch(number), token).status_code == 200
    assert findings(server) == {}


def test_a_server_whose_clock_cannot_be_right_takes_nothing_and_says_so(server: Server) -> None:
    token = server.new_token(TokenKind.INGEST, "host-1")
    assert server.send(make_batch(0), token).status_code == 200
    right_ns = server.clock.now_ns
    for wrong_ns in (100 * NS_PER_S, right_ns - 7200 * NS_PER_S):
        server.clock.now_ns = wrong_ns
        refused = server.send(make_batch(1), token)
        assert (refused.status_code, refused.json()["code"]) == (503, "server_clock")
        assert "Retry-After" in refused.headers
        (found,) = server.get("/api/v1/status")["findings"]
        assert (found["code"], found["hosts"], found["is_current"]) == ("server_clock", [], True)
        assert found["detail"] == refused.json()["detail"]
    server.clock.now_ns = right_ns + NS_PER_S
    assert server.send(make_batch(1), token).json() == {"applied": True}
    assert server.get("/api/v1/status")["findings"] == []


def test_a_server_whose_clock_cannot_be_right_is_not_ready(store: Store) -> None:
    server = make_server(store, expects_collector=True)
    server.apply(make_batch(0))
    assert server.request("GET", "/readyz").status_code == 200
    server.clock.now_ns = 0
    assert "the server's clock says 1970-01-01T00:00:00Z" in server.problem("/readyz")[1]


def test_who_is_refused_while_the_clock_is_wrong_was_not_refused_in_1970(server: Server) -> None:
    server.clock.now_ns = 0
    assert server.send(make_batch(0), {"Authorization": "Bearer x"}).status_code == 401
    found = {item["code"]: item for item in server.get("/api/v1/status")["findings"]}
    assert found["refused"]["since"] == "2026-11-01T00:00:00.000000000Z"
    assert found["refused"]["is_current"]


def test_a_job_that_failed_or_is_not_done_is_reported(server: Server) -> None:
    def attempt(error: str) -> None:
        now_ns = server.clock.now_ns
        claim = JobClaim(name="sessions", holder="x", began_ns=now_ns, within_ns=1, every_ns=1)
        assert server.store.claim_job(claim)
        server.store.finish_job(claim, now_ns, error)

    attempt("the disk is full")
    found = findings(server)["job_failed"]
    assert (found["hosts"], found["job"], found["detail"]) == ([], "sessions", "the disk is full")
    assert found["is_current"]

    server.clock.now_ns += 60 * NS_PER_S
    attempt("")
    server.clock.now_ns += 2 * (EVERY_S["sessions"] + WITHIN_S) * NS_PER_S
    assert findings(server) == {}
    server.clock.now_ns += NS_PER_S
    assert findings(server)["job_failed"]["detail"] == "it was not done for longer than 1320 s"
