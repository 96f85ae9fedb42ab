# SPDX-License-Identifier: Apache-2.0
"""Counts summed over ranges and steps, and the rates that follow from what was covered."""

import pytest

from backend.store.contract.store import Store
from backend.store.contract.values import ExitPoint, ExitReasonCount, Split, Steps, SyndromePlace, TimeRange
from backend.store.contract.vms import VcpuSummary
from faultmodel import arch
from faultmodel.record import COUNTERS, ERRNO_NOT_SHOWN, REASON_NOT_SHOWN, ExitKind, Span, exit_kind
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    VM_ID,
    exit_count,
    fault_count,
    ledger_entry,
    make_batch,
    make_vm,
)

ALWAYS = TimeRange()
OTHER_VM = "00000000000000b2"


def _seconds(first: int, last: int) -> tuple[Span, ...]:
    return (Span(START_NS + first * NS_PER_S, START_NS + last * NS_PER_S),)


@pytest.mark.parametrize(
    ("span", "faults"),
    [
        (TimeRange(), 111),
        (TimeRange(START_MS, START_MS + 1000), 1),
        (TimeRange(START_MS + 1, None), 110),
        (TimeRange(None, START_MS + 1001), 11),
        (TimeRange(None, START_MS + 1000), 1),
        (TimeRange(START_MS + 3000, None), 0),
        (TimeRange(-(10**40), 10**40), 111),
    ],
)
def test_a_bucket_belongs_to_the_range_in_which_it_starts(store: Store, span: TimeRange, faults: int) -> None:
    counts = [fault_count(second=second, faults=10**second) for second in range(3)]
    store.apply(make_batch(fault_counts=counts), START_NS)

    assert store.vm(VM_ID, span).faults == faults
    assert sum(item.counters["faults"] for item in store.syndromes([VM_ID], span)) == faults


def test_exits_are_kept_apart_by_reason_and_errno(store: Store) -> None:
    counts = [
        exit_count(reason=39, errno=14, count=1),
        exit_count(reason=39, errno=133, count=10),
        exit_count(reason=0, errno=14, count=100),
        exit_count(reason=2, errno=133, count=1000),
        exit_count(reason=39, errno=4, count=10_000),
        exit_count(reason=2, errno=0, count=100_000),
        exit_count(reason=REASON_NOT_SHOWN, errno=14, count=7),
    ]
    store.apply(make_batch(exit_counts=counts), START_NS)

    vm = store.vm(VM_ID, ALWAYS)
    assert (vm.memory_fault_exits, vm.bare_error_exits, vm.unclassified_error_exits) == (11, 1100, 7)
    assert store.exit_reasons([VM_ID], ALWAYS) == [
        ExitReasonCount(2, 0, 100_000),
        ExitReasonCount(39, 4, 10_000),
        ExitReasonCount(2, 133, 1000),
        ExitReasonCount(0, 14, 100),
        ExitReasonCount(39, 133, 10),
        ExitReasonCount(REASON_NOT_SHOWN, 14, 7),
        ExitReasonCount(39, 14, 1),
    ]


def test_exits_and_vcpus_of_more_vms_than_one_statement_sums_are_summed(store: Store) -> None:
    vms = [f"{number:016x}" for number in range(1, 502)]
    exits = [exit_count(vm, vcpu=place % 2, reason=39) for place, vm in enumerate(vms)]
    exits += [exit_count(vms[place], reason=2, errno=0, count=300) for place in (0, 500)]
    faults = [fault_count(vm, vcpu=place % 3, faults=2) for place, vm in enumerate(vms)]
    assert store.apply(make_batch(exit_counts=exits, fault_counts=faults), START_NS)

    for some in (vms, vms[:500]):
        odd = len(some) // 2
        assert (
            store.exit_reasons(some, ALWAYS)
            == [
                ExitReasonCount(2, 0, 600 if len(some) == 501 else 300),
                ExitReasonCount(39, 14, len(some)),
            ][:: 1 if len(some) == 501 else -1]
        )
        assert store.exit_total(some, ALWAYS) == sum(one.count for one in store.exit_reasons(some, ALWAYS))
        found = store.vcpus(some, ALWAYS)
        assert [one.memory_fault_exits for one in found] == [len(some) - odd, odd, 0]
        assert [one.vcpu for one in found] == [0, 1, 2]
        assert sum(one.faults for one in found) == 2 * len(some)
        assert store.vcpu_count(some) == 3
        assert store.vcpus(some, ALWAYS, limit=1, after=0) == found[1:2]


