"""Which VMs live, kept on disk: a VM that ends while no collector runs is then known to have ended."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from collector import private_files
from collector.vms.table import KernelVm

logger = logging.getLogger(__name__)


class _Kept(msgspec.Struct, frozen=True):
    boot_id: str
    vms: tuple[KernelVm, ...]


class VmFile:
    """A file with the VMs that live on this boot. Where it cannot be used, an end is noticed late or not."""

    def __init__(self, path: Path, boot_id: str) -> None:
        self._path = path
        self._boot_id = boot_id
        self._kept: frozenset[KernelVm] | None = None
        self._failure = ""

    def looked_ns(self) -> int | None:
        """Return when a collector last looked, UTC; None where none has on this machine."""
        try:
            return self._path.lstat().st_mtime_ns
        except OSError:
            return None

    def recall(self) -> tuple[KernelVm, ...]:
        """Return the VMs that lived when a collector last wrote; none of another boot."""
        try:
            kept = msgspec.json.decode(private_files.read(self._path), type=_Kept)
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as exc:
            logger.warning("list of living VMs not read path=%s error=%r", self._path, str(exc))
            return ()
        return kept.vms if kept.boot_id == self._boot_id else ()

    def keep(self, vms: Sequence[KernelVm]) -> None:
        """Write the VMs that live, or that they are the same as the last time."""
        wanted = frozenset(vms)
        failure = ""
        try:
            if wanted != self._kept or not self._touch():
                # Until it is written, what is there says nothing of now.
                self._kept = None
                private_files.replace(self._path, msgspec.json.encode(_Kept(self._boot_id, tuple(vms))))
                self._kept = wanted
        except OSError as exc:
            failure = exc.strerror or str(exc)
        if failure and failure != self._failure:
            logger.warning("list of living VMs not written path=%s error=%r", self._path, failure)
        self._failure = failure

    def _touch(self) -> bool:
        """Let the file say when a collector looked last; False where somebody removed it.

        :raises OSError: as for another reason
        """
        try:
            os.utime(self._path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True
