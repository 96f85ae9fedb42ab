# SPDX-License-Identifier: Apache-2.0
"""How this program's commands are called where somebody reads of them, and where a host's own are."""

import os
import shlex
import shutil
import sys
from pathlib import Path

NAME = "kvmfaults-collector"
_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")
"""Made by Docker, and by Podman and CRI-O."""


def own_command(*arguments: object) -> str:
    """Return a command line that works in a shell of this user, whatever its PATH has."""
    beside = Path(sys.executable).with_name(NAME)
    if os.access(beside, os.X_OK):
        found = shutil.which(NAME)
        program = [NAME if found is not None and Path(found).samefile(beside) else str(beside)]
    else:
        program = [sys.executable, "-m", "collector"]
    return shlex.join([*program, *map(str, arguments)])


def host_command(command: str) -> str:
    """Return a command for the host itself, and say so where this is a container, in which it would fail."""
    return f"on the host, outside of this container: {command}" if is_in_container() else command


def is_in_container() -> bool:
    """Return whether this process is in a container."""
    return any(map(os.path.exists, _CONTAINER_MARKS)) or "KUBERNETES_SERVICE_HOST" in os.environ
