# SPDX-License-Identifier: Apache-2.0
"""Memslots, and KVM's own counts beside ours: what the API answers, of whom and when."""

from typing import Any

import pytest

from faultmodel.causes import MEANINGS, Cause
from faultmodel.record_looks import KvmCount, Memslot, VmPages
from faultmodel.record_stalls import CauseCount
from tests.backend.serving import Server
from tests.batches import NS_PER_S, START_MS, START_NS, VM_ID, fault_count, make_batch, make_vm

MEMSLOTS, STATS, CAUSES = "/api/v1/memslots", "/api/v1/kvm-stats", "/api/v1/causes"
B = "00000000000000b2"


def memslot(slot: int = 1, *, second: int = 0, vm: str = VM_ID, **fields: Any) -> Memslot:
    """Return a memslot of 2 MiB of a memfd."""
    values: dict[str, Any] = {
        "address_space": 0,
        "gpa": slot << 32,
        "size": 2**21,
        "flags": 0,
        "host_address": 0x7F00_0000_0000,
        "backing": "memfd",
        "file": "/memfd:ram",
        "offset": 4096,
        "userfaultfd": False,
        "permissions": "rw-s",
    }
    return Memslot(time_ns=START_NS + second * NS_PER_S, vm=vm, slot=slot, **(values | fields))


def pages(vm: str = VM_ID, **fields: Any) -> VmPages:
    """Return 512 pages of 4 KiB and one of 2 MiB, of 4 MiB that could be two of 2 MiB."""
    values: dict[str, Any] = {
        "pages_4k": 512,
        "pages_2m": 1,
        "pages_1g": 0,
        "could_4k": 0,
        "could_2m": 2,
        "could_1g": 0,
    }
    return VmPages(time_ns=START_NS, vm=vm, **(values | fields))


def test_a_memslot_has_every_field(server: Server) -> None:
    server.apply(make_batch(0, memslots=[memslot(flags=0b1111, gpa=2**64 - 2**21)]))
    found = server.get(MEMSLOTS, vm=VM_ID)
    assert found["items"] == [
        {
            "vm": VM_ID,
            "address_space": 0,
            "slot": 1,
            "gpa": "0xffffffffffe00000",
            "size": 2**21,
            "flags": ["log_dirty_pages", "read_only", "guest_memfd", "0x8"],
            "host_address": "0x7f0000000000",
            "backing": "memfd",
            "file": "/memfd:ram",
            "offset": 4096,
            "guest_memfd": False,
            "permissions": "rw-s",
            "userfaultfd": False,
            "from": "2027-01-15T08:00:00.000000000Z",
            "to": None,
        }
    ]
    assert (found["next_cursor"], found["vms_left_out"]) == (None, 0)


def test_what_could_not_be_seen_is_null(server: Server) -> None:
    unseen: dict[str, Any] = {"backing": "", "file": "", "offset": None, "permissions": ""}
    server.apply(make_batch(0, memslots=[memslot(userfaultfd=None, **unseen)]))
    (item,) = server.get(MEMSLOTS)["items"]
    assert {item[name] for name in (*unseen, "userfaultfd")} == {None}


def test_a_memslot_that_changes_is_an_item_for_each_time(server: Server) -> None:
    changes = [memslot(), memslot(second=2, flags=2), memslot(second=4, size=0)]
    for number, change in enumerate(changes):
        server.apply(make_batch(number, memslots=[change]))
    items = server.get(MEMSLOTS, vm=VM_ID)["items"]
    assert [(item["flags"], item["from"][17:19], (item["to"] or "")[17:19]) for item in items] == [
        ([], "00", "02"),
        (["read_only"], "02", "04"),
    ]
    (first,) = server.get(MEMSLOTS, vm=VM_ID, from_=START_MS, to=START_MS + 2000)["items"]
    assert first["flags"] == []
    assert server.get(MEMSLOTS, vm=VM_ID, from_=START_MS + 5000)["items"] == []


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_memslots_come_in_pages(server: Server, limit: int) -> None:
    server.apply(
        make_batch(
            0,
            vms=[make_vm(VM_ID), make_vm(B)],
            memslots=[memslot(slot, vm=vm) for vm in (VM_ID, B) for slot in (3, 9, 2**32 - 1)],
        )
    )
    found, cursor = [], None
    while True:
        page = server.get(MEMSLOTS, limit=limit, **({"cursor": cursor} if cursor else {}))
        found += [(item["vm"], item["slot"]) for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [(vm, slot) for vm in (VM_ID, B) for slot in (3, 9, 2**32 - 1)]


@pytest.mark.parametrize("path", [MEMSLOTS, STATS, CAUSES])
def test_a_cursor_of_another_list_and_an_unknown_vm_are_refused(server: Server, path: str) -> None:
    server.apply(make_batch(0))
    assert server.problem(path, cursor="AAAA")[0] == 400
    assert server.problem(path, vm="f" * 16)[0] == 404


def test_counts_of_kvm_are_beside_ours_with_the_difference(server: Server) -> None:
    ours = fault_count(faults=100, mapped_4k=60, mapped_2m=10, fast=20, spurious=5)
    server.apply(
        make_batch(
            0,
            fault_counts=[ours],
            kvm_counts=[KvmCount(START_MS, VM_ID, 100, 88, 3, 9, 25, 2, 4, 100)],
            vm_pages=[pages()],
        )
    )
    (item,) = server.get(STATS, vm=VM_ID)["items"]
    counts = {one.pop("name"): one for one in item["counts"]}
    assert counts["pf_taken"] == {
        "kvm": 100,
        "ours": 100,
        "difference": 0,
        "same_meaning": True,
        "why": None,
    }
    assert {name: (one["ours"], one["difference"]) for name, one in counts.items()} == {
        "pf_taken": (100, 0),
        "pf_fixed": (90, -2),
        "pf_fast": (25, 0),
        "pf_spurious": (5, 4),
        "pf_emulate": (None, None),
        "pf_mmio_spte_created": (None, None),
    }
    # What differs says why, whether or not it means the same.
    assert {name for name, one in counts.items() if one["why"]} == counts.keys() - {"pf_taken", "pf_fast"}
    assert not counts["pf_spurious"]["same_meaning"]
    assert item["splits"] == 4


def test_pages_are_beside_what_they_could_be(server: Server) -> None:
    server.apply(
        make_batch(0, vms=[make_vm(VM_ID), make_vm(B)], vm_pages=[pages(), pages(B, pages_2m=0, pages_4k=0)])
    )
    known, none = (item["pages"] for item in server.get(STATS)["items"])
    assert known["sizes"] == [
        {"size": "4k", "mapped": 512, "could": 0},
        {"size": "2m", "mapped": 1, "could": 2},
        {"size": "1g", "mapped": 0, "could": 0},
    ]
    assert (known["huge_share"], known["huge_could"], known["shadow_pages"]) == (0.5, 1.0, None)
    assert (none["huge_share"], none["huge_could"]) == (None, 1.0)


def test_counts_are_of_the_range(server: Server) -> None:
    for second in range(3):
        count = KvmCount(START_MS + second * 1000, VM_ID, 10**second, 0, 0, 0, 0, 0, 0, 10**second)
        server.apply(make_batch(second, kvm_counts=[count]))
    (item,) = server.get(STATS, vm=VM_ID, from_=START_MS + 1000, to=START_MS + 3000)["items"]
    assert (item["counts"][0]["kvm"], item["pages"]) == (110, None)


def test_a_vm_of_which_kvm_counts_nothing_is_not_there(server: Server) -> None:
    server.apply(make_batch(0, vms=[make_vm(VM_ID), make_vm(B)], vm_pages=[pages(B)]))
    assert [item["vm"] for item in server.get(STATS)["items"]] == [B]
    assert server.get(STATS, vm=VM_ID)["items"] == []


def cause(second: int = 0, *, vm: str = VM_ID, **fields: Any) -> CauseCount:
    """Return three exits within a second, of memory that may not be accessed."""
    values: dict[str, Any] = {
        "vcpu": 0,
        "cause": Cause.PROT_NONE,
        "count": 3,
        "span_ns": 500,
        "evidence": '{"memslot": 1, "permissions": "---p", "not_seen": ["mappings", "memslot"]}',
    }
    return CauseCount(time_ns=START_NS + second * NS_PER_S + 1000, vm=vm, **(values | fields))


def test_a_cause_has_every_field_of_the_interface(server: Server) -> None:
    server.apply(make_batch(0, causes=[cause()]))
    found = server.get(CAUSES, vm=VM_ID)
    (item,) = found["items"]
    meaning, what_next = MEANINGS[Cause.PROT_NONE]
    assert item == {
        "vm": VM_ID,
        "cause": "prot_none",
        "count": 3,
        "first_at": "2027-01-15T08:00:00.000000500Z",
        "last_at": "2027-01-15T08:00:00.000001000Z",
        "evidence": {"memslot": 1, "permissions": "---p", "not_seen": ["mappings", "memslot"]},
        "meaning": meaning,
        "next": what_next,
    }
    assert (found["next_cursor"], found["counted"], found["vms_left_out"]) == (None, None, 0)


def test_causes_are_of_the_range_the_most_exits_first(server: Server) -> None:
    server.apply(
        make_batch(0, vms=[make_vm(VM_ID), make_vm(B)], causes=[cause(), cause(vm=B, cause=Cause.HWPOISON)]),
        make_batch(1, causes=[cause(2, count=7), cause(2, cause=Cause.UNKNOWN, count=9)]),
    )
    who = [(item["vm"], item["cause"], item["count"]) for item in server.get(CAUSES)["items"]]
    assert who == [(VM_ID, "prot_none", 10), (VM_ID, "unknown", 9), (B, "hwpoison", 3)]
    (item,) = server.get(CAUSES, vm=VM_ID, from_=START_MS, to=START_MS + 1000)["items"]
    assert (item["cause"], item["count"], item["last_at"][17:19]) == ("prot_none", 3, "02")


@pytest.mark.parametrize(
    ("evidence", "shown"),
    [
        ("", {}),
        ("no JSON", {}),
        ("[1]", {}),
        ('{"a": {"b": 1}, "c": [1], "d": null, "e": 1.5, "f": 7}', {"f": 7}),
        ('{"file": "/a\\u202eb"}', {"file": "/a\ufffdb"}),
    ],
)
def test_evidence_that_is_none_is_left_out(server: Server, evidence: str, shown: dict[str, Any]) -> None:
    server.apply(make_batch(0, causes=[cause(evidence=evidence)]))
    (item,) = server.get(CAUSES)["items"]
    assert item["evidence"] == shown


def test_causes_come_in_pages(server: Server) -> None:
    rows = [cause(cause=one, count=number + 1) for number, one in enumerate(Cause)]
    server.apply(make_batch(0, causes=rows))
    found, cursor = [], None
    while True:
        page = server.get(CAUSES, limit=4, **({"cursor": cursor} if cursor else {}))
        found += [item["cause"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [str(one) for one in reversed(Cause)]
