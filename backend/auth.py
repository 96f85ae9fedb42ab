"""Who may do what: tokens, of which the database has only hashes, and the sessions of browsers.

A token of kind ``ingest`` hands in batches of its own host and can do nothing else; one of kind ``read``
reads and can do nothing else.
"""

import hashlib
import secrets
from enum import StrEnum
from threading import Lock

from backend.store.contract.store import Store
from backend.store.contract.values import Token

SESSION_NS = 12 * 3600 * 10**9
"""A session ends this long after it was opened."""
_MAX_SESSIONS = 10_000


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


class Sessions:
    """Browsers that showed a read token, in memory: a restart of the server ends them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: dict[str, tuple[str, int]] = {}

    def open(self, sha256: str, now_ns: int) -> str:
        """Open a session for the token with this hash and return its secret name."""
        name = secrets.token_urlsafe(32)
        with self._lock:
            if len(self._open) >= _MAX_SESSIONS:
                # The oldest makes room: a dict keeps the order in which it was filled.
                self._open.pop(next(iter(self._open)))
            self._open[name] = sha256, now_ns + SESSION_NS
        return name

    def token_hash(self, name: str, now_ns: int) -> str | None:
        """Return the hash of the token that opened a session, None where it is not open."""
        with self._lock:
            sha256, ends_ns = self._open.get(name, ("", 0))
            if now_ns < ends_ns:
                return sha256
            self._open.pop(name, None)
            return None

    def close(self, name: str) -> None:
        """End a session, if it is open."""
        with self._lock:
            self._open.pop(name, None)
