# SPDX-License-Identifier: Apache-2.0
"""Levels of history: whatever was rolled up already, each question has each count once."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.errors import LostJobError
from backend.store import open_store
from backend.store.contract.jobs import JobClaim
from backend.store.contract.levels import AFTER_ALL_S, BEFORE_ALL_S, LENGTHS_S, Levels, Range, joined
from backend.store.contract.series import FIGURES, GREATEST_FIGURES, KEYS, OWNER, Metric, Row
from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange
from backend.store.contract.vms import VmFilter
from backend.store.sql.migrate import downgrade, migrate
from faultmodel.kinds import LossKind
from faultmodel.record import Cost, Loss, Span
from tests.backend.store.conftest import CLICKHOUSE, CLICKHOUSE_OVER_HTTP, NewStore, NewUrl
from tests.backend.store.everything import OF_HOSTS
from tests.batches import (
    NS_PER_S,
    START_NS,
    START_S,
    exit_count,
    fault_count,
    later_sections,
    ledger_entry,
    make_batch,
    make_host,
    sections_of,
)

DAY_S = 86_400
RECEIVED_NS = START_NS + 2 * DAY_S * NS_PER_S
TIMES = st.one_of(
    st.integers(-20, 20), st.integers(-8000, 8000), st.sampled_from([0, 9, 10, 59, 60, 599, 600, 3599, 3600])
)
"""Seconds from ``START_S`` on, which is no whole hour."""
_CLAIM = JobClaim(name="rollup", holder="us", began_ns=RECEIVED_NS, within_ns=10**12, every_ns=0)


def pieces_of(levels: Levels, span: Range, fitting: Sequence[int]) -> Mapping[int, int]:
    """Return by each second from where it is read, having held that pieces are whole and apart."""
    found: dict[int, int] = {}
    for length_s, from_s, to_s in levels.pieces(span, fitting):
        assert from_s < to_s
        for start in range(-(-from_s // length_s) * length_s, to_s, length_s):
            for second in range(start, start + length_s):
                assert second not in found
                found[second] = length_s
    return found


RANGES = st.lists(st.tuples(st.integers(0, 150), st.integers(1, 40)), max_size=12).map(
    lambda found: [Range(at, at + long) for at, long in found]
)


@given(
    pending=st.fixed_dictionaries(dict.fromkeys(LENGTHS_S[1:3], RANGES)),
    ends=st.tuples(st.integers(0, 200), st.integers(0, 200)).map(sorted),
    fitting=st.integers(1, 3),
)
def test_a_range_is_cut_into_pieces_that_hold_each_second_once(
    pending: Mapping[int, Sequence[Range]], ends: Sequence[int], fitting: int
) -> None:
    span, lengths = Range(*ends), LENGTHS_S[:fitting]
    read = pieces_of(Levels(pending=pending), span, lengths)
    assert sorted(read) == list(range(*span))
    for second, length_s in read.items():
        for level_s, ranges in pending.items():
            assert level_s > length_s or all(not one.from_s <= second < one.to_s for one in ranges)


def test_the_coarsest_level_that_is_up_to_date_is_read() -> None:
    levels = Levels(pending={10: [Range(7200 + 50, 7200 + 60)]})
    read = pieces_of(levels, Range(3, 7200 + 75), LENGTHS_S)
    assert [second for second, _ in _changes(read)] == [3, 10, 60, 600, 3600, 7200, 7250, 7260, 7270]
    assert [length for _, length in _changes(read)] == [1, 10, 60, 600, 3600, 10, 1, 10, 1]


def _changes(read: Mapping[int, int]) -> list[tuple[int, int]]:
    ordered = sorted(read.items())
    return [
        ordered[0],
        *(after for before, after in pairwise(ordered) if before[1] != after[1]),
    ]


@given(ranges=RANGES, most=st.integers(1, 5))
def test_few_ranges_hold_all_that_many_hold(ranges: Sequence[Range], most: int) -> None:
    few = joined(ranges, most)
    assert len(few) <= most
    assert all(before.to_s < after.from_s for before, after in pairwise(few))
    assert all(any(one.from_s >= of.from_s and one.to_s <= of.to_s for of in few) for one in ranges)


def test_ranges_without_ends_are_read_whole() -> None:
    assert Levels().pieces(Range(BEFORE_ALL_S, AFTER_ALL_S)) == [(3600, BEFORE_ALL_S, AFTER_ALL_S)]
    assert Levels().pieces(Range(-(2**80), 2**80)) == [(3600, BEFORE_ALL_S, AFTER_ALL_S)]


Counted = tuple[int, int, int, int]
"""A host, a VM of it, the second, the word."""
STORED = st.tuples(
    st.just("store"),
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 1), TIMES, st.integers(0, 2)), min_size=1, max_size=5
    ),
)
ROLLED = st.tuples(st.just("roll"), TIMES)
KILLED = st.tuples(st.just("kill"), TIMES)
LOOKED = st.tuples(
    st.just("look"), TIMES, st.sampled_from([1, 5, 10, 60, 90, 600, 3600, 7200]), st.sampled_from(Metric)
)
STEPS = st.lists(st.one_of(STORED, STORED, ROLLED, ROLLED, KILLED, LOOKED), min_size=3, max_size=20)


class Scene:
    """A store, and what it must have: each metric's rows by second."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._sequence = 0
        self._claim()

    def take(self, step: tuple[object, ...]) -> None:
        """Do what a step says."""
        match step:
            case "store", list(counted):
                for host in {one[0] for one in counted}:
                    self._store(host, [one for one in counted if one[0] == host])
            case "roll", int(time_s):
                self.roll(START_S + time_s)
            case "kill", int(time_s):
                # The transaction ends after all that it has summed, and is undone.
                with suppress(LostJobError):
                    assert not self.store.roll_up(START_S + time_s, _of_another()), "something was due"
            case "look", int(time_s), int(step_s), Metric() as metric:
                check(self.store, START_S + time_s, step_s, metric)

    def roll(self, now_s: int) -> None:
        """Sum up all that is due."""
        while self.store.roll_up(now_s, _CLAIM):
            pass

    def _claim(self) -> None:
        assert self.store.claim_job(_CLAIM)

    def _store(self, host: int, counted: Sequence[Counted]) -> None:
        self._sequence += 1
        # One count of a key.
        by_key = Counter((_vm(host, vm), second, word) for _, vm, second, word in counted)
        seconds = sorted({second for _, second, _ in by_key})
        batch = make_batch(
            self._sequence,
            host=make_host(f"host-{host}"),
            stream=f"{host:032x}",
            covered=[Span(_ns(second), _ns(second + 1)) for second in seconds],
            fault_counts=[
                fault_count(vm, second=second, word=word, faults=count, spurious=1)
                for (vm, second, word), count in by_key.items()
            ],
            exit_counts=[
                exit_count(vm, second=second, vcpu=word, count=count)
                for (vm, second, word), count in by_key.items()
            ],
            ledger=[
                ledger_entry(vm, second=second, seen=3, seen_total=10**9)
                for vm, second in {key[:2] for key in by_key}
            ],
            lost=[Loss(LossKind.KEYS_FULL, 3)],
            costs=[
                Cost(
                    from_ns=_ns(second),
                    to_ns=_ns(second) + 10**8 * (1 + self._sequence % 9),
                    cpu_ns=7,
                    resident_bytes=self._sequence,
                    program_ns=3,
                    program_runs=2,
                )
                for second in seconds
            ],
            **sections_of(
                *(
                    later_sections(
                        vm,
                        seconds=sorted({second for of_vm, second, _ in by_key if of_vm == vm}),
                        vcpu=self._sequence % 3,
                        count=1 + self._sequence % 9,
                    )
                    for vm in sorted({key[0] for key in by_key})
                )
            ),
        )
        assert self.store.apply(batch, RECEIVED_NS)


