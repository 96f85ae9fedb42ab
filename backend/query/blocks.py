"""What every VM counted, summed by blocks of time and kept: a chart of 15 minutes that is asked for each
second has to read the newest second alone.

A block holds the counts of all VMs in [index * length, (index + 1) * length) seconds, for one of
``LENGTHS_S``. Long blocks are added up from shorter ones where these are new, as only few of them have
changed since; what is older is summed by the database. A block is kept for as long as the store says that
nothing before its end has changed (``Store.same_before``), so that a batch that comes late is in the next
answer: nothing here is ever an estimate.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Lock

from backend.errors import ParameterError
from backend.store.base import Store
from backend.store.changes import FOR_EVER_MS, Version
from faultmodel.record import ExitKind

LENGTHS_S = (1, 5, 15, 30, 60, 300, 1800, 3600)
"""Each is a multiple of the one before; a day is far too seldom asked for as a whole."""
MOST_CELLS = 500_000
"""Counts that are kept, of a VM in a block: some 40 MB."""
MOST_READ = 2_000_000
"""Of one question: some 150 MB, for as long as it is answered."""
_MS = 1_000
_FRESH_S = 120
"""Blocks that end less than so long ago are added up from shorter ones: their end still changes."""

Sums = Mapping[int, int]
"""Counts by a VM's number. A VM without any is not there."""
_NONE: Sums = {}
Key = tuple[ExitKind | None, int, int]
"""What is counted (None: guest faults), the length of the block in s, its index."""


