# SPDX-License-Identifier: Apache-2.0
"""Debian's compilers, its kernel source and the headers of a kernel, in a folder where programs are built.

Unpacked, never installed, and entered by chroot, which takes root: what is built does not depend on this
machine's release. It is the processor's of this machine, and cross-compiles for the other.
"""

import hashlib
import os
import re
import tempfile
from pathlib import Path

from tests.emulated.archive import Archive, ArchiveError, run, unpack
from tests.emulated.kernels import numbers

_RELEASE = "trixie-backports"
_COMPILER = "gcc-14"
_CROSS = "aarch64-linux-gnu-"
_PACKAGES = (
    *("bash", "coreutils", "diffutils", "findutils", "grep", "mawk", "sed", "perl-base", "rsync", "xz-utils"),
    *("make", _COMPILER, "libc6-dev", "gcc-14-aarch64-linux-gnu"),
    *("libc6-dev-arm64-cross", "dwarves"),
)
# Of the kernel's source only what the programs and KVM are built of.
_SOURCE = ["Makefile", "Kbuild", "Kconfig", "arch/Kconfig", "arch/arm64", "arch/x86", "include", "scripts"]
_SOURCE += ["tools", "usr", "virt"]
_LINKS = {"sh": "bash", "awk": "mawk", "gcc": _COMPILER, f"{_CROSS}gcc": f"{_CROSS}{_COMPILER}"}

# The kernel's objtool looks into /proc, which nobody else is to see there.
_ENTER = 'mount -t proc proc "$1/proc"; exec nice -n 10 chroot "$1" /usr/bin/bash -ec "$2"'


class Workshop:
    """The folder, ready: ``source`` in it is the kernel's source, and headers are those of ``release``."""

    def __init__(self, root: Path, release: str) -> None:
        self.root = root
        self.release = release
        self.source = root / "src"

    def named(self, what: str, *contents: object) -> str:
        """Return a name for what is built here of these contents: another for others."""
        made_of = (self.root.name, *contents)
        return f"{what}-{self.release}-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:8]}"

    def is_source_of(self, release: str) -> bool:
        """Return whether the source is of this kernel's version, patches aside."""
        lines = (self.source / "Makefile").read_text().splitlines()
        found = dict(line.split(" = ", 1) for line in lines[:8] if " = " in line)
        version = ".".join(found[name] for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
        return release.partition("+")[0] == version

    def run(self, script: str) -> None:
        """Run a shell script in the folder, at a low priority.

        :raises ArchiveError: it failed, with the last line that it said
        """
        run(("unshare", "--mount", "sh", "-ec", _ENTER, "sh", str(self.root), script))


def ensure_workshop(archive: Archive, folder: Path, release: str) -> Workshop:
    """Return the workshop for a kernel, made now unless the folder has it: 300 MB of downloads.

    :param archive: of amd64
    :param release: of the kernel whose headers it is to have; its source is the newest that there is
    :raises ArchiveError: something cannot be had, or this user is not root
    """
    stamp = hashlib.sha256(repr((_PACKAGES, _SOURCE, _LINKS, release)).encode()).hexdigest()[:16]
    place = folder / f"workshop-{stamp}"
    if not place.is_dir():
        if os.geteuid() != 0:
            raise ArchiveError("the kernel's selftests are built in a chroot, which takes root")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="unpacking-") as name:
            _furnish(archive, Path(name), release)
            (Path(name) / "root").rename(place)
    return Workshop(place, release)


def _furnish(archive: Archive, work: Path, release: str) -> None:
    root = work / "root"
    packages = [*_PACKAGES, f"linux-headers-{release}"]
    unpack(archive.fetch_with_dependencies(packages, _RELEASE, work / "packages"), root)
    for name, target in _LINKS.items():
        link = root / "usr/bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    for name, minor in (("null", 3), ("zero", 5)):
        run(("mknod", "-m", "666", str(root / "dev" / name), "c", "1", str(minor)))
    _add_source(archive, work, root / "src")


def _add_source(archive: Archive, work: Path, into: Path) -> None:
    names = [name for name in archive.names() if re.fullmatch(r"linux-source-[\d.]+", name)]
    if not names:
        raise ArchiveError("Debian has no package of the kernel's source")
    unpack(archive.fetch([max(names, key=numbers)], work / "source"), work / "unpacked")
    (packed,) = (work / "unpacked/usr/src").glob("linux-source-*.tar.xz")
    plain = packed.with_suffix("")
    run(("xz", "--decompress", "--threads=0", str(packed)))
    into.mkdir()
    top = plain.name.removesuffix(".tar")
    wanted = [f"{top}/{part}" for part in _SOURCE]
    run(("tar", "-xf", str(plain), "-C", str(into), "--strip-components=1", *wanted))
    plain.unlink()
