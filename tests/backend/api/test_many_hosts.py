"""What readers are told where there are more hosts and findings than an answer has room for."""

from faultmodel.record import Loss, Probe
from tests.backend.serving import Server
from tests.batches import START_MS, make_batch, make_host

RECORDINGS = 60
LONGEST = {"from": START_MS, "to": START_MS + 11_000_000, "step": "1s"}


def bring(server: Server) -> None:
    """Store recordings that say as much as they can."""
    probes = tuple(Probe(tracepoint="x" * 250, state="y" * 250) for _ in range(64))
    lost = [Loss(f"kind-{place}", 1) for place in range(64)]
    server.apply(make_batch(host=make_host("live"), stream="f" * 32))
    for place in range(RECORDINGS):
        server.clock.now_ns += 1
        host = make_host(f"h/{place:02}", state="replay", probes=probes)
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
    assert detail.startswith("step: 3251 lines of hosts and 11000 points")


def test_probes_that_say_more_than_they_can_are_refused(server: Server) -> None:
    probes = tuple(Probe(tracepoint="x", state="y", detail="z" * 1000) for _ in range(64))
    token = server.new_token("ingest", "h")  # type: ignore[arg-type]
    refused = server.send(make_batch(host=make_host("h", probes=probes)), token)
    assert (refused.status_code, refused.json()["code"]) == (400, "damaged")