def _of_another() -> JobClaim:
    return JobClaim(name="rollup", holder="others", began_ns=RECEIVED_NS, within_ns=10**12, every_ns=0)


def _ns(second: int) -> int:
    return START_NS + second * NS_PER_S


def _vm(host: int, vm: int) -> str:
    return f"{host + 1:08x}{vm + 1:08x}"


def check(store: Store, from_s: int, step_s: int, *metrics: Metric) -> None:
    """Hold metrics, in steps and in all, against what is stored of single seconds."""
    from_s = from_s // step_s * step_s
    steps = Steps(from_s * 1000, (from_s + 40 * step_s) * 1000, step_s * 1000)
    with store.snapshot():
        vms = [vm.number for vm in store.members(VmFilter(), TimeRange()).vms]
        hosts = list(store.version())
        for metric in metrics:
            owners = hosts if metric in OF_HOSTS else vms
            by = (OWNER, *KEYS[metric])
            figures = FIGURES[metric]
            seconds = _of_seconds(store, metric, owners, by)
            found = added(metric, store.series.points(metric, owners, steps, by=by, figures=figures))
            assert found == pytest.approx(expected(metric, seconds, steps))
            for span in (TimeRange(), steps.span, TimeRange(from_ms=steps.from_ms)):
                whole = added(
                    metric,
                    ((0, *row) for row in store.series.totals(metric, owners, span, by=by, figures=figures)),
                )
                assert whole == pytest.approx(expected(metric, seconds, span))


