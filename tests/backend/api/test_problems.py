# SPDX-License-Identifier: Apache-2.0
"""Errors: each a problem body, none of them a failure of the server."""

import re
from pathlib import Path

import pytest

from backend.store import open_store
from tests.backend.serving import Server, make_server

VMS = "/api/v1/vms"


def test_a_problem_says_what_was_wrong(server: Server) -> None:
    response = server.request("GET", VMS, params={"from": "yesterday"})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "code": "bad_parameter",
        "detail": response.json()["detail"],
        "errors": [{"parameter": "from", "message": response.json()["errors"][0]["message"]}],
    }


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("from", "now-15"),
        ("from", "now+1h"),
        ("from", "999999-01-01T00:00:00Z"),
        ("from", "2026-02-30T00:00:00Z"),
        ("from", "2026-01-01T00:00:00+99:00"),
        ("from", "999999999999999"),
        ("from", "-1"),
        ("from", ""),
        ("to", "2026-01-01"),
        ("to", "2026-01-01T00:00:00Z\0"),
        ("to", "１２３"),
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "9" * 5000),
        ("limit", "1.5"),
        ("pid", "-1"),
        ("pid", "4294967296"),
        ("pid", "9" * 30),
        ("pid", "a"),
        ("host", "x" * 257),
        ("cursor", "nonsense"),
        ("cursor", "AAAA"),
        ("cursor", "="),
        ("cursor", "ZQAAAAAAAAAAAAAAAAAAAAA"),
        ("cursor", "\0"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(server: Server, parameter: str, value: str) -> None:
    response = server.request("GET", VMS, params={parameter: value})
    assert response.status_code == 400
    assert [error["parameter"] for error in response.json()["errors"]] == [parameter]


def test_what_is_wrong_is_said_in_words_of_parameters_not_of_programs(server: Server) -> None:
    for path, methods in server.get("/api/v1/openapi.json")["paths"].items():
        for parameter in methods.get("get", {}).get("parameters", ()):
            # What never ends has the same parameters as the lists.
            if parameter["in"] != "query" or path in ("/api/v1/events", "/api/v1/stream"):
                continue
            for value in ("!", "-1", "x" * 5000):
                asked = re.sub("{[a-z]+}", "00000000000000a1", path)
                response = server.request("GET", asked, params={parameter["name"]: value})
                for error in response.json().get("errors", ()) if response.status_code == 400 else ():
                    text = error["message"]
                    assert not re.search(r"pattern|String|Input|List\b|\^", text), (
                        path,
                        parameter["name"],
                        text,
                    )


def test_every_wrong_parameter_is_named_at_once(server: Server) -> None:
    response = server.request("GET", VMS, params={"limit": "0", "pid": "x"})
    assert {error["parameter"] for error in response.json()["errors"]} == {"limit", "pid"}


def test_a_misspelt_parameter_is_refused_rather_than_ignored(server: Server) -> None:
    status, detail = server.problem(VMS, form="now-1h")
    assert status == 400
    assert "form: there is no such parameter here; there is" in detail


def test_no_resource_takes_a_parameter_that_it_does_not_have(server: Server) -> None:
    paths = server.get("/api/v1/openapi.json")["paths"]
    for method, path in [(method, path) for path, methods in paths.items() for method in methods]:
        response = server.request(method.upper(), path, params={"form": "now-1h"})
        if path == "/api/v1/ingest":
            # Asked for its token before anything else.
            assert response.status_code in (400, 401)
            continue
        assert response.status_code == 400, f"{method} {path}"
        assert [error["parameter"] for error in response.json()["errors"]] == ["form"], f"{method} {path}"


def test_of_several_wrong_parameters_the_misspelt_one_is_named(server: Server) -> None:
    response = server.request("GET", f"{VMS}?limit=0&form=now&form=now")
    assert [error["parameter"] for error in response.json()["errors"]] == ["form"]


@pytest.mark.parametrize("query", ["limit=1&limit=2", "from=now&from=now", "cursor=a&cursor=b"])
def test_a_parameter_given_twice_is_refused(server: Server, query: str) -> None:
    assert server.request("GET", f"{VMS}?{query}").status_code == 400


@pytest.mark.parametrize(
    "query", ["%ff=1", "from=%ff", "host=%ed%a0%80", "%00", "&&==&", "host=%", "name=%zz"]
)
def test_a_query_that_is_no_text_does_no_harm(server: Server, query: str) -> None:
    assert server.request("GET", f"{VMS}?{query}").status_code in (200, 400)


def test_from_after_to_is_refused(server: Server) -> None:
    assert server.problem(VMS, from_="now", to="now-1h") == (400, "from: from is after to")


def test_a_vm_id_that_is_none_is_refused_as_a_parameter(server: Server) -> None:
    status, detail = server.problem("/api/v1/exits", vm=["00000000000000a1", "x"])
    assert status == 400
    assert detail.startswith("vm: ")


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1", "/api/v1/nope", "/api/v2/vms", "/nope", "/api/v1/vms/"]
)
def test_an_unknown_path_is_not_found(server: Server, path: str) -> None:
    assert server.problem(path) == (404, f"nothing is at {path}")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", VMS, "GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("GET", "/api/v1/ingest", "POST"),
        ("PUT", "/", "GET, HEAD"),
        ("TRACE", VMS, "GET, HEAD"),
        ("GET", "/api/v1/session", "DELETE, POST"),
    ],
)
def test_a_wrong_method_is_answered_with_the_right_ones(
    server: Server, method: str, path: str, allowed: str
) -> None:
    response = server.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allowed
    assert response.json()["detail"] == f"{method} is not possible at {path}"


def test_a_database_that_is_not_migrated_is_unavailable_not_a_failure(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    server = make_server(open_store(f"sqlite:///{tmp_path / 'empty.db'}"))
    response = server.request("GET", VMS)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "no such table" in response.json()["detail"]


def test_what_is_said_of_a_problem_is_short_whatever_was_asked_for(server: Server) -> None:
    status, detail = server.problem(f"/api/v1/vms/{'x' * 20_000}")
    assert (status, len(detail)) == (404, 1024)