class Blocks:
    """The blocks that are kept. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[Key, Sums] = OrderedDict()
        self._cells = 0
        self._newest: dict[int, int] = {}
        """By length, the index of the newest block that was ever kept."""
        self._version: Version = {}
        self._lock = Lock()

    def view(self, version: Version, now_ms: int) -> "View":
        """Return the counts of a version, which must be that of this thread's snapshot of the store."""
        first_ms, last_ms = self._store.lifetimes()
        with self._lock:
            same_before_ms = self._store.same_before(self._version, version)
            if not _is_older(version, self._version):
                # A host that is gone was removed, and what it is called here may be another's by now.
                self._forget_from(same_before_ms if _follows(version, self._version) else 0)
                self._version = version
                same_before_ms = FOR_EVER_MS
        lifetimes_s = first_ms // _MS, last_ms // _MS + 1
        return View(self, self._store, version, now_ms, same_before_ms, lifetimes_s)

    def get(self, key: Key) -> Sums | None:
        """Return a block that is kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def keep(self, blocks: Mapping[Key, Sums], version: Version) -> None:
        """Keep what was read in a version, as far as it is still so."""
        with self._lock:
            same_before_ms = self._store.same_before(self._version, version)
            for key, sums in blocks.items():
                if _end_ms(key) <= same_before_ms and key not in self._kept:
                    self._kept[key] = sums
                    self._cells += 1 + len(sums)
                    self._newest[key[1]] = max(key[2], self._newest.get(key[1], key[2]))
            while self._cells > MOST_CELLS and self._kept:
                self._drop(next(iter(self._kept)))

    def _forget_from(self, time_ms: int) -> None:
        if time_ms == 0:
            self._kept.clear()
            self._cells = 0
            return
        for length_s, newest in self._newest.items():
            first = min(time_ms // (length_s * _MS), newest + 1)
            for index in range(first, newest + 1):
                for counted in (None, *ExitKind):
                    self._drop((counted, length_s, index))

    def _drop(self, key: Key) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._cells -= 1 + len(found)


class View:
    """The counts of one version. Of one thread."""

    def __init__(
        self,
        blocks: Blocks,
        store: Store,
        version: Version,
        now_ms: int,
        kept_before_ms: int,
        lifetimes_s: tuple[int, int],
    ) -> None:
        self._blocks = blocks
        self._store = store
        self._version = version
        self._fresh_from_s = now_ms // _MS - _FRESH_S
        self._kept_before_ms = kept_before_ms
        self._first_s, self._end_s = lifetimes_s
        self._own: dict[Key, Sums] = {}
        """What was read here: a block that is new, or that is another one in the version that is kept."""
        self._cells = 0

    def steps(self, counted: ExitKind | None, from_s: int, to_s: int, step_s: int) -> Iterator[Sums]:
        """Yield what every VM counted in each step of [from_s, to_s), in order. Steps are whole in it."""
        return map(added, self.in_steps(counted, from_s, to_s, step_s))

    def in_steps(
        self, counted: ExitKind | None, from_s: int, to_s: int, step_s: int
    ) -> Iterator[Sequence[Sums]]:
        """Yield the same as blocks that are yet to be added up. The last step may end before it is whole."""
        length_s = max(
            length
            for length in LENGTHS_S
            if step_s % length == 0 and from_s % length == 0 and to_s % length == 0
        )
        self._load(counted, length_s, from_s // length_s, to_s // length_s)
        for start_s in range(from_s, to_s, step_s):
            if start_s + step_s <= self._first_s or start_s >= self._end_s:
                yield ()
                continue
            blocks = range(start_s // length_s, min(start_s + step_s, to_s) // length_s)
            yield [self._block((counted, length_s, index)) for index in blocks]

    def total(self, counted: ExitKind | None, from_s: int, to_s: int) -> Sums:
        """Return what every VM counted in [from_s, to_s)."""
        found: list[Sums] = []
        from_s, to_s = max(from_s, self._first_s), min(to_s, self._end_s)
        for length_s, first, end in _parts(from_s, to_s):
            self._load(counted, length_s, first, end)
            found += [self._block((counted, length_s, index)) for index in range(first, end)]
        return added(found)

    def _block(self, key: Key) -> Sums:
        if self._is_empty(key):
            return _NONE
        own = self._own.get(key)
        if own is None and _end_ms(key) <= self._kept_before_ms:
            own = self._blocks.get(key)
        if own is None:
            # Another reader's blocks took its place meanwhile.
            self._load(key[0], key[1], key[2], key[2] + 1)
            own = self._own[key]
        return own

    def _is_empty(self, key: Key) -> bool:
        """Tell whether no VM was there yet, or none has been seen so late."""
        _, length_s, index = key
        return (index + 1) * length_s <= self._first_s or index * length_s >= self._end_s

    def _has(self, key: Key) -> bool:
        return (
            self._is_empty(key)
            or key in self._own
            or (_end_ms(key) <= self._kept_before_ms and self._blocks.get(key) is not None)
        )

    def _load(self, counted: ExitKind | None, length_s: int, first: int, end: int) -> None:
        """Have the blocks with these indices."""
        first = max(first, self._first_s // length_s)
        end = min(end, -(-self._end_s // length_s))
        missing = [index for index in range(first, end) if not self._has((counted, length_s, index))]
        shorter = LENGTHS_S[LENGTHS_S.index(length_s) - 1] if length_s > 1 else 0
        fresh = [index for index in missing if shorter and (index + 1) * length_s > self._fresh_from_s]
        for start, stop in _runs([index for index in missing if index not in fresh]):
            self._read(counted, length_s, start, stop)
        if fresh:
            times = length_s // shorter
            self._load(counted, shorter, fresh[0] * times, (fresh[-1] + 1) * times)
            self._add(
                {
                    (counted, length_s, index): added(
                        self._block((counted, shorter, index * times + part)) for part in range(times)
                    )
                    for index in fresh
                }
            )

    def _read(self, counted: ExitKind | None, length_s: int, first: int, end: int) -> None:
        span = (first * length_s * _MS, end * length_s * _MS, length_s * _MS)
        kinds: Sequence[ExitKind | None] = [None] if counted is None else list(ExitKind)
        found: dict[Key, dict[int, int]] = {
            (kind, length_s, index): {} for kind in kinds for index in range(first, end)
        }
        if counted is None:
            for vm, step, faults in self._store.fault_sums(*span):
                if faults:
                    found[None, length_s, first + step][vm] = faults
        else:
            for vm, step, counts in self._store.exit_sums(*span):
                for kind, count in zip(ExitKind, counts, strict=True):
                    if count:
                        found[kind, length_s, first + step][vm] = count
        self._add(found)

    def _add(self, blocks: Mapping[Key, Sums]) -> None:
        self._own.update(blocks)
        self._cells += sum(map(len, blocks.values()))
        if self._cells > MOST_READ:
            raise ParameterError(
                "step", "too many VMs and steps at once; ask for longer steps, or a shorter range"
            )
        self._blocks.keep(blocks, self._version)


def _is_older(version: Version, than: Version) -> bool:
    return version != than and _follows(than, version)


def _follows(version: Version, earlier: Version) -> bool:
    return all(version.get(host, -1) >= count for host, count in earlier.items())


def added(blocks: Iterable[Sums]) -> Sums:
    """Return the sum of blocks."""
    all_blocks = [block for block in blocks if block]
    if len(all_blocks) == 1:
        return all_blocks[0]
    sums: dict[int, int] = {}
    for block in all_blocks:
        for vm, count in block.items():
            sums[vm] = sums.get(vm, 0) + count
    return sums


def _end_ms(key: Key) -> int:
    return (key[2] + 1) * key[1] * _MS


def _runs(indices: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield [first, end) of each run of indices that follow one another."""
    start = 0
    for place in range(1, len(indices) + 1):
        if place == len(indices) or indices[place] != indices[place - 1] + 1:
            yield indices[start], indices[place - 1] + 1
            start = place


def _parts(from_s: int, to_s: int) -> Iterator[tuple[int, int, int]]:
    """Cut [from_s, to_s) into as few blocks as there can be: (length, first index, end index) of each run."""
    start = from_s
    while start < to_s:
        length_s = max(length for length in LENGTHS_S if start % length == 0 and start + length <= to_s)
        longer = next((length for length in LENGTHS_S if length > length_s), None)
        # As far as a longer block could begin, or as whole blocks fit.
        end = to_s // length_s * length_s
        if longer is not None:
            next_longer = -(-start // longer) * longer
            if start < next_longer and next_longer + longer <= to_s:
                end = min(end, next_longer)
        yield length_s, start // length_s, end // length_s
        start = end
