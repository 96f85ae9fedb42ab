# SPDX-License-Identifier: Apache-2.0
"""What is remembered of changes: those that are stored, whatever was undone meanwhile."""

from contextlib import suppress

from backend.store.contract.changes import Change, Changes


def many_counts() -> Change:
    """Return a change of as many counts as a large batch has."""
    return Change(first_ms=0, counted={(None, 0): dict.fromkeys(range(1, 10_001), 1)})


def test_what_was_undone_takes_no_room_from_what_is_stored() -> None:
    changes = Changes()
    stored = Change(first_ms=0, counted={(None, 7): {1: 5}})
    with changes.noting() as note:
        note(1, 1, stored)
    for _ in range(100):
        with suppress(RuntimeError), changes.noting() as note:
            note(1, 2, many_counts())
            raise RuntimeError
    assert changes.counted_between({1: 0}, {1: 1}) == [{(None, 7): {1: 5}}]
    # What was undone changed nothing, and its number is the next one's.
    assert changes.counted_between({1: 1}, {1: 2}) is None
    with changes.noting() as note:
        note(1, 2, Change(first_ms=3000, counted={}))
    assert changes.same_before({1: 1}, {1: 2}) == 3000


def test_of_more_than_there_is_room_for_only_the_newest_counts_are_known() -> None:
    changes = Changes()
    for number in range(1, 31):
        with changes.noting() as note:
            note(1, number, many_counts())
    assert changes.counted_between({1: 29}, {1: 30}) is not None
    assert changes.counted_between({1: 0}, {1: 30}) is None
