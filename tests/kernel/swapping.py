# SPDX-License-Identifier: Apache-2.0
"""A swap file of the test's own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def swap_file(folder: Path, size: int) -> Iterator[None]:
    """Have the host swap to a file of this many bytes. Leaving brings back what is in it."""
    path = folder / "swap"
    with path.open("xb") as file:
        path.chmod(0o600)
        os.posix_fallocate(file.fileno(), 0, size)
    subprocess.run(["mkswap", path], check=True, stdout=subprocess.DEVNULL)
    # Before any other swap that the host may have.
    subprocess.run(["swapon", "--priority", "100", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["swapoff", path], check=True)
