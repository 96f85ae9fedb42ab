# SPDX-License-Identifier: Apache-2.0
"""Sums that go on with what batches counted are what the database has, whoever stores or removes what."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.following import Follower
from backend.query.blocks import Blocks
from backend.query.breakdown import FAULT_CONTEXT
from backend.query.kept_points import KeptPoints
from backend.query.rate_keys import By
from backend.query.sources import Sources
from backend.query.summed import OF_SERIES
from backend.query.view import View
from backend.query.vm_totals import FIGURES, Added, vm_totals
from backend.store import open_store
from backend.store.contract.accounts import CostPoint
from backend.store.contract.changes import Change, Changes
from backend.store.contract.store import Store
from backend.store.contract.values import FaultSum, Split, Steps, TimeRange
from faultmodel import arch
from faultmodel.record import COUNTERS, Cost, ExitKind, Span
from faultmodel.wire import Batch
from tests.backend.store.conftest import NewUrl
from tests.backend.store.two_servers import HOSTS, Step, TwoServers, go_through, steps_of, vm_id
from tests.batches import (
    NS_PER_S,
    START_MS,
    START_NS,
    START_S,
    exit_count,
    fault_count,
    make_batch,
    make_host,
)
from tests.ledgers import unrecorded_ledger
from tests.product import wait_for

PATIENCE_S = 120.0
RECEIVED_NS = START_NS + 4000 * NS_PER_S
NOW_MS = START_MS + 20_000
REASONS = ((39, 14), (0, 14), (2**32 - 1, 133), (39, 0))
WORDS = (0x1, 0x181, 0x182, 0x184, 0x7, 0x83)
KINDS = (None, *ExitKind)
RANGES = ((0, 21), (3, 17), (-3600, 7200), (0, 400))
"""Seconds from ``START_S`` on."""
Truth = dict[tuple[ExitKind | None, int, int], int]
"""Counts by what is counted, the second from ``START_S`` on, and the VM's number."""

SECONDS = st.one_of(st.integers(0, 20), st.sampled_from([-3000, 119, 141, 299, 300, 3600, 20_000, 10**9]))
"""The last two cannot be when they come: they are set back."""
COUNTS = st.lists(
    st.tuples(st.integers(0, 2), SECONDS, st.integers(0, 3), st.integers(0, 3)), min_size=0, max_size=4
)
"""A VM, a second, faults, which exit."""
STORED = st.tuples(st.just("store"), st.booleans(), st.integers(0, HOSTS - 1), COUNTS)
NEXT = st.tuples(st.just("next"), st.booleans(), st.integers(0, HOSTS - 1), st.integers(1, 3))
AGAIN = st.tuples(st.just("again"), st.booleans(), st.integers(0, 30))
STEPS = steps_of(NEXT, STORED, AGAIN)


