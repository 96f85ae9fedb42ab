# SPDX-License-Identifier: Apache-2.0
"""What changed of hosts' counts, and from which time on: it lets a reader keep what it has summed.

Each applied batch gives its host the next number (``hosts.applied``), so that the numbers of all hosts name a
state of the counts: a version. What a number changed is known to the process that applied it: of the newest
ones what they counted, of more of them the time before which all stayed as it was. That time alone is known
of a number that another process gave and announced (``news``). Of one that it did not announce, or that a
removal took, nothing is known, and then everything may have changed.
"""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from threading import Condition

from faultmodel.record import BUCKET_MS, ExitKind, exit_kind
from faultmodel.rows import summed
from faultmodel.wire import Batch

Version = Mapping[int, int]
"""By a host's number, how often its counts were changed."""
Counted = Mapping[tuple[ExitKind | None, int], Mapping[int, int]]
"""By what was counted (None: guest faults) and the second, UTC: counts by a VM's number, none of them 0."""

FOR_EVER_MS = 2**62
"""Later than any time that is stored."""
_MOST = 100_000
"""Changes that are remembered, of all hosts together: some MiB. At 100 hosts that is a quarter of an hour."""
_MOST_COUNTS = 200_000
"""Counts that are remembered with them: some 20 MB. Of 5,000 VMs that is half a minute."""
_SETTLED_S = 0.1
"""A change can be read before it is known: so long is waited for who stored it to announce it."""


@dataclass(slots=True)
class Change:
    """What a batch changed. ``begins``: it is the first of its host; ``is_stored``: it is committed.

    ``described``: numbers of the VMs of which it said something else than was known, their times aside.
    ``is_own``: this process applied it. ``counts_from_ms``: the time before which all counts stayed as they
    were, though answers may be others; None where it is ``first_ms``, too.
    """

    first_ms: int
    counted: Counted | None
    described: Collection[int] | None = None
    begins: bool = False
    is_stored: bool = False
    is_own: bool = True
    counts_from_ms: int | None = None


Note = Callable[[int, int, Change], None]
"""Takes a host's number, that of its change, and the change."""


