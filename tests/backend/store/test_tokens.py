from backend.store.base import Store, Token


def test_tokens_are_kept(store: Store) -> None:
    ingest = Token("a" * 64, "ingest", "host-1")
    read = Token("b" * 64, "read", None)
    store.add_token(read)
    store.add_token(ingest)

    assert store.tokens() == [ingest, read]


def test_a_token_that_is_added_twice_is_there_once(store: Store) -> None:
    token = Token("a" * 64, "read", None)
    store.add_token(token)
    store.add_token(token)

    assert store.tokens() == [token]
