# SPDX-License-Identifier: Apache-2.0
"""How long the scene's faults stalled vCPUs: most for some µs, a few for as long as a disk takes."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from faultmodel.outcomes import Outcome
from faultmodel.record import Access
from faultmodel.record_stalls import HostPressure, Pressure, StallCount, StallEntry, VcpuStall, WaitCount
from faultmodel.stalls import UNTIMED, bucket_of
from faultmodel.units import NS_PER_S
from faultmodel.waits import WaitsFor

_Key = tuple[int, Access, Outcome, int]
_UNTIMED_EVERY = 3
"""Of so many faults of one kind, one has no time."""
_WAITS = (
    (WaitsFor.SWAP, "", 0.3),
    (WaitsFor.LOCK, "rwsem_down_read_slowpath", 0.15),
    (WaitsFor.LOCK, "__mutex_lock", 0.05),
    (WaitsFor.OTHER, "schedule_timeout < io_schedule_timeout < blk_io_wait < dax_fault < do_fault", 0.1),
)
"""Of what is waited for: at most that share of it."""


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
        **_asleep(vm, blocked),
    }


def _asleep(vm: str, blocked: Mapping[_Key, int]) -> dict[str, Any]:
    """Return what a VM waited for while it was blocked, and its pressure: most of it in reclaim."""
    by_second: Counter[int] = Counter()
    for (bucket_ms, *_), ns in blocked.items():
        by_second[bucket_ms] += ns
    waits = []
    for bucket_ms, ns in by_second.items():
        left = ns
        for kind, detail, share in _WAITS:
            part = int(ns * share * (1 + math.sin(bucket_ms / 200_000)) / 2)
            left -= part
            waits.append(WaitCount(bucket_ms, vm, kind, detail, 1 + part // 10**6, part))
        waits.append(WaitCount(bucket_ms, vm, WaitsFor.RECLAIM, "", 1 + left // 10**6, left))
    stood = {at_ms: min(ns, NS_PER_S) for at_ms, ns in by_second.items()}
    return {
        "waits": tuple(waits),
        "pressures": tuple(Pressure(at_ms, vm, ns, ns // 3) for at_ms, ns in stood.items()),
        "host_pressures": tuple(HostPressure(at_ms, ns, ns // 4) for at_ms, ns in stood.items()),
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
