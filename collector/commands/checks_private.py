# SPDX-License-Identifier: Apache-2.0
"""Whether what the collector knows stays with it: its directory, its pins, the rights of its process."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from collector import private_files, rights
from collector.counting.checks import Cause, Finding
from collector.counting.pinned_sets import FOLDER
from collector.errors import DataDirectoryError
from collector.settings import spool_directory
from collector.spool.lock import is_held
from faultmodel.kinds import CheckState as State

_MOST_NAMED = 8
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LOOK = rights.Capability.DAC_READ_SEARCH.name


def examine_private(data_dir: Path, bpffs: Path) -> Iterator[Finding]:
    """Yield the findings; nothing is changed."""
    yield _data(data_dir)
    yield _bpffs(bpffs)
    yield _rights(data_dir)


def _data(data_dir: Path) -> Finding:
    try:
        opened = private_files.open_to_others(data_dir)
    except DataDirectoryError as exc:
        found = f"no collector starts with it: {exc.found}"
        return Finding("data", State.MISSING, found, exc.remedy, Cause.DATA)
    except FileNotFoundError:
        return Finding("data", State.OK, f"{data_dir} is not there yet")
    except OSError as exc:
        return Finding("data", State.OK, f"{data_dir} cannot be looked at: {exc.strerror}")
    if opened:
        more = f" and {len(opened) - 1} more" if len(opened) > 1 else ""
        return Finding(
            "data",
            State.LACKING,
            f"others can read {opened[0]}{more}",
            "start the collector anew, which closes them, or chmod -R go= what is named",
        )
    return Finding("data", State.OK, f"only its user can read and write {data_dir}")


def _bpffs(bpffs: Path) -> Finding:
    try:
        found = bpffs.stat()
    except OSError as exc:
        return Finding("bpffs", State.OK, f"{bpffs} cannot be looked at: {exc.strerror}")
    if not found.st_mode & _OTHERS_WRITE:
        return Finding("bpffs", State.OK, f"others cannot write to {bpffs}")
    if found.st_mode & stat.S_ISVTX and _is_own(bpffs / FOLDER):
        return Finding("bpffs", State.OK, f"others can write to {bpffs}, but cannot replace {FOLDER} in it")
    return Finding(
        "bpffs",
        State.LACKING,
        f"others can write to {bpffs} (mode {stat.S_IMODE(found.st_mode):o}): nothing is lost until somebody"
        f" else makes {FOLDER} there; then counting ends with a collector that is killed",
        f"chmod 700 {bpffs} (at its mount: -o mode=700)",
    )


def _is_own(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_WRITE


def _rights(data_dir: Path) -> Finding:
    lock = spool_directory(data_dir) / "lock"
    try:
        pid = private_files.read(lock).decode("ascii", "replace").strip() if is_held(lock) else ""
        status = Path(f"/proc/{int(pid)}/status").read_text() if pid else ""
    except (OSError, ValueError):
        return Finding("rights", State.OK, f"the collector of {data_dir} cannot be looked at by this user")
    if not status:
        return Finding("rights", State.OK, f"no collector runs with {data_dir}")
    held = rights.names(int(_field(status, "CapPrm"), 16))
    is_final = _field(status, "NoNewPrivs") == "1"
    more = set(held) - {capability.name for capability in rights.needed()} - {_LOOK}
    named = ", ".join(held) if len(held) <= _MOST_NAMED else f"{len(held)} capabilities"
    said = f"the collector (process {pid}) holds {named or 'no capability'}"
    if more or not is_final:
        return Finding(
            "rights",
            State.LACKING,
            said if is_final else f"{said}, and may get others",
            "it is of another version: start this one in its place",
        )
    if _LOOK in held:
        return Finding(
            "rights",
            State.LACKING,
            f"{said}, and can get no other; by {_LOOK} it may read every file",
            "install it, and keep its token, where root needs no such right: not in a closed home",
        )
    return Finding("rights", State.OK, f"{said}, and can get no other")


def _field(status: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*(\w+)$", status, re.MULTILINE)
    return found[1] if found else "0"
