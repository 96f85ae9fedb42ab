# SPDX-License-Identifier: Apache-2.0
"""Turns the stalls of a reading into the rows of a batch."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from collector.counting.decoder import Share, VmIds, shares
from collector.counting.reading import Reading
from collector.counting.stall_differences import Stalled, Stalls
from collector.probe.layout import FORMATS, VcpuKey, VmKey
from collector.probe.view import Values
from faultmodel.arch.base import NO_FORMAT, Architecture
from faultmodel.outcomes import Outcome
from faultmodel.record import Access
from faultmodel.record_stalls import StallCount, StallEntry, VcpuStall
from faultmodel.stalls import QUARTERS, UNTIMED, lower_ns

_NOTHING = (0,) * (QUARTERS + 2)


class _Row(NamedTuple):
    """What distinguishes the rows of one VM."""

    vm: str
    access: Access
    outcome: Outcome
    nested: bool
    octave: int


class _Times(NamedTuple):
    """Of some faults: how many are in each quarter of their octave, and what is known of the longest."""

    values: Values
    longest_ns: int


def stall_rows(
    reading: Reading, architecture: Architecture, ids: VmIds
) -> tuple[tuple[StallCount, ...], tuple[VcpuStall, ...], tuple[StallEntry, ...]]:
    """Return the sections ``stalls``, ``vcpu_stalls`` and ``stall_ledger``.

    Each sums up over words, so that no guest makes more rows of a VM than there are accesses and outcomes.
    """
    found = reading.stalls
    if found is None:
        return (), (), ()
    parts = shares(reading)
    by_row = _by_row(found, architecture, ids)
    counts = tuple(_counts(parts, by_row))
    return counts, tuple(_of_vcpus(parts, found, ids)), _ledger(parts[0].bucket_ms, counts, found, ids)


def _by_row(found: Stalls, architecture: Architecture, ids: VmIds) -> Mapping[_Row, _Times]:
    by_row: dict[_Row, _Times] = {}
    for key, values in found.counts.items():
        row = _Row(ids[_vm(key)], _access(key, architecture), key.outcome, key.nested, key.octave)
        by_row[row] = _joined(by_row.get(row), values, _longest_ns(found, key, values))
    return by_row


def _access(key: Stalled, architecture: Architecture) -> Access:
    name = FORMATS[key.format]
    return Access.UNKNOWN if name == NO_FORMAT else architecture.format_named(name).access(key.word)


def _longest_ns(found: Stalls, key: Stalled, values: Values) -> int:
    """The longest where it is known; else the shortest that the last bucket with any has."""
    known = found.longest_ns.get(key, 0)
    if key.octave == UNTIMED:
        return 0
    last = max((quarter for quarter in range(QUARTERS) if values[quarter]), default=None)
    return known if last is None else max(known, lower_ns(key.octave, last))


def _joined(so_far: _Times | None, values: Values, longest_ns: int) -> _Times:
    if so_far is None:
        return _Times(values, longest_ns)
    sums = tuple(one + two for one, two in zip(so_far.values, values, strict=True))
    return _Times(sums, max(so_far.longest_ns, longest_ns))


def _counts(parts: Sequence[Share], by_row: Mapping[_Row, _Times]) -> list[StallCount]:
    rows = []
    for share in parts:
        for row, times in by_row.items():
            q0, q1, q2, q3, running_ns, blocked_ns = figures = tuple(map(share.part, times.values))
            if any(figures):
                longest_ns = _in_last(share, parts, times)
                rows.append(
                    StallCount(share.bucket_ms, *row, q0, q1, q2, q3, running_ns, blocked_ns, longest_ns)
                )
    return rows


def _of_vcpus(parts: Sequence[Share], found: Stalls, ids: VmIds) -> list[VcpuStall]:
    by_vcpu: dict[VcpuKey, _Times] = dict.fromkeys(found.uncounted, _Times(_NOTHING, 0))
    timed: dict[VcpuKey, int] = defaultdict(int)
    for key, values in found.counts.items():
        vcpu = VcpuKey(key.kvm, key.instance, key.vcpu)
        by_vcpu[vcpu] = _joined(by_vcpu.get(vcpu), values, _longest_ns(found, key, values))
        if key.octave != UNTIMED:
            timed[vcpu] += sum(values[:QUARTERS])
    rows = []
    for share in parts:
        for vcpu, times in by_vcpu.items():
            others = sum(times.values[:QUARTERS]) - timed[vcpu] + found.uncounted.get(vcpu, 0)
            running_ns, blocked_ns = map(share.part, times.values[QUARTERS:])
            # Each by itself: no bucket has more that are timed than there are.
            of_timed = share.part(timed[vcpu])
            count = of_timed + share.part(others)
            if count or running_ns or blocked_ns:
                vm, longest_ns = ids[VmKey(vcpu.kvm, vcpu.instance)], _in_last(share, parts, times)
                rows.append(
                    VcpuStall(
                        share.bucket_ms, vm, vcpu.vcpu, count, of_timed, running_ns, blocked_ns, longest_ns
                    )
                )
    return rows


def _in_last(share: Share, parts: Sequence[Share], times: _Times) -> int:
    """Of a reading that is spread over several buckets, the last has the longest."""
    return times.longest_ns if share is parts[-1] else 0


def _ledger(
    bucket_ms: int, counts: Sequence[StallCount], found: Stalls, ids: VmIds
) -> tuple[StallEntry, ...]:
    stalled: dict[str, int] = defaultdict(int)
    for row in counts:
        stalled[row.vm] += row.q0 + row.q1 + row.q2 + row.q3
    uncounted: dict[str, int] = defaultdict(int)
    for vcpu, number in found.uncounted.items():
        uncounted[ids[VmKey(vcpu.kvm, vcpu.instance)]] += number
    return tuple(
        StallEntry(bucket_ms, vm, stalled[vm] + uncounted[vm], stalled[vm], uncounted[vm])
        for vm in stalled.keys() | uncounted.keys()
    )


def _vm(key: Stalled) -> VmKey:
    return VmKey(key.kvm, key.instance)
