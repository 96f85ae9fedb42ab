# SPDX-License-Identifier: Apache-2.0
"""Who asks, as far as that is known before they show a token: an address, and who has one share with it."""

import ipaddress
from functools import lru_cache

UNKNOWN = "unknown"
_NETWORK_BITS = 64
"""Of IPv6 (RFC 4291, 2.5.1): the rest, an interface's part, a client chooses as it likes."""
_MOST_CHARACTERS = 64


def address_of(client: tuple[str, int] | None) -> str:
    """Return the address of a client; ``UNKNOWN`` where it has none, or a proxy passed on no address."""
    if client is None or len(client[0]) > _MOST_CHARACTERS or _parsed(client[0]) is None:
        return UNKNOWN
    return client[0]


@lru_cache(maxsize=4096)
def share_of(address: str) -> str:
    """Return who has one share of the server together: an address itself, or a network of IPv6."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed.packed, _NETWORK_BITS), strict=False))
    return address


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None
