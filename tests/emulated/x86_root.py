# SPDX-License-Identifier: Apache-2.0
"""What an x86 machine runs: this machine's own files, with its Python, BCC and bpftool."""

import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.emulated.archive import Archive, unpack
from tests.emulated.checkout import requirements_of_collector

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


def ensure_byte_code() -> None:
    """Compile the Python packages that the collector needs, where the machine's Python looks for it.

    They are installed without it: what this host's Python compiles is kept elsewhere (``script/setup.sh``).
    """
    names = [re.split(r"[^\w]", requirement)[0] for requirement in requirements_of_collector()]
    found = [find_spec(name) for name in names]
    folders = [folder for one in found if one for folder in one.submodule_search_locations or ()]
    # Beside the sources. Where those cannot be written to, the machine compiles.
    ours = (sys.executable, "-X", "pycache_prefix=", "-m", "compileall")
    subprocess.run((*ours, "-qq", *folders), check=False)
