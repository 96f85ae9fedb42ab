# SPDX-License-Identifier: Apache-2.0
"""User and password as one value: ``-u user:password`` of curl and those like it."""

import re

from collector.vms.identity.secret_urls import HIDDEN

LOGIN_OPTIONS = frozenset(("-u", "-U", "--user", "--proxy-user"))
_SAMBA_OPTIONS = frozenset(("-U", "--user"))
LAUNCHERS = frozenset(("docker", "podman", "nerdctl", "crun", "runc", "bwrap", "unshare", "setpriv"))
"""To these a user is one of the system, followed by a group."""
_LOGIN = re.compile(r"\A([^:/@\s,=]+:)(?!/).+", re.DOTALL)
_SAMBA_LOGIN = re.compile(r"\A((?:[^%\s,=/:]+/)?[^%\s,=/:]+%).+", re.DOTALL)
"""Source: smbclient(1), -U: [DOMAIN/]USERNAME[%PASSWORD]."""
_UID_AND_GID = re.compile(r"\d+:\d+")


def without_login(option: str, value: str) -> str:
    """Hide the password of ``user:password``; a user and a group in numbers, and a place, have none."""
    if option in _SAMBA_OPTIONS:
        value = _SAMBA_LOGIN.sub(rf"\1{HIDDEN}", value)
    return _LOGIN.sub(rf"\1{HIDDEN}", value) if not _UID_AND_GID.fullmatch(value) else value
