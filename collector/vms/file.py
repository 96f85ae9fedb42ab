# SPDX-License-Identifier: Apache-2.0
"""The living VMs, stored on disk: the next collector finds out which of them ended while none ran."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from collector import private_files
from collector.vms.table import KernelVm

logger = logging.getLogger(__name__)


_CLOCK_SET_NS = 1_000_000_000
"""More than time synchronisation slews a clock by, also in a long time without a collector."""


@dataclass(frozen=True, slots=True)
class LastRead:
    """The time of the last reading (UTC as the clock is set now), and by how much UTC was set ahead since."""

    at_ns: int
    clock_set_ns: int = 0


class _Kept(msgspec.Struct, frozen=True):
    boot_id: str
    vms: tuple[KernelVm, ...]
    utc_offset_ns: int | None = None
    """UTC minus CLOCK_BOOTTIME at the last reading. CLOCK_BOOTTIME cannot be set."""


def _utc_offset_ns() -> int:
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class VmFile:
    """A file with the VMs that live in this boot. Without it, some ends are noticed late or never."""

    def __init__(self, path: Path, boot_id: str, utc_offset_ns: Callable[[], int] = _utc_offset_ns) -> None:
        """:param utc_offset_ns: measures UTC minus CLOCK_BOOTTIME"""
        self._path = path
        self._boot_id = boot_id
        self._utc_offset_ns = utc_offset_ns
        self._kept_offset_ns = 0
        self._kept: tuple[KernelVm, ...] | None = None
        self._failure = ""

    def last_read(self) -> LastRead | None:
        """Return the time of the last reading; None if there was none on this machine."""
        try:
            at_ns = self._path.lstat().st_mtime_ns
        except OSError:
            return None
        kept = self._read()
        if kept is None or kept.utc_offset_ns is None:
            return LastRead(at_ns)
        set_ns = self._utc_offset_ns() - kept.utc_offset_ns
        return LastRead(at_ns + set_ns, set_ns) if abs(set_ns) > _CLOCK_SET_NS else LastRead(at_ns)

    def load(self) -> tuple[KernelVm, ...]:
        """Return the VMs that lived at the last reading, if that was in this boot."""
        kept = self._read()
        return kept.vms if kept is not None else ()

    def _read(self) -> _Kept | None:
        """The file's content, if it is of this boot."""
        try:
            kept = msgspec.json.decode(private_files.read(self._path), type=_Kept)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as exc:
            logger.warning("list of living VMs not read path=%s error=%r", self._path, str(exc))
            return None
        return kept if kept.boot_id == self._boot_id else None

    def keep(self, vms: Sequence[KernelVm]) -> None:
        """Store the living VMs; if they have not changed, only the time."""
        wanted = tuple(vms)
        failure = ""
        offset_ns = self._utc_offset_ns()
        is_set = abs(offset_ns - self._kept_offset_ns) > _CLOCK_SET_NS
        try:
            if wanted != self._kept or is_set or not self._touch():
                # If writing fails, the file's content is not the current one.
                self._kept = None
                private_files.replace(
                    self._path, msgspec.json.encode(_Kept(self._boot_id, wanted, offset_ns))
                )
                self._kept, self._kept_offset_ns = wanted, offset_ns
        except OSError as exc:
            failure = exc.strerror or str(exc)
        if failure and failure != self._failure:
            logger.warning("list of living VMs not written path=%s error=%r", self._path, failure)
        self._failure = failure

    def _touch(self) -> bool:
        """Set the file's time, which is that of the last reading; False if the file is gone.

        :raises OSError: it cannot be set for another reason
        """
        try:
            os.utime(self._path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True
