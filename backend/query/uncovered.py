# SPDX-License-Identifier: Apache-2.0
"""Which part of a range hosts were not covered in: what an answer of that range cannot know of."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from backend.query.choice import life_of
from backend.query.covering import STALE_MS
from backend.store.contract.hosts import CoveredSpan
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmCoverage

_Part = tuple[int, int]
"""Half-open range of time, UTC ms."""


@dataclass(frozen=True, slots=True)
class Uncovered:
    """What a host was not covered in, UTC ms: ``uncovered_ms`` in all, within [from_ms, to_ms)."""

    host: str
    from_ms: int
    to_ms: int
    uncovered_ms: int


def uncovered_of(
    store: Store,
    vm_ids: Sequence[str] | None,
    hosts: Sequence[str] | None,
    span: TimeRange,
    now_ms: int,
    coverage: VmCoverage | None = None,
) -> Sequence[Uncovered]:
    """Return what is not covered of VMs where they are named, else of hosts.

    :param coverage: of the named VMs, in all of the range, where it was read
    :raises NotFoundError: a VM is unknown
    """
    if vm_ids is None:
        return uncovered_of_hosts(store, hosts, span, now_ms)
    return uncovered_of_vms(store, vm_ids, span, now_ms, coverage)


def uncovered_of_hosts(
    store: Store, hosts: Sequence[str] | None, span: TimeRange, now_ms: int
) -> Sequence[Uncovered]:
    """Return what hosts were not covered in, by name, of a range that is clipped to what is over.

    An open range begins with a host's first covered time. Recordings, and hosts that were never covered, are
    left out.

    :param hosts: None for every one
    """
    span = _over(span, now_ms)
    spans: dict[str, list[CoveredSpan]] = {name: [] for name in store.live_hosts(hosts)}
    for one in store.coverage(hosts, span):
        if one.host in spans:
            spans[one.host].append(one)
    gaps = {}
    for host, covered in spans.items():
        first_ms = span.from_ms if span.from_ms is not None else next((one.from_ms for one in covered), None)
        if first_ms is not None and span.to_ms is not None:
            gaps[host] = list(_without([(first_ms, span.to_ms)], covered))
    return _summed(gaps)


def uncovered_of_vms(
    store: Store, vm_ids: Sequence[str], span: TimeRange, now_ms: int, coverage: VmCoverage | None = None
) -> Sequence[Uncovered]:
    """Return what the hosts of VMs were not covered in, by name, while any of these VMs was there.

    :param coverage: of these VMs, in all of the range, where it was read
    :raises NotFoundError: a VM is unknown
    """
    span = _over(span, now_ms)
    if span.to_ms is None:
        return ()
    if coverage is None:
        coverage = store.vm_coverage(vm_ids, span)
    lives: dict[tuple[str, str], list[_Part]] = {place: [] for place in coverage.spans}
    for vm in store.members_named(vm_ids):
        began_ms, ended_ms = life_of(vm)
        first_ms = began_ms if span.from_ms is None else max(began_ms, span.from_ms)
        lives[coverage.place_of[vm.id]].append(
            (first_ms, span.to_ms if ended_ms is None else min(ended_ms, span.to_ms))
        )
    gaps: dict[str, list[_Part]] = {}
    for place, parts in lives.items():
        gaps.setdefault(place[0], []).extend(_without(_merged(parts), coverage.spans[place]))
    return _summed({host: list(_merged(parts)) for host, parts in gaps.items()})


def _over(span: TimeRange, now_ms: int) -> TimeRange:
    """Clip a range to what is over for so long that a host which is read has been heard of."""
    to_ms = now_ms - STALE_MS
    return TimeRange(span.from_ms, to_ms if span.to_ms is None else min(span.to_ms, to_ms))


def _merged(parts: Iterable[_Part]) -> Iterator[_Part]:
    """Yield what any of the parts has, in order, each once."""
    reached: int | None = None
    for from_ms, to_ms in sorted(parts):
        start_ms = from_ms if reached is None else max(from_ms, reached)
        if start_ms < to_ms:
            yield start_ms, to_ms
            reached = to_ms


def _without(parts: Iterable[_Part], covered: Sequence[CoveredSpan]) -> Iterator[_Part]:
    """Yield what is left of parts without the spans. Both by time, and neither overlaps itself."""
    place = 0
    for from_ms, to_ms in parts:
        start_ms = from_ms
        while place < len(covered) and covered[place].to_ms <= start_ms:
            place += 1
        for one in covered[place:]:
            if one.from_ms >= to_ms:
                break
            if start_ms < one.from_ms:
                yield start_ms, one.from_ms
            start_ms = max(start_ms, one.to_ms)
        if start_ms < to_ms:
            yield start_ms, to_ms


def _summed(gaps: Mapping[str, Sequence[_Part]]) -> Sequence[Uncovered]:
    return [
        Uncovered(host, parts[0][0], parts[-1][1], sum(to_ms - from_ms for from_ms, to_ms in parts))
        for host, parts in sorted(gaps.items())
        if parts
    ]
