# SPDX-License-Identifier: Apache-2.0
"""Times as people and programs write them, read and written in one place.

Inside the server a time is an integer, UTC since the epoch, in ms or ns as its name says.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from backend.errors import ParameterError
from faultmodel.units import NS_PER_MS

PATTERN = (
    r"^(now(-[0-9]{1,6}[smhdw])?"
    r"|[0-9]{1,15}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[-+ ][0-9]{2}:[0-9]{2}))$"
)
"""What ``parse_time`` reads. A space for the plus of an offset is a plus that a URL did not escape."""
DURATION_PATTERN = "^([0-9]{1,9}[smhdw]|[0-9]{1,15})$"
"""What ``parse_duration`` reads."""
MAX_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, the last that RFC 3339 can write."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_RELATIVE = re.compile(r"now(?:-([0-9]{1,6})([smhdw]))?")
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_MILLISECONDS = re.compile(r"[0-9]{1,15}")
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}):([0-9]{2})(\.[0-9]{1,9})?"
    r"(?:[Zz]|([-+ ])([0-9]{2}):([0-9]{2}))"
)
_HOW = "write 2026-01-31T12:00:00Z, now, now-15m or milliseconds since the epoch"


def parse_time(parameter: str, text: str, now_ms: int) -> int:
    """Return a time in UTC ms, at most ``MAX_MS``; what lies before 1970 is 0.

    RFC 3339 (a leap second is the second after it; below the millisecond it is cut off), ``now``, ``now-15m``
    with s, m, h, d or w, or milliseconds since the epoch.

    :raises ParameterError: naming ``parameter``; it is none of these, or no date in the calendar
    """
    relative = _RELATIVE.fullmatch(text)
    if relative:
        amount, unit = relative.groups()
        return max(0, now_ms - (int(amount) * _UNIT_MS[unit] if unit else 0))
    time_ms = int(text) if _MILLISECONDS.fullmatch(text) else _parse_rfc3339(parameter, text)
    if time_ms > MAX_MS:
        raise ParameterError(parameter, f"{text!r} is after the year 9999")
    return max(0, time_ms)


def is_relative(text: str) -> bool:
    """Return whether a time as ``parse_time`` reads it is another one a moment later."""
    return text.startswith("now")


def parse_duration(parameter: str, text: str) -> int:
    """Return a duration in ms, written ``10s`` (s, m, h, d, w) or as milliseconds.

    :raises ParameterError: naming ``parameter``
    """
    with_unit = _DURATION.fullmatch(text)
    if with_unit:
        return int(with_unit[1]) * _UNIT_MS[with_unit[2]]
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    raise ParameterError(parameter, f"{text!r} is not a duration; write 10s, 1m or milliseconds")


def rfc3339_ms(time_ms: int) -> str:
    """Write a time with three digits of the second."""
    seconds, fraction = divmod(_writable(time_ms, MAX_MS), 1_000)
    return f"{_second(seconds)}.{fraction:03}Z"


def rfc3339_ns(time_ns: int) -> str:
    """Write a time with nine digits of the second."""
    seconds, fraction = divmod(_writable(time_ns, MAX_MS * NS_PER_MS), 1_000_000_000)
    return f"{_second(seconds)}.{fraction:09}Z"


def _writable(time: int, last: int) -> int:
    # Counts come from hosts whose clocks may be anything; a calendar has no room for some of that.
    return max(0, min(time, last))


@lru_cache(maxsize=4096)  # A list of VMs is asked for again each second.
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def _parse_rfc3339(parameter: str, text: str) -> int:
    match = _RFC3339.fullmatch(text)
    if not match:
        raise ParameterError(parameter, f"{text!r} is not a time; {_HOW}")
    date, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    leap = second == "60"
    try:
        instant = datetime.fromisoformat(f"{date}T{minute}:{'59' if leap else second}+00:00")
    except ValueError as exc:
        raise ParameterError(parameter, f"{text!r} is not in the calendar: {exc}") from None
    time_ms = (instant - _EPOCH) // timedelta(milliseconds=1) + (1_000 if leap else 0)
    if fraction and not leap:
        time_ms += int(fraction[1:4].ljust(3, "0"))
    return time_ms - _offset_ms(parameter, text, sign, offset_hours, offset_minutes)


def _offset_ms(parameter: str, text: str, sign: str | None, hours: str | None, minutes: str | None) -> int:
    if hours is None or minutes is None:
        return 0
    if int(hours) > 23 or int(minutes) > 59:
        raise ParameterError(parameter, f"{text!r} has no offset of a time zone")
    offset_ms = int(hours) * _UNIT_MS["h"] + int(minutes) * _UNIT_MS["m"]
    return -offset_ms if sign == "-" else offset_ms
