# SPDX-License-Identifier: Apache-2.0
"""Every answer has an end, and what is beyond it is said."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from faultmodel.kinds import LossKind
from faultmodel.record import Loss
from tests.backend.serving import Server
from tests.batches import START_MS, VM_ID, exit_count, fault_count, make_batch, make_host, make_vm

WORDS = 2500
MB = 10**6
LONGEST = {"from": START_MS, "to": START_MS + 11_000_000, "step": "1s"}


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Yield what returns the most bytes that were allocated at once within the block."""
    tracemalloc.start()
    peaks: list[int] = []
    try:
        yield lambda: peaks[0]
    finally:
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()


def test_words_come_in_pages_with_the_most_frequent_first(server: Server) -> None:
    counts = [fault_count(word=word, faults=1 + word % 7) for word in range(WORDS)]
    server.apply(make_batch(fault_counts=counts))
    found, cursor = [], None
    for _ in range(4):
        page = server.get(f"/api/v1/vms/{VM_ID}/syndromes", **({"cursor": cursor} if cursor else {}))
        assert (page["words"], page["count"]) == (WORDS, sum(1 + word % 7 for word in range(WORDS)))
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [len(found), cursor] == [WORDS, None]
    assert len({item["word"] for item in found}) == WORDS
    frequencies = [item["count"] for item in found]
    assert frequencies == sorted(frequencies, reverse=True)
    assert sum(frequencies) == page["count"]
    flags = server.get(f"/api/v1/vms/{VM_ID}/flags")
    assert flags["total"] == page["count"]


