# SPDX-License-Identifier: Apache-2.0
"""Who may have a host record every fault of a VM, how the host learns of it, and what is said of it."""

from typing import Any

import httpx
import pytest

from backend import record_orders
from backend.auth import TokenKind, hash_token
from backend.store.contract.store import Store
from backend.times import rfc3339_ns
from faultmodel.kinds import RecordEnd, RecordingLevel
from faultmodel.record import Collector
from faultmodel.record_answers import RecordAnswer
from tests.backend.serving import NOW_NS, Server, make_server
from tests.batches import NS_PER_S, START_NS, make_batch, make_host, make_vm

VM = "00000000000000a1"
PATH = f"/api/v1/vms/{VM}/record"
HOST = make_host(collector=Collector(takes_requests=True))
ANSWER: dict[str, Any] = {
    "time_ns": START_NS + 5 * NS_PER_S,
    "part": 0,
    "is_found": True,
    "level": RecordingLevel.ALL,
    "all_ns": 4 * NS_PER_S,
    "none_ns": NS_PER_S,
    "seen": 10,
    "recorded": 7,
    "dropped": 1,
    "late": 2,
    "missed": 3,
    "dropped_batches": 4,
    "cpu_ns": 600_000_000,
    "usual_cpu_ns": 100_000_000,
    "used_ppm": 31_000,
    "granted_ppm": 20_000,
}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receipts have what was asked at another server, too."""
    monkeypatch.setattr(record_orders, "_EVERY_S", 0.0)


@pytest.fixture
def server(store: Store) -> Server:
    """Return a server on loopback that knows a VM."""
    made = make_server(store)
    made.apply(make_batch(host=HOST, vms=[make_vm(VM)]))
    return made


@pytest.fixture
def public(store: Store, server: Server) -> Server:
    """Return one on the same store that others can reach."""
    return make_server(server.store, host="0.0.0.0")


def _ask(server: Server, seconds: int = 30, **options: Any) -> httpx.Response:
    return server.request("POST", PATH, json={"seconds": seconds}, **options)


def _asked(server: Server, **options: Any) -> Any:
    response = _ask(server, **options)
    assert response.status_code == 202, response.text
    return response.json()


def _problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    return response.status_code, response.json()["code"]


def _answer(server: Server, request: str, number: int = 1, **fields: Any) -> None:
    server.apply(
        make_batch(number, host=HOST, record_answers=[RecordAnswer(request=request, **(ANSWER | fields))])
    )


def _shown(server: Server, request: str) -> Any:
    shown = server.get(f"{PATH}/{request}")
    assert shown in server.get(PATH)["items"]
    return shown


def _receipt(server: Server, number: int = 9, host: str = "host-1") -> Any:
    token = server.new_token(TokenKind.INGEST, host)
    named = make_host(host, collector=Collector(takes_requests=True))
    response = server.send(make_batch(number, host=named), token)
    assert response.status_code == 200, response.text
    return response.json()


def test_what_was_asked_for_is_shown_at_once(server: Server) -> None:
    asked = _asked(server)
    assert asked == _shown(server, asked["id"])
    assert (asked["vm"], asked["host"], asked["seconds"], asked["left_s"]) == (VM, "host-1", 30, 30.0)
    assert (asked["asked_at"], asked["ends_at"]) == (rfc3339_ns(NOW_NS), rfc3339_ns(NOW_NS + 30 * NS_PER_S))
    assert (asked["state"], asked["end"], asked["is_final"]) == ("asked", None, False)
    nothing = {name for name, value in asked.items() if value is None}
    assert {"asked_by", "withdrawn_at", "began_at", "to", "time", "level", "seen", "cost"} <= nothing


def test_the_receipt_of_the_host_and_of_no_other_has_the_request(server: Server) -> None:
    assert "record" not in _receipt(server, 9)
    request = _asked(server)["id"]
    (order,) = _receipt(server, 10)["record"]
    assert (order["id"], order["vm"]) == (request, VM)
    assert 0 < order["seconds"] <= 30
    assert "record" not in _receipt(server, 9, "host-2")

    assert server.request("DELETE", f"{PATH}/{request}").status_code == 200
    assert _receipt(server, 11)["record"] == [{"id": request, "vm": VM, "seconds": 0.0}]
    _answer(server, request, 12, end=RecordEnd.WITHDRAWN)
    assert "record" not in _receipt(server, 13)


def test_another_server_on_the_database_tells_the_host_too(server: Server) -> None:
    other = make_server(server.store)
    assert "record" not in _receipt(other, 9)
    request = _asked(server)["id"]
    assert [one["id"] for one in _receipt(other, 10)["record"]] == [request]


def test_a_server_that_was_asked_tells_it_with_the_next_receipt(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_orders, "_EVERY_S", 10**6)
    assert "record" not in _receipt(server, 9)
    request = _asked(server)["id"]
    assert [one["id"] for one in _receipt(server, 10)["record"]] == [request]
    server.request("DELETE", f"{PATH}/{request}")
    assert _receipt(server, 11)["record"][0]["seconds"] == 0.0


def test_what_became_of_it_is_shown_in_fields(server: Server) -> None:
    request = _asked(server)["id"]
    _answer(server, request)
    shown = _shown(server, request)
    assert (shown["state"], shown["end"], shown["is_final"], shown["level"]) == (
        "recording",
        None,
        False,
        "all",
    )
    assert (shown["began_at"], shown["to"]) == (rfc3339_ns(START_NS), rfc3339_ns(START_NS + 5 * NS_PER_S))
    assert shown["time"] == {"all_s": 4.0, "sample_s": 0.0, "none_s": 1.0}
    figures = ("seen", "recorded", "dropped", "left_out", "late", "missed", "dropped_batches")
    assert [shown[name] for name in figures] == [10, 7, 1, 2, 2, 3, 4]
    assert (shown["used_percent"], shown["granted_percent"]) == (3.1, 2.0)
    assert shown["cost"] == {"cpu_s": 0.6, "usual_cpu_s": 0.1}


@pytest.mark.parametrize("end", ["time", "vm_ended"])
def test_that_it_is_over_is_said_with_why(server: Server, end: str) -> None:
    request = _asked(server)["id"]
    _answer(server, request, end=RecordEnd(end))
    shown = _shown(server, request)
    assert (shown["state"], shown["end"], shown["is_final"]) == ("over", end, True)


def test_it_ends_by_itself_though_its_host_says_nothing(server: Server) -> None:
    request = _asked(server)["id"]
    _answer(server, request)
    server.clock.now_ns += 30 * NS_PER_S
    shown = _shown(server, request)
    assert (shown["state"], shown["end"], shown["is_final"]) == ("over", "time", False)
    assert (shown["left_s"], shown["seen"]) == (0.0, 10)
    assert "record" not in _receipt(server)


def test_that_the_host_is_not_heard_of_is_said(server: Server) -> None:
    request = _asked(server)["id"]
    server.clock.now_ns += 16 * NS_PER_S
    shown = _shown(server, request)
    assert (shown["state"], shown["heard_at"]) == ("waiting", rfc3339_ns(NOW_NS))
    _answer(server, request)
    assert _shown(server, request)["state"] == "recording"


def test_that_the_host_does_not_know_the_vm_is_said(server: Server) -> None:
    request = _asked(server)["id"]
    _answer(server, request, is_found=False, level=RecordingLevel.NONE)
    shown = _shown(server, request)
    assert (shown["state"], shown["seen"], shown["began_at"]) == ("not_found", None, None)


def test_one_that_is_withdrawn_before_it_began_is_over_at_once(server: Server) -> None:
    request = _asked(server)["id"]
    withdrawn = server.request("DELETE", f"{PATH}/{request}").json()
    assert (withdrawn["state"], withdrawn["end"]) == ("over", "withdrawn")
    assert withdrawn["withdrawn_at"] == rfc3339_ns(NOW_NS)
    assert withdrawn == _shown(server, request)


def test_one_that_is_withdrawn_while_it_runs_goes_on_until_its_host_knows(server: Server) -> None:
    request = _asked(server)["id"]
    _answer(server, request)
    assert server.request("DELETE", f"{PATH}/{request}").json()["state"] == "recording"
    _answer(server, request, 2, end=RecordEnd.WITHDRAWN)
    shown = _shown(server, request)
    assert (shown["state"], shown["end"], shown["is_final"]) == ("over", "withdrawn", True)


def test_whoever_asks_twice_has_two_answers(server: Server) -> None:
    first, second = _asked(server)["id"], _asked(server)["id"]
    assert {one["id"] for one in server.get(PATH)["items"]} == {first, second}
    _answer(server, first)
    assert _shown(server, second)["state"] == "asked"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b"\xff", b'{"seconds": "60"}', b'{"seconds": 1.5}', b'{"seconds": null}'),
        *(b'{"seconds": 0}', b'{"seconds": -1}', b'{"seconds": 3601}', b'{"seconds": 99999999999999999999}'),
        *(b'{"seconds": 60, "x": 1}', b"[" * 4000, b'{"seconds": true}'),
    ],
)
def test_what_is_no_number_of_seconds_is_refused(server: Server, body: bytes) -> None:
    response = server.request("POST", PATH, content=body, headers={"Content-Type": "application/json"})
    assert _problem(response) == (400, "bad_request")
    assert server.get(PATH) == {"items": []}


@pytest.mark.parametrize(
    "given", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_body_that_a_form_can_send_is_refused(server: Server, given: str) -> None:
    response = server.request("POST", PATH, content=b'{"seconds": 60}', headers={"Content-Type": given})
    assert _problem(response) == (415, "wrong_type")


def test_a_body_that_is_too_large_is_refused(server: Server) -> None:
    headers = {"Content-Type": "application/json"}
    response = server.request("POST", PATH, content=b" " * 4097, headers=headers)
    assert _problem(response) == (413, "too_large")


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "https://example.org"},
        {"Origin": "http://127.0.0.1:8080"},
        {"Origin": "null"},
        {"Origin": "http://[::1"},
    ],
)
@pytest.mark.parametrize("is_public", [False, True])
def test_no_page_of_another_site_may_ask(
    server: Server, public: Server, method: str, headers: dict[str, str], is_public: bool
) -> None:
    request = _asked(server)["id"]
    asked, path = (public, PATH) if is_public else (server, PATH)
    options: dict[str, Any] = {"json": {"seconds": 1}} if method == "POST" else {}
    right = public.new_token(TokenKind.RECORD) if is_public else {}
    response = asked.request(
        method, path if method == "POST" else f"{path}/{request}", headers={**right, **headers}, **options
    )
    assert _problem(response) == (403, "cross_site")
    (only,) = server.get(PATH)["items"]
    assert (only["id"], only["withdrawn_at"]) == (request, None)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://127.0.0.1"},
        {},
    ],
)
def test_the_own_page_and_programs_may(server: Server, headers: dict[str, str]) -> None:
    request = _asked(server, headers=headers)["id"]
    assert server.request("DELETE", f"{PATH}/{request}", headers=headers).status_code == 200


def test_a_right_of_its_own_is_needed_where_tokens_are(public: Server) -> None:
    right = public.new_token(TokenKind.RECORD)
    request = _asked(public, headers=right)
    for headers, expected in (
        ({}, (401, "token_missing")),
        ({"Authorization": "Bearer nonsense"}, (401, "token_unknown")),
        (public.new_token(TokenKind.READ), (403, "token_kind")),
        (public.new_token(TokenKind.INGEST, "host-1"), (403, "token_kind")),
    ):
        assert _problem(_ask(public, headers=headers)) == expected
        assert _problem(public.request("DELETE", f"{PATH}/{request['id']}", headers=headers)) == expected
    # It reads, too; and it shows whose it was.
    (shown,) = public.request("GET", PATH, headers=right).json()["items"]
    assert shown["withdrawn_at"] is None
    assert shown["asked_by"] == hash_token(right["Authorization"].removeprefix("Bearer "))[:12]
    assert public.request("GET", "/api/v1/status", headers=right).status_code == 200


def test_whoever_reads_may_see_what_was_asked(public: Server, server: Server) -> None:
    request = _asked(server)["id"]
    assert _problem(public.request("GET", PATH)) == (401, "token_missing")
    reader = public.new_token(TokenKind.READ)
    assert public.request("GET", f"{PATH}/{request}", headers=reader).status_code == 200


@pytest.mark.parametrize(("kind", "status"), [(TokenKind.READ, 403), (TokenKind.RECORD, 202)])
def test_a_session_may_what_its_token_may(public: Server, kind: TokenKind, status: int) -> None:
    token = public.new_token(kind)["Authorization"].removeprefix("Bearer ")
    assert public.request("POST", "/api/v1/session", json={"token": token}).status_code == 200
    assert public.request("GET", PATH).status_code == 200
    assert _ask(public).status_code == status
    public.cookies = httpx.Cookies({"kvmfaults_session": "x" * 43})
    assert _problem(_ask(public)) == (401, "token_missing")


def test_of_what_nothing_can_be_recorded_it_is_said_why(server: Server) -> None:
    server.apply(make_batch(1, host=HOST, vms=[make_vm(VM, ended_ns=NOW_NS)]))
    response = _ask(server)
    assert _problem(response) == (409, "not_possible")
    assert "has ended" in response.json()["detail"]


def test_an_unknown_vm_or_request_is_not_found(server: Server) -> None:
    for method, path in (
        ("POST", "/api/v1/vms/00000000000000ff/record"),
        ("GET", "/api/v1/vms/00000000000000ff/record"),
        ("GET", f"{PATH}/00000000000000ff"),
        ("DELETE", f"{PATH}/00000000000000ff"),
        ("DELETE", f"{PATH}/%00"),
    ):
        options: dict[str, Any] = {"json": {"seconds": 1}} if method == "POST" else {}
        assert _problem(server.request(method, path, **options)) == (404, "not_found")


def test_more_than_a_host_may_be_asked_is_refused(server: Server) -> None:
    for _ in range(10):
        _asked(server)
    response = _ask(server)
    assert _problem(response) == (429, "quota")
    assert "10 requests of host host-1 are open already" in response.json()["detail"]