class Scene(TwoServers):
    """Two processes, each with the sums that it keeps."""

    def __init__(self, ours: Store, theirs: Store) -> None:
        super().__init__(ours, theirs)
        self.kept = tuple(
            (Blocks(store), Blocks(store, OF_SERIES), KeptPoints[CostPoint](store), Sources.of(store))
            for store in self.stores
        )
        self._sent: list[Batch] = []
        self._sequence = 0
        self._newest = 0

    def store(self, step: Step) -> None:
        """Store counts: whichever, those of the next second, or what was stored before."""
        match step:
            case "store", bool(by), int(host), list(counts):
                self._send(by, host, counts)
            case "next", bool(by), int(host), int(faults):
                self._newest += 1
                self._send(by, host, [(vm, self._newest, faults + vm, vm) for vm in range(3)])
            case "again", bool(by), int(number) if self._sent:
                assert not self.stores[by].apply(self._sent[number % len(self._sent)], RECEIVED_NS)

    def _send(self, by: bool, host: int, counts: Sequence[tuple[int, int, int, int]]) -> None:
        self._sequence += 1
        # Accounts may be of an earlier second than all counts.
        at_ns = START_NS + ((counts[0][1] if counts else self._newest) - 1) * NS_PER_S
        faults = [
            fault_count(
                vm_id(host, vm),
                second=at,
                vcpu=place,
                word=WORDS[number],
                faults=number,
                # Of faults that began in an earlier second, too.
                mapped_4k=(3 * number + 1) % 4,
                private=vm,
                prefetched=1,
            )
            for place, (vm, at, number, _) in enumerate(counts)
        ]
        batch = make_batch(
            self._sequence,
            host=make_host(f"host-{host}"),
            stream=f"{host:032x}",
            covered=tuple(
                Span(START_NS + at * NS_PER_S, START_NS + (at + 1) * NS_PER_S) for _, at, _, _ in counts[:1]
            ),
            fault_counts=faults,
            exit_counts=[
                exit_count(
                    vm_id(host, vm), second=at, vcpu=place, reason=REASONS[exit_][0], errno=REASONS[exit_][1]
                )
                for place, (vm, at, _, exit_) in enumerate(counts)
            ],
            ledger=unrecorded_ledger(at_ns // NS_PER_S * 1000, faults, {}),
            costs=[Cost(from_ns=at_ns, to_ns=at_ns + NS_PER_S, cpu_ns=len(counts), resident_bytes=1)],
        )
        assert self.stores[by].apply(batch, RECEIVED_NS)
        self._sent.append(batch)

    def forget(self, host: str) -> None:
        """Send nothing of a removed host again: it is new when it comes, and what it sent may come again."""
        self._sent = [batch for batch in self._sent if batch.host.name != host]

    def check(self) -> None:
        """Hold what each process sums against the database."""
        for store, (blocks, series, points, sources) in zip(self.stores, self.kept, strict=True):
            with store.snapshot():
                check(store, blocks)
                check_series(store, series)
                check_points(store, points)
                check_accounts(sources)


def check(store: Store, blocks: Blocks) -> None:
    """Hold sums of a store's present state against the database's own."""
    view = View(blocks, store.version(), NOW_MS)
    counted = truth(store)
    for kind in KINDS:
        for first, end in RANGES:
            assert view.total(kind, START_S + first, START_S + end) == summed(counted, kind, first, end)
        for step_s in (1, 5):
            found = list(view.steps(kind, START_S, START_S + 30, step_s))
            assert found == [summed(counted, kind, at, at + step_s) for at in range(0, 30, step_s)]


def check_series(store: Store, series: Blocks) -> None:
    """Hold sums by what faults were against the words and counters that the database has."""
    view = View(series, store.version(), NOW_MS)
    first, end = min(RANGES)[0], max(end for _, end in RANGES)
    steps = Steps((START_S + first) * 1000, (START_S + end) * 1000, 1000)
    counted: dict[tuple[By, int], Counter[str]] = defaultdict(Counter)
    for point in store.fault_points(None, steps, split=Split(word=True), counters=COUNTERS):
        second, format_ = (
            (point.step_start_ms - START_MS) // 1000,
            arch.get(point.arch).format_named(str(point.format)),
        )
        faults, word = point.counters["faults"], int(point.word or 0)
        of_levels = {name: point.counters[f"mapped_{name}"] for name in ("4k", "2m", "1g")}
        counted[By.LEVEL, second].update(of_levels, none=faults - sum(of_levels.values()))
        counted[By.ACCESS, second][format_.access(word)] += faults
        counted[By.FLAG, second].update({flag.name: faults for flag in format_.flags(word)})
        counted[By.FLAG, second].update({name: point.counters[name] for name in FAULT_CONTEXT})

    def of_series(kind: By, first: int, end: int) -> dict[str, int]:
        sums: Counter[str] = Counter()
        for (of, second), some in counted.items():
            if of is kind and first <= second < end:
                sums.update(some)
        return without_noughts(sums)

    for kind in OF_SERIES.kinds:
        for first, end in RANGES:
            total = view.total(kind, START_S + first, START_S + end)
            assert without_noughts(total) == of_series(kind, first, end)
        for step_s in (1, 5):
            found = list(map(without_noughts, view.steps(kind, START_S, START_S + 30, step_s)))
            assert found == [of_series(kind, at, at + step_s) for at in range(0, 30, step_s)]


def without_noughts(sums: Mapping[str, int]) -> dict[str, int]:
    """Return what is not 0: of what cancels itself out, a nought may be kept or nothing."""
    return {key: count for key, count in sums.items() if count}


def check_points(store: Store, kept: KeptPoints[CostPoint]) -> None:
    """Hold points of hosts that are kept against those of the database, of ranges that overlap."""

    def read(hosts: Sequence[str], steps: Steps) -> Iterator[tuple[str, int, CostPoint]]:
        return ((point.host, point.step_start_ms, point) for point in store.costs(hosts, steps))

    hosts = store.host_names()
    for first, end, step_s in ((0, 10, 1), (5, 25, 1), (-3600, 7200, 600), (0, 20, 1), (0, 40, 5)):
        steps = Steps(START_MS + first * 1000, START_MS + end * 1000, step_s * 1000)
        found = kept.get(hosts, steps, store.version(), read)
        assert list(found) == list(hosts)
        points = [point for of_host in found.values() for point in of_host.values()]
        key = attrgetter("host", "step_start_ms")
        assert sorted(points, key=key) == sorted(store.costs(hosts, steps), key=key)


def check_accounts(sources: Sources) -> None:
    """Hold totals of what became of VMs' faults against the database's own."""
    store, levels = sources.store, sources.store.kept_levels()
    vm_ids = list(dict(store.vms_of(None, TimeRange())))
    for first, end in RANGES:
        steps = Steps(START_MS + first * 1000, START_MS + end * 1000, (end - first) * 1000)
        totals = vm_totals(sources, steps, levels, NOW_MS)
        points = store.ledger_points(vm_ids, steps)
        seen = {vm_id: number for vm_id, number in totals.seen(vm_ids).items() if number}
        assert seen == {point.vm: point.seen for point in points}
        for some in (vm_ids, *([one] for one in vm_ids)):
            of_some = [point for point in points if point.vm in some]
            figures = {name: sum(getattr(point, name) for point in of_some) for name in FIGURES}
            assert totals.added(some) == Added(figures, adds_up=True)


def truth(store: Store) -> Truth:
    """Return what the database counted."""
    first, end = min(RANGES)[0], max(end for _, end in RANGES)
    steps = Steps((START_S + first) * 1000, (START_S + end) * 1000, 1000)
    found: Truth = {(None, step + first, vm): faults for vm, step, faults in store.fault_sums(steps)}
    for vm, step, counts in store.exit_sums(steps):
        found |= {(kind, step + first, vm): count for kind, count in zip(ExitKind, counts, strict=True)}
    return found


def summed(counted: Truth, kind: ExitKind | None, first: int, end: int) -> dict[int, int]:
    """Return what every VM counted in a range."""
    sums: Counter[int] = Counter()
    for (of_kind, second, vm), count in counted.items():
        if of_kind == kind and first <= second < end and count:
            sums[vm] += count
    return dict(sums)


@pytest.mark.parametrize("are_announced", [False, True], ids=["silent", "announced"])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whoever_stores_and_removes_what_sums_are_those_of_the_database(
    empty_url: NewUrl, are_announced: bool, steps: list[Step]
) -> None:
    go_through(empty_url(), Scene, steps, are_announced=are_announced)


def test_a_host_that_comes_again_after_its_removal_is_not_taken_for_the_former(empty_url: NewUrl) -> None:
    url = empty_url()
    with closing(open_store(url)) as ours, closing(open_store(url)) as theirs:
        scene = Scene(ours, theirs)
        scene.take(("next", False, 0, 1))
        scene.check()
        for _ in range(5):
            scene.take(("next", False, 0, 1))
        scene.take(("remove", True, 0, None))
        for _ in range(5):
            scene.take(("next", False, 0, 2))
        scene.check()


def test_whoever_reads_an_older_state_sees_that_one_whatever_others_keep_meanwhile(store: Store) -> None:
    blocks = Blocks(store)
    scene = Scene(store, store)

    def go_on() -> None:
        scene.take(("next", False, 0, 1))
        with store.snapshot():
            check(store, blocks)

    go_on()
    with store.snapshot(), ThreadPoolExecutor(1) as other:
        view = View(blocks, store.version(), NOW_MS)
        for _ in range(3):
            other.submit(go_on).result()
            assert view.total(None, START_S, START_S + 20) == summed(truth(store), None, 0, 20)
            check(store, blocks)


class Watched:
    """A store that counts how often it was asked to add up faults."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked = 0
        self.steps: list[Steps] = []

    def fault_sums(self, steps: Steps) -> Iterator[FaultSum]:
        """Return what the store does."""
        self.asked += 1
        self.steps.append(steps)
        return self._store.fault_sums(steps)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_what_this_process_stored_is_not_read_again(store: Store) -> None:
    watched: Any = Watched(store)
    blocks = Blocks(watched)
    scene = Scene(store, store)
    scene.take(("next", False, 0, 1))
    before = View(blocks, store.version(), NOW_MS).total(None, START_S, START_S + 30)
    asked = watched.asked
    assert asked
    for _ in range(5):
        scene.take(("next", False, 0, 1))
        scene.take(("next", False, 1, 1))
        after = View(blocks, store.version(), NOW_MS).total(None, START_S, START_S + 30)
        assert sum(after.values()) > sum(before.values())
        assert after == summed(truth(store), None, 0, 30)
    assert watched.asked == asked


@pytest.mark.parametrize("database", ["postgresql"])  # Of a file it is only found out that it changed.
def test_of_what_another_process_announced_only_what_it_changed_is_read_again(new_url: NewUrl) -> None:
    url = new_url()
    announced: list[str] = []
    with (
        closing(open_store(url)) as ours,
        closing(open_store(url)) as theirs,
        Follower(ours, lambda host, _: announced.append(host)).running(),
        Follower(theirs, lambda *_: None).running(),
    ):
        watched: Any = Watched(ours)
        blocks = Blocks(watched)
        scene = Scene(ours, theirs)
        scene.take(("next", True, 0, 1))
        wait_for(lambda: announced or None, PATIENCE_S, "it listens")
        for _ in range(2):
            scene.take(("next", True, 0, 1))
        View(blocks, ours.version(), NOW_MS).total(None, START_S, START_S + 30)
        scene.take(("next", True, 0, 1))
        watched.steps.clear()
        after = View(blocks, ours.version(), NOW_MS).total(None, START_S, START_S + 30)
        assert after == summed(truth(ours), None, 0, 30)
        assert min(steps.from_ms for steps in watched.steps) >= START_MS + 3_000


def test_what_was_noted_and_then_undone_is_not_known() -> None:
    changes = Changes()
    with changes.noting() as note:
        note(1, 5, Change(first_ms=7_000, counted={(None, 7): {1: 2}}, begins=True))
    assert changes.counted_between({}, {1: 5}) == [{(None, 7): {1: 2}}]
    with suppress(OSError), changes.noting() as note:
        note(1, 6, Change(first_ms=8_000, counted={(None, 8): {1: 2}}))
        # Where this number is seen before its batch is known to be stored, another process may have given it.
        assert changes.counted_between({1: 5}, {1: 6}) is None
        raise OSError("full")
    assert changes.counted_between({1: 5}, {1: 6}) is None
    assert changes.same_before({1: 5}, {1: 6}) == 0


def test_counts_that_are_remembered_are_bounded() -> None:
    changes = Changes()
    for number in range(3):
        with changes.noting() as note:
            counts = dict.fromkeys(range(90_000), 1)
            note(1, number, Change(first_ms=number * 1_000, counted={(None, number): counts}))
    assert changes.counted_between({1: 1}, {1: 2}) is not None
    assert changes.counted_between({1: -1}, {1: 2}) is None
    assert changes.same_before({1: 0}, {1: 2}) == 1_000
