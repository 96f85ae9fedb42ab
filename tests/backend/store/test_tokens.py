# SPDX-License-Identifier: Apache-2.0
from backend.store.contract.access import Token
from backend.store.contract.store import Store


def test_tokens_are_kept(store: Store) -> None:
    ingest = Token("a" * 64, "ingest", "host-1")
    read = Token("b" * 64, "read", None)
    store.add_token(read)
    store.add_token(ingest)

    assert store.tokens() == [ingest, read]


def test_a_token_is_found_by_its_hash_until_it_is_removed(store: Store) -> None:
    token = Token("a" * 64, "ingest", "host-1")
    store.add_token(token)
    assert store.token(token.sha256) == token
    assert store.token("b" * 64) is None

    store.remove_token(token.sha256)
    store.remove_token("b" * 64)

    assert store.token(token.sha256) is None
    assert store.tokens() == []


def test_a_token_that_is_added_twice_is_there_once(store: Store) -> None:
    token = Token("a" * 64, "read", None)
    store.add_token(token)
    store.add_token(token)

    assert store.tokens() == [token]
