# SPDX-License-Identifier: Apache-2.0
"""Pins the programs and maps in a folder in bpffs, so that they continue to count without the collector."""

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
    """The pins of one collector. The name of their folder is stored in the collector's data directory.

    The collector that reads the pins holds a lock on them. Pins that cannot be removed are logged.
    """

    def __init__(self, name_file: Path, bpffs: Path, host: str = "") -> None:
        """:param host: the host's name"""
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
        """The folder with the sets of all collectors."""
        return self._root

    def take_reason(self) -> str:
        """Return, once, why the pinned set was given up; empty if none was."""
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
        """Return the set that this data directory's collector left running; None if there is none.

        A set that is incomplete, or that this version cannot read, is removed.

        :raises ProbeError: the set cannot be opened now; it is not changed
        """
        folder = self._folder()
        if folder is None or not folder.is_dir() or self._is_anyones():
            return None
        if set_of(folder).is_of_another(self.owner):
            # The data directory is a copy, or was restored after another collector took over its set.
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
        """Return the host's name of the set that was left running; empty if that is not known."""
        folder = self._folder()
        owner = set_of(folder).owner if folder is not None else None
        return owner.host if owner is not None else ""

    def are_read(self) -> bool:
        """Return whether another collector reads this collector's set: then it has taken the set over."""
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
        """Return the sets of other collectors on this machine."""
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
        """Make another collector's set this one's, and return it; None if this version can never read it.

        :param newest_batch: number of this collector's newest batch
        :raises ProbeError: it cannot be taken over now; it is not changed
        """
        with ExitStack() as undo:
            undo.callback(self.release)
            try:
                self._hold(one.folder)
                probes = undo.enter_context(closing(open_pinned(one.folder)))
                # The set's batch number belongs to a spool that is gone: replace it by this spool's. The data
                # directory names the set last, so a kill before that leaves the set without an owner.
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
        """Write the owner of the pinned set: this host and data directory."""
        folder = self._folder()
        try:
            if folder is not None and folder.is_dir():
                own(folder, self.owner)
        except OSError as exc:
            logger.warning("pinned set does not say whose it is path=%s error=%r", folder, exc.strerror)

    def keep(self, probes: Probes, newest_batch: int) -> Check | None:
        """Pin the programs and maps; return why that failed, None if it did not.

        A set that was pinned before is removed or forgotten, so that its counts are not taken over later and
        counted twice.

        :param newest_batch: see ``Probes.pin``
        """
        reason = self.why_not()
        if reason:
            self._forget()
            return reason
        folder = self._root / uuid.uuid4().hex
        # Remove the old pins first: nothing would remove pins that the name file no longer names.
        self.remove()
        try:
            # Write the name before pinning: nothing would remove pins whose name was never written.
            private_files.replace(self._name_file, folder.name.encode())
            probes.pin(folder, newest_batch)
            self._hold(folder)
        except OSError as exc:
            self.remove()
            return _lacking(f"cannot pin under {folder}: {exc.strerror}")
        self.say_whose()
        return None

    def give_up(self, reason: str) -> None:
        """Remove a set that neither this collector nor a successor can read."""
        logger.warning("pinned programs given up reason=%r", reason)
        try:
            # For the next process, in case this one ends before it has sent the reason.
            private_files.replace(self._reason_file, reason.encode())
        except OSError as exc:
            logger.warning("reason not written path=%s error=%r", self._reason_file, exc.strerror)
        self.remove()

    def remove(self) -> bool:
        """Unpin, as ``unpin`` does; a failure is logged."""
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
        """Unpin the set; return whether there was one. A running collector keeps its programs and maps.

        :raises OSError: it cannot be removed, or not completely
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
        """Release the lock, so that another collector can read the set."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _hold(self, folder: Path) -> None:
        """:raises OSError: the set cannot be locked, or another collector reads it"""
        self.release()
        for _ in range(_HOLD_TRIES):
            self._held = hold(folder)
            if self._held is not None:
                return
            # ``is_read``, which the doctor calls, holds the lock for a moment.
            time.sleep(_HOLD_PAUSE_S)
        raise BlockingIOError(errno.EBUSY, "another collector reads it")

    def _is_anyones(self) -> bool:
        """Whether another user can change the pins: all users can write to a BPF file system."""
        found = self._root.stat()
        return found.st_uid != os.geteuid() or bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))

    def _folder(self) -> Path | None:
        try:
            name = private_files.read(self._name_file).strip().decode("ascii", "replace")
        except FileNotFoundError:
            return None
        # Any other content is damage by a power failure, after which nothing is pinned anyway.
        return self._root / name if NAME.fullmatch(name) else None


def _lacking(found: str, remedy: str = "") -> Check:
    return Check(name="pins", state=CheckState.LACKING, found=found, remedy=remedy)


def _is_bpffs(path: Path) -> bool:
    for line in os.fsdecode(Path("/proc/self/mounts").read_bytes()).splitlines():
        _, where, kind, *_ = line.split(" ")
        if kind == "bpf" and Path(where) == path.resolve():
            return True
    return False
