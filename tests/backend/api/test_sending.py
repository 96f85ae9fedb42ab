# SPDX-License-Identifier: Apache-2.0
"""How answers are sent: compressed where that is asked for, and without a body for HEAD."""

import pytest

from backend.store.contract.store import Store
from tests.backend.serving import Server, make_server
from tests.batches import make_batch, make_vm

PLAIN = {"Accept-Encoding": "identity"}


@pytest.fixture
def filled(server: Server) -> Server:
    """Return a server with so many VMs that a list of them is large."""
    server.apply(make_batch(0, vms=[make_vm(f"{number:016x}") for number in range(1, 40)]))
    return server


def test_a_large_answer_is_sent_compressed_to_whom_can_read_that(filled: Server) -> None:
    plain = filled.request("GET", "/api/v1/vms", headers=PLAIN)
    packed = filled.request("GET", "/api/v1/vms", headers={"Accept-Encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["vary"]
    assert int(packed.headers["content-length"]) * 5 < len(plain.content)
    assert packed.json() == plain.json()


@pytest.mark.parametrize("path", ["/", "/js/main.js", "/css/tables.css"])
def test_the_page_s_files_are_compressed_and_known_again(store: Store, path: str) -> None:
    server = make_server(store)
    plain = server.request("GET", path, headers=PLAIN)
    packed = server.request("GET", path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert packed.headers["etag"] != plain.headers["etag"]
    tag = {"Accept-Encoding": "gzip", "If-None-Match": packed.headers["etag"]}
    assert server.request("GET", path, headers=tag).status_code == 304


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/vms", "/api/v1/status", "/", "/js/main.js"])
def test_head_has_the_headers_of_get_and_no_body(filled: Server, path: str) -> None:
    head = filled.request("HEAD", path, headers=PLAIN)
    get = filled.request("GET", path, headers=PLAIN)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_head_of_nothing_is_not_found(filled: Server) -> None:
    assert filled.request("HEAD", "/api/v1/nothing").status_code == 404


@pytest.mark.parametrize("path", ["/nope", "/VMS/x", "/vms/00000000000000a1/extra"])
def test_whoever_looks_with_a_browser_for_what_is_not_there_gets_the_page_that_says_so(
    store: Store, path: str
) -> None:
    server = make_server(store)
    found = server.request("GET", path, headers={"Accept": "text/html,*/*"})
    assert (found.status_code, found.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert server.problem(path)[0] == 404


def test_a_word_that_is_none_is_named(server: Server) -> None:
    problem = server.request("GET", "/api/v1/decode/x86_64/hello").json()
    assert [error["parameter"] for error in problem["errors"]] == ["word"]


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0, gzip;q=0.5", "gzip"),
        ("ZSTD; q=0.1", "zstd"),
        ("gzip;q=0", None),
        ("gzip;q=0.000, br", None),
        ("", None),
    ],
)
def test_the_coding_is_one_that_is_accepted(filled: Server, accepted: str, coding: str | None) -> None:
    answer = filled.request("GET", "/api/v1/vms", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("content-encoding") == coding
    assert answer.json() == filled.get("/api/v1/vms")


@pytest.mark.parametrize("path", ["/", "/js/main.js", "/api/v1/openapi.json"])
def test_gzip_that_is_refused_is_not_sent(filled: Server, path: str) -> None:
    answer = filled.request("GET", path, headers={"Accept-Encoding": "gzip;q=0"})
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers
