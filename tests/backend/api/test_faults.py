# SPDX-License-Identifier: Apache-2.0
"""Single faults of a VM."""

from typing import Any

import pytest

from faultmodel import arch
from tests.backend.api.warned import not_covered
from tests.backend.serving import Server
from tests.batches import START_MS, START_NS, VM_ID, exit_record, fault_record, make_batch, make_host

FAULTS = f"/api/v1/vms/{VM_ID}/faults"


def test_a_fault_has_every_field_of_the_interface(server: Server) -> None:
    record = fault_record(
        time_ns=START_NS + 123_456_789,
        vcpu=1,
        format_name="npf",
        word=0x200000006,
        address=0x1_0000_0010,
        gfn=0x100000,
        rip=0xFFFF_FFFF_8100_0000,
        private=False,
        memslot=3,
        level=2,
        weight=16,
    )
    server.apply(make_batch(faults=[record]))
    assert server.get(FAULTS) == {
        "items": [
            {
                "time": "2027-01-15T08:00:00.123456789Z",
                "vm": VM_ID,
                "vcpu": 1,
                "arch": "x86_64",
                "access": "write",
                "gpa": "0x100000010",
                "l2_address": None,
                "nested": None,
                "private": False,
                "memslot": 3,
                "flags": ["write", "npt_user", "guest_page"],
                "summary": "write, page not present, guest page-table walk",
                "weight": 16,
                "stands_for": 16,
                "software": {"gfn": "0x100000", "level": "0x2"},
                "syndrome": {
                    "format": "npf",
                    "word": "0x200000006",
                    "words": {
                        "address": "0x100000010",
                        "rip": "0xffffffff81000000",
                    },
                },
            }
        ],
        "next_cursor": None,
        "kept_from_ms": None,
        "warnings": [not_covered(START_MS - 60_000, START_MS + 45_000, 104_000)],
        "warnings_left_out": 0,
    }


@pytest.mark.parametrize(
    ("arch_name", "words", "address"),
    [
        ("x86_64", {"format_name": "ept", "address": 0xFEBD0010, "gfn": 0x1234}, "0xfebd0010"),
        ("x86_64", {"format_name": "pferr", "address": 0xFEBD0010, "gfn": 0x1234}, None),
        ("aarch64", {"ipa": 0xFEBD0000, "far": 0xFFFF_0010}, "0xfebd0010"),
        ("riscv64", {"htval": 0xFEBD0010 >> 2, "stval": 0x10}, "0xfebd0010"),
    ],
)
def test_the_address_of_a_nested_guest_is_not_the_vms(
    server: Server, arch_name: str, words: dict[str, Any], address: str | None
) -> None:
    record = fault_record(arch_name=arch_name, nested=True, **words)
    server.apply(make_batch(arch=arch_name, host=make_host(arch=arch_name), faults=[record]))
    (item,) = server.get(FAULTS)["items"]
    assert (item["nested"], item["gpa"], item["l2_address"]) == (True, None, address)
    assert "nested" not in item["syndrome"]["words"]


def test_what_the_kernel_did_not_show_is_null(server: Server) -> None:
    server.apply(make_batch(faults=[fault_record(format_name="none", word=0)]))
    (item,) = server.get(FAULTS)["items"]
    assert (item["access"], item["flags"], item["summary"]) == ("unknown", [], "")
    assert (item["gpa"], item["private"], item["memslot"], item["syndrome"]) == (None, None, None, None)


@pytest.mark.parametrize("arch_name", arch.architectures())
def test_words_of_64_bits_are_kept_on_every_architecture(server: Server, arch_name: str) -> None:
    record = fault_record(arch_name=arch_name, word=2**64 - 1)
    server.apply(make_batch(arch=arch_name, host=make_host(arch=arch_name), faults=[record]))
    (item,) = server.get(FAULTS)["items"]
    assert (item["arch"], item["syndrome"]["word"]) == (arch_name, "0xffffffffffffffff")
    assert item["gpa"] == "0x0"


def test_faults_come_newest_first_and_by_pages(server: Server) -> None:
    times = [START_NS, START_NS + 5, START_NS + 5, START_NS + 7]
    server.apply(make_batch(faults=[fault_record(time_ns=time, vcpu=n) for n, time in enumerate(times)]))
    first = server.get(FAULTS, limit=2)
    second = server.get(FAULTS, limit=2, cursor=first["next_cursor"])
    assert [item["vcpu"] for page in (first, second) for item in page["items"]] == [3, 2, 1, 0]
    assert second["next_cursor"] is None


def test_faults_are_bounded_by_the_range(server: Server) -> None:
    server.apply(make_batch(faults=[fault_record(), fault_record(time_ns=START_NS + 2_000_000)]))
    assert len(server.get(FAULTS, from_=START_MS, to=START_MS + 2)["items"]) == 1


def test_the_cursor_of_the_exits_is_refused(server: Server) -> None:
    server.apply(make_batch(faults=[fault_record()], exits=[exit_record(), exit_record()]))
    cursor = server.get("/api/v1/exits", limit=1)["next_cursor"]
    status, detail = server.problem(FAULTS, cursor=cursor)
    assert status == 400
    assert detail.startswith("cursor: this is no cursor of this list")


def test_an_unknown_vm_is_not_found(server: Server) -> None:
    assert server.problem(FAULTS) == (404, f"no VM {VM_ID!r}")
