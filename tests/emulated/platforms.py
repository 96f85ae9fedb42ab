# SPDX-License-Identifier: Apache-2.0
"""The processors and boards that QEMU emulates for us."""

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.emulated.archive import Archive
from tests.emulated.arm64_root import PYTHON, ensure_root
from tests.emulated.x86_root import ROOT, ensure_busybox, ensure_byte_code


@dataclass(frozen=True, slots=True)
class Platform:
    """A processor and its board, as QEMU has it, and Debian's name for its kernels.

    ``root`` is the folder that the machine has as its root, ``python`` the interpreter in there, ``busybox``
    a static busybox for its processor, ``memory`` its size in MiB.
    """

    program: str
    options: tuple[str, ...]
    console: str
    flavour: str
    root: Path
    python: str
    busybox: Path
    memory: int = 2048


def arm64(archive: Archive, folder: Path) -> Platform:
    """Return the platform with Arm's virtualization host extensions, under which KVM is in its VHE mode.

    Pointer authentication is QEMU's own instead of the architected cipher, which takes half of all time.
    """
    root = ensure_root(archive, folder)
    return Platform(
        program="qemu-system-aarch64",
        options=("-machine", "virt,virtualization=on,gic-version=3", "-cpu", "max,pauth-impdef=on"),
        console="ttyAMA0",
        flavour="arm64",
        root=root,
        python=PYTHON,
        busybox=root / "bin/busybox",
    )


def x86(archive: Archive, folder: Path) -> Platform:
    """Return the platform with AMD's SVM, the one kind of x86 virtualization that QEMU emulates.

    Without CMPXCHG16B: QEMU 7.2 (Debian 12) corrupts flags in it, which kernels do not survive.
    """
    ensure_byte_code()
    return Platform(
        program="qemu-system-x86_64",
        options=("-cpu", "EPYC,-cx16"),
        console="ttyS0",
        flavour="amd64",
        root=ROOT,
        python=sys.executable,
        busybox=ensure_busybox(archive, folder),
    )