def _of_seconds(store: Store, metric: Metric, owners: Sequence[int], by: Sequence[str]) -> Sequence[Row]:
    # Steps of a second that are no whole bucket of any other level: what came in, as it came.
    steps = Steps((START_S - 9001) * 1000, (START_S + 9001) * 1000, 1000)
    rows = store.series.points(metric, owners, steps, by=by, figures=FIGURES[metric])
    return [(START_S - 9001 + second, *rest) for second, *rest in rows]


def expected(
    metric: Metric, seconds: Sequence[Row], within: Steps | TimeRange, figures: Sequence[str] | None = None
) -> Mapping[Row, object]:
    """Return what rows of seconds come to in steps or in a range, by step, keys and figure."""

    def placed() -> Iterator[Row]:
        for second, *rest in seconds:
            at_ms = second * 1000
            if (within.from_ms is not None and at_ms < within.from_ms) or (
                within.to_ms is not None and at_ms >= within.to_ms
            ):
                continue
            number = (at_ms - within.from_ms) // within.step_ms if isinstance(within, Steps) else 0
            yield number, *rest

    return added(metric, placed(), figures)


def added(metric: Metric, rows: Iterator[Row], figures: Sequence[str] | None = None) -> Mapping[Row, object]:
    """Return rows of equal keys as one, by key and figure."""
    width = 2 + len(KEYS[metric])
    sums: dict[Row, object] = {}
    for row in rows:
        for name, value in zip(figures or FIGURES[metric], row[width:], strict=True):
            key = (*row[:width], name)
            add: Callable[[object, object], object] = max if name in GREATEST_FIGURES else lambda a, b: a + b  # type: ignore[operator, assignment]
            sums[key] = add(sums[key], value) if key in sums else value
    return sums


def hold(store: Store, steps: list[tuple[object, ...]]) -> None:
    """Take steps, and hold every answer against the seconds."""
    scene = Scene(store)
    for step in steps:
        scene.take(step)
    check(store, START_S, 60, Metric.FAULTS, Metric.COSTS)
    scene.roll(START_S + DAY_S)
    for step_s in (10, 3600):
        check(store, START_S - 7200, step_s, *Metric)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_is_rolled_up_when_every_answer_is_that_of_the_seconds(
    new_store: NewStore, steps: list[tuple[object, ...]]
) -> None:
    hold(new_store(), steps)


@pytest.mark.parametrize("database", [CLICKHOUSE])
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_so_it_is_in_clickhouse(new_store: NewStore, steps: list[tuple[object, ...]]) -> None:
    hold(new_store(), steps)


@pytest.mark.parametrize("database", [CLICKHOUSE_OVER_HTTP])
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_so_it_is_over_http(new_store: NewStore, steps: list[tuple[object, ...]]) -> None:
    hold(new_store(), steps)


def test_what_was_stored_before_there_were_levels_is_summed_up(new_url: NewUrl) -> None:
    url = new_url()
    with closing(open_store(url)) as store:
        scene = Scene(store)
        for second in (0, 9, 700, 7000):
            scene.take(("store", [(host, vm, second, 1) for host in range(2) for vm in range(2)]))
        before = store.vms(VmFilter(), TimeRange(), limit=9, after=None)
    for _ in range(2):
        downgrade(url, "0016")
        migrate(url)
    with closing(open_store(url)) as store:
        assert store.storage().levels[1].pending > 0
        assert store.vms(VmFilter(), TimeRange(), limit=9, after=None) == before
        Scene(store).roll(START_S + DAY_S)
        assert [level.pending for level in store.storage().levels] == [0] * len(LENGTHS_S)
        assert store.vms(VmFilter(), TimeRange(), limit=9, after=None) == before
        check(store, START_S - 7200, 3600, *Metric)