@pytest.mark.parametrize("arch_name", ["x86_64", "aarch64"])
def test_no_word_is_on_two_pages_when_rows_come_in(server: Server, arch_name: str) -> None:
    words = [1, 2, 2**63, 2**64 - 1, 5]
    counts = [fault_count(arch_name=arch_name, word=word, faults=10) for word in words]
    counts += [fault_count(arch_name=arch_name, word=word, faults=20) for word in (7, 2**63 + 7)]
    server.apply(make_batch(arch=arch_name, fault_counts=counts))
    found: list[str] = []
    cursor: dict[str, str] = {}
    for sequence in range(1, 20):
        page = server.get(f"/api/v1/vms/{VM_ID}/syndromes", limit=2, **cursor)
        found += [item["word"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
        # Words that come first from now on, of which one was on a page.
        more = [
            fault_count(arch_name=arch_name, word=word, faults=100, second=sequence)
            for word in (7, 2**40 + sequence)
        ]
        server.apply(make_batch(sequence, arch=arch_name, fault_counts=more))
    assert found == [hex(word) for word in (7, 2**63 + 7, 1, 2, 5, 2**63, 2**64 - 1)]


def test_a_word_in_two_formats_may_be_cut_by_a_page(server: Server) -> None:
    server.apply(make_batch(fault_counts=[fault_count(format_name=name) for name in ("ept", "npf", "pferr")]))
    found: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = server.get(f"/api/v1/vms/{VM_ID}/syndromes", limit=1, **cursor)
        found += [item["format"] for item in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert found == ["ept", "npf", "pferr"]
    assert page["next_cursor"] is None


def test_words_of_mappings_made_ahead_are_no_words_of_faults(server: Server) -> None:
    server.apply(make_batch(fault_counts=[fault_count(word=1, prefetched=3), fault_count(word=2)]))
    page = server.get(f"/api/v1/vms/{VM_ID}/syndromes")
    assert ([item["word"] for item in page["items"]], page["words"], page["count"]) == (["0x2"], 1, 1)
    outcomes = server.get(f"/api/v1/vms/{VM_ID}/flags")["outcomes"]
    assert {item["flag"]: item["count"] for item in outcomes} == {"prefetched": 3}


def test_vcpus_come_in_pages_with_their_number(server: Server) -> None:
    counts = [fault_count(vcpu=number) for number in range(5)]
    server.apply(make_batch(fault_counts=counts, exit_counts=[exit_count(vcpu=7)]))
    first = server.get(f"/api/v1/vms/{VM_ID}", limit=4)
    second = server.get(f"/api/v1/vms/{VM_ID}", limit=4, cursor=first["next_cursor"])
    assert [item["vcpu"] for item in first["vcpus"]] == [0, 1, 2, 3]
    assert [(item["vcpu"], item["faults"], item["memory_fault_exits"]) for item in second["vcpus"]] == [
        (4, 1, 0),
        (7, 0, 1),
    ]
    assert (first["vcpu_count"], second["vcpu_count"], second["next_cursor"]) == (6, 6, None)


def test_a_cursor_of_another_list_is_refused(server: Server) -> None:
    server.apply(make_batch(fault_counts=[fault_count(vcpu=0), fault_count(vcpu=1)]))
    cursor = server.get(f"/api/v1/vms/{VM_ID}", limit=1)["next_cursor"]
    status, detail = server.problem(f"/api/v1/vms/{VM_ID}/syndromes", cursor=cursor)
    assert (status, detail[:7]) == (400, "cursor:")


def test_the_ledger_of_more_vms_than_an_answer_has_room_for_adds_up_the_others(server: Server) -> None:
    ids = [f"{number:016x}" for number in range(2000)]
    counts = [fault_count(vm_id, faults=1 + (number == 1234)) for number, vm_id in enumerate(ids)]
    vms = [make_vm(vm_id) for vm_id in ids]
    server.apply(make_batch(vms=vms, fault_counts=counts))
    found = server.get("/api/v1/ledger", most=3)
    assert [item["vm"] for item in found["vms"]] == [ids[1234], ids[0], ids[1]]
    others = found["others"]
    assert (others["count"], others["missing"], others["balanced"]) == (1997, 0, True)
    assert others["seen"] == others["counted"] == 1997
    # By default there is room for some hundred.
    found = server.get("/api/v1/ledger")
    assert len(found["vms"]) + found["others"]["count"] == 2000
    assert sum(item["seen"]["total"] for item in found["vms"]) + found["others"]["seen"] == 2001


def test_the_ledger_of_more_hosts_and_losses_than_there_is_room_for_is_refused(server: Server) -> None:
    # 272 lines of 11,000 points are within three million values, and 273 are not.
    for number in range(271):
        lost = [Loss(LossKind.KEYS_FULL, 1), Loss(LossKind.COSTS, 1)] if number == 5 else []
        host = make_host(f"host-{number}", boot_id=f"{number}")
        server.apply(make_batch(host=host, stream=f"{number:032x}", lost=lost))
    status, detail = server.problem("/api/v1/ledger", **LONGEST)
    assert (status, detail) == (
        400,
        "step: 273 lines of hosts and 11000 points; ask for longer steps, or one host",
    )


@pytest.mark.parametrize("metric", ["faults", "memory_fault_exits"])
@pytest.mark.parametrize("by", ["vm", "vcpu"])
def test_rates_that_are_too_many_are_refused_before_there_are_lists_of_them(
    server: Server, by: str, metric: str
) -> None:
    number = 2000
    ids = [f"{place:016x}" for place in range(number if by == "vm" else 1)]
    places = [(vm_id, vcpu) for vm_id in ids for vcpu in range(number if by == "vcpu" else 1)]
    counts = [fault_count(vm_id, vcpu=vcpu) for vm_id, vcpu in places]
    exits = [exit_count(vm_id, vcpu=vcpu) for vm_id, vcpu in places]
    server.apply(make_batch(vms=[make_vm(vm_id) for vm_id in ids], fault_counts=counts, exit_counts=exits))
    with traced() as peak_of:
        status, detail = server.problem("/api/v1/rates", by=by, metric=metric, **LONGEST)
    assert (status, detail) == (400, "step: 2000 series of 11000 points; ask for fewer, or for longer steps")
    assert peak_of() < 50 * MB


def test_the_greatest_of_more_series_than_there_is_room_for_are_named_and_the_others_added_up(
    server: Server,
) -> None:
    counts = [fault_count(vcpu=vcpu, second=vcpu, faults=1 + vcpu) for vcpu in range(100)]
    server.apply(make_batch(fault_counts=counts))
    with traced() as peak_of:
        found = server.get("/api/v1/rates", by="vcpu", most=2, **LONGEST)
    assert [(one["label"], one["total"]) for one in found["series"]] == [("vCPU 99", 100), ("vCPU 98", 99)]
    assert found["series"][0]["counts"][99] == 100
    others = found["others"]
    assert (others["count"], others["total"]) == (98, sum(range(99)))
    assert others["counts"][:100] == [*range(1, 99), 0, 0]
    assert peak_of() < 50 * MB


def test_of_a_dense_answer_little_more_than_its_text_is_in_memory_at_once(server: Server) -> None:
    ids, seconds = [f"{number:016x}" for number in range(100)], 1_000
    for sequence in range(4):
        part = range(sequence * seconds // 4, (sequence + 1) * seconds // 4)
        counts = [
            fault_count(vm_id, second=second, faults=10**6 + second * len(ids) + number)
            for second in part
            for number, vm_id in enumerate(ids)
        ]
        server.apply(make_batch(sequence, vms=[make_vm(vm_id) for vm_id in ids], fault_counts=counts))
    asked = {"by": "vm", "from": START_MS, "to": START_MS + seconds * 1000, "step": "1s"}
    # Sums of seconds stay in memory, as long as there is room.
    server.request("GET", "/api/v1/rates", params={**asked, "most": 1})
    with traced() as peak_of:
        response = server.request("GET", "/api/v1/rates", params=asked)
    assert len(response.json()["series"]) == len(ids)
    assert peak_of() < 4.5 * len(response.content)


def test_exits_of_more_reasons_than_are_listed_are_added_up(server: Server) -> None:
    counts = [exit_count(reason=reason, errno=14, count=1 + reason) for reason in range(1100)]
    server.apply(make_batch(exit_counts=counts))
    vm = server.get(f"/api/v1/vms/{VM_ID}")
    assert [item["count"] for item in vm["exit_reasons"]] == list(range(1100, 100, -1))
    assert vm["exits_of_other_reasons"] == sum(range(101))
    # Within a range that has fewer, nothing is left out.
    later = server.get(f"/api/v1/vms/{VM_ID}", **{"from": START_MS + 60_000})
    assert (later["exit_reasons"], later["exits_of_other_reasons"]) == ([], 0)
