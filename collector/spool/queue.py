# SPDX-License-Identifier: Apache-2.0
"""The bounded on-disk queue between counting and shipping.

A batch that ``put`` has stored survives the process and the machine. It is removed when the server has it.

Three things can happen to a batch that is not stored:

- The process is killed before it stores the batch. If the programs are pinned, the next process counts it
  again (``resume``); else it is lost.
- The disk is full and so is the reserve (``disk``). The batch is held in memory, and lost if the process is
  killed. Lost batches of these two kinds are not counted: the server sees a span without coverage, and the
  kernel's totals show how many faults are missing.
- There is no room for the batch. It is dropped and counted in ``dropped_batches``, across restarts.

Why files and no database: the same on SQLite (WAL, synchronous=FULL, pages of 1 KiB) was built and
measured. It took 0.94 of the lines: the reserve, what is held in memory, the lock and the bounds stay, and
rescue comes. A batch of 20 KB put and removed took 1.03 fsyncs for 2.00, 0.97 of the CPU time, and 1.45 of
the bytes that the process writes (2.3 while a backlog fills), of which 0.40 reached an ext4 device, whose
journal has less to do. So it is not slower, but it loses more where disks fail. One damaged page can cost
every batch (400 of 400, none counted), and one bit in the write-ahead log all after it (59 of 60, without
an error); here damage costs the batch that has it, which is counted. On a full disk the reserve of 4 MiB
kept 129 batches for 205. It does not open where memory cannot be shared or POSIX locks are missing, and
another process that stops in a transaction holds up the reading.
"""

import logging
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from collector.errors import SpoolError
from collector.spool.aside import Reason
from collector.spool.checkpoint import CheckpointFile
from collector.spool.contents import Contents
from collector.spool.entry import Parcel, Spooled
from collector.spool.lock import lock

logger = logging.getLogger(__name__)

DEFAULT_BYTES = 256 * 1024 * 1024


