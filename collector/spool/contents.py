# SPDX-License-Identifier: Apache-2.0
"""What lies in a spool: the batches that wait and those put aside, within the spool's room.

A batch that has no room, or whose file is damaged, is dropped: counted first (``drops``), its drop notice
kept (``pending_notices``), its file deleted.
"""

import errno
import logging
import time
from collections import OrderedDict
from dataclasses import replace
from itertools import chain
from pathlib import Path

import msgspec

from collector.spool import file as spool_file
from collector.spool.aside import Aside, Reason
from collector.spool.disk import SpoolDisk
from collector.spool.drops import DropCount
from collector.spool.entry import Entry, Parcel, Spooled, blocks
from collector.spool.file import SpoolFile, SpoolName
from collector.spool.pending_notices import PendingNotices

logger = logging.getLogger(__name__)

_MEMORY_BYTES = 16 * 1024 * 1024
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Contents:
    """The batches of one spool, by number, oldest first. For one thread at a time."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        """Find what there is, and finish what an earlier process left undone.

        :raises OSError: the directory cannot be used
        """
        self._directory = directory
        self._max_bytes = max_bytes
        self._sending: int | None = None
        self.drops = DropCount(directory / "ledger")
        self.pending = PendingNotices(directory)
        self.aside = Aside(directory)
        self.waiting = self._recover()
        self._disk = SpoolDisk(directory)
        self.dropped_since_open = 0
        self.bytes = sum(entry.size for entry in self._both())
        """The room that all of them take."""
        self.next_number = max((*self.waiting, *self.aside.entries, self.drops.last_dropped)) + 1

    def entry(self, number: int) -> Entry | None:
        """Return a batch that waits or is put aside; None where there is none of this number."""
        return self.waiting.get(number) or self.aside.entries.get(number)

    def put(self, parcel: Parcel, group_end: int, reporting: int) -> bool:
        """Store a batch; return False where it is dropped instead. Disk errors raise nothing.

        :param group_end: number of the last batch of its group, whose checkpoint is stored; else 0
        :param reporting: how many dropped batches it reports
        """
        number = self.next_number
        self.next_number += 1
        content = spool_file.encode(SpoolFile(parcel.batch, group_end, parcel.drop_notice))
        size = blocks(len(content))
        self._make_room(size)
        reports = range(self.drops.reported, self.drops.reported + reporting)
        planned = Entry(self._directory / str(SpoolName(number, reports)), size, reporting)
        entry = self._store(planned, content) if self.bytes + size <= self._max_bytes else None
        if entry is None:
            self.drops.drop(number, 1)
            self.dropped_since_open += 1
            self.pending.keep(number, planned.path, content)
            logger.warning("batch dropped number=%d bytes=%d", number, len(parcel.batch))
            return False
        self.waiting[number] = entry
        self.bytes += size
        self.drops.report(reports.stop)
        return True

    def take(self, number: int) -> Spooled | None:
        """Return a batch, to be sent now; None where its file is damaged: then it is dropped.

        :raises OSError: this process is out of file descriptors or memory; the batch stays
        """
        file = self.read(number)
        if file is not None:
            self._sending = number
            return Spooled(number, file.batch)
        logger.warning("batch damaged on disk, dropped number=%d", number)
        self.drop(number)
        return None

    def read(self, number: int) -> SpoolFile | None:
        """Return a batch's file; None where it is damaged. :raises OSError: as ``take``"""
        entry = self.entry(number)
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

    def drop(self, number: int, *, count: int = 1) -> None:
        """Drop a batch.

        :param count: 0 where its faults will be counted again: then nothing is lost
        """
        entry = self.entry(number)
        assert entry is not None
        reason = self.aside.reasons.get(number)
        if reason is not None and reason.is_counted:
            count = 0
        # The drops that this batch was to report are unreported again.
        self.drops.drop(number, count + entry.reporting)
        self.dropped_since_open += count
        self._forget(number)
        # The server would refuse the notice of a damaged batch, or of another host's, as well.
        if count and (reason is None or reason.may_pass):
            self.pending.keep(number, entry.path, entry.held)
        _unlink(number, entry.path)
        try:
            # The drop count remembers one batch: its file must be gone before the next is dropped.
            spool_file.sync_directory(entry.path.parent)
        except OSError as exc:
            logger.warning("spool directory not synchronised error=%r", exc.strerror)

    def put_aside(self, number: int, reason: Reason) -> None:
        """See ``Spool.put_aside``."""
        entry = self.entry(number)
        if entry is None:
            return
        self.waiting.pop(number, None)
        before = self.aside.reasons.get(number, Reason("", since_ns=time.time_ns()))
        reason = msgspec.structs.replace(reason, since_ns=before.since_ns, is_counted=before.is_counted)
        self.aside.put(number, entry, reason)

    def bring_back(self, number: int) -> bool:
        """Return a batch that was put aside to its place; return False where it is not put aside."""
        if number not in self.aside.entries:
            return False
        entry = self.aside.take(number)
        path = self._directory / entry.path.name
        try:
            if entry.held is None:
                entry.path.rename(path)
            entry = Entry(path, entry.size, entry.reporting, entry.held)
        except OSError as exc:
            logger.warning("batch not brought back to its place number=%d error=%r", number, exc.strerror)
        self.waiting[number] = entry
        for later in [other for other in self.waiting if other > number]:
            self.waiting.move_to_end(later)
        return True

    def remove(self, number: int) -> None:
        """Delete a batch that the server has."""
        if self.entry(number) is not None:
            _unlink(number, self._forget(number).path)

    def close(self) -> None:
        """Write batches held in memory to disk, or drop those that it does not take now; close the files."""
        for number, entry in [*self.aside.entries.items(), *self.waiting.items()]:
            if entry.held is not None and not self._disk.write(entry.path, entry.held, entry.size):
                self.drop(number)
        self.waiting.clear()
        self.aside.entries.clear()
        self.drops.close()
        self._disk.close()

    def _both(self) -> chain[Entry]:
        return chain(self.waiting.values(), self.aside.entries.values())

    def _recover(self) -> OrderedDict[int, Entry]:
        (self._directory / "incoming.tmp").unlink(missing_ok=True)
        # The last process counted this batch as dropped and ended before it deleted the file.
        for path in self._directory.glob(f"{self.drops.last_dropped:020d}*.batch"):
            self.pending.keep(self.drops.last_dropped, path)
            path.unlink(missing_ok=True)
        if self.drops.last_dropped in self.aside.entries:
            path = self.aside.take(self.drops.last_dropped).path
            self.pending.keep(self.drops.last_dropped, path)
            path.unlink(missing_ok=True)
        names = [name for path in self._directory.iterdir() if (name := SpoolName.read(path.name))]
        entries = OrderedDict()
        for name in sorted(names, key=lambda name: name.number):
            path = self._directory / str(name)
            entries[name.number] = Entry(path, blocks(path.stat().st_size), len(name.reports))
            # The last process stored this batch and ended before it counted what the batch reports.
            self.drops.report(name.reports.stop)
        return entries

    def _make_room(self, size: int) -> None:
        while self.bytes + size > self._max_bytes:
            # Batches put aside are older than those that wait, so they are dropped first.
            numbers = chain(self.aside.entries, self.waiting)
            victim = next((number for number in numbers if number != self._sending), None)
            if victim is None:
                return
            self.drop(victim)

    def _store(self, entry: Entry, content: bytes) -> Entry | None:
        if self._disk.write(entry.path, content, entry.size):
            return entry
        held_bytes = sum(other.size for other in self._both() if other.held is not None)
        return replace(entry, held=content) if held_bytes + entry.size <= _MEMORY_BYTES else None

    def _forget(self, number: int) -> Entry:
        is_aside = number in self.aside.entries
        entry = self.aside.take(number) if is_aside else self.waiting.pop(number)
        self.bytes -= entry.size
        if self._sending == number:
            self._sending = None
        return entry


def _unlink(number: int, path: Path) -> None:
    # If the file stays, the next process sends it again, and the server ignores it.
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        logger.warning("batch not deleted number=%d error=%r", number, exc.strerror)
