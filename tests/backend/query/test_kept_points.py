# SPDX-License-Identifier: Apache-2.0
"""Points that are kept are what the store has, and only what is new is read."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.query.kept_points import KeptPoints
from backend.store.contract.accounts import CostPoint
from backend.store.contract.store import Store
from backend.store.contract.values import Steps
from faultmodel.record import Cost, Span
from tests.batches import NS_PER_S, START_MS, START_NS, ledger_entry, make_batch, make_host, make_vm

RECEIVED_NS = START_NS + 600 * NS_PER_S
HOSTS = ("host-1", "host-2")


class Kept:
    """Points of costs of a store, and which steps were read for whom."""

    def __init__(self, store: Store, *, most: int = 1_000) -> None:
        self._store = store
        self._points = KeptPoints[int](store, most=most)
        self.read: list[tuple[Sequence[str], int, int]] = []

    def get(self, first: int, end: int, hosts: Sequence[str] = HOSTS) -> dict[str, dict[int, int]]:
        """Return CPU times of seconds, counted from ``START_S``, and hold them against the store's."""
        self.read.clear()
        steps = Steps(START_MS + first * 1000, START_MS + end * 1000, 1000)
        found = self._points.get(hosts, steps, self._store.version(), self._read)
        in_store = self._store.costs(hosts, steps)
        assert {(host, at, value) for host, some in found.items() for at, value in some.items()} == {
            (point.host, point.step_start_ms, _value(point)) for point in in_store
        }
        return {
            host: {(at - START_MS) // 1000: value for at, value in some.items()}
            for host, some in found.items()
        }

    def _read(self, hosts: Sequence[str], steps: Steps) -> Iterator[tuple[str, int, int]]:
        first, end = ((at - START_MS) // 1000 for at in (steps.from_ms, steps.to_ms))
        self.read.append((list(hosts), first, end))
        return ((one.host, one.step_start_ms, _value(one)) for one in self._store.costs(hosts, steps))


def _value(point: CostPoint) -> int:
    return point.cpu_ns + int(point.measured_seen)


def apply(store: Store, sequence: int, *, host: str = "host-1", of: int | None = None, seen: int = 0) -> None:
    """Store the batch of a second, which may have costs or faults of another one."""
    at_ns = START_NS + (sequence if of is None else of) * NS_PER_S
    cost = Cost(
        from_ns=at_ns,
        to_ns=at_ns + NS_PER_S,
        cpu_ns=7,
        resident_bytes=1,
        program_ns=None if seen else 5,
        program_runs=None if seen else 1,
    )
    entry = ledger_entry(second=sequence if of is None else of, seen=seen, uncounted=seen, counted=0)
    batch = make_batch(
        sequence,
        host=make_host(host),
        stream=host.encode().hex().rjust(32, "0"),
        vms=[make_vm()],
        covered=(Span(START_NS + sequence * NS_PER_S, START_NS + (sequence + 1) * NS_PER_S),),
        costs=() if seen else (cost,),
        ledger=(entry,) if seen else (),
    )
    assert store.apply(batch, RECEIVED_NS)


@pytest.fixture
def filled(store: Store) -> Store:
    """Return a store with costs of ten seconds of two hosts."""
    for at in range(10):
        for host in HOSTS:
            apply(store, at, host=host)
    return store


def test_as_time_goes_on_only_what_is_new_is_read(filled: Store) -> None:
    kept = Kept(filled)
    kept.get(0, 10)
    assert kept.read == [(list(HOSTS), 0, 10)]
    apply(filled, 10)
    assert kept.get(2, 12)["host-1"] == dict.fromkeys(range(2, 11), 7)
    assert kept.read == [(list(HOSTS), 10, 12)]
    kept.get(0, 12)
    assert kept.read == [(list(HOSTS), 0, 2)]


def test_of_those_who_are_asked_for_anew_all_is_read(filled: Store) -> None:
    kept = Kept(filled)
    kept.get(0, 10, HOSTS[:1])
    kept.get(0, 10)
    assert kept.read == [(["host-2"], 0, 10)]


def test_what_is_more_than_all_that_is_kept_drives_nothing_out(filled: Store) -> None:
    kept = Kept(filled, most=15)
    kept.get(0, 10, HOSTS[:1])
    kept.get(0, 10)
    kept.get(0, 10, HOSTS[:1])
    assert kept.read == []


@pytest.mark.parametrize("seen", [0, 3])
def test_accounts_of_an_earlier_second_than_what_is_covered_are_in_the_next_answer(
    filled: Store, seen: int
) -> None:
    kept = Kept(filled)
    before = kept.get(0, 20)["host-1"][4]
    apply(filled, 12, of=4, seen=seen)
    assert kept.get(0, 20)["host-1"][4] > before


def test_a_host_that_was_removed_has_none(filled: Store) -> None:
    kept = Kept(filled)
    kept.get(0, 10)
    filled.remove_host("host-2")
    assert list(kept.get(0, 10, HOSTS[:1])) == ["host-1"]
    apply(filled, 3, host="host-2")
    assert kept.get(0, 10)["host-2"] == {3: 7}


def test_whoever_reads_an_older_state_sees_that_one(filled: Store) -> None:
    kept = Kept(filled)

    def go_on() -> None:
        apply(filled, 12, of=4)
        assert kept.get(0, 20)["host-1"][4] == 14

    with filled.snapshot(), ThreadPoolExecutor(1) as other:
        assert kept.get(0, 20)["host-1"][4] == 7
        other.submit(go_on).result()
        assert kept.get(0, 20)["host-1"][4] == 7
    assert kept.get(0, 20)["host-1"][4] == 14


@pytest.mark.parametrize("most", [5, 15])
def test_no_more_is_kept_than_memory_is_for(filled: Store, most: int) -> None:
    kept = Kept(filled, most=most)
    kept.get(0, 10)
    kept.get(0, 10)
    # Of the two hosts one at most fits, and to read one or both is one question.
    assert kept.read == [(list(HOSTS), 0, 10)]
