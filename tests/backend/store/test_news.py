# SPDX-License-Identifier: Apache-2.0
"""What one process stored is heard of by another on the same database, and its own by none."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from backend.store import open_store
from backend.store.contract.changes import Change
from backend.store.contract.news import Listener, decode, encode, news_of
from backend.store.contract.store import Store
from tests.backend.store.conftest import NewUrl
from tests.batches import NS_PER_S, START_MS, START_NS, make_batch, make_vm
from tests.product import wait_for

PATIENCE_S = 120.0
RECEIVED_NS = START_NS + 60 * NS_PER_S
MOST_BYTES = 8000
"""Of a notification: PostgreSQL, async.c, NOTIFY_PAYLOAD_MAX_LENGTH."""


class Listening:
    """Two processes on one database, each with its listener."""

    def __init__(self, url: str, ours: Store, theirs: Store, listeners: tuple[Listener, Listener]) -> None:
        self.url = url
        self.ours, self.theirs = ours, theirs
        self._listeners = listeners
        self._number = 0

    def heard(self, *, by_ours: bool) -> list[int | None]:
        """Return the numbers of changes that a process has just heard of; None: something was stored."""
        # Whoever listens also announces what it has stored.
        self._listeners[by_ours].listen(0)
        news = self._listeners[not by_ours].listen(0.05)
        return [None] if news is None else [item.change for item in news]

    def store(self, by: Store) -> None:
        """Have a process store a batch."""
        assert by.apply(make_batch(self._number, vms=[make_vm()]), RECEIVED_NS)
        self._number += 1


@pytest.fixture
def listening(new_url: NewUrl) -> Iterator[Listening]:
    url = new_url()
    with ExitStack() as stack:
        ours, theirs = (stack.enter_context(closing(open_store(url))) for _ in range(2))
        listeners = stack.enter_context(ours.listening()), stack.enter_context(theirs.listening())
        yield Listening(url, ours, theirs, listeners)


def test_what_another_process_stored_is_heard_of_and_known_not_to_be_ones_own(listening: Listening) -> None:
    listening.store(listening.ours)
    listening.store(listening.theirs)
    wait_for(
        lambda: any(change in (None, 2) for change in listening.heard(by_ours=True)) or None,
        PATIENCE_S,
        "it is heard of",
    )
    [(host, change)] = listening.ours.host_changes().items()
    assert (change.name, change.change, change.received_ns) == ("host-1", 2, RECEIVED_NS)
    assert listening.ours.is_own_change(host, 1)
    assert not listening.ours.is_own_change(host, 2)
    assert listening.theirs.is_own_change(host, 2)


def test_nobody_hears_of_what_it_stored_itself(listening: Listening) -> None:
    listening.store(listening.ours)
    wait_for(lambda: listening.heard(by_ours=False) or None, PATIENCE_S, "the other hears of it")
    assert listening.heard(by_ours=True) == []


def test_a_batch_that_was_stored_before_is_not_announced(listening: Listening) -> None:
    batch = make_batch(7)
    assert listening.theirs.apply(batch, RECEIVED_NS)
    wait_for(lambda: listening.heard(by_ours=True) or None, PATIENCE_S, "it is heard of")
    assert not listening.theirs.apply(batch, RECEIVED_NS)
    listening.store(listening.theirs)
    heard: list[int | None] = []

    def is_heard() -> bool | None:
        heard.extend(listening.heard(by_ours=True))
        return any(change in (None, 2) for change in heard) or None

    wait_for(is_heard, PATIENCE_S, "the next is heard of")
    assert heard in ([2], [None])


@pytest.mark.parametrize("database", ["postgresql"])
@pytest.mark.parametrize("text", ["", "nonsense", "{}", '{"host": "x"}', "[1]"])
def test_news_that_cannot_be_read_may_be_anything(listening: Listening, text: str) -> None:
    with psycopg.connect(listening.url, autocommit=True) as connection:
        connection.execute("SELECT pg_notify('kvmfaults_batches', %s)", (text,))
    wait_for(lambda: listening.heard(by_ours=True) == [None] or None, PATIENCE_S, "something is heard of")


def test_news_are_read_as_they_were_written_and_are_never_too_long() -> None:
    for described in (None, [], [1, 2**62], range(2**62, 2**62 + 200), range(2**62, 2**62 + 50_000)):
        change = Change(first_ms=START_MS, counted=None, described=described, begins=True)
        news = news_of("f" * 16, 2**62, 2**62, change)
        text = encode(news)
        assert decode(text) == news
        assert len(text.encode()) < MOST_BYTES
        assert news.described == (None if described is None or len(described) > 200 else tuple(described))
