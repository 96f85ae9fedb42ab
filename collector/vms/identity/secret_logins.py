# SPDX-License-Identifier: Apache-2.0
"""User and password as one value: ``-u user:password`` of curl and those like it."""

import re

from collector.vms.identity.secret_names import last_word, words_of
from collector.vms.identity.secret_urls import HIDDEN

GLUED = ("-u", "-U")
"""Options that may have their value right behind them."""
LAUNCHERS = frozenset(("docker", "podman", "nerdctl", "crun", "runc", "bwrap", "unshare", "setpriv"))
"""To these a user is one of the system, followed by a group."""
_USERS = frozenset(
    ("user", "username", "login", "account", "creds", "proxyuser", "httpuser", "ftpuser", "rpcuser")
)
"""An option whose name ends with one of these has as its value who somebody is, often with the password."""
_OF_THE_SYSTEM = frozenset(("run", "runas", "as", "map", "drop", "switch", "allow", "deny", "no"))
"""An option with one of these words, as ``--run-as-user``: its value is a user of the system, and a group."""
_OPTION = re.compile(r"-+[A-Za-z][\w.-]*")
_LISTED = re.compile(r"(?:.*[.-])?(?:user|username|login)", re.IGNORECASE | re.DOTALL)
_LOGIN = re.compile(r"\A([^:]*:)(?!//).+", re.DOTALL)
_PLACE = re.compile(r"\A(?:unix|vsock|file|fd|tcp|udp|ssh|https?):/", re.IGNORECASE)
_LISTED_LOGIN = re.compile(r"\A([^:/@\s,=]+:)(?!/).+", re.DOTALL)
_SAMBA_LOGIN = re.compile(r"\A((?:[^%\s,=/:]+/)?[^%\s,=/:]+%).+", re.DOTALL)
"""Source: smbclient(1), -U: [DOMAIN/]USERNAME[%PASSWORD]."""
_NUMBERS = re.compile(r"\d*:\d+")
"""User and group in numbers, or a display."""


def takes_login(option: str) -> bool:
    """Return whether the value of an option, as ``--proxy-user``, is a user and perhaps a password."""
    if option in GLUED:
        return True
    if not _OPTION.fullmatch(option) or last_word(option) not in _USERS:
        return False
    return not _OF_THE_SYSTEM.intersection(word.lower() for word in words_of(option))


def is_user(name: str) -> bool:
    """Return whether what has this name in a list is a user: ``username``, ``proxy-user``."""
    return _LISTED.fullmatch(name) is not None


def without_login(option: str, value: str) -> str:
    """Hide the password of ``user:password``; a user and a group in numbers, and a place, have none."""
    if option != "-u":
        value = _SAMBA_LOGIN.sub(rf"\1{HIDDEN}", value)
    if _NUMBERS.fullmatch(value) or _PLACE.match(value):
        return value
    return _LOGIN.sub(rf"\1{HIDDEN}", value)


def without_listed_login(value: str) -> str:
    """Hide the password of a user in a list, where a value may be many other things."""
    value = _SAMBA_LOGIN.sub(rf"\1{HIDDEN}", value)
    return value if _NUMBERS.fullmatch(value) else _LISTED_LOGIN.sub(rf"\1{HIDDEN}", value)
