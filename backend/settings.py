# SPDX-License-Identifier: Apache-2.0
"""What an operator can set. ``backend.__main__`` reads it from the command line and the environment."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from backend.errors import SettingError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8470
DEFAULT_PROXIES = ("127.0.0.1",)
MOST_WORKERS = 64
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the server runs.

    ``series``: the URL of counts and records, None where they are in the database.
    ``frontend``: the folder of the page, None for the one that comes with the server.
    ``expects_collector``: not ready until a host's probes are attached.
    ``alerts``: the file of the rules of alerts, None for the default ones alone.
    ``alertmanagers``: the addresses of those that are sent alerts.
    ``workers``: processes that serve on one socket.
    ``allowed_hosts``: names, beside the loopback ones and ``host``, under which it may be addressed.
    ``trusted_proxies``: addresses and networks that are believed for whom they ask.
    """

    database: str
    series: str | None = None
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    frontend: Path | None = None
    expects_collector: bool = True
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = DEFAULT_PROXIES
    alerts: Path | None = None
    alertmanagers: tuple[str, ...] = ()
    workers: int = 1

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def requires_tokens(self) -> bool:
        """Whether a reader must show who they are."""
        return not self.is_loopback

    @property
    def database_kind(self) -> str:
        """``sqlite`` or ``postgresql``: only the scheme of the URL, which may hold a password."""
        return self.database.partition(":")[0].partition("+")[0]


def has_password(url: str) -> bool:
    """Return whether a database's URL holds a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.password) or "password" in parse_qs(parts.query)


def parse_port(text: str) -> int:
    """Return a TCP port; 0 lets the system choose one. :raises SettingError: it is none"""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise SettingError(f"port {text!r} is not a number from 0 to 65535")
    return int(text)


def parse_workers(text: str) -> int:
    """Return a number of processes. :raises SettingError: it is none"""
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and 1 <= int(text) <= MOST_WORKERS):
        raise SettingError(f"workers {text!r} is not a number from 1 to {MOST_WORKERS}")
    return int(text)


def parse_proxy(text: str) -> str:
    """Return the address, or the network of addresses, of a proxy that is believed for whom it asks.

    :raises SettingError: it is neither, or any address is in it
    """
    named = f"trusted proxy {text!r}"
    try:
        network = ipaddress.ip_network("0.0.0.0/0" if text == "*" else text)
    except ValueError as exc:
        raise SettingError(f"{named} is no address and no network of addresses: {exc}") from exc
    if not network.prefixlen:
        raise SettingError(f"{named} would let anybody say whose address they have; name the proxies' own")
    return text


def parse_switch(name: str, text: str) -> bool:
    """Return what a switch in the environment says. :raises SettingError: it is neither yes nor no"""
    if text.lower() in _YES | _NO:
        return text.lower() in _YES
    raise SettingError(f"{name} is {text!r}; write 1 or 0")
