# SPDX-License-Identifier: Apache-2.0
"""Who may do what: tokens, of which the database has only hashes, and the sessions of browsers.

A token of kind ``ingest`` hands in batches of its own host and can do nothing else; one of kind ``read``
reads and can do nothing else; one of kind ``record`` reads, and has hosts record every fault of a VM.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from enum import StrEnum

from backend.store.contract.access import Session, Token
from backend.store.contract.store import Store

SESSION_NS = 12 * 3600 * 10**9
"""A session ends this long after it was opened."""
_APART_NS = 300 * 10**9
"""By so much servers' clocks may differ: whoever logs in at one has a session at the others, too."""

_LATEST_NS = 2**63 - 1


class TokenKind(StrEnum):
    """What a token is for."""

    INGEST = "ingest"
    READ = "read"
    RECORD = "record"


READERS = frozenset((TokenKind.READ, TokenKind.RECORD))
"""Whose holders may read."""


def new_token(kind: TokenKind) -> str:
    """Return a token of 256 random bits. Its beginning shows people and secret scanners what it is."""
    return f"kvmfaults_{kind}_{secrets.token_urlsafe(32)}"


def hash_token(token: str) -> str:
    """Return a token's SHA-256, in hexadecimal. No salt: a random token cannot be guessed from a list."""
    return hashlib.sha256(token.encode()).hexdigest()


def find_token(store: Store, token: str) -> Token | None:
    """Return what the store knows of a token, None where it does not know it."""
    # The database looks up a hash: the time that takes shows nothing of any token.
    return store.token(hash_token(token))


def open_session(store: Store, token: str, now_ns: int) -> str:
    """Open a session for the token with this hash and return its secret name.

    Every server on this database knows it, of which the database has only a hash, too.
    """
    name = secrets.token_urlsafe(32)
    store.add_session(Session(hash_token(name), token, now_ns + SESSION_NS))
    return name


def tokens_of_sessions(store: Store, names: Sequence[str], now_ns: int) -> Mapping[str, Token]:
    """Return the tokens of sessions that are open, by the hashes of their names.

    Whose token was taken away is not open.

    :param names: hashes of them
    """
    # One that ends later than any that is opened now was opened by a clock that was ahead.
    return store.session_tokens(names, now_ns, now_ns + SESSION_NS + _APART_NS)


def has_session(store: Store, name: str) -> bool:
    """Return whether there is a session of this name, open or not."""
    return bool(name) and bool(store.session_tokens([hash_token(name)], 0, _LATEST_NS))


def close_session(store: Store, name: str) -> None:
    """End a session, if it is there."""
    store.remove_session(hash_token(name))