class Spool:
    """A queue of encoded batches in a directory of its own, oldest first. Safe for threads.

    One thread puts batches. Another takes the ``oldest``, sends it and calls ``remove``. Batches of earlier
    processes come first. A batch that the server refuses while it accepts newer ones is ``put_aside``, and
    still counts against the spool's room.
    """

    def __init__(self, directory: Path, *, max_bytes: int = DEFAULT_BYTES) -> None:
        """Open the directory, making it if need be, and finish what an earlier process left undone.

        :param max_bytes: room on disk for batches, including those put aside, each rounded up to blocks of
            4 KiB. The reserve, the checkpoint and the drop notices are not part of it.
        :raises SpoolLockedError: another process uses it
        :raises SpoolError: it cannot be used
        """
        self._directory = directory
        self._changed = threading.Condition()
        self._woken = False
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)
            self._lock: int | None = lock(directory / "lock")
        except OSError as exc:
            raise _unusable(directory, exc) from exc
        try:
            self._contents = Contents(directory, max_bytes)
            self._checkpoint = CheckpointFile(directory / "cut")
        except OSError as exc:
            self._unlock()
            raise _unusable(directory, exc) from exc

    @property
    def directory(self) -> Path:
        """Where it lies."""
        return self._directory

    @property
    def dropped_batches(self) -> int:
        """How many batches were dropped and not yet reported to the server."""
        with self._changed:
            return self._contents.drops.unreported

    @property
    def dropped_since_open(self) -> int:
        """How many batches were dropped since the directory was opened, reported or not."""
        with self._changed:
            return self._contents.dropped_since_open

    @property
    def pending_notices(self) -> Mapping[int, bytes]:
        """Drop notices that no batch has carried yet, by number."""
        with self._changed:
            return self._contents.pending.notices

    @property
    def backlog_batches(self) -> int:
        """How many batches wait."""
        with self._changed:
            return len(self._contents.waiting)

    @property
    def aside(self) -> Mapping[int, Reason]:
        """Why batches were put aside, by number, oldest first."""
        with self._changed:
            return {number: self._contents.aside.reasons[number] for number in self._contents.aside.entries}

    @property
    def backlog_bytes(self) -> int:
        """How much room they and those put aside take."""
        with self._changed:
            return self._contents.bytes

    @property
    def last_number(self) -> int:
        """Number of the newest batch ever put."""
        with self._changed:
            return self._contents.next_number - 1

    def resume(self, committed: int) -> tuple[int, bytes] | None:
        """Finish what a killed process had begun: it stored a group and did not commit its checkpoint.

        Call this before anything else if the killed process's programs are still counting.

        :param committed: number of the newest batch whose checkpoint is committed in the kernel
        :return: number and checkpoint of a newer group that is complete; None if there is none. The batches
            of an incomplete group, or of one without a checkpoint on disk, are deleted: their faults will be
            counted again. Batches that belong to no counting stay.
        """
        with self._changed:
            self._contents.next_number = max(self._contents.next_number, committed + 1)
            checkpoint = self._checkpoint.read()
            newer = [number for number in self._contents.waiting if number > committed]
            if (
                checkpoint is not None
                and checkpoint[0] in newer
                and self._group_end(checkpoint[0]) == checkpoint[0]
            ):
                return checkpoint
            for number in newer:
                # A damaged file has no group_end. It is counted as dropped when it is read for sending.
                if self._group_end(number):
                    self._contents.drop(number, count=0)
            return None

    def _group_end(self, number: int) -> int:
        file = self._contents.read(number)
        return 0 if file is None else file.group_end

    def put(self, batch: bytes, *, reporting: int = 0) -> bool:
        """Store one batch, as ``put_group`` does."""
        return self.put_group([Parcel(batch)], reporting=reporting)

    def put_group(
        self,
        parcels: Sequence[Parcel],
        *,
        reporting: int = 0,
        carrying: Collection[int] = (),
        checkpoint: bytes = b"",
        commit: Callable[[int], None] = lambda _number: None,
    ) -> bool:
        """Store the batches of one reading durably; return False if one of them was dropped (and counted).

        Disk errors raise nothing. If there is no room, the oldest batches are dropped, except one that is
        being sent. If the disk is full and the reserve is used up, up to 16 MiB are held in memory, so that a
        collector with a connection still delivers.

        :param reporting: how many of the ``dropped_batches`` the last batch reports; they no longer count
        :param carrying: numbers of the ``pending_notices`` that these batches carry
        :param checkpoint: where the next reading starts; on disk until ``commit`` has returned
        :param commit: commits the checkpoint in the kernel, given the number of the last batch. No batch of
            this reading is sent before.
        """
        with self._changed:
            end = self._contents.next_number + len(parcels) - 1
            if checkpoint:
                self._checkpoint.keep(end, checkpoint)
            group_end = end if checkpoint else 0
            kept = [self._contents.put(parcel, group_end, 0) for parcel in parcels[:-1]]
            kept.append(self._contents.put(parcels[-1], group_end, reporting))
            commit(end)
            # If a batch that carries notices was dropped just now, its own drop notice includes them.
            self._contents.pending.forget(carrying)
            self._changed.notify_all()
            return all(kept)

    def oldest(self) -> Spooled | None:
        """Return the oldest batch that waits, to be sent now; None where there is none.

        Files that are damaged are counted as dropped and skipped.

        :raises OSError: this process is out of file descriptors or memory; the batch stays
        """
        return self.after(0)

    def after(self, number: int) -> Spooled | None:
        """Return the oldest that waits of those put after a batch, as ``oldest`` does."""
        with self._changed:
            # No list of all: a backlog has tens of thousands. ``take`` removes a damaged batch.
            waiting = self._contents.waiting
            while (later := next((other for other in waiting if other > number), None)) is not None:
                if (found := self._contents.take(later)) is not None:
                    return found
            return None

    def again(self, number: int) -> Spooled | None:
        """Return a batch that waits or is put aside, to be sent now; None where it is gone."""
        with self._changed:
            return self._contents.take(number) if self._contents.entry(number) is not None else None

    def remove(self, number: int) -> None:
        """Delete a batch: the server has it."""
        with self._changed:
            self._contents.remove(number)

    def put_aside(self, number: int, reason: Reason) -> None:
        """Skip this batch when sending, since the server refuses it. It still counts against the room.

        If the batch is already put aside, its reason is replaced.
        """
        with self._changed:
            self._contents.put_aside(number, reason)

    def bring_back(self, number: int) -> None:
        """Return a batch that was put aside to its place in the queue."""
        with self._changed:
            if self._contents.bring_back(number):
                self._changed.notify_all()

    def bring_back_asked(self) -> list[int]:
        """Bring back what an operator wants sent again; return their numbers."""
        with self._changed:
            numbers = self._contents.aside.asked_for()
            for number in numbers:
                self.bring_back(number)
            return numbers

    def wait(self) -> None:
        """Wait until there is a batch, or ``wake`` is called or was since the last wait."""
        with self._changed:
            self._changed.wait_for(lambda: self._contents.waiting or self._woken)
            self._woken = False

    def wake(self) -> None:
        """Let ``wait`` return, this one or the next."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def close(self) -> None:
        """Write batches held in memory to disk, if the disk takes them now, and unlock the directory.

        May be called again. Afterwards only ``remove`` may be called, which then has no effect.
        """
        with self._changed:
            if self._lock is None:
                return
            self._contents.close()
            self._checkpoint.close()
            self._unlock()

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _unusable(directory: Path, exc: OSError) -> SpoolError:
    return SpoolError(f"spool directory {directory} cannot be used: {exc.strerror or exc}")
