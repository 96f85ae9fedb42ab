# SPDX-License-Identifier: Apache-2.0
"""What readers are shown where there are more hosts and findings than an answer has room for."""

from sqlalchemy import insert, select

from backend.store.sql.catalog.vm_members import MAX_MEMBERS
from backend.store.sql.store import SqlStore
from backend.store.sql.tables import vms
from faultmodel.kinds import HostState, LossKind, ProbeState
from faultmodel.record import Loss, Probe, Span
from tests.backend.serving import Server
from tests.batches import START_MS, START_NS, make_batch, make_host, make_vm

RECORDINGS = 60
LONGEST = {"from": START_MS, "to": START_MS + 11_000_000, "step": "1s"}


def bring(server: Server) -> None:
    """Store recordings that say as much as they can."""
    probes = tuple(
        Probe(tracepoint="x" * 250, state=ProbeState.ATTACHED, detail="y" * 240) for _ in range(64)
    )
    lost = [Loss(kind, 1) for kind in LossKind]
    server.apply(make_batch(host=make_host("live"), stream="f" * 32))
    for place in range(RECORDINGS):
        server.clock.now_ns += 1
        host = make_host(f"h/{place:02}", state=HostState.REPLAY, probes=probes)
        server.apply(make_batch(host=host, stream=f"{place:032x}", lost=lost))


def test_a_status_has_the_newest_recordings_and_says_how_many_are_left_out(server: Server) -> None:
    bring(server)
    found = server.get("/api/v1/status")
    assert [host["name"] for host in found["hosts"]] == [*(f"h/{n}" for n in range(10, 60)), "live"]
    assert (found["recordings_left_out"], found["findings_left_out"]) == (10, 0)


def test_an_account_has_the_newest_recordings_and_each_that_is_asked_for(server: Server) -> None:
    bring(server)
    found = server.get("/api/v1/ledger", vms="false")
    assert [host["host"] for host in found["hosts"]] == [*(f"h/{n}" for n in range(10, 60)), "live"]
    assert found["recordings_left_out"] == 10
    found = server.get("/api/v1/ledger", host="h/00")
    assert ([host["host"] for host in found["hosts"]], found["recordings_left_out"]) == (["h/00"], 0)
    status, detail = server.problem("/api/v1/ledger", vms="false", **LONGEST)
    assert status == 400
    # Each recording shown has a line of its own and one for every kind of loss; the live host lost nothing.
    lines = 50 * (1 + len(LossKind)) + 1
    assert detail.startswith(f"step: {lines} lines of hosts and 11000 points")


def test_probes_that_say_more_than_they_can_are_refused(server: Server) -> None:
    probes = tuple(Probe(tracepoint="x", state=ProbeState.ATTACHED, detail="z" * 1000) for _ in range(64))
    token = server.new_token("ingest", "h")  # type: ignore[arg-type]
    refused = server.send(make_batch(host=make_host("h", probes=probes)), token)
    assert (refused.status_code, refused.json()["code"]) == (400, "damaged")


def test_a_list_of_more_vms_than_are_looked_through_has_some_of_each_host(server: Server) -> None:
    store = server.store
    assert isinstance(store, SqlStore)
    server.apply(make_batch(host=make_host("quiet"), stream="1" * 32, vms=[make_vm("f" * 16)]))
    server.apply(make_batch(host=make_host("busy"), stream="2" * 32, vms=[make_vm("e" * 16)]))
    with store.writing() as writer:
        asked = select(vms).where(vms.c.public_id == "e" * 16)
        first = writer.connection.execute(asked).one()._asdict()
        del first["id"]
        names = [f"{number:016x}" for number in range(MAX_MEMBERS + 7)]
        rows = [
            first | {"public_id": name, "reported_id": name, "last_seen_ms": first["last_seen_ms"] + 1}
            for name in names
        ]
        writer.connection.execute(insert(vms), rows)
    found = server.get("/api/v1/vms", sort="-faults", totals="true", limit=1, from_=START_MS)
    assert (found["totals"]["vms"], found["totals"]["hosts"], found["vms_left_out"]) == (MAX_MEMBERS, 2, 9)
    found = server.get("/api/v1/vms", sort="name", totals="true", limit=1, host="quiet")
    assert (found["totals"]["vms"], found["vms_left_out"]) == (1, 0)
    found = server.get("/api/v1/rates", state="running", most=7, from_=START_MS, to=START_MS + 1000)
    assert found["vms_left_out"] == 9


def test_coverage_in_many_pieces_is_shown_without_the_gaps_within_a_step(server: Server) -> None:
    pieces = [step * 1000 + piece * 40 for step in range(120) if step % 3 for piece in range(4)]
    for number in range(0, len(pieces), 64):
        spans = tuple(
            Span(START_NS + piece * 10**6, START_NS + (piece + 1) * 10**6)
            for piece in pieces[number : number + 64]
        )
        server.apply(make_batch(number, covered=spans))
    grid = {"from": START_MS, "to": START_MS + 120_000}
    shown = server.get("/api/v1/rates", step="1s", **grid)["coverage"]
    of_host = [(span["from_ms"] - START_MS, span["to_ms"] - START_MS) for span in shown]
    # Two steps are read, the third is not.
    assert of_host[:2] == [(1000, 2121), (4000, 5121)]
    assert len(shown) == 40
    values = server.get("/api/v1/rates", step="1s", **grid)["quiet"]
    assert values[:6] == [None, 0, 0, None, 0, 0]
