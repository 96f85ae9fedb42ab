# SPDX-License-Identifier: Apache-2.0
"""What tracing cost, by host and step."""

from typing import Any

import pytest

from backend.errors import BatchError, NotFoundError
from backend.store.contract.accounts import CostPoint
from backend.store.contract.store import Store
from backend.store.contract.values import Steps
from faultmodel.record import Cost
from tests.batches import NS_PER_S, START_MS, START_NS, ledger_entry, make_batch, make_host, make_vm


def _cost(second: int, **fields: Any) -> Cost:
    from_ns = START_NS + second * NS_PER_S
    values = {"from_ns": from_ns, "to_ns": from_ns + NS_PER_S, "cpu_ns": 1_000_000, "resident_bytes": 1 << 20}
    return Cost(**(values | fields))


def _points(store: Store, step_ms: int = 10_000) -> list[CostPoint]:
    found = store.costs(["host-1"], Steps(START_MS, START_MS + 10_000, step_ms))
    return sorted(found, key=lambda point: point.step_start_ms)


def test_costs_add_up_and_memory_is_the_most_there_was(store: Store) -> None:
    for second, resident_bytes in enumerate((3 << 20, 5 << 20, 4 << 20)):
        store.apply(make_batch(second, costs=[_cost(second, resident_bytes=resident_bytes)]), START_NS)

    (point,) = _points(store)
    assert (point.wall_ns, point.cpu_ns, point.resident_bytes) == (3 * NS_PER_S, 3_000_000, 5 << 20)
    assert [item.resident_bytes >> 20 for item in _points(store, 1000)] == [3, 5, 4]


def test_the_time_of_programs_is_of_the_spans_in_which_it_was_measured(store: Store) -> None:
    measured = _cost(0, program_ns=5000, program_runs=40)
    entries = [ledger_entry(second=second, seen=10, seen_total=10 * second + 10) for second in (0, 1)]
    store.apply(make_batch(0, vms=[make_vm()], ledger=entries[:1], costs=[measured]), START_NS)
    store.apply(make_batch(1, vms=[make_vm()], ledger=entries[1:], costs=[_cost(1)]), START_NS)

    (point,) = _points(store)
    assert (point.measured_ns, point.program_ns, point.program_runs, point.measured_seen) == (
        NS_PER_S,
        5000,
        40,
        10,
    )
    assert point.wall_ns == 2 * NS_PER_S


def test_the_faults_of_a_reading_in_several_batches_are_all_there(store: Store) -> None:
    store.apply(make_batch(0, vms=[make_vm()], ledger=[ledger_entry(seen=10)]), START_NS)
    last = ledger_entry(seen=5, seen_total=15)
    costs = [_cost(0, program_ns=1500, program_runs=15)]
    store.apply(make_batch(1, vms=[make_vm()], ledger=[last], costs=costs), START_NS)

    assert [point.measured_seen for point in _points(store)] == [15]


def test_of_a_second_that_was_measured_in_part_the_faults_count_for_that_part(store: Store) -> None:
    half_ns = NS_PER_S // 2
    measured = Cost(
        from_ns=START_NS,
        to_ns=START_NS + half_ns,
        cpu_ns=1,
        resident_bytes=1,
        program_ns=1000,
        program_runs=9,
    )
    other = Cost(from_ns=START_NS + half_ns, to_ns=START_NS + NS_PER_S, cpu_ns=1, resident_bytes=1)
    entry = ledger_entry(seen=30)
    store.apply(make_batch(vms=[make_vm()], ledger=[entry], costs=[measured, other]), START_NS)

    assert [(point.program_ns, point.measured_seen) for point in _points(store)] == [(1000, 15)]


def test_a_host_without_costs_has_none_though_it_has_faults(store: Store) -> None:
    store.apply(make_batch(vms=[make_vm()], ledger=[ledger_entry(seen=10)]), START_NS)
    assert _points(store) == []


def test_costs_are_kept_apart_by_host(store: Store) -> None:
    for number in (1, 2):
        host = make_host(f"host-{number}")
        store.apply(make_batch(host=host, stream=f"{number:032x}", costs=[_cost(0, cpu_ns=number)]), START_NS)

    found = store.costs(None, Steps(START_MS, START_MS + 10_000, 10_000))
    assert {point.host: point.cpu_ns for point in found} == {"host-1": 1, "host-2": 2}
    with pytest.raises(NotFoundError, match="no host 'host-3'"):
        store.costs(["host-3"], Steps(START_MS, START_MS + 10_000, 10_000))


@pytest.mark.parametrize(
    "fields",
    [
        {"to_ns": START_NS - 1},
        {"cpu_ns": 2**51},
        {"resident_bytes": 2**51},
        {"program_ns": 2**51},
        {"to_ns": 2**62},
    ],
)
def test_an_impossible_cost_is_refused_and_nothing_stored(store: Store, fields: dict[str, int]) -> None:
    with pytest.raises(BatchError, match=r"costs|before it begins"):
        store.apply(make_batch(costs=[_cost(0, **fields)]), START_NS)
    assert store.hosts() == []
