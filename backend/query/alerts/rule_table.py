# SPDX-License-Identifier: Apache-2.0
"""Reads one rule of the file, and checks that its fields go together."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from backend.query.alerts.rules import (
    DAY_S,
    DEFAULT_OVER_S,
    HOUR_S,
    MINUTE_S,
    OVER_S,
    Comparison,
    Past,
    Rule,
    Selector,
    Severity,
    written_s,
)
from backend.query.alerts.table import Fields
from backend.query.alerts.watches import WATCHED, WITH_PAST, Subject, Unit, Watch
from faultmodel.errors import WordError
from faultmodel.exits import errno_of, reason_of

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
FIELDS = (
    *("name", "enabled", "watch", "reason", "errno", "host", "vm", "guest", "arch"),
    *("above", "below", "past", "at_least", "over", "for", "severity", "summary", "runbook"),
)
_NUMBER = r"(\d{1,12}(?:\.\d{1,6})?)"
_RATE = re.compile(rf"{_NUMBER}\s*/\s*(s|min|h)")
_TIME = re.compile(rf"{_NUMBER}\s*(s|m|h|d)")
_TIMES = re.compile(rf"{_NUMBER}\s*x")
_COUNT = re.compile(_NUMBER)
_PER_S: Mapping[str, int] = {"s": 1, "min": MINUTE_S, "h": HOUR_S}
_UNIT_S: Mapping[str, int] = {"s": 1, "m": MINUTE_S, "h": HOUR_S, "d": DAY_S}
_LONGEST_S = 7 * DAY_S
_PAGE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}|https?://[^\s/]\S*")
_ANYTHING = re.compile(".+")
_HOW_NAME = "write a name of small letters, digits and hyphens, of 63 characters at most"
_HOW_SUMMARY = "it is missing: say in a sentence what is the matter when the rule holds"
_HOW_RUNBOOK = (
    "name the page that says what to do: one of docs/runbooks without its folder and .md, or an http or https"
    " address"
)
_GUEST_ID = re.compile("[0-9a-f]{16}")
_HOW: Mapping[Unit, str] = {
    Unit.PER_SECOND: '"100/s", "3/min" or "1/h"',
    Unit.SECONDS: '"30s", "5m", "2h" or "1d"',
    Unit.COUNT: "a number, as 0",
}


class _Limit(NamedTuple):
    comparison: Comparison
    threshold: float
    times: float | None


def read_rule(fields: Fields, *, is_default: bool) -> Rule | None:
    """Return a rule; None where something is wrong with it, which is then noted."""
    fields.check_names(FIELDS)
    name = fields.text("name", NAME, _HOW_NAME)
    watch = fields.choice("watch", Watch)
    severity = fields.choice("severity", Severity, Severity.WARNING)
    summary = fields.text("summary", _ANYTHING, _HOW_SUMMARY)
    runbook = fields.text("runbook", _PAGE, _HOW_RUNBOOK)
    for_s = _duration(fields, "for")
    if watch is None or severity is None:
        return None
    limit = _limit(fields, watch)
    past = _past(fields, watch, limit)
    over_s = _over(fields, watch)
    reason = _exit_word(fields, "reason", watch, reason_of)
    errno = _exit_word(fields, "errno", watch, errno_of)
    selector = _selector(fields, watch)
    if limit is None or not fields.is_right:
        return None
    return Rule(
        name=name,
        watch=watch,
        comparison=limit.comparison,
        threshold=limit.threshold,
        times=limit.times,
        past=past,
        over_s=over_s,
        for_s=for_s,
        severity=severity,
        summary=summary,
        runbook=runbook,
        selector=selector,
        reason=reason,
        errno=errno,
        is_default=is_default,
    )


def _limit(fields: Fields, watch: Watch) -> _Limit | None:
    given = [side for side in Comparison if fields.has(side)]
    if len(given) != 1:
        how = _HOW[WATCHED[watch].unit]
        fields.add(
            given[1] if given else "above",
            f"write one of above and below: a threshold for {watch} is {how}",
        )
        return None
    (side,) = given
    value = fields.raw(side)
    found = _TIMES.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        if fields.has("at_least"):
            fields.add("at_least", 'it goes with above = "10x": leave it out')
        threshold = _threshold(fields, side, watch)
        return None if threshold is None else _Limit(side, threshold, None)
    times = float(found[1])
    if not times:
        fields.add(side, "0 times the past is nothing: write how many times, as 10x")
    if watch not in WITH_PAST:
        listed = ", ".join(one for one in Watch if one in WITH_PAST)
        fields.add(side, f"only {listed} are held against the past: write {_HOW[WATCHED[watch].unit]}")
    least: float | None = 0.0
    if fields.has("at_least"):
        if side is Comparison.BELOW:
            fields.add("at_least", "it goes with above alone: leave it out")
        least = _threshold(fields, "at_least", watch)
    return None if least is None else _Limit(side, least, times)


def _threshold(fields: Fields, name: str, watch: Watch) -> float | None:
    value, unit = fields.raw(name), WATCHED[watch].unit
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    match unit:
        case Unit.PER_SECOND if isinstance(value, str) and (found := _RATE.fullmatch(value)):
            return float(found[1]) / _PER_S[found[2]]
        case Unit.SECONDS if isinstance(value, str) and (found := _TIME.fullmatch(value)):
            return float(found[1]) * _UNIT_S[found[2]]
        case Unit.COUNT if isinstance(text, str) and (found := _COUNT.fullmatch(text)):
            return float(found[1])
    fields.add(name, f"{str(value)[:40]!r} is no threshold for {watch}: write {_HOW[unit]}")
    return None


def _past(fields: Fields, watch: Watch, limit: _Limit | None) -> Past | None:
    if limit is not None and limit.times is not None:
        return fields.choice("past", Past)
    if limit is not None and fields.has("past"):
        fields.add("past", f'it goes with a threshold of so many times, as above = "10x": {watch} has none')
    return None


def _over(fields: Fields, watch: Watch) -> int:
    if not fields.has("over"):
        return DEFAULT_OVER_S
    if not WATCHED[watch].has_window:
        fields.add("over", f"{watch} is as it is now, over no time: leave it out")
        return DEFAULT_OVER_S
    over_s = _duration(fields, "over")
    if over_s not in OVER_S:
        fields.add("over", f"write one of {', '.join(map(written_s, OVER_S))}")
    return over_s


def _duration(fields: Fields, name: str) -> int:
    value = fields.raw(name)
    if value is None:
        return 0
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    seconds = None if found is None else float(found[1]) * _UNIT_S[found[2]]
    if seconds is None or seconds > _LONGEST_S or not seconds.is_integer():
        fields.add(name, f"{str(value)[:40]!r} is no time of whole seconds up to 7d: write 30s, 5m, 2h or 1d")
        return 0
    return int(seconds)


def _exit_word(fields: Fields, name: str, watch: Watch, read: Callable[[str], int]) -> int | None:
    value = fields.raw(name)
    if value is None:
        return None
    if watch is not Watch.EXITS:
        fields.add(name, f'it goes with watch = "{Watch.EXITS}": leave it out')
        return None
    try:
        return read(str(value))
    except WordError as exc:
        fields.add(name, str(exc))
        return None


def _selector(fields: Fields, watch: Watch) -> Selector:
    selector = Selector(
        hosts=fields.texts("host"),
        vms=fields.texts("vm"),
        guests=fields.texts("guest"),
        archs=fields.texts("arch"),
    )
    wrong = [one for one in selector.guests if not _GUEST_ID.fullmatch(one)]
    if wrong:
        fields.add("guest", f"{wrong[0][:40]!r} is no guest's id: a VM's name or a glob goes into vm")
    if WATCHED[watch].subject is Subject.HOST:
        for name in ("vm", "guest", "arch"):
            if fields.has(name):
                fields.add(name, f"{watch} is of hosts, which are chosen by host alone: leave it out")
    return selector
