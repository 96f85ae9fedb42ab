# SPDX-License-Identifier: Apache-2.0
"""What is remembered of changes: those that are stored, whatever was undone meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from backend.store.contract import changes as changes_module
from backend.store.contract.changes import FOR_EVER_MS, Change, Changes


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> Changes:
    """Return the changes of a process that hears others' and waits for what it has not heard yet."""
    monkeypatch.setattr(changes_module, "_SETTLED_S", 600)
    changes = Changes()
    changes.hears_others = True
    changes.hear(1, 1, announced(1000))
    return changes


def announced(first_ms: int) -> Change:
    """Return a change of another process."""
    return Change(first_ms=first_ms, counted=None, is_stored=True, is_own=False)


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


def test_a_change_that_is_read_before_it_is_announced_is_waited_for(changes: Changes) -> None:
    with ThreadPoolExecutor(1) as reader:
        found = reader.submit(changes.same_before, {1: 1}, {1: 2})
        changes.hear(1, 2, announced(2000))
        assert found.result() == 2000
    assert changes.counted_between({1: 1}, {1: 2}) is None
    assert not changes.is_own(1, 2)


def test_what_is_read_before_it_is_known_to_be_stored_is_waited_for(changes: Changes) -> None:
    with ThreadPoolExecutor(1) as reader:
        with changes.noting() as note:
            note(1, 2, Change(first_ms=2000, counted={}))
            found = reader.submit(changes.same_before, {1: 1}, {1: 2})
        assert found.result() == 2000
    assert changes.is_own(1, 2)


def test_a_number_that_was_undone_here_and_given_elsewhere_is_not_taken_for_the_one_here(
    changes: Changes,
) -> None:
    with ThreadPoolExecutor(1) as reader:
        with suppress(RuntimeError), changes.noting() as note:
            note(1, 2, Change(first_ms=FOR_EVER_MS, counted={}))
            # Another process has stored its own change by now.
            found = reader.submit(changes.same_before, {1: 1}, {1: 2})
            raise RuntimeError
        assert found.result() == 0
    changes.hear(1, 2, announced(2000))
    assert changes.same_before({1: 1}, {1: 2}) == 2000


def test_what_is_announced_of_a_number_that_is_being_undone_here_stays(changes: Changes) -> None:
    with suppress(RuntimeError), changes.noting() as note:
        note(1, 2, Change(first_ms=FOR_EVER_MS, counted={}))
        changes.hear(1, 2, announced(2000))
        raise RuntimeError
    assert changes.same_before({1: 1}, {1: 2}) == 2000


def test_what_nobody_tells_is_waited_for_once(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "_SETTLED_S", 0.01)
    assert changes.same_before({1: 1}, {1: 2}) == 0
    # This would not end.
    monkeypatch.setattr(changes_module, "_SETTLED_S", 10**6)
    assert changes.same_before({1: 2}, {1: 3}) == 0
    changes.hear(1, 4, announced(4000))
    assert changes.same_before({1: 3}, {1: 4}) == 4000
