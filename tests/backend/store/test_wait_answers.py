# SPDX-License-Identifier: Apache-2.0
"""Waits and pressure as they are answered, from each database and from every level of the history, against
the sleeps of single vCPUs."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from backend.query.choice import EVERYONE
from backend.query.pressure import WINDOWS_S, Pressure, Share, pressure_steps, pressures
from backend.query.waits import wait_steps, waits
from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange
from faultmodel import record_stalls
from faultmodel.kinds import ProbeState
from faultmodel.record import Probe
from faultmodel.record_stalls import HostPressure, WaitCount
from faultmodel.waits import WaitsFor
from tests.batches import NS_PER_S, START_MS, START_NS, START_S, make_batch, make_host, make_vm

SECONDS = 130
VMS = ("00000000000000a1", "00000000000000b2")
NOW_MS = START_MS + SECONDS * 1000
HOST = make_host(probes=[Probe(tracepoint="sched:sched_switch", state=ProbeState.ATTACHED)])
ALWAYS = TimeRange()


@dataclass(frozen=True)
class Sleep:
    """One vCPU was asleep in a fault: [from_ms, to_ms) of a second. Every VM has two of them."""

    second: int
    vm: str
    vcpu: int
    from_ms: int
    to_ms: int
    waits_for: WaitsFor
    detail: str

    @property
    def ns(self) -> int:
        """How long."""
        return (self.to_ms - self.from_ms) * 1_000_000


def made(seed: int) -> list[Sleep]:
    """Return sleeps of two vCPUs of two VMs, which overlap at times."""
    dice = random.Random(seed)
    found = []
    for second in range(SECONDS):
        for vm in VMS:
            for vcpu in range(2):
                if dice.random() < 0.6:
                    continue
                from_ms = dice.randrange(900)
                waits_for = dice.choice([WaitsFor.SWAP, WaitsFor.RECLAIM, WaitsFor.LOCK])
                detail = dice.choice(["mutex_lock", "down_read"]) if waits_for is WaitsFor.LOCK else ""
                to_ms = dice.randrange(from_ms + 1, 1001)
                found.append(Sleep(second, vm, vcpu, from_ms, to_ms, waits_for, detail))
    return found


def stood(sleeps: Sequence[Sleep]) -> tuple[int, int]:
    """Return how long some, and all, of two vCPUs were asleep, of those of one second; ns."""
    asleep: Counter[int] = Counter()
    for sleep in sleeps:
        asleep.update(range(sleep.from_ms, sleep.to_ms))
    return len(asleep) * 1_000_000, sum(count == 2 for count in asleep.values()) * 1_000_000


def by_second(sleeps: Sequence[Sleep]) -> Mapping[tuple[str, int], Sequence[Sleep]]:
    """Return sleeps by VM and second."""
    found: dict[tuple[str, int], list[Sleep]] = defaultdict(list)
    for sleep in sleeps:
        found[sleep.vm, sleep.second].append(sleep)
    return found


def pressures_of(sleeps: Sequence[Sleep]) -> Mapping[tuple[str, int], tuple[int, int]]:
    """Return some and full of each VM and second, ns."""
    return {key: stood(some) for key, some in by_second(sleeps).items()}


def put_in(store: Store, sleeps: Sequence[Sleep]) -> None:
    """Hand in a batch of each second, and sum it up to all levels."""
    found, apart = pressures_of(sleeps), by_second(sleeps)
    for second in range(SECONDS):
        at_ms = START_MS + second * 1000
        some = [(vm, found[vm, second]) for vm in VMS if (vm, second) in found]
        of_host = [sum(ns[place] for _, ns in some) // len(VMS) for place in (0, 1)]
        batch = make_batch(
            second,
            host=HOST,
            vms=[make_vm(vm) for vm in VMS],
            waits=[row for vm in VMS for row in _rows(at_ms, vm, apart.get((vm, second), ()))],
            pressures=[record_stalls.Pressure(at_ms, vm, *ns) for vm, ns in some],
            host_pressures=[HostPressure(at_ms, *of_host)],
        )
        assert store.apply(batch, START_NS + second * NS_PER_S)
    claim = JobClaim(name="rollup", holder="us", began_ns=START_NS, within_ns=10**15, every_ns=0)
    assert store.claim_job(claim)
    while store.roll_up(START_S + 7200, claim):
        pass


def _rows(at_ms: int, vm: str, sleeps: Sequence[Sleep]) -> Iterator[WaitCount]:
    counts: Counter[tuple[WaitsFor, str]] = Counter()
    sums: Counter[tuple[WaitsFor, str]] = Counter()
    for sleep in sleeps:
        counts[sleep.waits_for, sleep.detail] += 1
        sums[sleep.waits_for, sleep.detail] += sleep.ns
    for key, count in counts.items():
        yield WaitCount(at_ms, vm, *key, count, sums[key])


@pytest.mark.parametrize("seconds", [(0, SECONDS), (7, 101)])
def test_waits_are_the_sums_of_the_sleeps(store: Store, seconds: tuple[int, int]) -> None:
    sleeps = made(seconds[0])
    put_in(store, sleeps)
    wanted = [sleep for sleep in sleeps if seconds[0] <= sleep.second < seconds[1]]
    with store.snapshot():
        span = TimeRange(*(START_MS + second * 1000 for second in seconds))
        found = waits(store, VMS, span, NOW_MS, limit=100, after=0)
        everyone = waits(store, None, span, NOW_MS, limit=100, after=0)
    assert everyone.items == found.items
    sums: Counter[tuple[str, str]] = Counter()
    details: Counter[tuple[str, str]] = Counter()
    for sleep in wanted:
        sums[sleep.vm, sleep.waits_for] += sleep.ns
        if sleep.detail:
            details[sleep.vm, sleep.detail] += sleep.ns
    assert {(item.vm, item.waits_for): item.ns for item in found.items} == sums
    assert {(one.vm, one.detail): one.ns for item in found.items for one in item.details} == details
    assert sum(item.count for item in found.items) == len(wanted)
    assert found.blocked_ns == sum(sleep.ns for sleep in wanted)
    for vm in VMS:
        assert sum(item.share for item in found.items if item.vm == vm) == pytest.approx(1)


@pytest.mark.parametrize("step_s", [1, 10])
def test_steps_are_those_of_the_sleeps(store: Store, step_s: int) -> None:
    sleeps = made(step_s)
    put_in(store, sleeps)
    grid = Steps(START_MS, START_MS + SECONDS * 1000, step_s * 1000)
    with store.snapshot():
        found = wait_steps(store, None, grid, store.kept_levels(), grid.to_ms)
        shares = pressure_steps(store, VMS[0], grid, store.kept_levels(), grid.to_ms).shares
    sums: dict[str, Counter[int]] = defaultdict(Counter)
    for sleep in sleeps:
        sums[sleep.waits_for][sleep.second // step_s] += sleep.ns
    steps = range(SECONDS // step_s)
    assert {name: list(ns) for name, ns in found.series.items()} == {
        name: [of_steps[step] for step in steps] for name, of_steps in sums.items()
    }
    some: Counter[int] = Counter()
    full: Counter[int] = Counter()
    for (vm, second), ns in pressures_of(sleeps).items():
        if vm == VMS[0]:
            some[second // step_s] += ns[0]
            full[second // step_s] += ns[1]
    step_ns = step_s * NS_PER_S
    assert shares == [Share(some[step] / step_ns, full[step] / step_ns) for step in steps]


def test_pressure_is_the_arithmetic_of_the_sleeps(store: Store) -> None:
    sleeps = made(5)
    put_in(store, sleeps)
    found = pressures_of(sleeps)
    with store.snapshot():
        levels = store.kept_levels()
        answer = pressures(store, None, EVERYONE, ALWAYS, levels, NOW_MS, limit=10, after=0)
        named = pressures(store, VMS, EVERYONE, ALWAYS, levels, NOW_MS, limit=10, after=0)
    assert sorted(named.items, key=lambda item: item.of) == sorted(answer.items, key=lambda item: item.of)
    for item in answer.items:
        ns = [found.get((item.of, second), (0, 0)) for second in range(SECONDS)]
        _check(item, ns)
    (host,) = answer.hosts
    both = [[found.get((vm, second), (0, 0)) for vm in VMS] for second in range(SECONDS)]
    _check(host, [((a[0] + b[0]) // 2, (a[1] + b[1]) // 2) for a, b in both])


def _check(item: Pressure, ns: Sequence[tuple[int, int]]) -> None:
    assert (item.total.some_ns, item.total.full_ns) == (sum(s for s, _ in ns), sum(f for _, f in ns))
    assert item.at_ms == NOW_MS
    for length_s, share in zip(WINDOWS_S, item.lately, strict=True):
        covered_ns = min(length_s, SECONDS) * NS_PER_S
        some, full = (sum(part) / covered_ns for part in zip(*ns[-length_s:], strict=True))
        assert share == Share(some, full)
