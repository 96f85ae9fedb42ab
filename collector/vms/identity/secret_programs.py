# SPDX-License-Identifier: Apache-2.0
"""Programs whose short options take a secret, as they stand in what a VMM or a shell around it runs."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from collector.vms.identity.secret_urls import HIDDEN


class _Short(NamedTuple):
    """An option with a secret: in the argument behind it, right behind it, or both."""

    option: str
    apart: bool
    glued: bool


_LDAP = ("ldapadd", "ldapdelete", "ldapmodify", "ldappasswd", "ldapsearch", "ldapwhoami")
_MYSQL = ("mariadb", "mariadb-admin", "mariadb-dump", "mysql", "mysqladmin", "mysqldump")
_SHORT: Mapping[str, _Short] = {
    "sshpass": _Short("-p", apart=True, glued=True),
    "ipmitool": _Short("-P", apart=True, glued=True),
    "redis-cli": _Short("-a", apart=True, glued=False),
    **dict.fromkeys(_LDAP, _Short("-w", apart=True, glued=True)),
    # What follows "-p" and a blank is a database (mysql(1), --password).
    **dict.fromkeys(_MYSQL, _Short("-p", apart=False, glued=True)),
}
_CURL = re.compile(r"(-[#0-46aBfgGijIJklLnNOpqRsSvVZ]*[uUE])(.*)", re.DOTALL)
"""Flags of curl(1) without a value, and then a user, or a certificate with its password."""
_CURL_LOGINS = frozenset(("--cert", "--proxy-cert"))

_RUN_BY_SSHPASS = ("ssh", "scp", "sftp", "rsync")
"""Their own ``-p`` is no password."""
PROGRAMS = frozenset((*_SHORT, *_RUN_BY_SSHPASS, "curl"))


def takes_secret_of(program: str, option: str) -> bool:
    """Return whether what follows this option of the program is a secret."""
    short = _SHORT.get(program)
    return short is not None and short.apart and option == short.option


def glued_secret(program: str, argument: str) -> str | None:
    """Return an option that has its secret right behind it as it is shown; None for any other argument."""
    short = _SHORT.get(program)
    if short is None or not short.glued or argument[:2] != short.option or len(argument) == 2:
        return None
    return argument[:2] + HIDDEN


def glued_login(program: str, argument: str) -> tuple[str, str]:
    """Split what holds an option of the program and right behind it a login: ``("-su", "me:secret")``.

    The option is empty where the argument is no such thing.
    """
    found = _CURL.fullmatch(argument) if program == "curl" else None
    return (found[1], found[2]) if found else ("", argument)


def takes_login_of(program: str, option: str) -> bool:
    """Return whether what follows this option of the program is somebody, or a file, and a password."""
    return program == "curl" and (option in _CURL_LOGINS or glued_login(program, option)[1:] == ("",))
