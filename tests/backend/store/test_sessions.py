# SPDX-License-Identifier: Apache-2.0
import pytest

from backend.store.contract.access import Session, Token
from backend.store.contract.jobs import JobClaim
from backend.store.contract.store import Store
from backend.store.sql.catalog import sessions

TOKEN = Token("a" * 64, "read", None)
EVER = 2**62
OTHER = Token("b" * 64, "read", None)


@pytest.fixture(autouse=True)
def with_tokens(store: Store) -> None:
    """Have two tokens in the store."""
    store.add_token(TOKEN)
    store.add_token(OTHER)


def test_a_session_is_of_its_token_until_it_ends(store: Store) -> None:
    store.add_session(Session("1", TOKEN.sha256, ends_ns=10))

    assert store.session_tokens(["1"], 9, EVER).get("1") == TOKEN
    assert store.session_tokens(["1"], 10, EVER).get("1") is None
    assert store.session_tokens(["2"], 9, EVER).get("2") is None


def test_a_session_is_removed(store: Store) -> None:
    store.add_session(Session("1", TOKEN.sha256, ends_ns=10))
    store.add_session(Session("2", TOKEN.sha256, ends_ns=10))

    store.remove_session("1")
    store.remove_session("3")

    assert list(map(store.session_tokens(list("12"), 0, EVER).get, "12")) == [None, TOKEN]


def test_with_a_token_its_sessions_end_for_good(store: Store) -> None:
    store.add_session(Session("1", TOKEN.sha256, ends_ns=10))
    store.add_session(Session("2", OTHER.sha256, ends_ns=10))

    store.remove_token(TOKEN.sha256)
    store.add_token(TOKEN)

    assert list(map(store.session_tokens(list("12"), 0, EVER).get, "12")) == [None, OTHER]


def test_a_session_that_ends_too_late_is_not_open(store: Store) -> None:
    store.add_session(Session("1", TOKEN.sha256, ends_ns=10))

    assert store.session_tokens(["1"], 0, 10).get("1") == TOKEN
    assert store.session_tokens(["1"], 0, 9).get("1") is None


def test_sessions_that_end_at_other_times_are_forgotten_and_counted(store: Store) -> None:
    job = JobClaim(name="job", holder="one", began_ns=0, within_ns=100, every_ns=100)
    assert store.claim_job(job)
    for name, ends_ns in (("1", 10), ("2", 11), ("3", 12), ("4", 13), ("5", 14)):
        store.add_session(Session(name, TOKEN.sha256, ends_ns))

    assert store.remove_sessions_outside(11, 13, job) == 3
    assert store.remove_sessions_outside(11, 13, job) == 0
    assert list(map(store.session_tokens(list("12345"), 0, EVER).get, "12345")) == [
        None,
        None,
        TOKEN,
        TOKEN,
        None,
    ]


def test_of_very_many_those_that_end_first_make_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 2)
    for name, ends_ns in (("1", 10), ("2", 30), ("3", 20), ("4", 40)):
        store.add_session(Session(name, TOKEN.sha256, ends_ns))

    assert list(map(store.session_tokens(list("1234"), 0, EVER).get, "1234")) == [None, TOKEN, None, TOKEN]
