# SPDX-License-Identifier: Apache-2.0
"""What an arm64 machine runs: Python, BCC and bpftool of Debian, and the collector's Python packages.

It is unpacked, never installed: none of its programs is run on this machine, whose processor could not.
"""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.emulated.archive import Archive, run, unpack
from tests.emulated.checkout import requirements_of_collector
from tests.product import TOP

PYTHON = "/usr/bin/python3"

_RELEASE = "bookworm"
_PYTHON_VERSION = (3, 11)  # of that release
_LIBRARY = "usr/lib/python3.11"
_PACKAGES = ["python3", "python3-bpfcc", "bpftool", "busybox-static"]
_WHEELS = "manylinux2014_aarch64"


def ensure_root(archive: Archive, folder: Path) -> Path:
    """Return the folder with the root file system, made now unless it is there.

    :raises ArchiveError: a package cannot be downloaded
    """
    requirements = requirements_of_collector()
    constraints = TOP / "constraints.txt"
    stamp = hashlib.sha256(repr((_RELEASE, _PACKAGES, requirements)).encode() + constraints.read_bytes())
    place = folder / f"root-{stamp.hexdigest()[:16]}"
    if not place.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="unpacking-") as name:
            root = Path(name) / "root"
            packages = archive.fetch_with_dependencies(_PACKAGES, _RELEASE, Path(name) / "packages")
            unpack(packages, root)
            _add_wheels(root, requirements, constraints)
            root.rename(place)
    if not (place / _LIBRARY / "__pycache__").is_dir():
        _compile(place)
    return place


def _add_wheels(root: Path, requirements: list[str], constraints: Path) -> None:
    target = root / "usr/lib/python3/dist-packages"
    version = ".".join(map(str, _PYTHON_VERSION))
    foreign = ("--platform", _WHEELS, "--python-version", version, "--only-binary", ":all:", "--no-compile")
    pip = (sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check")
    run((*pip, *foreign, "--target", str(target), "--constraint", str(constraints), *requirements))


def _compile(root: Path) -> None:
    """Save the emulated processor from compiling the library; byte code is the same on all of them."""
    if sys.version_info[:2] == _PYTHON_VERSION:
        # Beside the sources, where the machine's Python looks for it, whatever this one's settings are.
        ours = (sys.executable, "-X", "pycache_prefix=", "-m", "compileall")
        command = (*ours, "-qq", "--invalidation-mode", "unchecked-hash", str(root / "usr/lib"))
        # Some of what is there is no Python of this version, and is not run either.
        subprocess.run(command, check=False)
