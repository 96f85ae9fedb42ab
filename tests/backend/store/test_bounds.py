# SPDX-License-Identifier: Apache-2.0
"""One host's nonsense is refused, or breaks no answer about the others."""

import math
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from backend.errors import BatchError
from backend.query.account import account
from backend.query.host_cost import recent_costs
from backend.query.sources import Sources
from backend.store.contract.bounds import MAX_SEQUENCE, counted_in
from backend.store.contract.store import Store
from backend.store.contract.values import Steps
from backend.store.sql.store import SqlStore
from backend.store.sql.sums import MOST
from backend.store.sql.tables import applied_batches, collector_costs, hosts, loss_totals, streams
from faultmodel.kinds import LossKind, ProbeState
from faultmodel.record import COUNTERS, Cost, Loss, Probe, Span
from tests.batches import START_MS, START_NS, VM_ID, exit_count, fault_count, make_batch, make_host, make_vm

NS_PER_S = 10**9
SECOND_S = START_NS // NS_PER_S
GRID = Steps(START_MS, START_MS + 10_000, 1000)


def vm_id(number: int) -> str:
    """Return the id of a VM."""
    return f"{number:016x}"


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ({"sequence": 2**62}, "sequence"),
        ({"sequence": MAX_SEQUENCE + 1}, "sequence"),
        ({"vms": [make_vm(vm_id(number)) for number in range(4097)]}, "VMs"),
        ({"covered": tuple(Span(START_NS + n, START_NS + n + 1) for n in range(65))}, "covered spans"),
        ({"lost": [Loss(LossKind.KEYS_FULL, 1)] * 65}, "losses"),
        ({"host": make_host(probes=(Probe(tracepoint="p", state=ProbeState.ATTACHED),) * 65)}, "probes"),
        ({"fault_counts": [fault_count(vcpu=16_384)]}, "vCPU is 16384"),
        ({"exit_counts": [exit_count(vcpu=2**32 - 1)]}, "vCPU"),
        ({"fault_counts": [fault_count(word=word) for word in range(16_385)]}, "words of VM"),
        (
            {"costs": [Cost(from_ns=START_NS, to_ns=START_NS + 1, cpu_ns=2**47, resident_bytes=1)] * 3},
            "cpu_ns of its costs",
        ),
    ],
)
def test_what_no_host_can_have_is_refused_and_nothing_stored(
    store: Store, what: dict[str, Any], named: str
) -> None:
    with pytest.raises(BatchError, match=f"{named}.* more than the [0-9]+ that there can be"):
        store.apply(make_batch(**{"sequence": 0, **what}), START_NS)
    assert store.hosts() == []


def test_as_much_as_a_host_can_have_is_stored(store: Store) -> None:
    many = [make_vm(vm_id(number)) for number in range(1024)]
    words = [fault_count(word=word) for word in range(4096)]
    assert store.apply(make_batch(MAX_SEQUENCE, covered=(), vms=many, fault_counts=words), START_NS)


@pytest.mark.parametrize("name", [name for name in COUNTERS if name not in ("faults", "prefetched")])
def test_no_vm_has_more_counted_of_its_faults_than_it_has_faults(name: str) -> None:
    faults = 2**30
    other = fault_count(vm_id(2), faults=2**38)
    vms = [make_vm(), make_vm(vm_id(2))]
    for counted, is_possible in (
        (0, True),
        (faults, True),
        (faults + 16_384, True),
        (faults + 2**24 + 1, False),
    ):
        # What is counted of a fault may be of another word than the fault itself.
        counters: dict[str, Any] = {name: counted}
        rows = [fault_count(faults=faults), fault_count(word=1, **counters), other]
        batch = make_batch(vms=vms, fault_counts=rows)
        if is_possible:
            assert counted_in(batch) == faults + 2**38 + counted
        else:
            with pytest.raises(BatchError, match=f"{name} of VM {VM_ID}, of {faults} faults, is {counted}"):
                counted_in(batch)


def test_faults_may_end_in_another_batch_than_they_began(store: Store) -> None:
    began = [fault_count(faults=1, vcpu=vcpu) for vcpu in range(100)]
    ended = [fault_count(faults=0, mapped_4k=1, vcpu=vcpu) for vcpu in range(100)]
    for number, rows in enumerate((began, ended)):
        batch = make_batch(number, fault_counts=rows)
        counted_in(batch)
        assert store.apply(batch, START_NS)


