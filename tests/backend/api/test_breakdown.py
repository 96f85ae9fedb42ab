# SPDX-License-Identifier: Apache-2.0
"""A VM's faults by flag and by raw word."""

import pytest

from faultmodel import arch
from tests.backend.api.warned import not_covered
from tests.backend.serving import Server
from tests.batches import START_MS, VM_ID, fault_count, make_batch, make_host

FLAGS = f"/api/v1/vms/{VM_ID}/flags"
SYNDROMES = f"/api/v1/vms/{VM_ID}/syndromes"


def test_each_word_counts_for_each_of_its_flags(server: Server) -> None:
    server.apply(
        make_batch(
            fault_counts=[
                fault_count(word=0x6, format_name="pferr", faults=10),
                fault_count(word=0x4, format_name="pferr", faults=5),
            ]
        )
    )
    flags = server.get(FLAGS)
    assert flags["total"] == 15
    counts = {(item["side"], item["flag"]): item["count"] for item in flags["items"]}
    assert counts["hardware", "user"] == 15
    assert counts["hardware", "write"] == 10
    assert counts["hardware", "read"] == 5


def test_a_flag_has_its_bit_where_all_formats_agree(server: Server) -> None:
    server.apply(make_batch(fault_counts=[fault_count(word=0x2, format_name="npf", faults=1)]))
    (write,) = [item for item in server.get(FLAGS)["items"] if item["flag"] == "write"]
    assert write == {
        "flag": "write",
        "count": 1,
        "side": "hardware",
        "bit": 1,
        "meaning": write["meaning"],
    }


def test_a_flag_of_two_formats_with_different_bits_has_none(server: Server) -> None:
    server.apply(
        make_batch(
            fault_counts=[
                fault_count(word=0x1, format_name="ept", faults=2),
                fault_count(word=0x0, format_name="npf", faults=3),
            ]
        )
    )
    (read,) = [item for item in server.get(FLAGS)["items"] if item["flag"] == "read"]
    assert (read["count"], read["bit"]) == (5, None)


def test_software_flags_and_outcomes_stand_apart_from_the_hardware(server: Server) -> None:
    server.apply(
        make_batch(
            fault_counts=[
                fault_count(
                    faults=9, private=2, dirty_logging=3, nested=5, mapped_2m=4, spurious=1, prefetched=6
                )
            ]
        )
    )
    flags = server.get(FLAGS)
    software = {item["flag"]: item["count"] for item in flags["items"] if item["side"] == "software"}
    assert software == {"nested": 5, "private": 2, "dirty_logging": 3}
    assert {item["flag"]: item["count"] for item in flags["outcomes"]} == {
        "prefetched": 6,
        "mapped_2m": 4,
        "spurious": 1,
    }


def test_flags_are_of_the_range_alone(server: Server) -> None:
    server.apply(make_batch(fault_counts=[fault_count(second=0, faults=1), fault_count(second=5, faults=2)]))
    assert server.get(FLAGS, from_=START_MS + 5000)["total"] == 2


def test_an_unknown_bit_is_shown_as_its_number(server: Server) -> None:
    server.apply(make_batch(fault_counts=[fault_count(word=1 << 60, format_name="npf", faults=1)]))
    assert "bit 60" in {item["flag"] for item in server.get(FLAGS)["items"]}


def test_a_word_is_listed_with_what_it_says(server: Server) -> None:
    server.apply(make_batch(fault_counts=[fault_count(word=0x200000006, format_name="npf", faults=7)]))
    (item,) = server.get(SYNDROMES)["items"]
    assert (item["word"], item["format"], item["count"]) == ("0x200000006", "npf", 7)
    decoded = item["decoded"]
    assert decoded["access"] == "write"
    assert {"write", "npt_user", "guest_page"} <= set(decoded["flags"])
    assert decoded["unknown_bits"] == []
    set_bits = {field["name"]: field["bits"] for field in decoded["fields"] if field["value"] == "0x1"}
    assert set_bits == {"write": "1", "npt_user": "2", "guest_page": "33"}


def test_a_fault_without_a_syndrome_has_no_word(server: Server) -> None:
    server.apply(make_batch(fault_counts=[fault_count(word=0, format_name="none", faults=3)]))
    assert server.get(SYNDROMES)["items"] == [{"word": None, "format": None, "count": 3, "decoded": None}]
    assert server.get(FLAGS) == {
        "total": 3,
        "items": [],
        "undefined": [],
        "outcomes": [],
        "counted": None,
        "warnings": [not_covered(START_MS - 60_000, START_MS + 45_000, 104_000)],
        "warnings_left_out": 0,
    }


def test_a_bit_that_its_word_leaves_undefined_is_no_flag(server: Server) -> None:
    words = [fault_count(word=0x683, format_name="ept", faults=3), fault_count(word=0x784, format_name="ept")]
    server.apply(make_batch(fault_counts=words))
    flags = server.get(FLAGS)
    assert {item["flag"]: item["count"] for item in flags["items"]}["gva_user"] == 1
    assert {item["flag"]: (item["count"], item["bit"]) for item in flags["undefined"]} == {
        "gva_user": (3, 9),
        "gva_writable": (3, 10),
    }
    decoded = server.get(SYNDROMES)["items"][0]["decoded"]
    assert decoded["undefined"] == ["gva_user", "gva_writable"]
    assert {field["name"] for field in decoded["fields"] if not field["defined"]} == {
        "gva_user",
        "gva_writable",
        "gva_nx",
        "prot_user_exec",
        "supervisor_shadow_stack",
    }


def test_mappings_made_ahead_are_no_faults(server: Server) -> None:
    server.apply(make_batch(fault_counts=[fault_count(word=0, format_name="none", prefetched=3)]))
    assert server.get(SYNDROMES)["items"] == []
    assert server.get(FLAGS)["total"] == 0


@pytest.mark.parametrize("arch_name", arch.architectures())
def test_a_word_of_64_bits_keeps_every_one(server: Server, arch_name: str) -> None:
    batch = make_batch(
        arch=arch_name,
        host=make_host(arch=arch_name),
        fault_counts=[fault_count(arch_name=arch_name, word=2**64 - 1, faults=1)],
    )
    server.apply(batch)
    (item,) = server.get(SYNDROMES)["items"]
    assert item["word"] == "0xffffffffffffffff"
    values = sum(int(field["value"], 16) << field["low"] for field in item["decoded"]["fields"])
    assert values | sum(1 << bit for bit in item["decoded"]["unknown_bits"]) == 2**64 - 1
