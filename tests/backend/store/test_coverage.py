# SPDX-License-Identifier: Apache-2.0
"""Covered spans, as few as they can be."""

import sqlite3
from itertools import pairwise, permutations
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.store import open_store
from backend.store.contract.hosts import CoveredSpan
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.sql.migrate import migrate
from faultmodel.record import Span
from faultmodel.wire import Batch
from tests.backend.store.conftest import NewStore
from tests.batches import NS_PER_S, START_MS, START_NS, make_batch, make_host

ALWAYS = TimeRange()


def _span(first: int, last: int) -> Span:
    return Span(START_NS + first * NS_PER_S, START_NS + last * NS_PER_S)


def _covered(store: Store, span: TimeRange = ALWAYS) -> list[tuple[float, float]]:
    return [
        ((item.from_ms - START_MS) / 1000, (item.to_ms - START_MS) / 1000)
        for item in store.coverage(None, span)
    ]


def test_spans_that_touch_become_one_in_whatever_order_they_come(store: Store) -> None:
    for number in (2, 0, 3, 1):
        store.apply(make_batch(number), START_NS)

    assert _covered(store) == [(0, 4)]


def test_a_gap_stays_a_gap(store: Store) -> None:
    store.apply(make_batch(0, covered=(_span(0, 2), _span(3, 5))), START_NS)

    assert _covered(store) == [(0, 2), (3, 5)]


def test_overlapping_spans_of_two_streams_are_covered_once(store: Store) -> None:
    store.apply(make_batch(0, covered=(_span(0, 4), _span(8, 9))), START_NS)
    store.apply(make_batch(0, stream="7" * 32, covered=(_span(2, 6), _span(7, 10))), START_NS)

    assert _covered(store) == [(0, 6), (7, 10)]


def test_an_empty_span_covers_nothing(store: Store) -> None:
    store.apply(make_batch(0, covered=(_span(3, 3),)), START_NS)

    assert _covered(store) == []


@pytest.mark.parametrize(("from_ns", "to_ns"), [(1, 2), (400_000, 999_999), (999_999, 1_000_001)])
def test_a_span_of_less_than_a_millisecond_is_covered_time(store: Store, from_ns: int, to_ns: int) -> None:
    store.apply(make_batch(0, covered=(Span(START_NS + from_ns, START_NS + to_ns),)), START_NS)

    assert _covered(store) == [(0, 0.001 if to_ns <= 10**6 else 0.002)]
    assert store.boot_coverage(None, ALWAYS)


def test_spans_that_are_less_than_a_millisecond_apart_are_one(store: Store) -> None:
    edge = START_NS + 1_500_000
    store.apply(make_batch(0, covered=(Span(START_NS, edge), Span(edge + 10, START_NS + NS_PER_S))), START_NS)

    assert _covered(store) == [(0, 1)]


def test_spans_are_clipped_to_the_range(store: Store) -> None:
    store.apply(make_batch(0, covered=(_span(0, 4), _span(6, 9))), START_NS)

    assert _covered(store, TimeRange(START_MS + 1500, START_MS + 7000)) == [(1.5, 4), (6, 7)]
    assert _covered(store, TimeRange(START_MS + 4000, START_MS + 6000)) == []
    assert _covered(store, TimeRange(-(10**40), 10**40)) == [(0, 4), (6, 9)]


def test_spans_are_listed_by_host_and_only_of_the_hosts_asked_for(store: Store) -> None:
    for number, name in enumerate(["b", "a"]):
        store.apply(make_batch(host=make_host(name), stream=f"{number:032x}"), START_NS)

    a, b = (CoveredSpan(name, START_MS, START_MS + 1000) for name in "ab")
    assert store.coverage(None, ALWAYS) == [a, b]
    assert store.coverage(["b", "nobody", "\0"], ALWAYS) == [b]
    assert store.coverage([], ALWAYS) == []


def _part(sequence: int, part: int, covered: tuple[Span, ...] = ()) -> Batch:
    return make_batch(sequence, part=part, covered=covered)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_reading_in_parts_is_covered_once_all_have_come(store: Store, order: tuple[int, ...]) -> None:
    store.apply(make_batch(4, covered=(_span(0, 1),)), START_NS)
    parts = [_part(5, 0), _part(6, 1), _part(7, 2, (_span(1, 2), _span(3, 4)))]
    for number in order:
        assert _covered(store) == [(0, 1)]
        store.apply(parts[number], START_NS)

    assert _covered(store) == [(0, 2), (3, 4)]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_reading_of_which_a_part_never_comes_is_not_covered(store: Store, lost: int) -> None:
    parts = [_part(5, 0), _part(6, 1), _part(7, 2, (_span(1, 2),))]
    for number in {0, 1, 2} - {lost}:
        store.apply(parts[number], START_NS)
    store.apply(make_batch(8, covered=(_span(2, 3),)), START_NS)
    store.apply(make_batch(0, stream="7" * 32, covered=(_span(5, 6),)), START_NS)

    assert _covered(store) == [(2, 3), (5, 6)]


def test_a_reading_is_covered_though_the_one_before_it_was_dropped(store: Store) -> None:
    store.apply(_part(5, 0), START_NS)
    store.apply(_part(6, 1, (_span(1, 2),)), START_NS)

    assert _covered(store) == [(1, 2)]


def test_a_late_part_covers_nothing_of_another_stream(store: Store) -> None:
    store.apply(_part(1, 1, (_span(1, 2),)), START_NS)
    for sequence in (1, 0):
        store.apply(make_batch(sequence, stream="7" * 32, covered=()), START_NS)
    assert _covered(store) == []

    store.apply(_part(0, 0), START_NS)
    assert _covered(store) == [(1, 2)]


def test_a_day_of_batches_is_one_row(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    migrate(f"sqlite:///{path}")
    store = open_store(f"sqlite:///{path}")
    for number in range(60):
        store.apply(make_batch(number), START_NS)
    store.close()

    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM coverage").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM applied_batches").fetchone() == (1,)
    database.close()


@given(spans=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 8)), max_size=12))
@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
def test_what_is_covered_is_the_union_of_the_spans(new_store: NewStore, spans: list[tuple[int, int]]) -> None:
    store = new_store()
    for number, (start, length) in enumerate(spans):
        store.apply(make_batch(number, covered=(_span(start, start + length),)), START_NS)

    seconds = {second for start, length in spans for second in range(start, start + length)}
    found = _covered(store)
    assert {second for first, last in found for second in range(int(first), int(last))} == seconds
    assert all(before[1] < after[0] for before, after in pairwise(found))
