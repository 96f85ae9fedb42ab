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

import errno
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import TracebackType

import msgspec

from collector.errors import SpoolError
from collector.spool import file as spool_file
from collector.spool.aside import Aside, Reason
from collector.spool.checkpoint import CheckpointFile
from collector.spool.disk import SpoolDisk
from collector.spool.drops import DropCount
from collector.spool.entry import Entry, blocks
from collector.spool.file import SpoolFile, SpoolName
from collector.spool.lock import lock
from collector.spool.pending_notices import PendingNotices

logger = logging.getLogger(__name__)

DEFAULT_BYTES = 256 * 1024 * 1024
_MEMORY_BYTES = 16 * 1024 * 1024
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@dataclass(frozen=True, slots=True)
class Spooled:
    """A batch in the spool, under the number by which it is removed."""

    number: int
    batch: bytes


@dataclass(frozen=True, slots=True)
class Parcel:
    """A batch, and the drop notice that a later batch carries if this one is dropped."""

    batch: bytes
    drop_notice: bytes = b""


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
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._woken = False
        self._dropped_now = 0
        self._sending: int | None = None
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)
            self._lock: int | None = lock(directory / "lock")
        except OSError as exc:
            raise _unusable(directory, exc) from exc
        try:
            self._drops = DropCount(directory / "ledger")
            self._pending = PendingNotices(directory)
            self._aside = Aside(directory)
            self._entries = self._recover()
            self._disk = SpoolDisk(directory)
            self._checkpoint = CheckpointFile(directory / "cut")
        except OSError as exc:
            self._unlock()
            raise _unusable(directory, exc) from exc
        both = (*self._entries.values(), *self._aside.entries.values())
        self._bytes = sum(entry.size for entry in both)
        known = (*self._entries, *self._aside.entries, self._drops.last_dropped)
        self._next = max(known) + 1

    @property
    def directory(self) -> Path:
        """Where it lies."""
        return self._directory

    @property
    def dropped_batches(self) -> int:
        """How many batches were dropped and not yet reported to the server."""
        with self._changed:
            return self._drops.unreported

    @property
    def dropped_since_open(self) -> int:
        """How many batches were dropped since the directory was opened, reported or not."""
        with self._changed:
            return self._dropped_now

    @property
    def pending_notices(self) -> Mapping[int, bytes]:
        """Drop notices that no batch has carried yet, by number."""
        with self._changed:
            return self._pending.notices

    @property
    def backlog_batches(self) -> int:
        """How many batches wait."""
        with self._changed:
            return len(self._entries)

    @property
    def aside(self) -> Mapping[int, Reason]:
        """Why batches were put aside, by number, oldest first."""
        with self._changed:
            return {number: self._aside.reasons[number] for number in self._aside.entries}

    @property
    def backlog_bytes(self) -> int:
        """How much room they and those put aside take."""
        with self._changed:
            return self._bytes

    @property
    def last_number(self) -> int:
        """Number of the newest batch ever put."""
        with self._changed:
            return self._next - 1

    def resume(self, committed: int) -> tuple[int, bytes] | None:
        """Finish what a killed process had begun: it stored a group and did not commit its checkpoint.

        Call this before anything else if the killed process's programs are still counting.

        :param committed: number of the newest batch whose checkpoint is committed in the kernel
        :return: number and checkpoint of a newer group that is complete; None if there is none. The batches
            of an incomplete group, or of one without a checkpoint on disk, are deleted: their faults will be
            counted again. Batches that belong to no counting stay.
        """
        with self._changed:
            self._next = max(self._next, committed + 1)
            checkpoint = self._checkpoint.read()
            newer = [number for number in self._entries if number > committed]
            if (
                checkpoint is not None
                and checkpoint[0] in newer
                and self._group_end(checkpoint[0]) == checkpoint[0]
            ):
                return checkpoint
            for number in newer:
                # A damaged file has no group_end. It is counted as dropped when it is read for sending.
                if self._group_end(number):
                    self._drop(number, count=0)
            return None

    def _group_end(self, number: int) -> int:
        file = self._read(number)
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
        being sent. If the disk is full and the reserve is used up, up to ``_MEMORY_BYTES`` are held in
        memory, so that a collector with a connection still delivers.

        :param reporting: how many of the ``dropped_batches`` the last batch reports; they no longer count
        :param carrying: numbers of the ``pending_notices`` that these batches carry
        :param checkpoint: where the next reading starts; on disk until ``commit`` has returned
        :param commit: commits the checkpoint in the kernel, given the number of the last batch. No batch of
            this reading is sent before.
        """
        with self._changed:
            end = self._next + len(parcels) - 1
            if checkpoint:
                self._checkpoint.keep(end, checkpoint)
            group_end = end if checkpoint else 0
            kept = [self._put(parcel, group_end, 0) for parcel in parcels[:-1]]
            kept.append(self._put(parcels[-1], group_end, reporting))
            commit(end)
            # If a batch that carries notices was dropped just now, its own drop notice includes them.
            self._pending.forget(carrying)
            self._changed.notify_all()
            return all(kept)

    def _put(self, parcel: Parcel, group_end: int, reporting: int) -> bool:
        number = self._next
        self._next += 1
        content = spool_file.encode(SpoolFile(parcel.batch, group_end, parcel.drop_notice))
        size = blocks(len(content))
        self._make_room(size)
        reports = range(self._drops.reported, self._drops.reported + reporting)
        planned = Entry(self._directory / str(SpoolName(number, reports)), size, reporting)
        entry = self._store(planned, content) if self._bytes + size <= self._max_bytes else None
        if entry is None:
            self._drops.drop(number, 1)
            self._dropped_now += 1
            self._pending.keep(number, planned.path, content)
            logger.warning("batch dropped number=%d bytes=%d", number, len(parcel.batch))
            return False
        self._entries[number] = entry
        self._bytes += size
        self._drops.report(reports.stop)
        return True

    def oldest(self) -> Spooled | None:
        """Return the oldest batch that waits, to be sent now; None where there is none.

        Files that are damaged are counted as dropped and skipped.

        :raises OSError: this process is out of file descriptors or memory; the batch stays
        """
        return self.after(0)

    def after(self, number: int) -> Spooled | None:
        """Return the oldest that waits of those put after a batch, as ``oldest`` does."""
        with self._changed:
            # No list of all: a backlog has tens of thousands. ``_take`` removes a damaged batch.
            while (later := next((other for other in self._entries if other > number), None)) is not None:
                if (found := self._take(later)) is not None:
                    return found
            return None

    def again(self, number: int) -> Spooled | None:
        """Return a batch that waits or is put aside, to be sent now; None where it is gone."""
        with self._changed:
            return self._take(number) if self._entry(number) is not None else None

    def remove(self, number: int) -> None:
        """Delete a batch: the server has it."""
        with self._changed:
            if self._entry(number) is not None:
                self._unlink(number, self._forget(number).path)

    def put_aside(self, number: int, reason: Reason) -> None:
        """Skip this batch when sending, since the server refuses it. It still counts against the room.

        If the batch is already put aside, its reason is replaced.
        """
        with self._changed:
            entry = self._entry(number)
            if entry is None:
                return
            self._entries.pop(number, None)
            before = self._aside.reasons.get(number, Reason("", since_ns=time.time_ns()))
            self._aside.put(
                number,
                entry,
                msgspec.structs.replace(reason, since_ns=before.since_ns, is_counted=before.is_counted),
            )

    def bring_back(self, number: int) -> None:
        """Return a batch that was put aside to its place in the queue."""
        with self._changed:
            if number not in self._aside.entries:
                return
            entry = self._aside.take(number)
            path = self._directory / entry.path.name
            try:
                if entry.held is None:
                    entry.path.rename(path)
                entry = Entry(path, entry.size, entry.reporting, entry.held)
            except OSError as exc:
                logger.warning("batch not brought back to its place number=%d error=%r", number, exc.strerror)
            self._entries[number] = entry
            for later in [other for other in self._entries if other > number]:
                self._entries.move_to_end(later)
            self._changed.notify_all()

    def bring_back_asked(self) -> list[int]:
        """Bring back what an operator wants sent again; return their numbers."""
        with self._changed:
            numbers = self._aside.asked_for()
            for number in numbers:
                self.bring_back(number)
            return numbers

    def wait(self) -> None:
        """Wait until there is a batch, or ``wake`` is called or was since the last wait."""
        with self._changed:
            self._changed.wait_for(lambda: self._entries or self._woken)
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
            for number, entry in [*self._aside.entries.items(), *self._entries.items()]:
                if entry.held is not None and not self._disk.write(entry.path, entry.held, entry.size):
                    self._drop(number)
            self._entries.clear()
            self._aside.entries.clear()
            self._checkpoint.close()
            self._drops.close()
            self._disk.close()
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

    def _recover(self) -> OrderedDict[int, Entry]:
        (self._directory / "incoming.tmp").unlink(missing_ok=True)
        # The last process counted this batch as dropped and ended before it deleted the file.
        for path in self._directory.glob(f"{self._drops.last_dropped:020d}*.batch"):
            self._pending.keep(self._drops.last_dropped, path)
            path.unlink(missing_ok=True)
        if self._drops.last_dropped in self._aside.entries:
            path = self._aside.take(self._drops.last_dropped).path
            self._pending.keep(self._drops.last_dropped, path)
            path.unlink(missing_ok=True)
        names = [name for path in self._directory.iterdir() if (name := SpoolName.read(path.name))]
        entries = OrderedDict()
        for name in sorted(names, key=lambda name: name.number):
            path = self._directory / str(name)
            entries[name.number] = Entry(path, blocks(path.stat().st_size), len(name.reports))
            # The last process stored this batch and ended before it counted what the batch reports.
            self._drops.report(name.reports.stop)
        return entries

    def _make_room(self, size: int) -> None:
        while self._bytes + size > self._max_bytes:
            # Batches put aside are older than those that wait, so they are dropped first.
            waiting = chain(self._aside.entries, self._entries)
            victim = next((number for number in waiting if number != self._sending), None)
            if victim is None:
                return
            self._drop(victim)

    def _store(self, entry: Entry, content: bytes) -> Entry | None:
        if self._disk.write(entry.path, content, entry.size):
            return entry
        both = (*self._entries.values(), *self._aside.entries.values())
        held_bytes = sum(other.size for other in both if other.held is not None)
        return replace(entry, held=content) if held_bytes + entry.size <= _MEMORY_BYTES else None

    def _entry(self, number: int) -> Entry | None:
        return self._entries.get(number) or self._aside.entries.get(number)

    def _take(self, number: int) -> Spooled | None:
        file = self._read(number)
        if file is not None:
            self._sending = number
            return Spooled(number, file.batch)
        logger.warning("batch damaged on disk, dropped number=%d", number)
        self._drop(number)
        return None

    def _read(self, number: int) -> SpoolFile | None:
        entry = self._entry(number)
        assert entry is not None
        if entry.held is not None:
            return spool_file.decode(entry.held)
        try:
            return spool_file.decode(entry.path.read_bytes())
        except OSError as exc:
            if exc.errno in _OUT_OF_RESOURCES:
                raise
            logger.warning("batch cannot be read number=%d error=%r", number, exc.strerror)
            return None

    def _drop(self, number: int, *, count: int = 1) -> None:
        entry = self._entry(number)
        assert entry is not None
        reason = self._aside.reasons.get(number)
        if reason is not None and reason.is_counted:
            count = 0
        # The drops that this batch was to report are unreported again.
        self._drops.drop(number, count + entry.reporting)
        self._dropped_now += count
        self._forget(number)
        # The server would refuse the notice of a damaged batch, or of another host's, as well.
        if count and (reason is None or reason.may_pass):
            self._pending.keep(number, entry.path, entry.held)
        self._unlink(number, entry.path)
        try:
            # The drop count remembers one batch: its file must be gone before the next is dropped.
            spool_file.sync_directory(entry.path.parent)
        except OSError as exc:
            logger.warning("spool directory not synchronised error=%r", exc.strerror)

    def _forget(self, number: int) -> Entry:
        is_aside = number in self._aside.entries
        entry = self._aside.take(number) if is_aside else self._entries.pop(number)
        self._bytes -= entry.size
        if self._sending == number:
            self._sending = None
        return entry

    def _unlink(self, number: int, path: Path) -> None:
        # If the file stays, the next process sends it again, and the server ignores it.
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            logger.warning("batch not deleted number=%d error=%r", number, exc.strerror)


def _unusable(directory: Path, exc: OSError) -> SpoolError:
    return SpoolError(f"spool directory {directory} cannot be used: {exc.strerror or exc}")
