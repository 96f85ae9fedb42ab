# SPDX-License-Identifier: Apache-2.0
"""What was counted, summed by blocks of time and kept: a chart of 15 minutes that is asked for each second
has to read nothing, or next to nothing, from the database. ``summed`` says whose sums there are.

A block holds the counts of all owners in [index * length, (index + 1) * length) seconds, for one of
``LENGTHS_S``. Beside them the sums of some whole ranges are kept, those that were asked for last: a page
asks for the same one until its ends move by a step. All that is kept is of one version of the store, and goes
on to the next in one of two ways:

- Where the store tells all that was counted in between (``Store.counted_between``), that is added to them. Of
  the seconds after the last in which anything was counted, all blocks are known unread: they were empty.
- Else those are forgotten of which the store does not say that they stayed as they were
  (``Store.same_counts_before``), and read again when they are asked for (``View``).

Either way a batch that comes late is in the next answer: nothing here is ever an estimate. A block is never
changed, but replaced by another: who has it may be reading it.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

from backend.query.summed import NONE, OF_VMS, Kind, Summed, Sums
from backend.store.contract.changes import FOR_EVER_MS, Counted, Version
from backend.store.contract.store import Store

LENGTHS_S = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400)
"""Each is a multiple of the one before, and each level of the store is among them. The days since 1970 are
few enough to be kept."""
MOST_CELLS = 1_500_000
"""Counts that are kept, of an owner in a block: some 120 MB. Charts of 1,000 VMs over 24 h, 7 and 30 days
have a million."""
_MS = 1_000
_MOST_NEW_S = 120
"""Seconds at the end that may be new at once: of each there is a block of every kind, empty or not."""

Key = tuple[Kind, int, int]
"""What is counted, the first second, the one after the last."""
Bounds = tuple[int, int]
"""The first second that may have counts, and the one after the last."""
_MOST_RANGES = 64
"""That are no blocks: each is looked at whenever something was counted."""


class Blocks:
    """The blocks that are kept. Thread-safe."""

    def __init__(self, store: Store, of: Summed = OF_VMS, *, most_cells: int = MOST_CELLS) -> None:
        """Keep none yet.

        :param most_cells: counts that are kept, of an owner in a block
        """
        self.store = store
        self.of = of
        self._most_cells = most_cells
        self._kept: OrderedDict[Key, Sums] = OrderedDict()
        self._ranges: dict[Key, None] = {}
        """Those that are kept and no blocks, the oldest first."""
        self._cells = 0
        self._version: Version | None = None
        self._bounds: Bounds = (0, 0)
        self._compared: tuple[Version, int] = ({}, 0)
        """Another version that was asked for, and the time before which it is the same."""
        self._lock = Lock()

    def follow(self, version: Version) -> Bounds:
        """Go on to a version, unless it is older than what is kept, and return where it has counts.

        It must be that of this thread's snapshot of the store.
        """
        with self._lock:
            if self._version is not None and self._has_gone_on(self._version, version):
                return self._bounds
        first_ms, last_ms = self.store.lifetimes()
        bounds = first_ms // _MS, last_ms // _MS + 1
        with self._lock:
            if self._version is None or not _is_older(version, self._version):
                # A host that is gone was removed, and what it is called here may be another's by now.
                self._forget_from(self._same_before(version) if _follows(version, self._version) else 0)
                self._be_at(version, bounds)
        return bounds

    def get(self, key: Key, version: Version) -> Sums | None:
        """Return a block of a version, if it is kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is None or end_ms(key) > self._same_before(version):
                return None
            self._kept.move_to_end(key)
            return found

    def keep(self, blocks: Mapping[Key, Sums], version: Version) -> None:
        """Keep what was read in a version, as far as it is still so."""
        with self._lock:
            same_before_s = self._same_before(version) // _MS
            for key, sums in blocks.items():
                if key[2] <= same_before_s and key not in self._kept:
                    self._put(key, sums)
            self._evict()

    def _has_gone_on(self, before: Version, version: Version) -> bool:
        """Add what was counted since, where it is known; return whether it was."""
        if version == before:
            return True
        counted = self.store.counted_between(before, version) if self.of.are_followed else None
        if counted is None:
            return False
        first_s, end_s = self._bounds
        seconds = [second for item in counted for _, second in item]
        new_end_s = max([end_s, *(second + 1 for second in seconds)])
        if new_end_s - end_s > _MOST_NEW_S:
            return False
        for length_s in LENGTHS_S:
            for index in range(-(-end_s // length_s), -(-new_end_s // length_s)):
                for kind in self.of.kinds:
                    self._put(block_key(kind, length_s, index), NONE)
        self._add(counted)
        self._evict()
        self._be_at(version, (min([first_s, *seconds]), new_end_s))
        return True

    def _add(self, counted: Sequence[Counted]) -> None:
        additions: dict[Key, list[Sums]] = defaultdict(list)
        for item in counted:
            for (kind, second), sums in item.items():
                for length_s in LENGTHS_S:
                    additions[block_key(kind, length_s, second // length_s)].append(sums)
                for key in self._ranges:
                    if key[0] == kind and key[1] <= second < key[2]:
                        additions[key].append(sums)
        for key, some in additions.items():
            kept = self._kept.get(key)
            if kept is not None:
                self._put(key, added([kept, *some]))

    def _be_at(self, version: Version, bounds: Bounds) -> None:
        self._version, self._bounds, self._compared = version, bounds, (version, FOR_EVER_MS)

    def _same_before(self, version: Version) -> int:
        """Return the time before which the blocks that are kept are those of a version."""
        if version is self._version or version == self._version:
            return FOR_EVER_MS
        if version is not self._compared[0]:
            self._compared = version, self.store.same_counts_before(self._version or {}, version)
        return self._compared[1]

    def _forget_from(self, time_ms: int) -> None:
        # By what is kept: since something of long ago there are more seconds than blocks.
        for key in [key for key in self._kept if end_ms(key) > time_ms]:
            self._drop(key)

    def _put(self, key: Key, sums: Sums) -> None:
        self._drop(key)
        if not _is_block(key):
            self._ranges[key] = None
            if len(self._ranges) > _MOST_RANGES:
                self._drop(next(iter(self._ranges)))
        self._kept[key] = sums
        self._cells += 1 + len(sums)

    def _drop(self, key: Key) -> None:
        self._ranges.pop(key, None)
        found = self._kept.pop(key, None)
        if found is not None:
            self._cells -= 1 + len(found)

    def _evict(self) -> None:
        while self._cells > self._most_cells and self._kept:
            self._drop(next(iter(self._kept)))


def _is_older(version: Version, than: Version) -> bool:
    return version != than and _follows(than, version)


def _follows(version: Version, earlier: Version | None) -> bool:
    return all(version.get(host, -1) >= count for host, count in (earlier or {}).items())


def added(blocks: Iterable[Sums]) -> Sums:
    """Return the sum of blocks."""
    all_blocks = [block for block in blocks if block]
    if len(all_blocks) == 1:
        return all_blocks[0]
    largest = max(all_blocks, key=len, default=NONE)
    sums = dict(largest)
    known = sums.get
    for block in all_blocks:
        if block is not largest:
            for vm, count in block.items():
                sums[vm] = known(vm, 0) + count
    return sums


def block_key(kind: Kind, length_s: int, index: int) -> Key:
    """Return what a block is kept by."""
    return kind, index * length_s, (index + 1) * length_s


def _is_block(key: Key) -> bool:
    length_s = key[2] - key[1]
    return length_s in LENGTHS_S and key[1] % length_s == 0


def end_ms(key: Key) -> int:
    """Return when what a key names ends, UTC ms."""
    return key[2] * _MS
