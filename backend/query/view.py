# SPDX-License-Identifier: Apache-2.0
"""What was counted, by owner, in steps and in all, in one version of the store: of blocks that are kept, and
of those that are read for it.

Long blocks are added up from shorter ones where these are new, as only few of them have changed since, or all
at hand, as behind the start of a range that moves; else the database sums them.
"""

from collections.abc import Iterator, Mapping, Sequence

from backend.errors import ParameterError
from backend.query.blocks import LENGTHS_S, Blocks, Key, added, block_key
from backend.query.summed import NONE, Kind, Sums
from backend.store.contract.changes import Version
from backend.store.contract.levels import COARSEST_S, Levels
from backend.store.contract.levels import LENGTHS_S as LEVELS_S
from backend.store.contract.time_limit import check_time
from backend.store.contract.values import Steps, TimeRange

MOST_READ = 250_000
"""Counts that a question has in memory at once, beside those that are kept: some 20 MB. Of more it reads one
part after the other.
"""
MOST_OF_ONE = 2_000_000
"""Counts of a single block, with those that it is added up from."""
_MS = 1_000
_FRESH_S = 120
"""Blocks that end less than so long ago, and begin no later ahead, are added up from shorter ones: their end
still changes. Of times further ahead only clocks that are wrong have counts."""
_FIRST_PART = 64
"""Blocks that are read at first: what the database sorts for them takes memory, too."""
ALL_KEPT = Levels()


