# SPDX-License-Identifier: Apache-2.0
"""What became of every fault and every batch."""

from typing import Any

import pytest

from backend.errors import BatchError, NotFoundError
from backend.store.contract.accounts import BatchAccount, CountingTotal, LossPoint
from backend.store.contract.store import Store
from backend.store.contract.values import Steps
from faultmodel.kinds import LossKind
from faultmodel.record import Loss
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    STREAM,
    VM_ID,
    ledger_entry,
    make_batch,
    make_host,
    make_vm,
)

OTHER_STREAM = "6" * 32
OTHER_VM = "00000000000000b2"


def _points(store: Store, step_ms: int) -> dict[tuple[str, int], tuple[int, ...]]:
    return {
        (point.vm, (point.step_start_ms - START_MS) // 1000): (
            point.seen,
            point.counted,
            point.uncounted,
            point.recorded,
            point.sampled_out,
            point.dropped,
        )
        for point in store.ledger_points([VM_ID, OTHER_VM], Steps(START_MS, START_MS + 10_000, step_ms))
    }


def _totals(store: Store) -> list[CountingTotal]:
    return sorted(store.counting_totals([VM_ID, OTHER_VM]), key=lambda item: (item.vm, item.counting))


def test_entries_add_up_by_vm_and_second(store: Store) -> None:
    entries = [
        ledger_entry(second=0, seen=10, uncounted=1, recorded=2, dropped=3),
        ledger_entry(second=0, seen=5),
        ledger_entry(second=3, seen=7, recorded=7),
    ]
    for sequence, entry in enumerate(entries):
        other = ledger_entry(OTHER_VM, second=sequence, seen=1)
        store.apply(make_batch(sequence, vms=[make_vm(), make_vm(OTHER_VM)], ledger=[entry, other]), START_NS)

    assert _points(store, 1000) == {
        (VM_ID, 0): (15, 14, 1, 2, 10, 3),
        (VM_ID, 3): (7, 7, 0, 7, 0, 0),
        (OTHER_VM, 0): (1, 1, 0, 0, 1, 0),
        (OTHER_VM, 1): (1, 1, 0, 0, 1, 0),
        (OTHER_VM, 2): (1, 1, 0, 0, 1, 0),
    }
    assert _points(store, 10_000)[VM_ID, 0] == (22, 21, 1, 9, 10, 3)


def test_what_a_counting_saw_is_the_greatest_that_came_and_what_is_stored_adds_up(store: Store) -> None:
    # The batch between these two is dropped, and the last two come in the wrong order.
    for sequence, seen, seen_total in ((0, 10, 10), (3, 5, 40), (2, 20, 35)):
        entry = ledger_entry(second=sequence, seen=seen, seen_total=seen_total)
        store.apply(make_batch(sequence, vms=[make_vm()], ledger=[entry]), START_NS)

    assert _totals(store) == [CountingTotal(vm=VM_ID, counting=STREAM, stored=35, seen_total=40)]


def test_a_quiet_vm_tells_what_was_seen_of_it_before(store: Store) -> None:
    store.apply(make_batch(vms=[make_vm()], ledger=[ledger_entry(seen=0, seen_total=12)]), START_NS)

    assert _points(store, 1000) == {}
    assert _totals(store) == [CountingTotal(vm=VM_ID, counting=STREAM, stored=0, seen_total=12)]


def test_each_counting_is_kept_apart(store: Store) -> None:
    for stream in (STREAM, OTHER_STREAM):
        entry = ledger_entry(seen=4, seen_total=4)
        store.apply(make_batch(stream=stream, vms=[make_vm()], ledger=[entry]), START_NS)

    assert [(item.counting, item.stored, item.seen_total) for item in _totals(store)] == [
        (STREAM, 4, 4),
        (OTHER_STREAM, 4, 4),
    ]


def test_a_batch_that_comes_twice_is_in_the_ledger_once(store: Store) -> None:
    batch = make_batch(vms=[make_vm()], ledger=[ledger_entry(seen=4)])
    store.apply(batch, START_NS)
    store.apply(batch, START_NS)

    assert _points(store, 1000) == {(VM_ID, 0): (4, 4, 0, 0, 4, 0)}
    assert _totals(store) == [CountingTotal(vm=VM_ID, counting=STREAM, stored=4, seen_total=4)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ledger": [ledger_entry(seen=2**41)]}, "seen is 2199023255552 in one batch"),
        ({"ledger": [ledger_entry(seen=1, bucket_ms=1)]}, "does not start a second"),
        ({"ledger": [ledger_entry(OTHER_VM)]}, f"counts for VM {OTHER_VM} and does not describe it"),
    ],
)
def test_an_impossible_entry_is_refused_and_nothing_stored(
    store: Store, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BatchError, match=message):
        store.apply(make_batch(vms=[make_vm()], **changes), START_NS)

    assert store.hosts() == []


def test_batches_are_accounted_for_over_all_streams_of_a_host(store: Store) -> None:
    for sequence in (0, 1, 4):
        store.apply(make_batch(sequence), START_NS)
    store.apply(make_batch(2, stream=OTHER_STREAM, lost=[Loss(LossKind.SPOOL_BATCHES, 3)]), START_NS)
    store.apply(make_batch(host=make_host("host-2"), stream="7" * 32), START_NS)

    first, second = store.batch_accounts(None)
    assert first == BatchAccount(host="host-1", shipped=8, stored=4, dropped=3)
    assert first.under_way == 1
    assert second == BatchAccount(host="host-2", shipped=1, stored=1, dropped=0)
    assert store.batch_accounts(["host-2"]) == [second]


def test_batches_dropped_after_the_last_that_came_are_not_under_way(store: Store) -> None:
    store.apply(make_batch(0), START_NS)
    store.apply(make_batch(0, stream=OTHER_STREAM, lost=[Loss(LossKind.SPOOL_BATCHES, 5)]), START_NS)

    (account,) = store.batch_accounts(None)
    assert (account.shipped, account.stored, account.dropped, account.under_way) == (2, 2, 5, 0)


def test_a_host_without_batches_in_its_name_is_not_found(store: Store) -> None:
    with pytest.raises(NotFoundError, match="no host 'nobody'"):
        store.batch_accounts(["nobody"])


def test_losses_lie_in_the_last_second_that_is_covered_else_in_that_of_arrival(store: Store) -> None:
    store.apply(make_batch(0, lost=[Loss(LossKind.KEYS_FULL, 2)]), START_NS)
    store.apply(make_batch(1, lost=[Loss(LossKind.KEYS_FULL, 3), Loss(LossKind.UNATTRIBUTED, 1)]), START_NS)
    store.apply(make_batch(2, covered=(), lost=[Loss(LossKind.KEYS_FULL, 4)]), START_NS + 9 * NS_PER_S)

    found = set(store.losses(["host-1"], Steps(START_MS, START_MS + 10_000, 2000)))
    assert found == {
        LossPoint(START_MS, "host-1", LossKind.KEYS_FULL, 5),
        LossPoint(START_MS, "host-1", LossKind.UNATTRIBUTED, 1),
        LossPoint(START_MS + 8000, "host-1", LossKind.KEYS_FULL, 4),
    }
