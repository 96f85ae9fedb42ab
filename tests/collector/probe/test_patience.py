# SPDX-License-Identifier: Apache-2.0
"""A slow host's programs are compiled in the end."""

from itertools import pairwise

import pytest

from collector.errors import CompileTimeoutError, ProbeError
from collector.probe.patience import Patience


def _fail(patience: Patience, error: type[ProbeError]) -> float:
    """Let a try end with an error, and return how long it had."""
    given = []

    def trying() -> None:
        with patience.trying() as given_s:
            given.append(given_s)
            raise error("the try failed")

    with pytest.raises(error):
        trying()
    return given[0]


def test_each_try_that_was_too_short_is_followed_by_a_longer_one_within_an_hour() -> None:
    patience = Patience(100.0)
    given = [_fail(patience, CompileTimeoutError) for _ in range(8)]
    assert given[0] == 100.0
    assert all(later >= 2 * earlier or later == 3600.0 for earlier, later in pairwise(given))
    assert given[-1] == 3600.0


def test_a_try_that_fails_otherwise_changes_nothing_and_success_begins_anew() -> None:
    patience = Patience(100.0)
    _fail(patience, CompileTimeoutError)
    assert _fail(patience, ProbeError) == 200.0
    with patience.trying() as given_s:
        assert given_s == 200.0
    with patience.trying() as given_s:
        assert given_s == 100.0
