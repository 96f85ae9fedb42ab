"""Stock Debian kernels: the newest of a series, ready to boot."""

import lzma
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.emulated import initramfs
from tests.emulated.archive import Archive, ArchiveError, unpack

_MODULES = ("virtio_pci", "virtio_net", "9pnet_virtio", "9p", "overlay")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel to boot.

    ``release`` is what ``uname -r`` says. ``modules`` is an archive for the initial RAM file system: the
    modules without which there is no root, and their ``order``.
    """

    release: str
    image: Path
    modules: Path


def ensure_kernel(archive: Archive, folder: Path, *, series: str, flavour: str) -> Kernel:
    """Return the newest kernel of a series, downloaded now unless the folder has one.

    :param series: ``6.12``; empty for the newest of all
    :param flavour: the end of the package's name: arm64, amd64
    :raises ArchiveError: there is none, or it cannot be downloaded
    """
    place = folder / f"kernel-{series or 'newest'}"
    if not place.is_dir():
        names = archive.names()
        release = _newest(names, series, flavour)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="unpacking-") as name:
            _prepare(archive, names, release, Path(name))
            (Path(name) / "ready").rename(place)
    return Kernel((place / "release").read_text(), place / "vmlinuz", place / "modules.cpio")


def _newest(names: list[str], series: str, flavour: str) -> str:
    wanted = re.escape(series) if series else r"\d+\.\d+"
    pattern = re.compile(rf"linux-image-({wanted}\.[0-9][^-]*(?:-[0-9]+)?-{flavour})")
    releases = [found[1] for name in names if (found := pattern.fullmatch(name))]
    if not releases:
        raise ArchiveError(f"Debian has no kernel {series} for {flavour}")
    return max(releases, key=lambda release: [int(number) for number in re.findall(r"\d+", release)])


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

    for name in _MODULES:
        load(name)
    order = "".join(f"{name}\n" for name in loaded)
    return initramfs.pack(
        {f"modules/{name}.ko": content for name, content in loaded.items()}
        | {"modules/order": order.encode()}
    )
