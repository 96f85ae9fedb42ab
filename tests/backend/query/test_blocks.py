# SPDX-License-Identifier: Apache-2.0
"""Sums that are kept are what the store has, however batches come and ranges lie."""

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import copy

import pytest

from backend.query.blocks import LENGTHS_S, Blocks, added
from backend.query.summed import OF_ACCOUNTS, Account, Kind, OfAccounts, Row
from backend.query.view import View
from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.contract.values import Steps
from faultmodel.kinds import HostState
from faultmodel.record import ExitKind, Span
from faultmodel.wire import Batch
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    START_S,
    VM_ID,
    exit_count,
    fault_count,
    make_batch,
    make_host,
    make_vm,
)

RECEIVED_NS = START_NS + 5000 * NS_PER_S
OTHER = "00000000000000b2"
NOW_MS = START_MS + 4000_000


def view(store: Store, blocks: Blocks) -> View:
    """Look at the store as it is now."""
    return View(blocks, store.version(), NOW_MS)


def truth(store: Store, from_s: int, to_s: int) -> dict[int, int]:
    """Return the faults of every VM as the store itself adds them up."""
    sums: Counter[int] = Counter()
    for vm, _, faults in store.fault_sums(Steps(from_s * 1000, to_s * 1000, 1000)):
        sums[vm] += faults
    return dict(sums)


def second(at: int, faults: int, *, vm: str = VM_ID, sequence: int | None = None) -> Batch:
    """Return the batch of a second, counted from ``START_S``."""
    span = Span(START_NS + at * NS_PER_S, START_NS + (at + 1) * NS_PER_S)
    counts = [fault_count(vm, second=at, faults=faults)]
    return make_batch(at if sequence is None else sequence, covered=(span,), fault_counts=counts)


def recording_of_1970(faults: int) -> Batch:
    """Return a recording whose clock began at 0."""
    vm = make_vm("c" * 16, started_ns=0)
    counts = [fault_count(vm.id, second=-START_S + 1, faults=faults)]
    host = make_host("recorded", state=HostState.REPLAY)
    span = Span(NS_PER_S, 2 * NS_PER_S)
    return make_batch(0, stream="e" * 32, host=host, vms=[vm], covered=(span,), fault_counts=counts)


