# SPDX-License-Identifier: Apache-2.0
"""When hosts had shed a hook: that which shows vCPUs asleep, so that pressure and waits are not known of that
time, or that which shows where stalls end.

What is shed stays so until it is restored, or another counting begins. A collector that takes a counting over
says right after that what it finds shed.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from backend.store.contract.hosts import SWITCH, CoveredSpan
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from faultmodel.kinds import EventKind
from faultmodel.units import NS_PER_MS

_Part = tuple[int, int]
"""Half-open range of time, UTC ms."""
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Shed:
    """What of a range a host had shed a hook in, UTC ms: ``shed_ms`` in all, within [from_ms, to_ms)."""

    hook: str
    host: str
    from_ms: int
    to_ms: int
    shed_ms: int


class ShedTimes:
    """When hosts had, within a range that is clipped to now."""

    def __init__(self, hook: str, parts: Mapping[str, Sequence[_Part]], span: TimeRange) -> None:
        """:param parts: by host's name, those within the span, in order"""
        self._hook = hook
        self._parts = parts
        self._span = span

    def sums(self) -> Sequence[Shed]:
        """Return them by host's name; hosts that had not are left out."""
        return [
            Shed(
                self._hook, host, parts[0][0], parts[-1][1], sum(to_ms - from_ms for from_ms, to_ms in parts)
            )
            for host, parts in sorted(self._parts.items())
            if parts
        ]

    def is_whole(self, host: str) -> bool:
        """Return whether a host had in all of the range."""
        return list(self._parts.get(host, ())) == [(self._span.from_ms, self._span.to_ms)]

    def without(self, spans: Iterable[CoveredSpan]) -> Sequence[CoveredSpan]:
        """Return what is left of covered spans."""
        return [part for span in spans for part in self._left(span)]

    def without_all(
        self, spans: Mapping[_Key, Sequence[CoveredSpan]]
    ) -> Mapping[_Key, Sequence[CoveredSpan]]:
        """Return the same of spans by whatever."""
        return {key: self.without(some) for key, some in spans.items()}

    def _left(self, span: CoveredSpan) -> Iterator[CoveredSpan]:
        start_ms = span.from_ms
        for from_ms, to_ms in self._parts.get(span.host, ()):
            if start_ms < min(from_ms, span.to_ms):
                yield replace(span, from_ms=start_ms, to_ms=min(from_ms, span.to_ms))
            start_ms = max(start_ms, to_ms)
        if start_ms < span.to_ms:
            yield replace(span, from_ms=start_ms)


def shed_times(
    store: Store, hosts: Collection[str], span: TimeRange, now_ms: int, hook: str = SWITCH
) -> ShedTimes:
    """Return when hosts had, by name."""
    to_ms = now_ms if span.to_ms is None else min(span.to_ms, now_ms)
    clipped = TimeRange(span.from_ms, to_ms)
    parts: dict[str, list[_Part]] = {host: [] for host in hosts}
    since: dict[str, int] = {}
    for event in store.hook_events(sorted(hosts), hook, clipped):
        at_ms = event.time_ns // NS_PER_MS
        if event.kind is EventKind.SHED:
            since.setdefault(event.host, at_ms)
        elif event.host in since:
            parts[event.host].append((since.pop(event.host), at_ms))
    for host, from_ms in since.items():
        parts[host].append((from_ms, to_ms))
    first_ms = span.from_ms or 0
    return ShedTimes(
        hook,
        {
            host: [(max(from_ms, first_ms), until_ms) for from_ms, until_ms in some if until_ms > first_ms]
            for host, some in parts.items()
        },
        clipped,
    )


def shed_now(store: Store, hosts: Collection[str], now_ms: int) -> Sequence[Shed]:
    """Return since when hosts, by name, have shed what shows vCPUs asleep: those that have now."""
    newest = {
        event.host: event for event in store.hook_events(sorted(hosts), SWITCH, TimeRange(from_ms=now_ms))
    }
    found = []
    for host, event in sorted(newest.items()):
        if event.kind is EventKind.SHED:
            from_ms = min(event.time_ns // NS_PER_MS, now_ms)
            found.append(Shed(SWITCH, host, from_ms, now_ms, now_ms - from_ms))
    return found
