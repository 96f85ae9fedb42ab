# SPDX-License-Identifier: Apache-2.0
"""What is asked of costs beyond what an answer has room for takes nothing from other readers."""

from collections.abc import Sequence

import pytest

from backend.errors import ParameterError
from backend.query import costs as costs_of_hosts
from backend.query.costs import costs
from backend.query.sources import Sources
from backend.store.contract.accounts import CostPoint
from backend.store.contract.store import Store
from backend.store.contract.values import Steps
from faultmodel.record import Cost, Span
from tests.batches import NS_PER_S, START_MS, START_NS, make_batch, make_host, make_vm

HOSTS = 12
SECONDS = 10
GRID = Steps(START_MS, START_MS + SECONDS * 1000, 1000)
NOW_MS = START_MS + SECONDS * 1000


@pytest.fixture
def filled(store: Store) -> Store:
    """Return a store with the costs of many hosts in each second."""
    for number in range(HOSTS):
        spans = (
            Span(START_NS + second * NS_PER_S, START_NS + (second + 1) * NS_PER_S)
            for second in range(SECONDS)
        )
        batch = make_batch(
            0,
            host=make_host(f"host-{number:02}"),
            stream=f"{number:032x}",
            vms=[make_vm(f"{number:016x}")],
            costs=[
                Cost(from_ns=span.from_ns, to_ns=span.to_ns, cpu_ns=7, resident_bytes=1) for span in spans
            ],
        )
        assert store.apply(batch, START_NS + SECONDS * NS_PER_S)
    return store


def test_costs_that_no_answer_has_room_for_are_not_all_read(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    costs_in_store = filled.costs

    def recorded(hosts: Sequence[str] | None, steps: Steps) -> Sequence[CostPoint]:
        read.extend(hosts or ())
        return costs_in_store(hosts, steps)

    monkeypatch.setattr(filled, "costs", recorded)
    monkeypatch.setattr(costs_of_hosts, "_AT_ONCE", 2 * SECONDS)
    sources = Sources.of(filled)
    assert len(costs(sources, None, GRID, NOW_MS).hosts) == HOSTS
    assert len(read) == HOSTS
    monkeypatch.setattr(costs_of_hosts, "MAX_VALUES", 4 * SECONDS)
    other = Sources.of(filled)
    read.clear()
    with pytest.raises(ParameterError, match="12 hosts and 10 points; ask for longer steps, or fewer hosts"):
        costs(other, None, GRID, NOW_MS)
    assert len(read) == 6
    read.clear()
    with pytest.raises(ParameterError, match="5 hosts and 10 points"):
        costs(other, filled.host_names()[:5], GRID, NOW_MS)
    assert read == []
    assert len(costs(other, filled.host_names()[:4], GRID, NOW_MS).hosts) == 4