class Changes:
    """The newest changes of this process, and those that others announced. Thread-safe."""

    def __init__(self) -> None:
        self._changes: OrderedDict[tuple[int, int], Change] = OrderedDict()
        self._with_counts: deque[Change] = deque()
        self._counts = 0
        self._newest: dict[int, int] = {}
        """The greatest number that is known, by the host's number."""
        self._lock = Condition()
        self.hears_others = False
        """Whether other processes seem to announce what they store."""

    @contextmanager
    def noting(self) -> Iterator[Note]:
        """Give what notes a change before it is committed; at the end of the block it must be, or be undone.

        A reader may see the change between its commit and that end.
        """
        noted: list[tuple[tuple[int, int], Change]] = []

        def note(host: int, number: int, change: Change) -> None:
            noted.append(((host, number), change))
            self._add(*noted[-1])

        try:
            yield note
        except BaseException:
            with self._lock:
                # Its number may be that of the next change by now.
                for key, change in noted:
                    if self._changes.get(key) is change:
                        del self._changes[key]
                    self._forget_counts(change)
                self._lock.notify_all()
            raise
        with self._lock:
            for _, change in noted:
                change.is_stored = True
            self._lock.notify_all()

    def hear(self, host: int, number: int, change: Change) -> None:
        """Take in what another process announced: a change that it stored."""
        self.hears_others = True
        self._add((host, number), change)

    def is_own(self, host: int, number: int) -> bool:
        """Tell whether this process is known to have applied a change."""
        with self._lock:
            change = self._changes.get((host, number))
        return change is not None and change.is_own

    def same_before(self, one: Version, other: Version) -> int:
        """Return the time, UTC ms, before which the counts are the same in two versions; 0 where it is not
        known."""
        changes = self._settled_between(one, other)
        return 0 if changes is None else min((item.first_ms for item in changes), default=FOR_EVER_MS)

    def same_counts_before(self, one: Version, other: Version) -> int:
        """Return the time, UTC ms, before which each bucket that is kept in both has the same counts; 0 where
        it is not known."""
        changes = self._settled_between(one, other)
        firsts = (
            item.first_ms if item.counts_from_ms is None else item.counts_from_ms for item in changes or ()
        )
        return 0 if changes is None else min(firsts, default=FOR_EVER_MS)

    def counted_between(self, one: Version, later: Version) -> Sequence[Counted] | None:
        """Return all that was counted from one version to a later one; None where that is not known."""
        changes = self._stored_between(one, later)
        counted = [change.counted for change in changes or () if change.counted is not None]
        return None if changes is None or len(counted) < len(changes) else counted

    def described_between(self, one: Version, later: Version) -> Collection[int] | None:
        """Return the VMs that were described anew from one version to a later one; None where unknown."""
        changes = self._stored_between(one, later)
        described = [change.described for change in changes or () if change.described is not None]
        return None if changes is None or len(described) < len(changes) else {*chain(*described)}

    def _stored_between(self, one: Version, later: Version) -> list[Change] | None:
        if any(host not in later or later[host] < number for host, number in one.items()):
            return None
        return self._settled_between(one, later)

    def _settled_between(self, one: Version, other: Version) -> list[Change] | None:
        """Return the changes that make the difference of two versions that were read; None where not all are
        known."""
        with self._lock:
            if not self._lock.wait_for(lambda: self._are_settled(one, other), _SETTLED_S):
                # Whoever stored it does not announce it, or is not heard: nobody waits until somebody is.
                self.hears_others = False
            changes = self._between(one, other)
        return changes if changes is not None and all(change.is_stored for change in changes) else None

    def _are_settled(self, one: Version, other: Version) -> bool:
        """Tell whether what is not known yet of the newest changes will not be known soon.

        Whoever reads may see a change before its own process has noted that it is committed (where it was
        not, the number is another's), and before another process's news have come.
        """
        for host, number in other.items():
            before = one.get(host, number)
            if before == number:
                continue
            newest = max(before, number)
            change = self._changes.get((host, newest))
            if change is None:
                if self.hears_others and newest > self._newest.get(host, newest):
                    return False
            elif not change.is_stored:
                return False
        return True

    def _add(self, key: tuple[int, int], change: Change) -> None:
        with self._lock:
            host, number = key
            self._newest[host] = max(number, self._newest.get(host, number))
            self._lock.notify_all()
            self._changes[key] = change
            self._changes.move_to_end(key)
            if len(self._changes) > _MOST:
                self._changes.popitem(last=False)
            self._with_counts.append(change)
            self._counts += _size(change)
            while self._counts > _MOST_COUNTS:
                oldest = self._with_counts.popleft()
                self._forget_counts(oldest)
                self._counts -= _size(oldest)

    def _forget_counts(self, change: Change) -> None:
        before = _size(change)
        change.counted = change.described = None
        self._counts -= before - _size(change)

    def _between(self, one: Version, other: Version) -> list[Change] | None:
        """Return the changes that make the difference of two versions; None where not all are known."""
        found: list[Change] = []
        for host in one.keys() | other.keys():
            low, high = sorted((one.get(host, -1), other.get(host, -1)))
            if low >= 0 and high - low > len(self._changes):
                return None
            for number in range(high, low, -1):
                change = self._changes.get((host, number))
                if change is None:
                    return None
                found.append(change)
                if low < 0 and change.begins:
                    break
        return found


def counted_of(batch: Batch, vm_numbers: Mapping[str, int]) -> Counted:
    """Return what a batch counts. Its counts were checked."""
    found: dict[tuple[ExitKind | None, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    faults = summed(batch.fault_counts, ("bucket_ms", "vm"), "faults")
    for (bucket_ms, vm_id), count in faults.items():
        if count:
            found[None, bucket_ms // BUCKET_MS][vm_numbers[vm_id]] += count
    exits = summed(batch.exit_counts, ("bucket_ms", "vm", "reason", "errno"), "count")
    for (bucket_ms, vm_id, reason, errno), count in exits.items():
        kind = exit_kind(reason, errno)
        if kind is not None and count:
            found[kind, bucket_ms // BUCKET_MS][vm_numbers[vm_id]] += count
    return found


def _size(change: Change) -> int:
    return 1 + len(change.described or ()) + sum(map(len, (change.counted or {}).values()))
