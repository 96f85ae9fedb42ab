# SPDX-License-Identifier: Apache-2.0
"""What an answer cannot know of its range, as the fields of its body that say so."""

from collections.abc import Sequence
from typing import TypedDict, TypeVar

from backend.api.schemas import Counted, RangeWarning, WarningCode
from backend.query.shed import Shed
from backend.query.stall_measuring import Unmeasured
from backend.query.uncovered import Uncovered
from backend.store.contract.hosts import ENTRY, SWITCH
from backend.store.contract.values import TimeRange

MOST_HOSTS = 100
_CODES = {SWITCH: WarningCode.SLEEP_NOT_MEASURED, ENTRY: WarningCode.END_NOT_MEASURED}
"""What it is that a host does not show which has shed a hook."""


class Warned(TypedDict):
    """Fields of an answer of a range of time."""

    warnings: list[RangeWarning]
    warnings_left_out: int


def warned(span: TimeRange, kept_from_ms: int | None, uncovered: Sequence[Uncovered]) -> Warned:
    """Return the warnings of an answer.

    :param span: the range that is asked for
    :param kept_from_ms: where it begins before that: from when on what the answer is made of is kept, UTC ms
    :param uncovered: by host
    """
    found = [_not_covered(one) for one in uncovered[:MOST_HOSTS]]
    if kept_from_ms is not None:
        to_ms = kept_from_ms if span.to_ms is None else min(kept_from_ms, span.to_ms)
        found.insert(0, _older(span.from_ms, to_ms))
    return Warned(warnings=found, warnings_left_out=max(0, len(uncovered) - MOST_HOSTS))


_Warned = TypeVar("_Warned", bound=Warned)


class WarnedTotals(Warned):
    """The same, and the range that totals are of where that is not exactly the one that is wanted."""

    counted: Counted | None


def warned_totals(wanted: TimeRange, span: TimeRange, uncovered: Sequence[Uncovered]) -> WarnedTotals:
    """Return the same of an answer with totals of ``span``: the range that is wanted, in whole buckets that
    are kept."""
    is_older = span.from_ms is not None and (wanted.from_ms is None or wanted.from_ms < span.from_ms)
    counted = None if span == wanted else Counted(from_ms=span.from_ms, to_ms=span.to_ms)
    return WarnedTotals(counted=counted, **warned(wanted, span.from_ms if is_older else None, uncovered))


def warned_now(shed: Sequence[Shed]) -> Warned:
    """Return the warnings of an answer that is of now.

    :param shed: hosts that do not show it
    """
    return with_shed(Warned(warnings=[], warnings_left_out=0), shed)


def with_unmeasured(
    found: _Warned, span: TimeRange, unmeasured: Sequence[Unmeasured], now_ms: int
) -> _Warned:
    """Return warnings of an answer with those of the hosts on which not all stalls were measured."""
    to_ms = now_ms if span.to_ms is None else min(span.to_ms, now_ms)
    found["warnings"] += [_not_measured(one, span.from_ms, to_ms) for one in unmeasured[:MOST_HOSTS]]
    found["warnings_left_out"] += max(0, len(unmeasured) - MOST_HOSTS)
    return found


def with_shed(found: _Warned, shed: Sequence[Shed]) -> _Warned:
    """Return warnings of an answer with those of the hosts that had shed a hook for a while."""
    found["warnings"] += [_shed(one) for one in shed[:MOST_HOSTS]]
    found["warnings_left_out"] += max(0, len(shed) - MOST_HOSTS)
    return found


def _shed(one: Shed) -> RangeWarning:
    return RangeWarning(
        code=_CODES[one.hook],
        host=one.host,
        from_ms=one.from_ms,
        to_ms=one.to_ms,
        lacking_ms=one.shed_ms,
    )


def _not_measured(one: Unmeasured, from_ms: int | None, to_ms: int) -> RangeWarning:
    return RangeWarning(
        code=WarningCode.STALLS_NOT_MEASURED if one.is_all else WarningCode.STALLS_PARTLY_MEASURED,
        host=one.host,
        from_ms=from_ms,
        to_ms=to_ms,
        lacking_ms=None,
    )


def _older(from_ms: int | None, to_ms: int) -> RangeWarning:
    return RangeWarning(
        code=WarningCode.OLDER_THAN_KEPT,
        host=None,
        from_ms=from_ms,
        to_ms=to_ms,
        lacking_ms=None if from_ms is None else to_ms - from_ms,
    )


def _not_covered(one: Uncovered) -> RangeWarning:
    return RangeWarning(
        code=WarningCode.NOT_COVERED,
        host=one.host,
        from_ms=one.from_ms,
        to_ms=one.to_ms,
        lacking_ms=one.uncovered_ms,
    )