@pytest.fixture(scope="module")
def filled_file(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with faults of two VMs here and there in more than an hour; to copy."""
    path = tmp_path_factory.mktemp("filled") / "blocks.db"
    copy(migrated_file, path)
    with closing(open_store(f"sqlite:///{path}")) as store:
        for at in (*range(0, 70), 299, 300, 301, 1799, 1800, 3599, 3600, 3601, 3999):
            store.apply(second(at, at + 1, vm=(VM_ID, OTHER)[at % 2]), RECEIVED_NS)
    return path


@pytest.fixture
def filled(filled_file: Path, tmp_path: Path) -> Iterator[Store]:
    """Return a store with faults of two VMs, for one test."""
    path = tmp_path / "blocks.db"
    copy(filled_file, path)
    with closing(open_store(f"sqlite:///{path}")) as store:
        yield store


@pytest.mark.parametrize(
    ("first", "end"),
    [(0, 4000), (1, 3999), (0, 1), (7, 7), (3, 62), (59, 3601), (-5, 3600), (300, 3900), (3995, 4005)],
)
def test_a_total_is_that_of_the_store_wherever_the_range_lies(filled: Store, first: int, end: int) -> None:
    blocks = Blocks(filled)
    for _ in range(2):
        found = view(filled, blocks).total(None, START_S + first, START_S + end)
        assert found == truth(filled, START_S + first, START_S + end)


@pytest.mark.parametrize("step_s", [*LENGTHS_S, 2, 10, 120, 600])
def test_steps_are_those_of_the_store(filled: Store, step_s: int) -> None:
    from_s = START_S // step_s * step_s
    to_s = from_s + -(-4100 // step_s) * step_s
    steps = list(view(filled, Blocks(filled)).steps(None, from_s, to_s, step_s))
    assert steps == [truth(filled, at, at + step_s) for at in range(from_s, to_s, step_s)]


@pytest.mark.parametrize("to_s", [4100, 4095, 4001, 61])
@pytest.mark.parametrize("step_s", [5, 60, 300, 1800, 10_800])
def test_the_last_step_may_end_before_it_is_whole(filled: Store, step_s: int, to_s: int) -> None:
    from_s, end_s = START_S // step_s * step_s, START_S + to_s
    steps = list(view(filled, Blocks(filled)).steps(None, from_s, end_s, step_s))
    assert steps == [truth(filled, at, min(at + step_s, end_s)) for at in range(from_s, end_s, step_s)]


def test_a_batch_that_comes_late_is_in_the_next_answer(filled: Store) -> None:
    blocks = Blocks(filled)
    before = view(filled, blocks).total(None, START_S, START_S + 4000)
    filled.apply(second(1000, 7, sequence=4000), RECEIVED_NS)
    after = view(filled, blocks).total(None, START_S, START_S + 4000)
    assert sum(after.values()) == sum(before.values()) + 7


def test_a_batch_of_1970_is_in_the_next_answer_and_costs_no_block_for_each_second_since(
    filled: Store,
) -> None:
    blocks = Blocks(filled)
    before = view(filled, blocks).total(None, 0, START_S + 4000)
    filled.apply(recording_of_1970(faults=7), RECEIVED_NS)
    tracemalloc.start()
    try:
        # Forgets what is kept of any second since, and reads 57 years.
        after = view(filled, blocks).total(None, 0, START_S + 4000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after == truth(filled, 0, START_S + 4000)
    assert Counter(after.values()) - Counter(before.values()) == Counter([7])
    assert most < 32 * 2**20


def test_whoever_still_reads_an_older_state_sees_that_one(filled: Store) -> None:
    blocks = Blocks(filled)
    with filled.snapshot():
        old = filled.version()
        before = truth(filled, START_S, START_S + 4000)
        assert View(blocks, old, NOW_MS).total(None, START_S, START_S + 4000) == before
    filled.apply(second(20, 5, sequence=4000), RECEIVED_NS)
    assert sum(view(filled, blocks).total(None, START_S, START_S + 4000).values()) == sum(before.values()) + 5


def test_what_another_process_stored_is_in_the_next_answer(migrated_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    copy(migrated_file, path)
    with closing(open_store(f"sqlite:///{path}")) as ours, closing(open_store(f"sqlite:///{path}")) as theirs:
        ours.apply(second(0, 3), RECEIVED_NS)
        blocks = Blocks(ours)
        assert sum(view(ours, blocks).total(None, START_S, START_S + 60).values()) == 3
        theirs.apply(second(1, 4), RECEIVED_NS)
        assert sum(view(ours, blocks).total(None, START_S, START_S + 60).values()) == 7


def test_exits_are_kept_by_kind(store: Store) -> None:
    store.apply(make_batch(0, exit_counts=[exit_count(count=3), exit_count(reason=0, count=5)]), RECEIVED_NS)
    found = view(store, Blocks(store))
    assert list(found.total(ExitKind.MEMORY_FAULT, START_S, START_S + 10).values()) == [3]
    assert list(found.total(ExitKind.BARE_ERROR, START_S, START_S + 10).values()) == [5]
    assert found.total(ExitKind.UNCLASSIFIED_ERROR, START_S, START_S + 10) == {}


@pytest.mark.parametrize("at_once", [1, 3, 20])
@pytest.mark.parametrize("step_s", [1, 5, 30, 60])
def test_what_is_read_in_parts_is_the_same(filled: Store, at_once: int, step_s: int) -> None:
    span = START_S - START_S % 60, START_S - START_S % 60 + 4020
    whole = View(Blocks(filled), filled.version(), NOW_MS)
    parts = View(Blocks(filled), filled.version(), NOW_MS, at_once=at_once)
    assert parts.total(None, *span) == whole.total(None, *span) == truth(filled, *span)
    assert list(parts.steps(None, *span, step_s)) == list(whole.steps(None, *span, step_s))


@pytest.mark.parametrize("step_s", [3599, 1021])
def test_of_a_step_that_is_as_long_as_many_blocks_few_are_held(filled: Store, step_s: int) -> None:
    # No block but a second divides these: a step is as many of them as it has seconds.
    start_s = START_S - START_S % step_s
    at_once = 100
    parts = View(Blocks(filled), filled.version(), NOW_MS, at_once=at_once)
    sums = []
    for blocks in parts.in_steps(None, start_s, start_s + 2 * step_s, step_s):
        assert sum(1 + len(block) for block in blocks) <= 2 * at_once
        sums.append(added(blocks))
    assert sums == [truth(filled, start_s + at * step_s, start_s + (at + 1) * step_s) for at in range(2)]


def test_what_is_read_of_all_kinds_at_once_is_read_once_however_little_is_kept(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Steps] = []
    in_store = OfAccounts.read

    def noted(of: OfAccounts, store: Store, kind: Kind, steps: Steps) -> Iterator[Row]:
        read.append(steps)
        return in_store(of, store, kind, steps)

    monkeypatch.setattr(OfAccounts, "read", noted)
    found, numbers = [], []
    for most_cells in (1_000_000, 5):
        read.clear()
        blocks = Blocks(filled, OF_ACCOUNTS, most_cells=most_cells)
        found.append(view(filled, blocks).totals(tuple(Account), START_S, START_S + 4000))
        numbers.append(len(read))
    assert found[0] == found[1]
    assert sum(found[0][Account.SEEN].values()) == sum(truth(filled, START_S, START_S + 4000).values())
    assert numbers[0] == numbers[1]
