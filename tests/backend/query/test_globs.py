# SPDX-License-Identifier: Apache-2.0
"""Names and globs."""

import pytest

from backend.query.globs import is_glob, matching, plain, resolved

NAMES = ["a", "ab", "a*", "a[b]", "a\\b", "A", "a\nb", ""]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["*"], NAMES),
        (["a*"], ["a", "ab", "a*", "a[b]", "a\\b", "a\nb"]),
        (["a?"], ["ab", "a*"]),
        ([r"a\*"], ["a*"]),
        (["a[b]"], ["a[b]"]),
        (["a[b]*"], ["a[b]"]),
        ([r"a\\b"], ["a\\b"]),
        (["A", "*]"], ["a[b]", "A"]),
        ([], []),
    ],
)
def test_names_that_match(wanted: list[str], found: list[str]) -> None:
    assert matching(NAMES, wanted) == found


def test_a_glob_of_many_wildcards_is_not_tried_in_every_way() -> None:
    # It would take for ever.
    assert matching(["a" * 250], ["*a" * 100 + "b"]) == []


def test_a_plain_name_is_itself_whether_there_is_one_or_not() -> None:
    assert resolved([r"x\*", "a?", "ab"], NAMES) == ["x*", "ab", "a*"]
    assert (is_glob(r"x\*"), is_glob("x*"), plain(r"x\*")) == (False, True, "x*")
