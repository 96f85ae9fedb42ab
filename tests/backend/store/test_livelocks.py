# SPDX-License-Identifier: Apache-2.0
"""Livelocks: each as it was seen last, in whatever order batches come, and no more of them than are kept."""

from itertools import permutations
from typing import Any

import pytest

from backend.store.contract.livelocks import KnownLivelock
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.sql.catalog import livelocks
from tests.batches import START_MS, VM_ID, X86, livelock, make_batch, make_vm

ALWAYS = TimeRange()
RECEIVED_NS = 1_900_000_000 * 10**9
OTHER_VM = "00000000000000b2"
SEEN = [livelock(second=3), livelock(second=5, faults=3000), livelock(second=9, faults=7000, is_over=True)]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_a_livelock_is_as_it_was_seen_last(store: Store, order: tuple[int, ...]) -> None:
    for number in order:
        assert store.apply(make_batch(number, livelocks=[SEEN[number]]), RECEIVED_NS)
    assert store.livelocks([VM_ID], ALWAYS) == [KnownLivelock(SEEN[-1], X86)]


def test_one_that_is_over_was_not_going_on_when_it_was_seen_last(store: Store) -> None:
    over, open_ = livelock(second=3, is_over=True), livelock(second=3)
    store.apply(make_batch(0, livelocks=[over, open_]), RECEIVED_NS)
    store.apply(make_batch(1, livelocks=[open_]), RECEIVED_NS)
    assert [item.livelock for item in store.livelocks([VM_ID], ALWAYS)] == [over]


def test_what_is_not_shown_is_not_known(store: Store) -> None:
    unseen: dict[str, Any] = dict.fromkeys(
        ("gpa", "gva", "pc", "format", "syndrome", "invalidate_seq", "invalidating")
    )
    bare = livelock(**unseen)
    store.apply(make_batch(livelocks=[bare]), RECEIVED_NS)
    assert [item.livelock for item in store.livelocks([VM_ID], ALWAYS)] == [bare]


def test_they_are_of_the_range_in_which_they_were_seen_newest_first(store: Store) -> None:
    first, second = livelock(second=4), livelock(second=9, began=6, vcpu=1)
    store.apply(make_batch(livelocks=[first, second]), RECEIVED_NS)
    found = {
        (from_s, to_s): [
            item.livelock
            for item in store.livelocks(
                [VM_ID, "f" * 16], TimeRange(START_MS + from_s * 1000, START_MS + to_s * 1000)
            )
        ]
        for from_s, to_s in ((0, 9), (1, 4), (4, 6), (5, 6), (8, 99), (10, 99))
    }
    assert found == {
        (0, 9): [second, first],
        (1, 4): [first],
        (4, 6): [first],
        (5, 6): [],
        (8, 99): [second],
        (10, 99): [],
    }


def test_of_a_vm_those_are_kept_that_were_seen_last(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livelocks, "MOST_LIVELOCKS", 3)
    many = [livelock(second=number, began=number) for number in range(5)]
    other = livelock(OTHER_VM)
    vms = [make_vm(VM_ID), make_vm(OTHER_VM)]
    store.apply(make_batch(0, vms=vms, livelocks=[*many, other]), RECEIVED_NS)
    store.apply(make_batch(1, vms=vms, livelocks=[livelock(second=2, began=7, vcpu=3)]), RECEIVED_NS)
    found = [item.livelock for item in store.livelocks([VM_ID], ALWAYS)]
    assert [item.time_ns for item in sorted(found, key=lambda one: one.time_ns)] == [
        many[number].time_ns for number in (2, 3, 4)
    ]
    assert [item.livelock for item in store.livelocks([OTHER_VM], ALWAYS)] == [other]