def test_losses_of_kinds_that_are_not_known_are_one(store: Store) -> None:
    """A release before could store any; one after may have more."""
    assert isinstance(store, SqlStore)
    store.apply(make_batch(lost=[Loss(LossKind("later"), 2), Loss(LossKind.KEYS_FULL, 5)]), START_NS)
    with store.writing() as writer:
        host_id = writer.connection.scalars(select(loss_totals.c.host_id)).first()
        for kind in ("once", "\u202e"):
            values = {"host_id": host_id, "kind": kind, "count": 3}
            writer.connection.execute(loss_totals.insert(), values)
    (host,) = store.hosts()
    assert host.lost == {LossKind.OTHER: 8, LossKind.KEYS_FULL: 5}


def test_numbers_of_batches_that_add_up_to_too_much_are_named(store: Store) -> None:
    """As a release before could store them."""
    assert isinstance(store, SqlStore)
    for number in range(3):
        store.apply(make_batch(host=make_host("bad"), stream=f"{number:032x}", covered=()), START_NS)
    store.apply(make_batch(host=make_host("good"), stream=f"{9:032x}"), START_NS)
    with store.writing() as writer:
        bad = writer.connection.scalars(select(streams.c.id).order_by(streams.c.id).limit(3)).all()
        writer.connection.execute(
            insert(applied_batches),
            [{"stream_id": n, "first_sequence": 2**62, "last_sequence": 2**62} for n in bad],
        )
    found = {item.host: item.batches for item in account(Sources.of(store), None, None, GRID, START_NS).hosts}
    assert found["good"].shipped == found["good"].stored == 1
    assert math.isclose(found["bad"].shipped, 3 * (2**62 + 1))


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])  # Of rows that are changed.
def test_costs_that_add_up_to_too_much_break_no_answer(store: Store, database: str) -> None:
    """As a release before could store them."""
    assert isinstance(store, SqlStore)
    good = Cost(from_ns=START_NS, to_ns=START_NS + NS_PER_S, cpu_ns=10**7, resident_bytes=1)
    store.apply(make_batch(host=make_host("bad"), stream=f"{1:032x}"), START_NS)
    store.apply(make_batch(host=make_host("good"), stream=f"{2:032x}", costs=[good]), START_NS)
    names = [column.name for column in collector_costs.columns]
    too_much = 2**63 - 1
    with store.writing() as writer:
        bad = writer.connection.scalar(select(hosts.c.id).where(hosts.c.name == "bad"))
        rows = [dict(zip(names, (bad, SECOND_S + n, *[too_much] * 7), strict=True)) for n in range(3)]
        writer.connection.execute(insert(collector_costs), rows)
        if database == "sqlite":
            poison = text("UPDATE collector_costs_1s SET cpu_ns = 1.2e19 WHERE host_id = :bad")
            writer.connection.execute(poison, {"bad": bad})
    costs = recent_costs(store, START_MS + 10_000, 10_000)
    assert costs["good"].cpu_percent == 1
    # And what is handed in for the same second later makes it no worse.
    store.apply(make_batch(1, host=make_host("bad"), stream=f"{1:032x}", covered=(), costs=[good]), START_NS)
    assert recent_costs(store, START_MS + 10_000, 10_000)["good"].cpu_percent == 1


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])  # Of rows that are changed.
def test_a_row_stays_an_integer_however_much_is_added(store: Store) -> None:
    assert isinstance(store, SqlStore)
    cost = Cost(from_ns=START_NS, to_ns=START_NS + 1, cpu_ns=2**47, resident_bytes=1)
    store.apply(make_batch(0, costs=[cost]), START_NS)
    with store.writing() as writer:
        writer.connection.execute(text(f"UPDATE collector_costs_1s SET cpu_ns = {MOST - 1}"))
    store.apply(make_batch(1, covered=(), costs=[cost]), START_NS)
    with store.reading() as connection:
        (found,) = connection.execute(text("SELECT cpu_ns FROM collector_costs_1s"))
    assert found.cpu_ns == MOST
    assert isinstance(found.cpu_ns, int)
