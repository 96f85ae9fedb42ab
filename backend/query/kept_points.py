# SPDX-License-Identifier: Apache-2.0
"""What owners have in each step of a chart, kept as it was read: where the chart is asked for again, as time
goes on, only what is new is read.

Of an owner and a length of steps one range is kept, that of the newest question. It is of the version of the
store in which it was read. A question of another version, a later or an earlier one, takes of it the steps
that end before anything differs (``Store.same_counts_before``), and reads the others. So a batch that comes
late is in the next answer. Steps are never added up or cut: each is what the store answered.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Generic, TypeVar

from backend.store.contract.changes import Version
from backend.store.contract.store import Store
from backend.store.contract.values import Steps

MOST_POINTS = 100_000
"""That are kept: some 30 MB. Charts of 50 VMs over 15 minutes, 24 h, 7 and 30 days have up to 70,000."""

_Point = TypeVar("_Point")
Read = Callable[[Sequence[str], Steps], Iterable[tuple[str, int, _Point]]]
"""Reads (owner, start of the step in UTC ms, point) of owners."""


@dataclass(frozen=True, slots=True)
class _Known(Generic[_Point]):
    """The points of an owner in [from_ms, to_ms), by the start of their step. Never changed."""

    from_ms: int
    to_ms: int
    version: Version
    points: Mapping[int, _Point]

    @property
    def size(self) -> int:
        return 1 + len(self.points)


class KeptPoints(Generic[_Point]):
    """The points of the questions that were asked last. Thread-safe."""

    def __init__(self, store: Store, *, most: int = MOST_POINTS) -> None:
        """Keep none yet.

        :param most: points that are kept
        """
        self._store = store
        self._most = most
        self._kept: OrderedDict[tuple[str, int], _Known[_Point]] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(
        self, owners: Sequence[str], steps: Steps, version: Version, read: Read[_Point]
    ) -> Mapping[str, Mapping[int, _Point]]:
        """Return the points of owners in steps, by the owner and the start of the step.

        :param steps: both ends are multiples of the step
        :param version: of this thread's snapshot of the store
        :param read: reads in that snapshot
        """
        kept = self._kept_of(owners, steps, version)
        missing: dict[tuple[int, int], list[str]] = defaultdict(list)
        for owner in owners:
            # One who has nothing yet lacks all.
            known = kept.get(owner)
            first_ms, end_ms = (steps.to_ms, steps.to_ms) if known is None else (known.from_ms, known.to_ms)
            for part in ((steps.from_ms, first_ms), (end_ms, steps.to_ms)):
                if part[0] < part[1]:
                    missing[part].append(owner)
        found: dict[str, dict[int, _Point]] = {
            owner: dict(kept[owner].points) if owner in kept else {} for owner in owners
        }
        for (from_ms, to_ms), some in missing.items():
            for owner, start_ms, point in read(some, Steps(from_ms, to_ms, steps.step_ms)):
                found[owner][start_ms] = point
        self._keep(
            {
                (owner, steps.step_ms): _Known(steps.from_ms, steps.to_ms, version, points)
                for owner, points in found.items()
            }
        )
        return found

    def _kept_of(self, owners: Sequence[str], steps: Steps, version: Version) -> Mapping[str, _Known[_Point]]:
        """Return what is kept of owners, as far as it is of these steps and the same in a version."""
        with self._lock:
            candidates = {owner: self._kept.get((owner, steps.step_ms)) for owner in owners}
        # Those that were read together have their version in common.
        same_before: dict[int, int] = {}
        found = {}
        for owner, known in candidates.items():
            if known is None:
                continue
            if id(known.version) not in same_before:
                same_before[id(known.version)] = self._store.same_counts_before(known.version, version)
            same_ms = same_before[id(known.version)]
            from_ms = max(known.from_ms, steps.from_ms)
            to_ms = min(known.to_ms, steps.to_ms, same_ms - same_ms % steps.step_ms)
            if from_ms < to_ms:
                points = {at: point for at, point in known.points.items() if from_ms <= at < to_ms}
                found[owner] = replace(known, from_ms=from_ms, to_ms=to_ms, points=points)
        return found

    def _keep(self, found: Mapping[tuple[str, int], _Known[_Point]]) -> None:
        if sum(known.size for known in found.values()) > self._most:
            # It would drive out those of all others, and part of itself.
            return
        with self._lock:
            for key, known in found.items():
                self._drop(key)
                self._kept[key] = known
                self._size += known.size
            while self._size > self._most:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[str, int]) -> None:
        if (before := self._kept.pop(key, None)) is not None:
            self._size -= before.size
