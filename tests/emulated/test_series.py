# SPDX-License-Identifier: Apache-2.0
"""Which kernel a series is, among the packages that there are."""

import pytest

from tests.emulated.archive import ArchiveError
from tests.emulated.kernels import newest

NAMES = [
    "linux-image-6.1.0-47-amd64",
    "linux-image-6.1.0-50-amd64",
    "linux-image-6.1.0-50-cloud-amd64",
    "linux-image-6.12.95+deb12-amd64",
    "linux-image-6.12.107+deb13-amd64",
    "linux-image-6.12.107+deb13-amd64-dbg",
    "linux-image-6.12.107+deb13-rt-amd64",
    "linux-image-6.12.107+deb13-arm64",
    "linux-image-6.19.9+deb13-amd64",
    "linux-image-6.19.10+deb13-amd64",
    "linux-image-7.2.13+deb14-amd64",
    "linux-image-amd64",
    "linux-headers-7.3.4+deb13-amd64",
]


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ("6.1", "6.1.0-50-amd64"),
        ("6.12", "6.12.107+deb13-amd64"),
        ("6.18+", "6.19.10+deb13-amd64"),
        ("6.19+", "6.19.10+deb13-amd64"),
        ("", "7.2.13+deb14-amd64"),
    ],
)
def test_a_series_is_its_newest_kernel_of_the_plain_flavour(series: str, expected: str) -> None:
    assert newest(NAMES, series, "amd64") == expected


@pytest.mark.parametrize("series", ["6.18", "8.0+"])
def test_a_series_that_debian_does_not_have_is_named(series: str) -> None:
    with pytest.raises(ArchiveError, match=r"Debian has no kernel (6\.18|8\.0\+) for amd64"):
        newest(NAMES, series, "amd64")
