# SPDX-License-Identifier: Apache-2.0
"""Who has a share of the server."""

import pytest

from backend.clients import UNKNOWN, address_of, share_of


@pytest.mark.parametrize(
    ("address", "share"),
    [
        ("192.0.2.7", "192.0.2.7"),
        # A site gets 2**64 addresses at least.
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:1:2:3", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        # A socket of both families shows IPv4 so.
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        (UNKNOWN, UNKNOWN),
    ],
)
def test_an_address_has_a_share_and_a_network_of_ipv6_has_one(address: str, share: str) -> None:
    assert share_of(address) == share


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("192.0.2.7", 1234), "192.0.2.7"),
        (("2001:db8::1", 0), "2001:db8::1"),
        # What a proxy passed on of a header that its client made up.
        (("somebody", 0), UNKNOWN),
        (("1" * 30_000, 0), UNKNOWN),
        (("fe80::1%" + "x" * 30_000, 0), UNKNOWN),
        (("", 0), UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_what_is_no_address_is_not_taken_for_one(client: tuple[str, int] | None, address: str) -> None:
    assert address_of(client) == address
