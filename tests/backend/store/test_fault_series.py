# SPDX-License-Identifier: Apache-2.0
"""Fault counts over time, summed by what a chart keeps apart."""

from collections import Counter
from itertools import product

import pytest

from backend.store.contract.store import Store
from backend.store.contract.values import Split, Steps
from tests.batches import START_MS, START_NS, VM_ID, fault_count, make_batch

OTHER_VM = "00000000000000b2"
ALL = Split(vm=True, vcpu=True, word=True)


def test_counts_are_summed_into_steps_that_start_at_the_range(store: Store) -> None:
    counts = [fault_count(second=second, faults=10**second) for second in range(6)]
    store.apply(make_batch(fault_counts=counts), START_NS)

    points = store.fault_points(
        [VM_ID], Steps(START_MS + 500, START_MS + 5000, 2000), split=ALL, counters=("faults",)
    )

    assert sorted((point.step_start_ms - START_MS, point.counters["faults"]) for point in points) == [
        (500, 110),
        (2500, 11000),
    ]


def test_points_keep_vm_vcpu_and_word_apart(store: Store) -> None:
    store.apply(
        make_batch(
            fault_counts=[
                fault_count(vcpu=0, word=1, faults=1),
                fault_count(vcpu=0, word=2**64 - 1, faults=2),
                fault_count(vcpu=1, word=1, faults=3),
                fault_count(OTHER_VM, word=1, faults=4),
            ]
        ),
        START_NS,
    )

    points = store.fault_points(None, Steps(START_MS, START_MS + 1000, 1000), split=ALL, counters=("faults",))

    assert sorted((p.vm, p.vcpu, p.word, p.arch, p.format, p.counters["faults"]) for p in points) == [
        (VM_ID, 0, 1, "x86_64", "ept", 1),
        (VM_ID, 0, 2**64 - 1, "x86_64", "ept", 2),
        (VM_ID, 1, 1, "x86_64", "ept", 3),
        (OTHER_VM, 0, 1, "x86_64", "ept", 4),
    ]


def test_points_of_several_architectures_come_together(store: Store) -> None:
    store.apply(make_batch(0, fault_counts=[fault_count(faults=1)]), START_NS)
    arm = fault_count(OTHER_VM, arch_name="aarch64", word=0x9200_0007, faults=2)
    store.apply(make_batch(1, arch="aarch64", fault_counts=[arm]), START_NS)

    points = store.fault_points(
        [VM_ID, OTHER_VM], Steps(START_MS, START_MS + 5000, 5000), split=ALL, counters=("faults",)
    )

    assert sorted((p.arch, p.format, p.word, p.counters["faults"]) for p in points) == [
        ("aarch64", "esr_el2", 0x9200_0007, 2),
        ("x86_64", "ept", 7, 1),
    ]


@pytest.mark.parametrize(
    "split",
    [
        Split(vm=vm, vcpu=vcpu, word=word)
        for vm, vcpu, word in product((False, True), repeat=3)
        if vm or not vcpu
    ],
)
def test_sums_of_every_split_are_those_of_the_single_counts(store: Store, split: Split) -> None:
    store.apply(
        make_batch(
            fault_counts=[
                fault_count(vm_id, second=second, vcpu=vcpu, word=word, faults=2**place, mapped_4k=place)
                for place, (vm_id, second, vcpu, word) in enumerate(
                    product((VM_ID, OTHER_VM), (0, 1, 2), (0, 1), (1, 2**64 - 1))
                )
            ]
        ),
        START_NS,
    )
    names = ("mapped_4k", "faults")

    def summed(asked: Split) -> Counter[object]:
        sums: Counter[object] = Counter()
        for point in store.fault_points(
            None, Steps(START_MS, START_MS + 3000, 2000), split=asked, counters=names
        ):
            assert set(point.counters) == set(names)
            assert (point.vm is None, point.vcpu is None, point.word is None) == (
                not asked.vm,
                not asked.vcpu,
                not asked.word,
            )
            for name in names:
                key = (
                    point.step_start_ms,
                    point.vm if split.vm else None,
                    point.vcpu if split.vcpu else None,
                    (point.word, point.format) if split.word else None,
                    name,
                )
                sums[key] += point.counters[name]
        return sums

    assert summed(split) == summed(ALL)
