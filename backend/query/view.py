"""What every VM counted, in steps and in all, in one version of the store: of blocks that are kept, and of
those that are read for it.

Long blocks are added up from shorter ones where these are new, as only few of them have changed since, or all
at hand, as behind the start of a range that moves; else the database sums them.
"""

from collections.abc import Iterator, Mapping, Sequence

from backend.errors import ParameterError
from backend.query.blocks import LENGTHS_S, NONE, Blocks, Key, Sums, added, block_key
from backend.store.changes import Version
from backend.store.errors import check_time
from faultmodel.record import ExitKind

MOST_READ = 2_000_000
"""Counts of one question: some 150 MB, for as long as it is answered."""
_MS = 1_000
_FRESH_S = 120
"""Blocks that end less than so long ago are added up from shorter ones: their end still changes."""


class View:
    """The counts of one version. Of one thread."""

    def __init__(self, blocks: Blocks, version: Version, now_ms: int) -> None:
        """Take a version that must be that of this thread's snapshot of the store."""
        self._blocks = blocks
        self._version = version
        self._first_s, self._end_s = blocks.follow(version)
        self._fresh_from_s = now_ms // _MS - _FRESH_S
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
            yield [self._block(counted, length_s, index) for index in blocks]

    def total(self, counted: ExitKind | None, from_s: int, to_s: int) -> Sums:
        """Return what every VM counted in [from_s, to_s)."""
        key = counted, from_s, to_s
        total = self._found(key)
        if total is None:
            found: list[Sums] = []
            for length_s, first, end in _parts(max(from_s, self._first_s), min(to_s, self._end_s)):
                self._load(counted, length_s, first, end)
                found += [self._block(counted, length_s, index) for index in range(first, end)]
            total = added(found)
            self._add({key: total})
        return total

    def _block(self, counted: ExitKind | None, length_s: int, index: int) -> Sums:
        key = block_key(counted, length_s, index)
        found = self._found(key)
        if found is None:
            # Another reader's blocks took its place meanwhile.
            self._load(counted, length_s, index, index + 1)
            found = self._own[key]
        return found

    def _found(self, key: Key) -> Sums | None:
        _, from_s, to_s = key
        if to_s <= self._first_s or from_s >= self._end_s:
            # No VM was there yet, or none has been seen so late.
            return NONE
        own = self._own.get(key)
        return self._blocks.get(key, self._version) if own is None else own

    def _load(self, counted: ExitKind | None, length_s: int, first: int, end: int) -> None:
        """Have the blocks with these indices."""
        first = max(first, self._first_s // length_s)
        end = min(end, -(-self._end_s // length_s))
        missing = [
            index for index in range(first, end) if self._found(block_key(counted, length_s, index)) is None
        ]
        shorter = LENGTHS_S[LENGTHS_S.index(length_s) - 1] if length_s > 1 else 0
        made = [
            index
            for index in missing
            if shorter
            and ((index + 1) * length_s > self._fresh_from_s or self._is_at_hand(counted, length_s, index))
        ]
        for start, stop in _runs([index for index in missing if index not in made]):
            self._read(counted, length_s, start, stop)
        for start, stop in _runs(made):
            times = length_s // shorter
            self._load(counted, shorter, start * times, stop * times)
            self._add(
                {
                    block_key(counted, length_s, index): added(
                        self._block(counted, shorter, index * times + part) for part in range(times)
                    )
                    for index in range(start, stop)
                }
            )

    def _is_at_hand(self, counted: ExitKind | None, length_s: int, index: int) -> bool:
        """Tell whether a block need not be read: it is there, or all shorter ones that make it are."""
        if self._found(block_key(counted, length_s, index)) is not None:
            return True
        if length_s == LENGTHS_S[0]:
            return False
        shorter = LENGTHS_S[LENGTHS_S.index(length_s) - 1]
        times = length_s // shorter
        return all(self._is_at_hand(counted, shorter, index * times + part) for part in range(times))

    def _read(self, counted: ExitKind | None, length_s: int, first: int, end: int) -> None:
        check_time()
        store = self._blocks.store
        span = (first * length_s * _MS, end * length_s * _MS, length_s * _MS)
        kinds: Sequence[ExitKind | None] = [None] if counted is None else list(ExitKind)
        found: dict[Key, dict[int, int]] = {
            block_key(kind, length_s, index): {} for kind in kinds for index in range(first, end)
        }
        if counted is None:
            for vm, step, faults in store.fault_sums(*span):
                if faults:
                    found[block_key(None, length_s, first + step)][vm] = faults
        else:
            for vm, step, counts in store.exit_sums(*span):
                for kind, count in zip(ExitKind, counts, strict=True):
                    if count:
                        found[block_key(kind, length_s, first + step)][vm] = count
        self._add(found)

    def _add(self, blocks: Mapping[Key, Sums]) -> None:
        self._own.update(blocks)
        # Also of an empty one, of which there may be many.
        self._cells += sum(1 + len(sums) for sums in blocks.values())
        if self._cells > MOST_READ:
            raise ParameterError(
                "step", "too many VMs and steps at once; ask for longer steps, or a shorter range"
            )
        self._blocks.keep(blocks, self._version)


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
