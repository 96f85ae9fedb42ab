# SPDX-License-Identifier: Apache-2.0
"""Architectures, and words decoded."""

import pytest

from faultmodel import arch
from tests.backend.serving import Server

DECODE = "/api/v1/decode"


def test_every_architecture_is_listed_with_its_formats(server: Server) -> None:
    found = server.get("/api/v1/architectures")
    listed = {item["name"]: [form["name"] for form in item["formats"]] for item in found["items"]}
    assert listed == {name: list(one.formats) for name, one in arch.architectures().items()}


def test_a_field_says_its_place_meaning_and_source(server: Server) -> None:
    found = server.get("/api/v1/architectures")
    (x86,) = [item for item in found["items"] if item["name"] == "x86_64"]
    (npf,) = [form for form in x86["formats"] if form["name"] == "npf"]
    (field,) = [field for field in npf["fields"] if field["name"] == "guest_final"]
    assert (field["bits"], field["low"], field["width"]) == ("32", 32, 1)
    assert field["meaning"]
    assert field["source"]


def test_flags_of_exits_and_context_are_listed(server: Server) -> None:
    found = server.get("/api/v1/architectures")
    exit_flags = {item["flag"]: (item["side"], item["bit"]) for item in found["exit_flags"]}
    assert exit_flags["private"] == ("software", 3)
    assert "dirty_logging" in {item["flag"] for item in found["context"]}
    assert "mapped_2m" in {item["flag"] for item in found["outcomes"]}


def test_a_word_is_decoded_in_the_format_that_is_named(server: Server) -> None:
    found = server.get("/api/v1/decode/x86_64/0x200000006", format="npf")
    assert (found["arch"], found["word"]) == ("x86_64", "0x200000006")
    (reading,) = found["readings"]
    assert reading["format"] == "npf"
    assert reading["decoded"]["access"] == "write"


def test_without_a_format_each_reading_is_given_and_named(server: Server) -> None:
    found = server.get("/api/v1/decode/x86_64/6")
    assert found["word"] == "0x6"
    assert [reading["format"] for reading in found["readings"]] == ["ept", "npf", "pferr"]


def test_an_architecture_goes_by_its_other_names(server: Server) -> None:
    assert server.get("/api/v1/decode/arm64/0x9200004f")["arch"] == "aarch64"


@pytest.mark.parametrize("path", ["z80/1", "x86_64:npf/1", "%00/1"])
def test_an_unknown_architecture_is_not_found(server: Server, path: str) -> None:
    status, detail = server.problem(f"/api/v1/decode/{path}")
    assert status == 404
    assert "there is aarch64" in detail


def test_an_unknown_format_is_not_found(server: Server) -> None:
    assert server.problem("/api/v1/decode/x86_64/1", format="esr") == (
        404,
        "x86_64 has no syndrome format 'esr'; it has ept, npf, pferr",
    )


def test_digits_alone_are_read_both_ways(server: Server) -> None:
    found = server.get("/api/v1/decode/x86_64/181", format="ept")
    assert found["word"] == "0x181"
    assert [(reading["word"], reading["base"]) for reading in found["readings"]] == [
        ("0x181", "hexadecimal"),
        ("0xb5", "decimal"),
    ]


def test_every_word_of_a_text_is_decoded(server: Server) -> None:
    text = "kvm_exit: reason EPT_VIOLATION rip 0x1 info1 0x181 info2 0x0\nerror: kvm run failed Bad address\n"
    answer = server.request(
        "POST", DECODE, content=text, headers={"content-type": "text/plain; charset=utf-8"}
    )
    assert answer.status_code == 200
    first, second = answer.json()["items"]
    assert (first["line"], first["target"], first["word"]) == (1, "x86_64:ept", "0x181")
    assert first["decoded"]["access"] == "read"
    assert (second["line"], second["target"], second["summary"]) == (2, "errno", "EFAULT: Bad address")
    assert second["decoded"] is None


def test_a_text_without_a_word_has_none(server: Server) -> None:
    answer = server.request("POST", DECODE, content=b"\xff\x00", headers={"content-type": "text/plain"})
    assert answer.json() == {"items": [], "truncated": False}


@pytest.mark.parametrize(
    ("text", "target", "word"),
    [
        ("exit-reason 39", "exit-reason", "0x27"),
        ("exit 0x8", "exit", "0x8"),
        ("errno 4294967282", "errno", "0xe"),
        ("npf 0x14", "x86_64:npf", "0x14"),
        ("MemoryFault { flags: 08, gpa: 0010 }", "exit-reason", "0x27"),
    ],
)
def test_a_word_with_its_kind_is_read_as_in_a_terminal(
    server: Server, text: str, target: str, word: str
) -> None:
    found = server.request("POST", DECODE, content=text, headers={"content-type": "text/plain"}).json()
    assert (found["items"][0]["target"], found["items"][0]["word"]) == (target, word)


@pytest.mark.parametrize(("text", "status"), [("x86_64:vmx 1", 404), ("errno EWHAT", 400)])
def test_a_kind_without_a_word_of_it_is_refused(server: Server, text: str, status: int) -> None:
    answer = server.request("POST", DECODE, content=text, headers={"content-type": "text/plain"})
    assert answer.status_code == status


def test_a_text_with_more_words_than_are_shown_says_so(server: Server) -> None:
    text = "kvm_userspace_exit: reason error (14)\n" * 100
    found = server.request("POST", DECODE, content=text, headers={"content-type": "text/plain"}).json()
    assert (len(found["items"]), found["truncated"]) == (64, True)


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [(b"x" * 20_000, "text/plain", 413), (b"{}", "application/json", 415)],
)
def test_a_text_that_is_too_long_or_no_text_is_refused(
    server: Server, content: bytes, content_type: str, status: int
) -> None:
    answer = server.request("POST", DECODE, content=content, headers={"content-type": content_type})
    assert answer.status_code == status


@pytest.mark.parametrize("word", ["x", "-1", "0x", "0x1ffffffffffffffff", "9" * 5000, "%00", "1.0", "１"])
def test_what_is_no_word_is_refused(server: Server, word: str) -> None:
    status, _ = server.problem(f"/api/v1/decode/x86_64/{word}")
    assert status == 400