@pytest.mark.parametrize("kind", ExitKind)
def test_counts_and_records_agree_on_what_kind_an_exit_is(store: Store, kind: ExitKind) -> None:
    pairs = [
        (reason, errno)
        for reason in (0, 2, 39, REASON_NOT_SHOWN)
        for errno in (0, 4, 14, 133, ERRNO_NOT_SHOWN)
    ]
    counts = [exit_count(reason=reason, errno=errno, count=1) for reason, errno in pairs]
    store.apply(make_batch(exit_counts=counts), START_NS)

    points = store.exit_points([VM_ID], kind, Steps(START_MS, START_MS + 1000, 1000))
    assert [point.count for point in points] == [sum(exit_kind(*pair) is kind for pair in pairs)]


def test_every_vcpu_that_ever_counted_is_listed_with_its_totals_in_the_range(store: Store) -> None:
    store.apply(
        make_batch(
            fault_counts=[fault_count(vcpu=3, faults=5), fault_count(vcpu=0, second=9, faults=7)],
            exit_counts=[exit_count(vcpu=1, count=2), exit_count(vcpu=3, reason=0, count=4)],
        ),
        START_NS,
    )

    assert store.vcpus([VM_ID], TimeRange(None, START_MS + 5000)) == [
        VcpuSummary(vcpu=0, faults=0, memory_fault_exits=0, bare_error_exits=0, unclassified_error_exits=0),
        VcpuSummary(vcpu=1, faults=0, memory_fault_exits=2, bare_error_exits=0, unclassified_error_exits=0),
        VcpuSummary(vcpu=3, faults=5, memory_fault_exits=0, bare_error_exits=4, unclassified_error_exits=0),
    ]


def test_points_of_no_vm_and_of_unknown_vms_are_none(store: Store) -> None:
    store.apply(make_batch(fault_counts=[fault_count()], exit_counts=[exit_count()]), START_NS)

    for vm_ids in ([], ["00000000000000ff"], ["\0"]):
        assert (
            list(
                store.fault_points(
                    vm_ids, Steps(START_MS, START_MS + 5000, 1000), split=Split(), counters=COUNTERS
                )
            )
            == []
        )
        assert not list(
            store.exit_points(vm_ids, ExitKind.MEMORY_FAULT, Steps(START_MS, START_MS + 5000, 1000))
        )


def test_more_vms_than_a_statement_takes_are_all_read(store: Store) -> None:
    ids = [f"{number:016x}" for number in range(1201)]
    store.apply(make_batch(fault_counts=[fault_count(vm_id) for vm_id in ids]), START_NS)

    points = store.fault_points(
        ids, Steps(START_MS, START_MS + 1000, 1000), split=Split(vm=True), counters=COUNTERS
    )
    assert len(list(points)) == 1201
    assert len(store.host_of(ids)) == 1201


