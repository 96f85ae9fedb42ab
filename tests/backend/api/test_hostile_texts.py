# SPDX-License-Identifier: Apache-2.0
"""Texts that a host sends, whatever they hold: what readers get can be shown and copied."""

import unicodedata
from typing import Any

from backend.auth import TokenKind
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter
from faultmodel.kinds import EventKind, LossKind, ProbeState
from faultmodel.record import HostEvent, Loss, Probe
from faultmodel.wire import Batch
from tests.backend.serving import Server
from tests.batches import START_NS, VM_ID, fault_count, make_batch, make_host, make_vm

HOSTILE = "web\x1b[201~'\ntouch /tmp/x #\u202e\u200b\x9b"
SHOWN = "web\ufffd[201~'\ufffdtouch /tmp/x #\ufffd\ufffd\ufffd"
PATHS = (
    "/api/v1/status",
    "/api/v1/vms",
    f"/api/v1/vms/{VM_ID}",
    "/api/v1/host-events",
    "/api/v1/ledger",
    "/api/v1/costs",
)


def hostile_batch() -> Batch:
    return make_batch(
        host=make_host(
            kernel=HOSTILE,
            flavour=HOSTILE,
            detail=HOSTILE,
            collector_version=HOSTILE,
            probes=(Probe(tracepoint=HOSTILE, state=ProbeState(HOSTILE), detail=HOSTILE),),
        ),
        vms=[make_vm(name=HOSTILE, uuid=HOSTILE, vmm=HOSTILE, manager=HOSTILE, command=HOSTILE)],
        fault_counts=[fault_count(faults=5)],
        lost=[Loss(LossKind(HOSTILE), 1)],
        events=[HostEvent(time_ns=START_NS, kind=EventKind.RECORDS, detail=HOSTILE)],
    )


def texts(body: Any) -> list[str]:
    if isinstance(body, dict):
        return [text for item in body.items() for part in item for text in texts(part)]
    if isinstance(body, list):
        return [text for item in body for text in texts(item)]
    return [body] if isinstance(body, str) else []


def not_shown(body: Any) -> list[str]:
    return [
        text
        for text in texts(body)
        if any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") for character in text)
    ]


def answers(server: Server) -> list[Any]:
    splits = ("vm", "vcpu", "flag")
    rates = [server.get("/api/v1/rates", metric="faults", by=by, from_="now-1h") for by in splits]
    return [*map(server.get, PATHS), *rates]


def test_what_comes_is_made_printable_before_it_is_stored(server: Server) -> None:
    token = server.new_token(TokenKind.INGEST, "host-1")
    assert server.send(hostile_batch(), token).json()["applied"]
    (stored,) = server.store.vms(VmFilter(), TimeRange(), limit=2, after=None)
    assert {getattr(stored, field) for field in ("name", "uuid", "vmm", "manager", "command")} == {SHOWN}
    (host,) = server.get("/api/v1/status")["hosts"]
    assert (host["detail"], host["probes"][0]["tracepoint"], host["lost"]) == (SHOWN, SHOWN, {"other": 1})
    assert server.get("/api/v1/host-events")["items"][0]["detail"] == SHOWN
    assert [not_shown(answer) for answer in answers(server)] == [[]] * len(answers(server))


def test_what_was_stored_before_is_shown_printable(server: Server) -> None:
    server.apply(hostile_batch())
    assert server.get(f"/api/v1/vms/{VM_ID}")["name"] == SHOWN
    assert [not_shown(answer) for answer in answers(server)] == [[]] * len(answers(server))


def test_a_host_whose_name_does_not_show_is_stored_under_one_that_does(server: Server) -> None:
    token = server.new_token(TokenKind.INGEST, "host\u200b")
    assert server.send(make_batch(host=make_host("host\u200b")), token).json()["applied"]
    assert [host["name"] for host in server.get("/api/v1/status")["hosts"]] == ["host\ufffd"]
