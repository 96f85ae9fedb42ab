# SPDX-License-Identifier: Apache-2.0
"""This program as it was before: the other side of an upgrade that is half done."""

import subprocess
from pathlib import Path

import pytest

from tests.product import TOP

COMMIT = "b47223a2f2617987e0e9f49c0fc6342c6f34442e"
"""One that writes version 2 of the wire, and whose collector deletes what is refused."""

WITHOUT_LAYOUT = "2b13f77abae7af79959c4dc0a9748602a7992a1b"
"""One that does not keep with its maps how they are laid out."""

COUNTS_APART = "c5f3e87467bb1ff6061dd3b081c30742a7fa9a21"
"""The newest that has a table of fault counts for each architecture."""

WITHOUT_LEVELS = "9783def71d3e044255f5507f138c6c5fd4fc1f12"
"""The newest that keeps counts of seconds alone."""


def unpack(directory: Path, commit: str = COMMIT) -> Path:
    """Unpack it; skip the test where there is no history to take it from."""
    git = ["git", "-c", "safe.directory=*", "-C", str(TOP)]
    try:
        known = subprocess.run([*git, "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    if known.returncode != 0:
        pytest.skip(f"this is no checkout with the commit {commit}")
    archive = subprocess.run([*git, "archive", commit], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(directory)], input=archive, check=True)
    return directory
