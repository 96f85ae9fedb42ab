# SPDX-License-Identifier: Apache-2.0
"""Stalls as they are answered, from each database and from every level of the history, against the times of
single faults."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from backend.query.outcomes import outcomes
from backend.query.stall_buckets import Bucket
from backend.query.stall_heat import stall_heat
from backend.query.stalls import Key, stalls
from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store
from backend.store.contract.values import Steps, TimeRange
from faultmodel.outcomes import Outcome
from faultmodel.record import Access, Span
from faultmodel.record_stalls import StallCount, VcpuStall
from faultmodel.stalls import UNTIMED, bucket_of
from faultmodel.wire import Batch
from tests.batches import NS_PER_S, START_MS, START_NS, START_S, fault_count, make_batch

SECONDS = 120
VMS = ("00000000000000a1", "00000000000000b2", "00000000000000c3")
NOW_MS = START_MS + (SECONDS + 60) * 1000


@dataclass(frozen=True)
class Fault:
    """One fault that ended; ``ns`` is None where no time was taken."""

    second: int
    key: Key
    vcpu: int
    ns: int | None
    blocked_ns: int


def made(seed: int) -> list[Fault]:
    """Return faults of several VMs, vCPUs and outcomes: of some µs, and now and then much longer."""
    dice = random.Random(seed)
    found = []
    for _ in range(600):
        access = dice.choice([Access.READ, Access.WRITE]).value
        outcome = dice.choice([Outcome.MAPPED_4K, Outcome.FAST]).value
        key = Key(dice.choice(VMS), access, outcome, dice.random() < 0.1)
        ns = None if dice.random() < 0.2 else int(dice.lognormvariate(9, 3))
        asleep = ns is not None and dice.random() < 0.3
        second = dice.randrange(SECONDS)
        found.append(Fault(second, key, dice.randrange(2), ns, ns // 2 if ns and asleep else 0))
    return found


def put_in(store: Store, faults: Sequence[Fault]) -> None:
    """Hand in a batch of each second, and sum it up to all levels."""
    by_second: dict[int, list[Fault]] = defaultdict(list)
    for fault in faults:
        by_second[fault.second].append(fault)
    for second in range(SECONDS):
        store.apply(_batch(second, by_second[second]), START_NS + second * NS_PER_S)
    claim = JobClaim(name="rollup", holder="us", began_ns=START_NS, within_ns=10**15, every_ns=0)
    assert store.claim_job(claim)
    while store.roll_up(START_S + 7200, claim):
        pass


def _batch(second: int, faults: Sequence[Fault]) -> Batch:
    bucket_ms = START_MS + second * 1000
    rows: dict[tuple[Key, int], list[Fault]] = defaultdict(list)
    vcpus: dict[tuple[str, int], list[Fault]] = defaultdict(list)
    for fault in faults:
        octave = UNTIMED if fault.ns is None else bucket_of(fault.ns)[0]
        rows[fault.key, octave].append(fault)
        vcpus[fault.key.vm, fault.vcpu].append(fault)
    stalls_found = []
    for (key, octave), some in rows.items():
        quarters = Counter(0 if fault.ns is None else bucket_of(fault.ns)[1] for fault in some)
        q0, q1, q2, q3 = (quarters[place] for place in range(4))
        stalls_found.append(
            StallCount(
                bucket_ms,
                key.vm,
                Access(key.access),
                Outcome(key.outcome),
                key.nested,
                octave,
                q0,
                q1,
                q2,
                q3,
                *_sums(some),
            )
        )
    of_vcpus = [
        VcpuStall(bucket_ms, vm, vcpu, len(some), sum(fault.ns is not None for fault in some), *_sums(some))
        for (vm, vcpu), some in vcpus.items()
    ]
    seen = [fault_count(vm, second=second, vcpu=vcpu, faults=len(some)) for (vm, vcpu), some in vcpus.items()]
    start_ns = START_NS + second * NS_PER_S
    return make_batch(
        second,
        covered=(Span(start_ns, start_ns + NS_PER_S),),
        fault_counts=seen,
        stalls=stalls_found,
        vcpu_stalls=of_vcpus,
    )


def _sums(faults: Sequence[Fault]) -> tuple[int, int, int]:
    running = sum((fault.ns or 0) - fault.blocked_ns for fault in faults)
    return running, sum(fault.blocked_ns for fault in faults), max(fault.ns or 0 for fault in faults)


def _of(faults: Sequence[Fault], span: TimeRange) -> list[Fault]:
    first, last = ((time_ms or 0) // 1000 - START_S for time_ms in (span.from_ms, span.to_ms))
    return [fault for fault in faults if first <= fault.second < last]


@pytest.mark.parametrize("seconds", [(0, SECONDS), (7, 101)])
def test_sums_are_those_of_the_faults_whatever_level_they_are_read_from(
    store: Store, seconds: tuple[int, int]
) -> None:
    faults = made(seconds[0])
    put_in(store, faults)
    span = TimeRange(*(START_MS + second * 1000 for second in seconds))
    wanted = _of(faults, span)
    with store.snapshot():
        found = stalls(store, VMS, span, NOW_MS, limit=1000, after=0)
        ended = outcomes(store, VMS, span, NOW_MS, limit=1000, after=0)
        everyone = stalls(store, None, span, NOW_MS, limit=1000, after=0)
    by_key: dict[Key, list[Fault]] = defaultdict(list)
    for fault in wanted:
        by_key[fault.key].append(fault)
    assert {item.key: item.times.count for item in found.items} == {
        key: len(some) for key, some in by_key.items()
    }
    assert {item.key: item.count for item in ended.items} == {key: len(some) for key, some in by_key.items()}
    assert [(item.key, item.times) for item in everyone.items] == [
        (item.key, item.times) for item in found.items
    ]
    for item in found.items:
        timed = sorted(fault.ns for fault in by_key[item.key] if fault.ns is not None)
        assert (item.times.timed, item.times.blocked_ns) == (
            len(timed),
            sum(fault.blocked_ns for fault in by_key[item.key]),
        )
        assert item.times.max_ns == (timed[-1] if timed else None)
        if timed and not item.times.is_estimated:
            assert item.times.buckets == Counter(Bucket(*bucket_of(ns)) for ns in timed)
            median = item.times.quantile_ns(0.5)
            assert median is not None
            exact = timed[math.ceil(len(timed) / 2) - 1]
            assert bucket_of(exact) in (bucket_of(median), bucket_of(max(0, median - 1)))
    assert found.total.count == len(wanted)
    assert {(one.found.vm, one.found.vcpu): one.found.count for one in found.vcpus} == Counter(
        (fault.key.vm, fault.vcpu) for fault in wanted
    )
    assert {item.vm: (item.seen, item.ended, item.vcpus) for item in found.of.ledger} == {
        vm: (number, number, 2) for vm, number in Counter(fault.key.vm for fault in wanted).items()
    }


@pytest.mark.parametrize("step_s", [1, 20])
def test_steps_are_those_of_the_faults(store: Store, step_s: int) -> None:
    faults = made(step_s)
    put_in(store, faults)
    grid = Steps(START_MS, START_MS + SECONDS * 1000, step_s * 1000)
    with store.snapshot():
        found = stall_heat(store, VMS[:2], grid, store.kept_levels(), grid.to_ms)
    counts: dict[int, Counter[Bucket]] = defaultdict(Counter)
    untimed: Counter[int] = Counter()
    longest: Counter[int] = Counter()
    for fault in faults:
        step = fault.second // step_s
        if fault.key.vm not in VMS[:2]:
            continue
        if fault.ns is None:
            untimed[step] += 1
            continue
        counts[step][Bucket(*bucket_of(fault.ns))] += 1
        longest[step] = max(longest[step], fault.ns)
    assert len(found.steps) == SECONDS // step_s
    for number, answered in enumerate(found.steps):
        assert answered is not None
        assert (answered.counts, answered.untimed) == (counts[number], untimed[number])
        assert answered.max_ns == (longest[number] if counts[number] else None)
        assert answered.running_ns + (answered.blocked_ns or 0) == sum(
            fault.ns or 0 for fault in faults if fault.second // step_s == number and fault.key.vm in VMS[:2]
        )
