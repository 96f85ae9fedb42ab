# SPDX-License-Identifier: Apache-2.0
"""Which kernels are booted on which platform."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.emulated import platforms
from tests.emulated.archive import Archive
from tests.emulated.kernels import Kernel, ensure_kernel
from tests.emulated.platforms import Platform


@dataclass(frozen=True, slots=True)
class Row:
    """A series of kernels on a platform. ``quick``: among those that every test run has time for.

    ``series`` is as ``ensure_kernel`` takes it; ``kvm_parameters`` go to the vendor's KVM module.
    """

    architecture: str
    series: str
    kvm_parameters: tuple[str, ...] = ()
    quick: bool = False

    @property
    def name(self) -> str:
        """Its name among the tests."""
        return " ".join((self.series or "newest", *self.kvm_parameters))


_DEBIAN = {"aarch64": "arm64", "x86_64": "amd64"}
_PLATFORMS: dict[str, Callable[[Archive, Path], Platform]] = {
    "aarch64": platforms.arm64,
    "x86_64": platforms.x86,
}

ARM64 = (
    Row("aarch64", "6.1"),
    Row("aarch64", "6.12"),
    Row("aarch64", "6.18+"),
    Row("aarch64", "", quick=True),
)
X86 = (
    Row("x86_64", "6.1"),
    Row("x86_64", "6.12", quick=True),
    Row("x86_64", "6.12", ("npt=0",)),
    Row("x86_64", "6.18+"),
    Row("x86_64", ""),
)
X86_STATES = Row("x86_64", "6.12")
"""The kernel on which KVM comes and goes, and what the collector needs is missing."""


def parameters(rows: tuple[Row, ...]) -> list[object]:
    """Return the rows as the parameters of a fixture."""
    return [pytest.param(row, id=row.name, marks=[pytest.mark.quick] if row.quick else []) for row in rows]


def provide(row: Row, folder: Path) -> tuple[Platform, Kernel]:
    """Return a row's platform and kernel, downloaded now unless the folder has them.

    :raises ArchiveError: they cannot be had
    """
    place = folder / row.architecture
    archive = Archive(place / "apt", _DEBIAN[row.architecture])
    platform = _PLATFORMS[row.architecture](archive, place)
    kernel = ensure_kernel(archive, place, series=row.series, flavour=platform.flavour)
    return platform, kernel
