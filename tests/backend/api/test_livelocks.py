# SPDX-License-Identifier: Apache-2.0
"""Livelocks: what the API answers, of whom and when."""

from typing import Any

import pytest

from tests.backend.serving import Server
from tests.batches import START_MS, VM_ID, livelock, make_batch, make_host, make_vm

LIVELOCKS = "/api/v1/livelocks"
B = "00000000000000b2"


def test_a_livelock_has_every_field(server: Server) -> None:
    server.apply(make_batch(0, livelocks=[livelock(second=3, began=1, vcpu=2, gpa=2**64 - 2**12)]))
    (item,) = server.get(LIVELOCKS, vm=VM_ID)["items"]
    decoded = item.pop("decoded")
    assert item == {
        "vm": VM_ID,
        "vcpu": 2,
        "gpa": "0xfffffffffffff000",
        "gva": "0x7f00",
        "since": "2027-01-15T08:00:01.000000000Z",
        "until": None,
        "seen_at": "2027-01-15T08:00:03.000000000Z",
        "faults": 1000,
        "pc": "0x401000",
        "format": "npf",
        "syndrome": "0x100000004",
        "invalidate_seq": 7,
        "invalidating": True,
    }
    assert decoded == server.get("/api/v1/decode/x86_64/0x100000004", format="npf")["readings"][0]["decoded"]


def test_one_that_is_over_has_its_end(server: Server) -> None:
    server.apply(make_batch(0, livelocks=[livelock(second=1)]))
    server.apply(make_batch(1, livelocks=[livelock(second=4, is_over=True)]))
    (item,) = server.get(LIVELOCKS)["items"]
    assert item["until"] == item["seen_at"] == "2027-01-15T08:00:04.000000000Z"


def test_what_is_not_shown_is_null(server: Server) -> None:
    unseen: dict[str, Any] = dict.fromkeys(
        ("gpa", "gva", "pc", "format", "syndrome", "invalidate_seq", "invalidating")
    )
    server.apply(make_batch(0, livelocks=[livelock(**unseen)]))
    (item,) = server.get(LIVELOCKS)["items"]
    assert {name: item[name] for name in (*unseen, "decoded")} == {**unseen, "decoded": None}


def test_a_word_is_decoded_as_its_architecture_has_it(server: Server) -> None:
    word: dict[str, Any] = {"format": "esr_el2", "syndrome": 0x8200_000F}
    server.apply(make_batch(0, host=make_host(arch="aarch64"), arch="aarch64", livelocks=[livelock(**word)]))
    (item,) = server.get(LIVELOCKS)["items"]
    assert item["decoded"]["access"] == "execute"


def test_a_format_of_a_newer_collector_stays_a_word(server: Server) -> None:
    server.apply(make_batch(0, livelocks=[livelock(format="later")]))
    (item,) = server.get(LIVELOCKS)["items"]
    assert (item["format"], item["syndrome"], item["decoded"]) == ("later", "0x100000004", None)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_they_come_in_pages_newest_first(server: Server, limit: int) -> None:
    found = [livelock(vm, second=at, began=at, vcpu=at) for vm in (VM_ID, B) for at in (0, 2, 4)]
    server.apply(make_batch(0, vms=[make_vm(VM_ID), make_vm(B)], livelocks=found))
    items, cursor = [], None
    while True:
        page = server.get(LIVELOCKS, limit=limit, **({"cursor": cursor} if cursor else {}))
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [(item["vm"], item["vcpu"]) for item in items] == [
        (vm, at) for at in (4, 2, 0) for vm in (VM_ID, B)
    ]


def test_they_are_of_the_range(server: Server) -> None:
    server.apply(make_batch(0, livelocks=[livelock(second=4, began=2, is_over=True)]))
    for from_s, to_s, number in ((0, 2, 0), (0, 3, 1), (4, 9, 1), (5, 9, 0)):
        span = {"from_": START_MS + from_s * 1000, "to": START_MS + to_s * 1000}
        assert len(server.get(LIVELOCKS, vm=VM_ID, **span)["items"]) == number


def test_a_vm_that_is_not_known_has_no_answer(server: Server) -> None:
    assert server.problem(LIVELOCKS, vm="f" * 16)[0] == 404
    assert server.problem(LIVELOCKS, cursor="AAAA")[0] == 400
