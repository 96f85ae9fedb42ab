# SPDX-License-Identifier: Apache-2.0
"""How long what is stored is kept: counts by level, and records. Of recordings, all is kept."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from backend.errors import RetentionError
from backend.store.contract.levels import LENGTHS_S

_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S


class Kept(StrEnum):
    """What has an age up to which it is kept."""

    COUNTS_1S = "1s"
    COUNTS_10S = "10s"
    COUNTS_1MIN = "1min"
    COUNTS_10MIN = "10min"
    COUNTS_1H = "1h"
    EXITS = "exits"
    FAULTS = "faults"


BY_LENGTH_S: Mapping[int, Kept] = dict(
    zip(
        LENGTHS_S,
        (Kept.COUNTS_1S, Kept.COUNTS_10S, Kept.COUNTS_1MIN, Kept.COUNTS_10MIN, Kept.COUNTS_1H),
        strict=True,
    )
)
"""Counts, by the length of their buckets in s."""
DEFAULT_S: Mapping[Kept, int | None] = {
    Kept.COUNTS_1S: _DAY_S,
    Kept.COUNTS_10S: 3 * _DAY_S,
    Kept.COUNTS_1MIN: 14 * _DAY_S,
    Kept.COUNTS_10MIN: 180 * _DAY_S,
    Kept.COUNTS_1H: None,
    Kept.EXITS: 180 * _DAY_S,
    Kept.FAULTS: 3 * _DAY_S,
}
"""Ages in s, None for ever: of a new database (docs/database.md has the arithmetic)."""
FOR_EVER: Mapping[Kept, int | None] = dict.fromkeys(Kept)
LEAST_S = _HOUR_S
"""A batch may be on its way, and a page of the newest 15 minutes looked at."""
MOST_S = 100 * 365 * _DAY_S


@dataclass(frozen=True, slots=True)
class Retention:
    """Up to which age, in s, what is kept; None for ever. :raises RetentionError: ages contradict"""

    ages_s: Mapping[Kept, int | None] = field(default_factory=dict)
    """What is not there is kept as long as by default."""

    def __post_init__(self) -> None:
        for kept, age_s in self.ages_s.items():
            if age_s is not None and not LEAST_S <= age_s <= MOST_S:
                raise RetentionError(f"{kept} is to be kept {age_s} s; it can be {LEAST_S} to {MOST_S} s")
        levels: Sequence[Kept] = list(BY_LENGTH_S.values())
        for finer, coarser in itertools.pairwise(levels):
            finer_s, coarser_s = self.age_s(finer), self.age_s(coarser)
            if coarser_s is not None and (finer_s is None or finer_s > coarser_s):
                raise RetentionError(
                    f"counts of {finer} are to be kept longer than those of {coarser}, which are summed from "
                    f"them; keep {coarser} at least as long"
                )

    def age_s(self, kept: Kept) -> int | None:
        """Return up to which age something is kept, in s; None for ever."""
        return self.ages_s[kept] if kept in self.ages_s else DEFAULT_S[kept]

    @property
    def is_for_ever(self) -> bool:
        """Whether nothing is removed."""
        return all(self.age_s(kept) is None for kept in Kept)


MAX_BYTES_A_HOST = 9 * 10**9
"""By default, for each host that is traced: with what stays free for new rows, that is less than 10 GB."""
LEAST_BYTES = 10**7
_TIERS: Sequence[Sequence[Kept]] = (
    (Kept.COUNTS_1S, Kept.FAULTS),
    (Kept.COUNTS_10S,),
    (Kept.COUNTS_1MIN,),
    (Kept.COUNTS_10MIN, Kept.EXITS),
    (Kept.COUNTS_1H,),
)
"""What goes first where the database is to take less space: what shows the finest detail."""
_LEFT_S: Mapping[Kept, int] = {
    Kept.COUNTS_1S: LEAST_S,
    Kept.FAULTS: LEAST_S,
    Kept.COUNTS_10S: 6 * _HOUR_S,
    Kept.COUNTS_1MIN: _DAY_S,
    Kept.COUNTS_10MIN: 7 * _DAY_S,
    Kept.EXITS: 7 * _DAY_S,
    Kept.COUNTS_1H: 30 * _DAY_S,
}
"""So much of each stays, however much space it takes. No coarser level has less than a finer one."""
_STEP_SHARE = 16
"""A step removes a sixteenth of what is there, an hour at least: what it frees is known before the next."""


_PART_SHARE = 4
"""A part of a table goes as a whole where it has no more than a quarter of what is kept."""


def kept_whole(wanted_s: int, now_s: int, ends_s: Sequence[int]) -> int:
    """Return from when on something is kept that has parts, of which each goes as a whole.

    No later than wanted, and, unless that is where a part ends, no more than a quarter further back.

    :param wanted_s: from when on it would be kept without parts
    :param ends_s: where its parts end
    """
    first_s = wanted_s - (now_s - wanted_s) // _PART_SHARE
    return max((end_s for end_s in ends_s if first_s <= end_s <= wanted_s), default=wanted_s)


def next_to_remove(
    from_s: Mapping[Kept, int],
    now_s: int,
    ends_s: Mapping[Kept, Sequence[int]] | None = None,
    *,
    is_whole: bool = False,
) -> tuple[Kept, int] | None:
    """Return what goes next to save space, and from when on it is kept then; None where nothing may go.

    Of the first tier of which more is left than has to stay, it is what reaches further back. A step ends
    where a part of it does, if that is no more than a quarter of what is there.

    :param from_s: from when on each is kept, s
    :param ends_s: where its parts end, of what has parts that go as a whole
    :param is_whole: only whole parts go. What has none that may is passed over
    """
    for tier in _TIERS:
        for kept in sorted(tier, key=lambda one: from_s[one]):
            least_s = (now_s - _LEFT_S[kept]) // _HOUR_S * _HOUR_S
            ends = (ends_s or {}).get(kept, ())
            if is_whole:
                whole_s = min((end_s for end_s in ends if from_s[kept] < end_s <= least_s), default=None)
                if whole_s is not None:
                    return kept, whole_s
                continue
            step_s = max(_HOUR_S, (now_s - from_s[kept]) // _STEP_SHARE)
            later_s = min((from_s[kept] + step_s) // _HOUR_S * _HOUR_S, least_s)
            if later_s > from_s[kept]:
                most_s = min(least_s, from_s[kept] + (now_s - from_s[kept]) // _PART_SHARE)
                return kept, min((end_s for end_s in ends if later_s <= end_s <= most_s), default=later_s)
    return None
