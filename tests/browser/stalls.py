# SPDX-License-Identifier: Apache-2.0
"""How long the scene's faults stalled vCPUs: most for some µs, a few for as long as a disk takes."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from faultmodel.outcomes import Outcome
from faultmodel.record import Access
from faultmodel.record_stalls import StallCount, StallEntry, VcpuStall
from faultmodel.stalls import UNTIMED, bucket_of

_Key = tuple[int, Access, Outcome, int]
_UNTIMED_EVERY = 3
"""Of so many faults of one kind, one has no time."""


def stalls_of(vm: str, counts: Sequence[Any]) -> dict[str, Any]:
    """Return the sections of a batch that say how long these fault counts of a VM took."""
    quarters: dict[_Key, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    running: Counter[_Key] = Counter()
    blocked: Counter[_Key] = Counter()
    longest: Counter[_Key] = Counter()
    vcpus: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for item in counts:
        of_vcpu = vcpus[item.bucket_ms, item.vcpu]
        for access, outcome, ns, asleep_ns, count in _times(item):
            octave, quarter = (UNTIMED, 0) if ns is None else bucket_of(ns + asleep_ns)
            key = item.bucket_ms, access, outcome, octave
            quarters[key][quarter] += count
            of_vcpu[0] += count
            if ns is None:
                continue
            running[key] += ns * count
            blocked[key] += asleep_ns * count
            longest[key] = max(longest[key], ns + asleep_ns)
            for place, more in ((1, count), (2, ns * count), (3, asleep_ns * count)):
                of_vcpu[place] += more
            of_vcpu[4] = max(of_vcpu[4], ns + asleep_ns)
    stalls = []
    for key, found in quarters.items():
        bucket_ms, access, outcome, octave = key
        q0, q1, q2, q3 = found
        times = running[key], blocked[key], longest[key]
        stalls.append(StallCount(bucket_ms, vm, access, outcome, False, octave, q0, q1, q2, q3, *times))
    ended = sum(map(sum, quarters.values()))
    first_ms = min((item.bucket_ms for item in counts), default=0)
    return {
        "stalls": tuple(stalls),
        "vcpu_stalls": tuple(VcpuStall(at_ms, vm, vcpu, *found) for (at_ms, vcpu), found in vcpus.items()),
        "stall_ledger": (StallEntry(first_ms, vm, ended, ended, 0),) if ended else (),
    }


def _times(item: Any) -> Iterator[tuple[Access, Outcome, int | None, int, int]]:
    """Yield access, outcome, ns on a CPU (None: no time was taken), ns asleep, and how many there were."""
    second = item.bucket_ms // 1000
    access = Access.EXECUTE if item.syndrome & 0x10 else Access.WRITE if item.syndrome & 0x2 else Access.READ
    left = item.faults
    slow = left // 40
    if slow:
        yield access, Outcome.MAPPED_4K, 21_000, round(400_000 * (1.4 + math.sin(second / 90)) ** 4), slow
    untimed = left // _UNTIMED_EVERY
    yield access, Outcome.MAPPED_4K, None, 0, untimed
    huge = item.mapped_2m
    fast = item.fast + item.spurious
    yield access, Outcome.MAPPED_2M, 9_300 + 700 * (second % 7), 0, huge
    yield access, Outcome.FAST, 900 + 40 * (second % 9), 0, fast
    yield access, Outcome.MAPPED_4K, 4_100 + 250 * (second % 11), 0, left - slow - untimed - huge - fast
