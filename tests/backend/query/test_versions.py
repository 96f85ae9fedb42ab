# SPDX-License-Identifier: Apache-2.0
"""States that were named: many are known at once, and all together take little memory."""

import tracemalloc

from backend.query.versions import MOST_NAMES, State, Versions
from backend.store.contract.store import Store
from backend.store.contract.values import Steps
from backend.store.contract.vms import VmMember
from tests.batches import START_MS

GRID = Steps(START_MS, START_MS + 60_000, 1000)
HOSTS = dict.fromkeys(range(1000), 7)


def member(number: int) -> VmMember:
    """Return a VM that was there all the time."""
    return VmMember(
        number=number,
        id=f"{number:016x}",
        reported_id=f"{number:016x}",
        host="host-1",
        arch="x86_64",
        pid=1,
        name="",
        uuid="",
        vmm="",
        manager="",
        started_ns=0,
        ended_ns=None,
        first_seen_ms=START_MS,
        life_end_ms=START_MS + 60_000,
        is_current=True,
        guest="",
        boot_id="",
    )


VMS = [member(number) for number in range(50_000)]


def test_names_of_a_large_fleet_take_little_memory(store: Store) -> None:
    versions = Versions()
    tracemalloc.start()
    try:
        for number in range(200):
            # Each time a VM has ended and another host has spoken: no two states are the same.
            state = State.of({**HOSTS, 1: number}, VMS[number:], f"question {number}", GRID)
            name = versions.name(state)
            version = {**HOSTS, 1: number}
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 20 * 2**20
    assert versions.changed_from(name, store, state, version, VMS[199:]) == GRID.to_ms


def test_what_many_readers_ask_about_the_same_vms_stays_known(store: Store) -> None:
    versions = Versions()
    states = [State.of(HOSTS, VMS, f"question {number}", GRID) for number in range(1000)]
    names = [versions.name(state) for state in states]
    for name, state in zip(names, states, strict=True):
        assert versions.changed_from(name, store, state, HOSTS, VMS) == GRID.to_ms


def test_the_oldest_names_are_forgotten_first(store: Store) -> None:
    versions = Versions()
    state = State.of(HOSTS, None, "question", GRID)
    names = [versions.name(state) for _ in range(MOST_NAMES + 1)]
    known = [versions.changed_from(name, store, state, HOSTS, None) for name in names]
    assert known == [0] + [GRID.to_ms] * MOST_NAMES
