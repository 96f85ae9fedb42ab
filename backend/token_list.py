# SPDX-License-Identifier: Apache-2.0
"""Lists the tokens that the database knows, and takes them away."""

import re
from collections.abc import Sequence

from backend.auth import TokenKind
from backend.errors import SettingError
from backend.store.contract.access import Token
from backend.store.contract.store import Store
from faultmodel.text import printable

ID_LENGTH = 12
_PREFIX = re.compile("[0-9a-f]{4,64}")


def token_id(token: Token) -> str:
    """Return the beginning of a token's hash, by which people name it."""
    return token.sha256[:ID_LENGTH]


def describe_token(token: Token) -> str:
    """Return a token's line in a list: id, kind and, for ingest, the host."""
    return f"{token_id(token)}  {token.kind:<6}  {printable(token.host or '-')}"


def revoke_by_id(store: Store, prefix: str) -> Token:
    """Take away the token whose hash begins so, and return it. What was opened with it ends.

    :param prefix: at least four hexadecimal digits
    :raises SettingError: it is no such prefix, or not that of exactly one token
    """
    if not _PREFIX.fullmatch(prefix):
        raise SettingError(f"{prefix!r} is not 4 to 64 digits of a token's hash; kvmfaults-server token list")
    found = [token for token in store.tokens() if token.sha256.startswith(prefix)]
    if len(found) != 1:
        raise SettingError(f"{len(found) or 'no'} tokens begin with {prefix}; kvmfaults-server token list")
    store.remove_token(found[0].sha256)
    return found[0]


def revoke_by_kind(store: Store, kind: TokenKind, host: str | None) -> Sequence[Token]:
    """Take away every token of a kind, of one host where it is named, and return them.

    :raises SettingError: there is none
    """
    found = [token for token in store.tokens() if token.kind == kind and host in (None, token.host)]
    if not found:
        of_host = "" if host is None else f" of host {host}"
        raise SettingError(f"there is no {kind} token{of_host}")
    for token in found:
        store.remove_token(token.sha256)
    return found
