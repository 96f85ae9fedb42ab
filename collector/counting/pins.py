"""Where the programs and maps are pinned, so that counting outlives the collector: a folder in bpffs."""

import errno
import logging
import os
import stat
import time
import uuid
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import msgspec

from collector import private_files
from collector.counting.pinned_sets import (
    FOLDER,
    NAME,
    Owner,
    PinnedSet,
    find_sets,
    hold,
    own,
    own_mounts,
    set_of,
)
from collector.errors import PinnedError, ProbeError
from collector.probe.pinned import open_pinned
from collector.probe.probes import Probes
from faultmodel.kinds import CheckState
from faultmodel.record import Check

logger = logging.getLogger(__name__)

_HOLD_TRIES = 20
_HOLD_PAUSE_S = 0.05


class Pins:
    """One collector's pins. Their folder's name is kept in the collector's own directory.

    Whoever reads them holds them; what cannot be removed counts on, which is logged.
    """

    def __init__(self, name_file: Path, bpffs: Path, host: str = "") -> None:
        """:param host: the name under which they count"""
        self._name_file = name_file
        self._root = bpffs / FOLDER
        self._bpffs = bpffs
        self.owner = Owner(host, str(name_file.parent.absolute()), own_mounts())
        self._held: int | None = None
        self._reason_file = name_file.with_suffix(".given-up")

    @property
    def bpffs(self) -> Path:
        """The BPF file system."""
        return self._bpffs

    @property
    def root(self) -> Path:
        """The folder of everybody's sets."""
        return self._root

    def take_reason(self) -> str:
        """Return, once, why what was pinned had to be given up; empty where it had not."""
        try:
            reason = private_files.read(self._reason_file).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        self._reason_file.unlink()
        return reason

    def why_not(self) -> Check | None:
        """Return why nothing can be pinned here, and the remedy; None where it can."""
        if not _is_bpffs(self._bpffs):
            return _lacking(
                f"{self._bpffs} is no BPF file system", f"mount -t bpf -o mode=700 bpf {self._bpffs}"
            )
        try:
            self._root.mkdir(mode=0o700, exist_ok=True)
            trial = self._root / f"trial-{uuid.uuid4().hex}"
            trial.mkdir()
            trial.rmdir()
        except OSError as exc:
            return _lacking(f"{self._root} cannot be written: {exc.strerror}")
        return _lacking(f"{self._root} can be changed by others", "remove it") if self._is_anyones() else None

    def open(self) -> Probes | None:
        """Return what an earlier collector left running, None where it left nothing.

        What is not whole, or cannot be read, is removed.

        :raises ProbeError: it cannot be opened now; it is left as it is
        """
        folder = self._folder()
        if folder is None or not folder.is_dir() or self._is_anyones():
            return None
        if set_of(folder).is_of_another(self.owner):
            # This data directory is a copy, or came back after another collector had taken over its set.
            logger.warning("what this data directory names is another collector's path=%s", folder)
            self._forget()
            return None
        try:
            self._hold(folder)
            return open_pinned(folder)
        except PinnedError as exc:
            self.give_up(str(exc))
            return None
        except OSError as exc:
            self.release()
            raise ProbeError(
                f"cannot open what was left counting under {folder}: {exc.strerror}; it counts on until"
                " a collector can, or until kvmfaults-collector detach"
            ) from exc

    def host_of_predecessor(self) -> str:
        """Return the name under which what was left has counted; empty where that is not known."""
        folder = self._folder()
        owner = set_of(folder).owner if folder is not None else None
        return owner.host if owner is not None else ""

    def are_read(self) -> bool:
        """Tell whether another collector reads what this one named: it has taken that over."""
        folder = self._folder()
        if folder is None or not folder.is_dir():
            return False
        try:
            self._hold(folder)
        except BlockingIOError:
            return True
        self.release()
        return False

    def others(self) -> list[PinnedSet]:
        """Return what other collectors have pinned on this machine."""
        try:
            return (
                []
                if self.why_not()
                else [one for one in find_sets(self._bpffs) if one.folder != self._folder()]
            )
        except OSError as exc:
            logger.warning("pinned sets not found path=%s error=%r", self._root, exc.strerror)
            return []

    def adopt(self, one: PinnedSet, newest_batch: int) -> Probes | None:
        """Make another's set this collector's, and return it; None where it can never be read on.

        :param newest_batch: number of this collector's newest batch
        :raises ProbeError: it cannot be taken over now; it is nobody's, as it was
        """
        with ExitStack() as undo:
            undo.callback(self.release)
            try:
                self._hold(one.folder)
                probes = undo.enter_context(closing(open_pinned(one.folder)))
                # Its newest batch has a number of a spool that is gone. What this collector names has one
                # of its own: named last, it is as before to whoever finds it after a kill.
                probes.commit(replace(probes.last_checkpoint(), batch=newest_batch))
                host = one.owner.host if one.owner else ""
                own(one.folder, msgspec.structs.replace(self.owner, host=host))
                private_files.replace(self._name_file, one.folder.name.encode())
            except PinnedError as exc:
                logger.warning("pinned set not taken over path=%s reason=%r", one.folder, str(exc))
                return None
            except OSError as exc:
                raise ProbeError(f"cannot take over {exc.filename or one.folder}: {exc.strerror}") from exc
            undo.pop_all()
        return probes

    def say_whose(self) -> None:
        """Let what is pinned tell for which host and data directory it counts."""
        folder = self._folder()
        try:
            if folder is not None and folder.is_dir():
                own(folder, self.owner)
        except OSError as exc:
            logger.warning("pinned set does not say whose it is path=%s error=%r", folder, exc.strerror)

    def keep(self, probes: Probes, newest_batch: int) -> Check | None:
        """Pin the programs and maps; return why they could not be, None where they were.

        :param newest_batch: see ``Probes.pin``

        What was pinned before is not taken over any more: its counts would be counted twice.
        """
        reason = self.why_not()
        if reason:
            self._forget()
            return reason
        folder = self._root / uuid.uuid4().hex
        # What this file names no more stays for ever.
        self.remove()
        try:
            # The name first: what is pinned under a name that nobody knows would stay for ever.
            private_files.replace(self._name_file, folder.name.encode())
            probes.pin(folder, newest_batch)
            self._hold(folder)
        except OSError as exc:
            self.remove()
            return _lacking(f"cannot pin under {folder}: {exc.strerror}")
        self.say_whose()
        return None

    def give_up(self, reason: str) -> None:
        """Remove what cannot be read on, not by a successor either."""
        logger.warning("pinned programs given up reason=%r", reason)
        try:
            # For the next process, should this one not come to tell it.
            private_files.replace(self._reason_file, reason.encode())
        except OSError as exc:
            logger.warning("reason not written path=%s error=%r", self._reason_file, exc.strerror)
        self.remove()

    def remove(self) -> bool:
        """Unpin, as ``unpin`` does; where it cannot be done, it is logged."""
        try:
            return self.unpin()
        except OSError as exc:
            logger.warning(
                "not unpinned, counts on until kvmfaults-collector detach path=%s error=%r",
                exc.filename or self._root,
                exc.strerror,
            )
            return False

    def unpin(self) -> bool:
        """Unpin; return whether there was anything. What a running collector holds goes on.

        :raises OSError: it cannot be removed, or not whole
        """
        folder = self._folder()
        is_removed = folder is not None and set_of(folder).remove()
        self.release()
        self._name_file.unlink(missing_ok=True)
        return is_removed

    def _forget(self) -> None:
        self.release()
        try:
            self._name_file.unlink(missing_ok=True)
        except OSError as exc:
            logger.warning("name of the pins not deleted path=%s error=%r", self._name_file, exc.strerror)

    def release(self) -> None:
        """Let another collector read what is pinned."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _hold(self, folder: Path) -> None:
        """:raises OSError: it cannot be held, or another collector reads it"""
        self.release()
        for _ in range(_HOLD_TRIES):
            self._held = hold(folder)
            if self._held is not None:
                return
            # Whoever asks whether the set is read, as the doctor does, holds it for that moment.
            time.sleep(_HOLD_PAUSE_S)
        raise BlockingIOError(errno.EBUSY, "another collector reads it")

    def _is_anyones(self) -> bool:
        """Whether another user can change what is pinned here: a BPF file system is writable by all."""
        found = self._root.stat()
        return found.st_uid != os.geteuid() or bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))

    def _folder(self) -> Path | None:
        try:
            name = private_files.read(self._name_file).strip().decode("ascii", "replace")
        except FileNotFoundError:
            return None
        # Anything else is damage: after a power cut, when nothing is pinned either.
        return self._root / name if NAME.fullmatch(name) else None


def _lacking(found: str, remedy: str = "") -> Check:
    return Check(name="pins", state=CheckState.LACKING, found=found, remedy=remedy)


def _is_bpffs(path: Path) -> bool:
    for line in os.fsdecode(Path("/proc/self/mounts").read_bytes()).splitlines():
        _, where, kind, *_ = line.split(" ")
        if kind == "bpf" and Path(where) == path.resolve():
            return True
    return False
