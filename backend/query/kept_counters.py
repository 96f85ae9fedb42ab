# SPDX-License-Identifier: Apache-2.0
"""Counters since a time: what owners counted in all, of which nearly all is remembered.

The time is cut in three: up to a midnight, up to an hour that is over, and since then. Sums of the first two
parts are kept. Of the third each question reads all. A part is read anew where a batch that came late, or a
removal, has changed it: the store says from when on two of its versions differ. What moves from one part to
the next is read once more. So nothing is an estimate, and a year of counts is read once by each process.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from backend.store.contract.changes import Version
from backend.store.contract.values import TimeRange
from faultmodel.units import MS_PER_S

_LATE_S = 600
"""Batches mostly come by then: hours that ended less than so long ago are not over."""
_HOUR_S, _DAY_S = 3600, 86_400
_OWNERS_AT_ONCE = 50
"""Of a long time, in one reading: seconds, where each had something in every hour of a year."""

_Owner = TypeVar("_Owner", int, str)
Key = tuple[str, ...]
"""What is counted, and the values of its labels."""
Counts = dict[Key, int]


@dataclass(slots=True)
class _Part(Generic[_Owner]):
    """Sums of [from_s, to_s), in s; None: from the first on."""

    from_s: int | None
    to_s: int
    sums: dict[_Owner, Counts] = field(default_factory=dict)


class KeptCounters(Generic[_Owner]):
    """What owners counted. Of one thread at a time."""

    def __init__(
        self,
        read: Callable[[Collection[_Owner], TimeRange], Iterable[tuple[_Owner, Key, int]]],
        same_before: Callable[[Version, Version], int],
    ) -> None:
        """Keep nothing yet.

        :param read: yields what owners counted in a range of whole hours, or in one without an end
        :param same_before: returns the time, UTC ms, before which that is the same in two versions
        """
        self._read: Callable[[Collection[_Owner], TimeRange], Iterable[tuple[_Owner, Key, int]]] = read
        self._same_before = same_before
        self._version: Version = {}
        self._parts: list[_Part[_Owner]] = []

    def since(
        self, from_s: int | None, owners: Collection[_Owner], version: Version, now_s: int
    ) -> Mapping[_Owner, Counts]:
        """Return what owners counted, within the snapshot of the store that this thread reads.

        Where reading fails or takes too long, what was read of some owners is kept: whoever asks again has
        less to wait for.

        :param from_s: UTC, a whole hour; None for all that there ever was
        :param version: that of the snapshot
        """
        same_s = self._same_before(self._version, version) // MS_PER_S if self._parts else 0
        self._parts = [part for part in self._parts if part.to_s <= same_s]
        self._version = version
        found: dict[_Owner, Counts] = {owner: defaultdict(int) for owner in owners}
        over_s = now_s - _LATE_S
        start_s = from_s
        for number, length_s in enumerate((_DAY_S, _HOUR_S)):
            end_s = max(over_s // length_s * length_s, start_s or 0)
            part = self._part(number, start_s, end_s)
            self._complete(part, end_s, owners)
            _add(found, part.sums)
            start_s = end_s
        _add(found, self._sums(owners, start_s, None))
        return found

    def _part(self, number: int, from_s: int | None, to_s: int) -> _Part[_Owner]:
        """Return the part that is kept, where it begins so and ends no later; else an empty one."""
        kept = self._parts[number] if number < len(self._parts) else None
        if kept is None or kept.from_s != from_s or kept.to_s > to_s:
            kept = _Part(from_s, to_s)
            self._parts[number:] = [kept]
        return kept

    def _complete(self, part: _Part[_Owner], to_s: int, owners: Collection[_Owner]) -> None:
        """Have a part reach to a time, with these owners and no others."""
        part.sums = {owner: part.sums[owner] for owner in owners if owner in part.sums}
        new = [owner for owner in owners if owner not in part.sums]
        for start in range(0, len(new), _OWNERS_AT_ONCE):
            part.sums |= self._sums(new[start : start + _OWNERS_AT_ONCE], part.from_s, part.to_s)
        added = self._sums(owners, part.to_s, to_s)
        # From here on nothing can fail: no count is added twice.
        _add(part.sums, added)
        part.to_s = to_s

    def _sums(self, owners: Collection[_Owner], from_s: int | None, to_s: int | None) -> dict[_Owner, Counts]:
        sums: dict[_Owner, Counts] = {owner: defaultdict(int) for owner in owners}
        if not owners or (from_s is not None and to_s is not None and from_s >= to_s):
            return sums
        ends = (None if end_s is None else end_s * MS_PER_S for end_s in (from_s, to_s))
        for owner, key, count in self._read(owners, TimeRange(*ends)):
            if count:
                sums[owner][key] += count
        return sums


def _add(into: Mapping[_Owner, Counts], more: Mapping[_Owner, Counts]) -> None:
    for owner, counts in more.items():
        of_owner = into[owner]
        for key, count in counts.items():
            of_owner[key] += count
