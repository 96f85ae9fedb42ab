# SPDX-License-Identifier: Apache-2.0
"""Times as people write them."""

import pytest

from backend.errors import ParameterError
from backend.times import parse_duration, parse_time, rfc3339_ms, rfc3339_ns

NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("now", NOW_MS),
        ("now-15s", NOW_MS - 15_000),
        ("now-15m", NOW_MS - 900_000),
        ("now-2h", NOW_MS - 7_200_000),
        ("now-1d", NOW_MS - 86_400_000),
        ("now-1w", NOW_MS - 604_800_000),
        ("now-999999w", 0),
        ("0", 0),
        ("1800000000123", 1_800_000_000_123),
        ("1970-01-01T00:00:00Z", 0),
        ("2027-01-15T08:00:00Z", NOW_MS),
        ("2027-01-15t08:00:00z", NOW_MS),
        ("2027-01-15 08:00:00Z", NOW_MS),
        ("2027-01-15T09:30:00+01:30", NOW_MS),
        ("2027-01-15T07:00:00-01:00", NOW_MS),
        ("2027-01-15T09:00:00 01:00", NOW_MS),
        ("2027-01-15T08:00:00.1Z", NOW_MS + 100),
        ("2027-01-15T08:00:00.123999999Z", NOW_MS + 123),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("0001-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ],
)
def test_a_time_is_read(text: str, time_ms: int) -> None:
    assert parse_time("from", text, NOW_MS) == time_ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "now-",
        "now-15",
        "now-15y",
        "now+15m",
        "-1",
        "1e3",
        "１２３",
        "2027-01-15",
        "2027-01-15T08:00:00",
        "2027-02-30T08:00:00Z",
        "2027-01-15T24:00:00Z",
        "2027-01-15T08:00:61Z",
        "2027-01-15T08:00:00+24:00",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "253402300800000",
        "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59-01:00",
        "now\n",
    ],
)
def test_what_is_no_time_is_refused_by_the_name_of_its_parameter(text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_time("from", text, NOW_MS)
    assert caught.value.parameter == "from"


@pytest.mark.parametrize(
    ("text", "duration_ms"), [("1s", 1000), ("10m", 600_000), ("1h", 3_600_000), ("2500", 2500), ("0", 0)]
)
def test_a_duration_is_read(text: str, duration_ms: int) -> None:
    assert parse_duration("step", text) == duration_ms


@pytest.mark.parametrize("text", ["", "s", "1.5s", "-1s", "1y", "1 s", "1S"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="not a duration"):
        parse_duration("step", text)


def test_times_are_written_with_all_their_digits() -> None:
    assert rfc3339_ms(NOW_MS + 7) == "2027-01-15T08:00:00.007Z"
    assert rfc3339_ns(NOW_MS * 10**6 + 7) == "2027-01-15T08:00:00.000000007Z"
    assert rfc3339_ns(2**63 - 1) == "2262-04-11T23:47:16.854775807Z"


def test_a_time_that_no_calendar_has_is_written_as_the_nearest() -> None:
    assert rfc3339_ms(2**53) == "9999-12-31T23:59:59.999Z"
    assert rfc3339_ms(-1) == "1970-01-01T00:00:00.000Z"
