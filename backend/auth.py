"""Who may do what: tokens, of which the database has only hashes, and the sessions of browsers.

A token of kind ``ingest`` hands in batches of its own host and can do nothing else; one of kind ``read``
reads and can do nothing else.
"""

import hashlib
import secrets
from enum import StrEnum

from backend.store.contract.store import Store
from backend.store.contract.values import Session, Token

SESSION_NS = 12 * 3600 * 10**9
"""A session ends this long after it was opened."""


class TokenKind(StrEnum):
    """What a token is for."""

    INGEST = "ingest"
    READ = "read"


def new_token(kind: TokenKind) -> str:
    """Return a token of 256 random bits. Its beginning tells people and secret scanners what it is."""
    return f"kvmfaults_{kind}_{secrets.token_urlsafe(32)}"


def hash_token(token: str) -> str:
    """Return a token's SHA-256, in hexadecimal. No salt: a random token cannot be guessed from a list."""
    return hashlib.sha256(token.encode()).hexdigest()


def find_token(store: Store, token: str) -> Token | None:
    """Return what the store knows of a token, None where it does not know it."""
    # The database looks up a hash: the time that takes tells nothing of any token.
    return store.token(hash_token(token))


def open_session(store: Store, token: str, now_ns: int) -> str:
    """Open a session for the token with this hash and return its secret name.

    Every server on this database knows it, of which the database has only a hash, too.
    """
    name = secrets.token_urlsafe(32)
    store.add_session(Session(hash_token(name), token, now_ns + SESSION_NS))
    return name


def token_of_session(store: Store, name: str, now_ns: int) -> Token | None:
    """Return the token of a session, None where it is not open or its token was taken away."""
    return store.session_token(hash_token(name), now_ns) if name else None


def close_session(store: Store, name: str, now_ns: int) -> None:
    """End a session, if it is open."""
    # Anybody may ask for this: nothing is written for a name that is none.
    if token_of_session(store, name, now_ns) is not None:
        store.remove_session(hash_token(name))
