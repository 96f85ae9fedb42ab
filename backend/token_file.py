# SPDX-License-Identifier: Apache-2.0
"""Makes tokens and writes them to files that only their owner can read."""

import os
import secrets
import time
from pathlib import Path

from backend.auth import TokenKind, find_token, hash_token, new_token
from backend.errors import SettingError
from backend.private_files import close_to_others
from backend.store.contract.access import Token
from backend.store.contract.store import Store

_MIN_TOKEN_BYTES = 32
"""Of a token that the operator brings: shorter ones could be guessed."""
_MAX_TOKEN_BYTES = 512


def create_token_file(
    store: Store, kind: TokenKind, host: str | None, path: Path, *, if_missing: bool
) -> bool:
    """Make a token, write it to a new file of mode 0600 and keep its hash.

    :param host: whose batches an ingest token may hand in; None for a read token
    :param if_missing: leave a file that is there as it is; where the store (a new one, say) does not know
        the token in it, its hash is added
    :return: whether a file was written
    :raises SettingError: the file is there, cannot be written, or holds a token of another kind or host
    """
    if if_missing and path.exists():
        close_to_others(path)
        _keep(store, _read(path), kind, host)
        return False
    token = new_token(kind)
    _write(path, token)
    try:
        store.add_token(Token(hash_token(token), kind, host, time.time_ns()))
    except BaseException:
        path.unlink()
        raise
    return True


def _keep(store: Store, token: str, kind: TokenKind, host: str | None) -> None:
    known = find_token(store, token)
    if known is None:
        store.add_token(Token(hash_token(token), kind, host, time.time_ns()))
    elif (known.kind, known.host) != (kind, host):
        owner = f" of host {known.host}" if known.host else ""
        raise SettingError(f"the file holds a token of kind {known.kind}{owner}; name another file")


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            token = file.read(_MAX_TOKEN_BYTES + 1).decode("ascii").strip()
    except OSError as exc:
        raise SettingError(f"token file {path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise SettingError(f"token file {path} does not hold a token") from exc
    if not token or len(token) > _MAX_TOKEN_BYTES or not token.isprintable() or " " in token:
        raise SettingError(f"token file {path} does not hold a token")
    if len(token) < _MIN_TOKEN_BYTES:
        raise SettingError(f"token file {path} holds less than {_MIN_TOKEN_BYTES} characters")
    return token


def _write(path: Path, token: str) -> None:
    # Written beside and then linked: the file appears whole or not at all, and never over another. It is
    # made with its mode, so that there is no moment in which others could open it.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{token}\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(beside, path)
        finally:
            beside.unlink()
    except FileExistsError as exc:
        raise SettingError(f"token file {path} is there already; --if-missing keeps it") from exc
    except OSError as exc:
        raise SettingError(f"token file {path} cannot be written: {exc.strerror}") from exc
