# SPDX-License-Identifier: Apache-2.0
"""Single exits."""

from typing import Any

import pytest

from faultmodel import arch
from faultmodel.causes import Cause
from faultmodel.record import ExitKind
from tests.backend.api.warned import not_covered
from tests.backend.serving import Server
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    VM_ID,
    exit_record,
    full_exit_record,
    make_batch,
    make_host,
)

EXITS = "/api/v1/exits"
OTHER = "00000000000000b2"


def test_a_memory_fault_exit_has_every_field_of_the_interface(server: Server) -> None:
    record = exit_record(
        time_ns=START_NS + 123_456_789,
        vcpu=1,
        flags=0x8,
        gpa=0x1_0000_0000,
        size=4096,
        format="npf",
        syndrome=0x200000006,
        address=0x1_0000_0010,
        rip=0xFFFF_FFFF_8100_0000,
    )
    server.apply(make_batch(exits=[record]))
    assert server.get(EXITS) == {
        "items": [
            {
                "time": "2027-01-15T08:00:00.123456789Z",
                "vm": VM_ID,
                "vcpu": 1,
                "arch": "x86_64",
                "kind": "memory_fault",
                "reason": 39,
                "reason_name": "KVM_EXIT_MEMORY_FAULT",
                "errno": 14,
                "errno_name": "EFAULT",
                "gpa": "0x100000000",
                "l2_address": None,
                "nested": None,
                "size": 4096,
                "flags": ["private"],
                "flags_raw": "0x8",
                "syndrome": {
                    "format": "npf",
                    "word": "0x200000006",
                    "words": {"address": "0x100000010", "rip": "0xffffffff81000000"},
                },
                "cause": None,
            }
        ],
        "next_cursor": None,
        "kept_from_ms": None,
        "warnings": [not_covered(START_MS + 1000, START_MS + 45_000)],
        "warnings_left_out": 0,
    }


def test_what_kvm_did_not_tell_is_null(server: Server) -> None:
    server.apply(make_batch(exits=[exit_record(kind=ExitKind.BARE_ERROR)]))
    (item,) = server.get(EXITS)["items"]
    assert (item["kind"], item["reason"]) == ("bare_error", 0)
    assert (item["gpa"], item["size"], item["flags"], item["flags_raw"]) == (None, None, [], None)
    assert item["syndrome"] is None


@pytest.mark.parametrize(
    ("arch_name", "words", "gpa", "address"),
    [
        # x86 reports the VM's frame, which the nested address stands for; arm64 reports the nested address.
        ("x86_64", {"format": "ept", "syndrome": 0x181, "address": 0xFEBD0010}, "0x5000", "0xfebd0010"),
        ("x86_64", {}, "0x5000", None),
        ("aarch64", {"esr_el2": 0x92000047, "ipa": 0xFEBD0000, "far": 0x10}, None, "0xfebd0010"),
        ("aarch64", {}, None, "0x5000"),
        ("riscv64", {"htval": 0xFEBD0010 >> 2}, None, "0xfebd0010"),
    ],
)
def test_the_address_of_a_nested_guest_is_not_the_vms(
    server: Server, arch_name: str, words: dict[str, Any], gpa: str | None, address: str | None
) -> None:
    record = exit_record(arch_name=arch_name, nested=True, gpa=0x5000, **words)
    server.apply(make_batch(arch=arch_name, host=make_host(arch=arch_name), exits=[record]))
    (item,) = server.get(EXITS)["items"]
    assert (item["nested"], item["gpa"], item["l2_address"]) == (True, gpa, address)


@pytest.mark.parametrize("arch_name", arch.architectures())
def test_words_of_64_bits_are_kept_on_every_architecture(server: Server, arch_name: str) -> None:
    server.apply(
        make_batch(
            arch=arch_name,
            host=make_host(arch=arch_name),
            exits=[full_exit_record(arch_name=arch_name)],
        )
    )
    (item,) = server.get(EXITS)["items"]
    assert item["gpa"] == item["flags_raw"] == item["syndrome"]["word"] == "0xffffffffffffffff"
    assert set(item["syndrome"]["words"].values()) <= {"0xffffffffffffffff"}


def test_each_exit_has_its_own_cause(server: Server) -> None:
    causes = [None, Cause.PROT_NONE, Cause.UNKNOWN, None]
    records = [exit_record(time_ns=START_NS + second, cause=cause) for second, cause in enumerate(causes)]
    server.apply(make_batch(exits=records))
    found = [item["cause"] for item in server.get(EXITS)["items"]]
    assert found == [None, "unknown", "prot_none", None]


def test_exits_come_newest_first_and_by_pages(server: Server) -> None:
    times = [START_NS, START_NS + 5, START_NS + 5, START_NS + NS_PER_S - 1]
    server.apply(make_batch(exits=[exit_record(time_ns=time_ns, gpa=n) for n, time_ns in enumerate(times)]))
    first = server.get(EXITS, limit=2)
    second = server.get(EXITS, limit=2, cursor=first["next_cursor"])
    assert [item["gpa"] for page in (first, second) for item in page["items"]] == ["0x3", "0x2", "0x1", "0x0"]
    assert second["next_cursor"] is None


def test_exits_are_filtered_by_vm_kind_and_time(server: Server) -> None:
    server.apply(
        make_batch(
            exits=[
                exit_record(gpa=1),
                exit_record(OTHER, gpa=2),
                exit_record(kind=ExitKind.BARE_ERROR),
                exit_record(time_ns=START_NS + 2 * NS_PER_S, gpa=3),
            ]
        )
    )
    found = server.get(EXITS, vm=VM_ID, kind="memory_fault", to=START_MS + 2000)
    assert [item["gpa"] for item in found["items"]] == ["0x1"]
    assert len(server.get(EXITS, vm=[VM_ID, OTHER])["items"]) == 4
    assert len(server.get(EXITS, kind="bare_error")["items"]) == 1


def test_an_unknown_vm_is_not_found(server: Server) -> None:
    assert server.problem(EXITS, vm=OTHER) == (404, f"no VM {OTHER!r}")


def test_an_unknown_kind_is_refused(server: Server) -> None:
    status, detail = server.problem(EXITS, kind="mmio")
    assert status == 400
    assert detail.startswith("kind: ")
