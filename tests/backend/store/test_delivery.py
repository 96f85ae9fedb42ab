# SPDX-License-Identifier: Apache-2.0
"""Whatever happens on the way, the totals are those of every batch applied once."""

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.contract.values import Split, Steps, TimeRange
from backend.store.contract.vms import VmFilter
from faultmodel import arch
from faultmodel.record import COUNTERS
from faultmodel.wire import Batch
from tests.backend.store.conftest import (
    CLICKHOUSE,
    CLICKHOUSE_BESIDE_POSTGRESQL,
    CLICKHOUSE_OVER_HTTP,
    NewStore,
    NewUrl,
)
from tests.backend.store.sender import COUNT_PER_BATCH, batches_to_send
from tests.batches import START_MS, START_NS, VM_ID, exit_record, fault_count, fault_record, make_batch

ALWAYS = TimeRange()
EVERYTHING = Split(vm=True, vcpu=True, word=True)
Totals = Counter[tuple[object, ...]]
ARCHES = sorted(arch.architectures())

# A fault: (VM, second, vCPU, word, faults).
FAULT = st.tuples(
    st.integers(0, 2),
    st.integers(0, 4),
    st.integers(0, 1),
    st.sampled_from([0, 1, 2**63, 2**64 - 1]),
    st.integers(0, 5),
)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Batch], list[int]]:
    """Return batches of several streams, and an order in which each comes at least once."""
    contents = draw(st.lists(st.lists(FAULT, max_size=6), min_size=1, max_size=7))
    batches = [_batch(number, faults) for number, faults in enumerate(contents)]
    again = draw(st.lists(st.sampled_from(range(len(batches))), max_size=6))
    order = draw(st.permutations([*range(len(batches)), *again]))
    return batches, list(order)


def _batch(number: int, faults: list[tuple[int, int, int, int, int]]) -> Batch:
    arch_name = ARCHES[number % len(ARCHES)]
    counts, exits, records = [], [], []
    for vm, second, vcpu, word, count in faults:
        vm_id = f"{number % len(ARCHES)}{vm:015x}"
        counts.append(
            fault_count(vm_id, arch_name=arch_name, second=second, vcpu=vcpu, word=word, faults=count)
        )
        exits.append(exit_record(vm_id, arch_name=arch_name, vcpu=vcpu))
        records.append(fault_record(vm_id, arch_name=arch_name, vcpu=vcpu))
    return make_batch(
        number // 2,
        stream=f"{number % 2:032x}",
        arch=arch_name,
        fault_counts=counts,
        faults=records,
        exits=exits,
    )


def _stored(store: Store) -> tuple[Totals, Totals, Totals, Totals]:
    faults: Totals = Counter()
    for point in store.fault_points(
        None, Steps(START_MS, START_MS + 10_000, 1000), split=EVERYTHING, counters=COUNTERS
    ):
        key = (point.arch, point.vm, point.step_start_ms, point.vcpu, point.word)
        faults[key] += point.counters["faults"]
    exits: Totals = Counter(
        (row.arch, row.record.vm, row.record.vcpu)
        for row in store.exits(None, None, ALWAYS, limit=1000, before=None)
    )
    vm_ids = list(dict(store.vms_of(None, ALWAYS)))
    records: Totals = Counter(
        (row.arch, row.record.vm, row.record.vcpu)
        for vm_id in vm_ids
        for row in store.faults([vm_id], ALWAYS, limit=1000, before=None)
    )
    seen: Totals = Counter()
    for entry in store.ledger_points(vm_ids, Steps(START_MS, START_MS + 60_000, 1000)):
        seen[entry.vm, entry.step_start_ms] += entry.seen
    return +faults, exits, records, seen


def _sent(batches: list[Batch]) -> tuple[Totals, Totals, Totals, Totals]:
    records: Totals = Counter()
    seen: Totals = Counter()
    faults: Totals = Counter()
    exits: Totals = Counter()
    for batch in batches:
        word_field = arch.get(batch.arch).word_field
        for item in batch.fault_counts:
            key = (batch.arch, item.vm, item.bucket_ms, item.vcpu, getattr(item, word_field))
            faults[key] += item.faults
        exits.update((batch.arch, item.vm, item.vcpu) for item in batch.exits)
        records.update((batch.arch, item.vm, item.vcpu) for item in batch.faults)
        for entry in batch.ledger:
            seen[entry.vm, entry.bucket_ms] += entry.seen
    return +faults, exits, records, +seen


def hold(store: Store, batches: list[Batch], order: list[int]) -> None:
    """Deliver batches in an order, and hold what is stored against each of them once."""
    applied = [store.apply(batches[number], START_NS) for number in order]

    assert sum(applied) == len(batches)
    assert _stored(store) == _sent(batches)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@given(deliveries())
@settings(
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_batches_sent_twice_and_out_of_order_count_once_each(
    new_store: NewStore, delivery: tuple[list[Batch], list[int]]
) -> None:
    hold(new_store(), *delivery)


@pytest.mark.parametrize("database", [CLICKHOUSE, CLICKHOUSE_BESIDE_POSTGRESQL, CLICKHOUSE_OVER_HTTP])
@given(deliveries())
@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_so_it_is_in_clickhouse(new_store: NewStore, delivery: tuple[list[Batch], list[int]]) -> None:
    hold(new_store(), *delivery)


@pytest.mark.parametrize("kill_after", [1, 2, 7, 11])
def test_a_server_killed_in_the_middle_loses_nothing_that_it_acknowledged(
    new_url: NewUrl, kill_after: int
) -> None:
    url = new_url()
    acknowledged = 0
    for _ in range(3):
        acknowledged += _apply_until_killed(url, first=acknowledged, acknowledgements=kill_after)

    store = open_store(url)
    assert acknowledged * COUNT_PER_BATCH <= store.vm(VM_ID, ALWAYS).faults
    assert store.vm(VM_ID, ALWAYS).faults <= (acknowledged + 1) * COUNT_PER_BATCH

    for batch in batches_to_send(0, acknowledged + 1):
        store.apply(batch, START_NS)
    (vm,) = store.vms(VmFilter(), ALWAYS, limit=9, after=None)
    assert vm.faults == (acknowledged + 1) * COUNT_PER_BATCH
    assert len(store.exits(None, None, ALWAYS, limit=1000, before=None)) == acknowledged + 1
    store.close()


def _apply_until_killed(url: str, *, first: int, acknowledgements: int) -> int:
    """Let a process apply batches from number ``first``, SIGKILL it, and return how many it acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.backend.store.sender", url, str(first)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(acknowledgements)]
        process.kill()
        return len(seen) + len(process.stdout.readlines())
