# SPDX-License-Identifier: Apache-2.0
"""The series by itself: sums by whatever is asked for, of owners by their numbers."""

from collections import Counter

import pytest

from backend.store.contract.series import FIGURES, GREATEST_FIGURES, KEYS, OWNER, Metric, Top
from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange
from faultmodel.kinds import LossKind
from faultmodel.record import Cost, Loss
from tests.backend.store.everything import OF_HOSTS
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    exit_count,
    fault_count,
    later_sections,
    ledger_entry,
    make_batch,
    sections_of,
)

VM_IDS = [f"{number:016x}" for number in range(1, 4)]
STEPS = Steps(START_MS, START_MS + 12_000, 3_000)


def _cost(second: int) -> Cost:
    from_ns = START_NS + second * NS_PER_S
    return Cost(
        from_ns=from_ns,
        to_ns=from_ns + NS_PER_S,
        cpu_ns=7,
        resident_bytes=5,
        program_ns=3,
        program_runs=2,
    )


@pytest.fixture
def numbers(store: Store) -> list[int]:
    """Fill a store with counts of each metric, in each of ten seconds; return the numbers of its VMs."""
    for second in range(10):
        batch = make_batch(
            second,
            fault_counts=[
                fault_count(vm, vcpu=vcpu, word=word, faults=1 + vcpu + second, spurious=1, second=second)
                for vm in VM_IDS
                for vcpu in range(2)
                for word in (4, 2**64 - 1)
            ],
            exit_counts=[
                exit_count(vm, vcpu=1, reason=reason, errno=errno, count=2, second=second)
                for vm in VM_IDS
                for reason, errno in ((39, 14), (0, 14), (5, 0))
            ],
            ledger=[ledger_entry(vm, seen=4 * second + 6, seen_total=10**6, second=second) for vm in VM_IDS],
            lost=[Loss(LossKind.KEYS_FULL, 3), Loss(LossKind.EXIT_RECORDS, 1)],
            costs=[_cost(second)],
            **sections_of(*(later_sections(vm, seconds=[second], count=1 + second) for vm in VM_IDS)),
        )
        assert store.apply(batch, START_NS + 20 * NS_PER_S)
    return [vm.number for vm in store.members_named(VM_IDS)]


@pytest.mark.parametrize("metric", Metric)
def test_points_add_up_to_totals_by_every_key(store: Store, numbers: list[int], metric: Metric) -> None:
    owners = list(store.version()) if metric in OF_HOSTS else numbers
    # Of the greatest there is no sum.
    figures = [name for name in FIGURES[metric] if name not in GREATEST_FIGURES]
    asked = [(), (OWNER,), *((key,) for key in KEYS[metric]), (OWNER, *KEYS[metric])]
    for by in asked:
        found: Counter[tuple[object, ...]] = Counter()
        for step, *row in store.series.points(metric, owners, STEPS, by=by, figures=figures):
            assert 0 <= step < 4
            for name, count in zip(figures, row[len(by) :], strict=True):
                found[*row[: len(by)], name] += count
        totals = {
            (*row[: len(by)], name): count
            for row in store.series.totals(metric, owners, STEPS.span, by=by, figures=figures)
            for name, count in zip(figures, row[len(by) :], strict=True)
        }
        assert totals == found
        assert any(totals.values())


def test_of_everyone_there_is_what_there_is_of_each(store: Store, numbers: list[int]) -> None:
    for metric, figures in ((Metric.FAULTS, ("faults",)), (Metric.EXITS, ("memory_fault", "bare_error"))):
        found = [
            sorted(store.series.points(metric, selector, STEPS, by=(OWNER,), figures=figures))
            for selector in (None, numbers)
        ]
        assert found[0] == found[1] != []


def test_pages_of_the_greatest_make_the_whole(store: Store, numbers: list[int]) -> None:
    by, figures = ("word", "format"), ("faults",)
    vm, span = numbers[:1], TimeRange()
    (whole,) = [list(store.series.totals(Metric.FAULTS, vm, span, by=by, figures=figures, top=Top(None)))]
    # Equal counts: the lower word first, though it is the greater one to SQL.
    assert [row[0] for row in whole] == [4, 2**64 - 1]
    first, *_ = store.series.totals(Metric.FAULTS, vm, span, by=by, figures=figures, top=Top(1))
    word, format_name, faults = first
    after = Top(1, (faults, (word, format_name)))
    rest = list(store.series.totals(Metric.FAULTS, vm, span, by=by, figures=figures, top=after))
    assert [first, *rest] == whole
