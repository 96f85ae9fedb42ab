# SPDX-License-Identifier: Apache-2.0
"""Stock Debian kernels: the newest of a series, ready to boot."""

import hashlib
import lzma
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.emulated import initramfs
from tests.emulated.archive import Archive, ArchiveError, unpack

_ROOT_MODULES = ("virtio_pci", "virtio_net", "9pnet_virtio", "9p", "overlay")
_KVM_MODULES = ("kvm_amd",)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel to boot.

    ``release`` is what ``uname -r`` says. ``modules`` is an archive for the initial RAM file system: in
    ``order`` it names the modules without which there is no root, in ``kvm`` those that make up KVM; none
    where that is built in.
    """

    release: str
    image: Path
    modules: Path

    @property
    def version(self) -> tuple[int, ...]:
        """Its first two numbers."""
        return tuple(numbers(self.release)[:2])


def ensure_kernel(archive: Archive, folder: Path, *, series: str, flavour: str) -> Kernel:
    """Return the newest kernel of a series, downloaded now unless the folder has one.

    :param series: ``6.12``, or ``6.18+`` for it or the next that there is; empty for the newest of all
    :param flavour: the end of the package's name: arm64, amd64
    :raises ArchiveError: there is none, or it cannot be downloaded
    """
    # What is packed is part of the name: a later version of this module packs anew.
    contents = hashlib.sha256(repr((_ROOT_MODULES, _KVM_MODULES)).encode()).hexdigest()[:8]
    place = folder / f"kernel-{series or 'newest'}-{contents}"
    if not place.is_dir():
        names = archive.names()
        release = newest(names, series, flavour)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="unpacking-") as name:
            _prepare(archive, names, release, Path(name))
            (Path(name) / "ready").rename(place)
    return Kernel((place / "release").read_text(), place / "vmlinuz", place / "modules.cpio")


def newest(names: list[str], series: str, flavour: str) -> str:
    """Return the release of the newest kernel of a series, among the names of packages.

    :raises ArchiveError: there is none
    """
    pattern = re.compile(rf"linux-image-(\d+\.\d+\.[0-9][^-]*(?:-[0-9]+)?-{flavour})")
    releases = [found[1] for name in names if (found := pattern.fullmatch(name))]
    wanted = numbers(series)
    if series.endswith("+"):
        wanted = min((numbers(name)[:2] for name in releases if numbers(name)[:2] >= wanted), default=wanted)
    releases = [release for release in releases if numbers(release)[: len(wanted)] == wanted]
    if not releases:
        raise ArchiveError(f"Debian has no kernel {series} for {flavour}")
    return max(releases, key=numbers)


def numbers(version: str) -> list[int]:
    """Return the numbers in a version, by which versions are in order."""
    return [int(number) for number in re.findall(r"\d+", version)]


def _prepare(archive: Archive, names: list[str], release: str, work: Path) -> None:
    # From 7.2 on the image's package is empty and these two have its contents.
    parts = [f"linux-{part}-{release}" for part in ("binary", "modules")]
    packages = [name for name in parts if name in names] or [f"linux-image-{release}"]
    root = work / "root"
    unpack(archive.fetch(packages, work / "packages"), root)
    images = [*root.glob("boot/vmlinuz-*"), *root.glob("usr/lib/modules/*/vmlinuz")]
    ready = work / "ready"
    ready.mkdir()
    shutil.move(images[0], ready / "vmlinuz")
    (ready / "modules.cpio").write_bytes(_modules(root))
    (ready / "release").write_text(release)


def _modules(root: Path) -> bytes:
    """Pack the modules needed, with what they need, and the order in which to load them."""
    files = {path.name.partition(".ko")[0].replace("-", "_"): path for path in root.rglob("*.ko*")}
    loaded: dict[str, bytes] = {}

    def load(name: str) -> None:
        # One that is not there is built in.
        if name in loaded or name not in files:
            return
        content = files[name].read_bytes()
        if files[name].suffix == ".xz":
            content = lzma.decompress(content)
        depends = re.search(rb"\0depends=([^\0]+)\0", content)
        for needed in depends[1].decode().split(",") if depends else ():
            load(needed.replace("-", "_"))
        loaded[name] = content

    orders = {}
    for order, wanted in (("order", _ROOT_MODULES), ("kvm", _KVM_MODULES)):
        before = len(loaded)
        for name in wanted:
            load(name)
        orders[order] = "".join(f"{name}\n" for name in [*loaded][before:]).encode()
    packed = {f"{name}.ko": content for name, content in loaded.items()} | orders
    return initramfs.pack({f"modules/{name}": content for name, content in packed.items()})
