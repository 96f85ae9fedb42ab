"""Where the programs and maps are pinned, so that counting outlives the collector: a folder in bpffs."""

import logging
import os
import re
import stat
import uuid
from pathlib import Path

from collector import private_files
from collector.errors import PinnedError, ProbeError
from collector.probe.probes import Probes, open_pinned

logger = logging.getLogger(__name__)

BPFFS = Path("/sys/fs/bpf")
_FOLDER = "kvmfaults"
_NAME = re.compile(rb"[0-9a-f]{32}")


class Pins:
    """One collector's pins. Their folder's name is kept in the collector's own directory."""

    def __init__(self, name_file: Path, bpffs: Path) -> None:
        self._name_file = name_file
        self._root = bpffs / _FOLDER
        self._bpffs = bpffs
        self._reason_file = name_file.with_suffix(".given-up")

    def take_reason(self) -> str:
        """Return, once, why what was pinned had to be given up; empty where it had not."""
        try:
            reason = private_files.read(self._reason_file).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        self._reason_file.unlink()
        return reason

    def why_not(self) -> str:
        """Return why nothing can be pinned here, and the remedy; empty where it can."""
        if not _is_bpffs(self._bpffs):
            return f"{self._bpffs} is no BPF file system: mount -t bpf -o mode=700 bpf {self._bpffs}"
        try:
            self._root.mkdir(mode=0o700, exist_ok=True)
            trial = self._root / f"trial-{uuid.uuid4().hex}"
            trial.mkdir()
            trial.rmdir()
        except OSError as exc:
            return f"{self._root} cannot be written: {exc.strerror}"
        return f"{self._root} can be changed by others: remove it" if self._is_anyones() else ""

    def open(self, layout: bytes) -> Probes | None:
        """Return what an earlier collector left running, None where it left nothing.

        What is not whole, or cannot be read, is removed.

        :param layout: see ``open_pinned``
        :raises ProbeError: it cannot be opened now; it is left as it is
        """
        folder = self._folder()
        if folder is None or not folder.is_dir() or self._is_anyones():
            return None
        try:
            return open_pinned(folder, layout)
        except PinnedError as exc:
            self.give_up(str(exc))
            return None
        except OSError as exc:
            raise ProbeError(
                f"cannot open what was left counting under {folder}: {exc.strerror}; it counts on until"
                " a collector can, or until kvmfaults-collector detach"
            ) from exc

    def keep(self, probes: Probes, newest_batch: int) -> str:
        """Pin the programs and maps; return why they could not be, empty where they were.

        :param newest_batch: see ``Probes.pin``

        What was pinned before is not taken over any more: its counts would be counted twice.
        """
        reason = self.why_not()
        if reason:
            self._name_file.unlink(missing_ok=True)
            return reason
        folder = self._root / uuid.uuid4().hex
        # What this file names no more stays for ever.
        self.remove()
        try:
            # The name first: what is pinned under a name that nobody knows would stay for ever.
            private_files.replace(self._name_file, folder.name.encode())
            probes.pin(folder, newest_batch)
        except OSError as exc:
            self.remove()
            return f"cannot pin under {folder}: {exc.strerror}"
        return ""

    def give_up(self, reason: str) -> None:
        """Remove what cannot be read on, not by a successor either."""
        logger.warning("pinned programs given up reason=%r", reason)
        # For the next process, should this one not come to tell it.
        private_files.replace(self._reason_file, reason.encode())
        self.remove()

    def remove(self) -> bool:
        """Unpin; return whether there was anything. What a running collector holds goes on."""
        folder = self._folder()
        is_removed = folder is not None and _remove(folder)
        self._name_file.unlink(missing_ok=True)
        return is_removed

    def remove_all(self) -> int:
        """Unpin what any collector on this host has pinned; return how many sets there were."""
        folders = sorted(self._root.iterdir()) if self._root.is_dir() else []
        return sum(_remove(folder) for folder in folders)

    def _is_anyones(self) -> bool:
        """Whether another user can change what is pinned here: a BPF file system is writable by all."""
        found = self._root.stat()
        return found.st_uid != os.geteuid() or bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))

    def _folder(self) -> Path | None:
        try:
            name = private_files.read(self._name_file).strip()
        except FileNotFoundError:
            return None
        # Anything else is damage: after a power cut, when nothing is pinned either.
        return self._root / name.decode() if _NAME.fullmatch(name) else None


def _remove(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    # Links first: what attributes and counts ends before the maps that it uses are let go.
    for path in sorted(folder.iterdir(), key=lambda path: not path.name.startswith("link-")):
        path.unlink(missing_ok=True)
    folder.rmdir()
    return True


def _is_bpffs(path: Path) -> bool:
    for line in os.fsdecode(Path("/proc/self/mounts").read_bytes()).splitlines():
        _, where, kind, *_ = line.split(" ")
        if kind == "bpf" and Path(where) == path.resolve():
            return True
    return False