def test_exit_points_are_of_one_kind(store: Store) -> None:
    store.apply(
        make_batch(
            exit_counts=[
                exit_count(second=0, count=1),
                exit_count(second=1, count=2),
                exit_count(second=1, reason=0, count=4),
                exit_count(second=2, vcpu=5, reason=17, errno=133, count=8),
            ]
        ),
        START_NS,
    )

    def points(kind: ExitKind) -> list[ExitPoint]:
        found = store.exit_points(None, kind, Steps(START_MS, START_MS + 10_000, 2000))
        return sorted(found, key=lambda point: point.step_start_ms)

    assert points(ExitKind.MEMORY_FAULT) == [ExitPoint(START_MS, VM_ID, 0, "x86_64", 3)]
    assert points(ExitKind.BARE_ERROR) == [
        ExitPoint(START_MS, VM_ID, 0, "x86_64", 4),
        ExitPoint(START_MS + 2000, VM_ID, 5, "x86_64", 8),
    ]


def test_an_exit_whose_reason_is_not_shown_counts_as_neither_kind(store: Store) -> None:
    store.apply(make_batch(exit_counts=[exit_count(reason=REASON_NOT_SHOWN, count=7)]), START_NS)

    vm = store.vm(VM_ID, ALWAYS)
    assert (vm.memory_fault_exits, vm.bare_error_exits) == (0, 0)
    assert list(
        store.exit_points(None, ExitKind.UNCLASSIFIED_ERROR, Steps(START_MS, START_MS + 1000, 1000))
    ) == [ExitPoint(START_MS, VM_ID, 0, "x86_64", 7)]


def test_a_rate_divides_by_the_covered_time_of_the_range(store: Store) -> None:
    store.apply(
        make_batch(
            covered=(*_seconds(0, 2), *_seconds(6, 10)),
            vms=[make_vm()],
            fault_counts=[fault_count(faults=300), fault_count(second=7, faults=600)],
            exit_counts=[exit_count(second=7, count=6)],
        ),
        START_NS,
    )

    assert store.vm(VM_ID, ALWAYS).fault_rate == 150.0
    assert store.vm(VM_ID, ALWAYS).exit_rate == 1.0
    assert store.vm(VM_ID, TimeRange(START_MS + 4000, START_MS + 9000)).fault_rate == 200.0
    assert store.vm(VM_ID, TimeRange(START_MS + 2000, START_MS + 6000)).fault_rate is None


def test_a_rate_divides_only_by_the_life_of_the_vm(store: Store) -> None:
    vm = make_vm(ended_ns=START_NS + 6 * NS_PER_S)
    store.apply(
        make_batch(
            covered=_seconds(0, 10),
            vms=[vm],
            fault_counts=[fault_count(second=4, faults=10)],
            ledger=[ledger_entry(second=4, seen=10)],
        ),
        START_NS,
    )

    assert store.vm(VM_ID, ALWAYS).fault_rate == 5.0


def test_a_rate_without_coverage_is_none(store: Store) -> None:
    store.apply(make_batch(covered=(), fault_counts=[fault_count()]), START_NS)

    assert store.vm(VM_ID, ALWAYS).fault_rate is None
    assert store.vm(VM_ID, ALWAYS).exit_rate is None


@pytest.mark.parametrize("arch_name", sorted(arch.architectures()))
def test_words_follow_one_another_from_page_to_page(store: Store, arch_name: str) -> None:
    words = [(word, 1 + number % 2) for number, word in enumerate((0, 1, 2**63 - 1, 2**63, 2**64 - 1, 6))]
    formats = list(arch.get(arch_name).formats)
    counts = [
        fault_count(arch_name=arch_name, word=word, faults=faults, format_name=name)
        for word, faults in words
        for name in formats
    ]
    store.apply(make_batch(arch=arch_name, fault_counts=counts), START_NS)
    whole = [item.place for item in store.syndromes([VM_ID], TimeRange())]
    assert whole == sorted(whole, key=lambda place: (-place.faults, place.word, place.format))
    assert len(whole) == len(words) * len(formats)
    found: list[SyndromePlace] = []
    while page := store.syndromes([VM_ID], TimeRange(), limit=1, after=found[-1] if found else None):
        found += [item.place for item in page]
    assert found == whole