class View:
    """The counts of one version. Of one thread."""

    def __init__(
        self,
        blocks: Blocks,
        version: Version,
        now_ms: int,
        levels: Levels = ALL_KEPT,
        *,
        at_once: int = MOST_READ,
    ) -> None:
        """Take a version, and where levels are kept: those of this thread's snapshot of the store.

        :param at_once: so many counts are in memory, but of a single block
        """
        self._blocks = blocks
        self._version = version
        self._levels = levels
        self._first_s, self._end_s = blocks.follow(version)
        if not blocks.of.are_within_lives:
            self._first_s, self._end_s = 0, max(self._end_s, now_ms // _MS + 1)
        self._fresh_from_s, self._fresh_to_s = now_ms // _MS - _FRESH_S, now_ms // _MS + _FRESH_S
        self._own: dict[Key, Sums] = {}
        """What was read here: a block that is new, or that is another one in the version that is kept."""
        self._cells = 0
        self._at_once = at_once

    def steps(self, counted: Kind, from_s: int, to_s: int, step_s: int) -> Iterator[Sums]:
        """Yield what every owner counted in each step of [from_s, to_s), in order. Steps are whole in it.

        Of steps that begin before ``begins_s``, nothing is known: they are empty here.
        """
        return map(added, self.in_steps(counted, from_s, to_s, step_s))

    def in_steps(self, counted: Kind, from_s: int, to_s: int, step_s: int) -> Iterator[Sequence[Sums]]:
        """Yield the same as blocks that are yet to be added up. The last step may end before it is whole.

        Of a step that is longer than what memory is for, they are added up as far as they were read.
        """
        whole_to_s = to_s - (to_s - from_s) % step_s
        begins_s = self.begins_s(from_s, step_s)
        while from_s < min(begins_s, to_s):
            yield ()
            from_s += step_s
        if from_s < whole_to_s:
            yield from self._whole_steps(counted, from_s, whole_to_s, step_s)
        if max(from_s, whole_to_s) < to_s:
            yield [
                added(blocks)
                for length_s, first, end in _parts(whole_to_s, to_s)
                for (blocks,) in self._in_parts((counted,), length_s, first, end)
            ]

    def _whole_steps(self, counted: Kind, from_s: int, to_s: int, step_s: int) -> Iterator[Sequence[Sums]]:
        length_s = _length_in(from_s, step_s)
        of_step = step_s // length_s
        step: list[Sums] = []
        lacking = of_step
        for (part,) in self._in_parts((counted,), length_s, from_s // length_s, to_s // length_s):
            taken = 0
            while taken < len(part):
                blocks = part[taken : taken + lacking]
                step += blocks
                taken += len(blocks)
                lacking -= len(blocks)
                if not lacking:
                    yield step
                    step, lacking = [], of_step
            # The next part takes this one's place in memory.
            del part, blocks
            if step:
                step = [added(step)]
        if step:
            yield step

    def begins_s(self, from_s: int, step_s: int) -> int:
        """Return from when on such steps are kept: those that begin before are not, or not whole."""
        length_s = _length_in(from_s, step_s)
        return self._levels.kept_from(max(level for level in LEVELS_S if length_s % level == 0))

    def total(self, counted: Kind, from_s: int, to_s: int) -> Sums:
        """Return what every owner counted in [from_s, to_s), extended to whole buckets that are kept."""
        return self.totals((counted,), from_s, to_s)[counted]

    def totals(self, kinds: Sequence[Kind], from_s: int, to_s: int) -> Mapping[Kind, Sums]:
        """Return the same of several kinds. What is read of all at once is read once, also where there are
        more blocks than are kept.
        """
        keys = {kind: self._whole(kind, from_s, to_s) for kind in kinds}
        totals = {kind: self._found(key) for kind, key in keys.items()}
        found = {kind: total for kind, total in totals.items() if total is not None}
        missing = [kind for kind in kinds if kind not in found]
        if missing:
            found |= dict.fromkeys(missing, NONE)
            for length_s, first, end in self._parts_of(keys[missing[0]]):
                for of_kinds in self._in_parts(missing, length_s, first, end):
                    for kind, blocks in zip(missing, of_kinds, strict=True):
                        found[kind] = added([found[kind], *blocks])
            self._blocks.keep({keys[kind]: found[kind] for kind in missing}, self._version)
        return found

    def is_at_hand(self, counted: Kind, from_s: int, to_s: int) -> bool:
        """Return whether nothing need be read for this total."""
        key = self._whole(counted, from_s, to_s)
        return self._found(key) is not None or all(
            self._is_at_hand(counted, length_s, index)
            for length_s, first, end in self._parts_of(key)
            for index in range(first, end)
        )

    def _whole(self, counted: Kind, from_s: int, to_s: int) -> Key:
        whole = self._levels.whole(TimeRange(from_s * _MS, to_s * _MS))
        return counted, (whole.from_ms or 0) // _MS, (whole.to_ms or 0) // _MS

    def _parts_of(self, key: Key) -> Iterator[tuple[int, int, int]]:
        _, from_s, to_s = key
        # As many as there may be, and whole hours: shorter blocks of them need not be kept.
        first_s = max(from_s, self._first_s // COARSEST_S * COARSEST_S)
        end_s = min(to_s, -(-self._end_s // COARSEST_S) * COARSEST_S)
        return _parts(first_s, end_s)

    def _in_parts(
        self, kinds: Sequence[Kind], length_s: int, first: int, end: int
    ) -> Iterator[Sequence[Sequence[Sums]]]:
        """Yield the blocks of each kind with these indices in order, as many at a time as memory is for."""
        at_once = _FIRST_PART
        while first < end:
            is_alone = not self._own
            stop = min(end, first + at_once)
            most = self._at_once if stop - first > 1 else MOST_OF_ONE
            try:
                blocks = [self._loaded(kind, length_s, first, stop, most) for kind in kinds]
            except _TooManyError as exc:
                self._forget()
                if is_alone and at_once == 1:
                    raise ParameterError(
                        "step", "too many VMs at once; ask for longer steps, or a shorter range"
                    ) from exc
                at_once = -(-at_once // 2) if is_alone else at_once
                continue
            largest = max(len(block) for some in blocks for block in some)
            at_once = max(1, min(2 * at_once, self._at_once // max(1, largest)))
            yield blocks
            del blocks
            first = stop
            if first < end:
                self._forget()

    def _loaded(self, counted: Kind, length_s: int, first: int, end: int, most: int) -> Sequence[Sums]:
        self._load(counted, length_s, first, end, most)
        return [self._block(counted, length_s, index, most) for index in range(first, end)]

    def _forget(self) -> None:
        self._own.clear()
        self._cells = 0

    def _block(self, counted: Kind, length_s: int, index: int, most: int) -> Sums:
        key = block_key(counted, length_s, index)
        found = self._found(key)
        if found is None:
            # Another reader's blocks took its place meanwhile.
            self._load(counted, length_s, index, index + 1, most)
            found = self._own[key]
        return found

    def _found(self, key: Key) -> Sums | None:
        _, from_s, to_s = key
        if to_s <= self._first_s or from_s >= self._end_s:
            # No VM was there yet, or none has been seen so late.
            return NONE
        own = self._own.get(key)
        return self._blocks.get(key, self._version) if own is None else own

    def _load(self, counted: Kind, length_s: int, first: int, end: int, most: int) -> None:
        """Have the blocks with these indices, with all that was read here at most ``most`` counts."""
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
            and self._is_kept(shorter, index * length_s)
            and (self._is_fresh(length_s, index) or self._is_at_hand(counted, length_s, index))
        ]
        for start, stop in _runs([index for index in missing if index not in made]):
            self._read(counted, length_s, start, stop, most)
        for start, stop in _runs(made):
            times = length_s // shorter
            self._load(counted, shorter, start * times, stop * times, most)
            self._add(
                {
                    block_key(counted, length_s, index): added(
                        self._block(counted, shorter, index * times + part, most) for part in range(times)
                    )
                    for index in range(start, stop)
                },
                most,
            )

    def _is_fresh(self, length_s: int, index: int) -> bool:
        return index * length_s < self._fresh_to_s and (index + 1) * length_s > self._fresh_from_s

    def _is_at_hand(self, counted: Kind, length_s: int, index: int) -> bool:
        """Return whether a block need not be read: it is there, or all shorter ones that make it are."""
        if self._found(block_key(counted, length_s, index)) is not None:
            return True
        if length_s == LENGTHS_S[0]:
            return False
        shorter = LENGTHS_S[LENGTHS_S.index(length_s) - 1]
        if not self._is_kept(shorter, index * length_s):
            return False
        times = length_s // shorter
        return all(self._is_at_hand(counted, shorter, index * times + part) for part in range(times))

    def _is_kept(self, length_s: int, from_s: int) -> bool:
        """Return whether blocks of a length are whole buckets that are kept, from a time on."""
        return from_s >= self._levels.kept_from(COARSEST_S) and not length_s % self._levels.finest_at(from_s)

    def _read(self, counted: Kind, length_s: int, first: int, end: int, most: int) -> None:
        check_time()
        of, store = self._blocks.of, self._blocks.store
        steps = Steps(first * length_s * _MS, end * length_s * _MS, length_s * _MS)
        found: dict[Kind, Sequence[dict[int | str, int]]] = {
            kind: [{} for _ in range(first, end)] for kind in of.read_with(counted)
        }
        cells = self._cells
        for kind, step, owner, count in of.read(store, counted, steps):
            if count:
                sums = found[kind][step]
                if owner in sums:
                    sums[owner] += count
                    continue
                sums[owner] = count
                cells += 1
                if cells > most:
                    raise _TooManyError
        self._add(
            {
                block_key(kind, length_s, first + number): sums
                for kind, some in found.items()
                for number, sums in enumerate(some)
            },
            most,
        )

    def _add(self, blocks: Mapping[Key, Sums], most: int) -> None:
        self._own.update(blocks)
        # Also of an empty one, of which there may be many.
        self._cells += sum(1 + len(sums) for sums in blocks.values())
        if self._cells > most:
            raise _TooManyError
        self._blocks.keep(blocks, self._version)


class _TooManyError(Exception):
    """More counts than memory is for."""


def _runs(indices: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield [first, end) of each run of indices that follow one another."""
    start = 0
    for place in range(1, len(indices) + 1):
        if place == len(indices) or indices[place] != indices[place - 1] + 1:
            yield indices[start], indices[place - 1] + 1
            start = place


def _length_in(from_s: int, step_s: int) -> int:
    """Return the length of the longest blocks of which steps are made that begin at a time."""
    return max(length for length in LENGTHS_S if step_s % length == 0 and from_s % length == 0)


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
