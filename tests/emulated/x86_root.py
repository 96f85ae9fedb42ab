# SPDX-License-Identifier: Apache-2.0
"""What an x86 machine runs: this machine's own files, with its Python, BCC and bpftool."""

import tempfile
from pathlib import Path

from tests.emulated.archive import Archive, unpack

ROOT = Path("/")


def ensure_busybox(archive: Archive, folder: Path) -> Path:
    """Return a static busybox for the machine's first process, downloaded now unless the folder has it.

    :raises ArchiveError: it cannot be downloaded
    """
    place = folder / "busybox"
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="unpacking-") as name:
            work = Path(name)
            unpack(archive.fetch(["busybox-static"], work / "packages"), work / "root")
            next((work / "root").glob("**/bin/busybox")).rename(place)
    return place
