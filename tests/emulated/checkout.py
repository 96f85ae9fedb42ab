# SPDX-License-Identifier: Apache-2.0
"""This checkout's Python packages as an emulated machine has them: with their byte code."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.product import TOP

_PACKAGES = ("collector", "demo", "faultmodel", "tests")
_IN_MACHINE = "/checkout"


def copy_checkout(folder: Path) -> Path:
    """Copy what machines run to a new folder and return it.

    An emulated processor takes ten seconds and more to compile it. Byte code is the same on all of them; a
    Python of another version finds none of it, and compiles.
    """
    place = folder / "checkout"
    for name in _PACKAGES:
        shutil.copytree(TOP / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    # Beside the sources, where the machine's Python looks for it, whatever this one's settings are.
    ours = (sys.executable, "-X", "pycache_prefix=", "-m", "compileall")
    paths = ("-s", str(place), "-p", _IN_MACHINE)
    command = (*ours, "-qq", "--invalidation-mode", "unchecked-hash", *paths, str(place))
    subprocess.run(command, check=True)
    return place


def requirements_of_collector() -> list[str]:
    """Return what the collector needs of Python packages beside BCC, as pip takes it."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["collector"]]
