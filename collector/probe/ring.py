# SPDX-License-Identifier: Apache-2.0
"""Reads a BPF ring buffer of records of one size, through the memory that it shares with the kernel.

Layout: kernel/bpf/ringbuf.c (5.8 and later): a page with the consumer's position, which user space writes; a
page with the producers' position; then the data, mapped twice in a row so that nothing wraps. Each record has
a header of 8 bytes whose first word is its length, with one bit for a record still being written.
"""

import mmap
import struct
from typing import Generic, TypeVar

from collector.errors import PinnedError
from collector.probe.syscall import Map
from collector.probe.view import View

_POSITION = struct.Struct("=Q")
_HEADER_BYTES = 8
_BUSY = 1 << 31
_PAGE = mmap.PAGESIZE


R = TypeVar("R")


class Ring(Generic[R]):
    """One ring buffer. What was read stays in it until it is released."""

    def __init__(self, table: Map, record: View[R]) -> None:
        """:param record: what each record is"""
        self._mask = table.max_entries - 1
        self._record = record
        # The kernel rounds up to 8 bytes.
        self._stride = _HEADER_BYTES + (record.size + 7) // 8 * 8
        self._consumer = mmap.mmap(table.fd, _PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._data = mmap.mmap(
            table.fd, _PAGE + 2 * table.max_entries, mmap.MAP_SHARED, mmap.PROT_READ, offset=_PAGE
        )
        self._read_to: int = _POSITION.unpack_from(self._consumer)[0]

    @property
    def position(self) -> int:
        """Up to where it was read, in bytes since the ring was made."""
        return self._read_to

    def read(self) -> list[R]:
        """Return the records that were written since the last call, oldest first.

        :raises PinnedError: they are of another size than the set's layout says
        """
        (written_to,) = _POSITION.unpack_from(self._data)
        size = self._stride
        start = _PAGE + (self._read_to & self._mask)
        end = start + (written_to - self._read_to) // size * size
        with memoryview(self._data) as raw, raw.cast("I") as words:
            headers = words[start // 4 : end // 4 : size // 4].tolist()
        # Headers before records: a record whose header is complete now is complete when it is read.
        ready = next((index for index, header in enumerate(headers) if header & _BUSY), len(headers))
        if headers[:ready].count(self._record.size) != ready:
            raise PinnedError("its records are of another size than its layout says")
        data, unpack = self._data[start : start + ready * size], self._record.unpack
        records = [unpack(data, at) for at in range(_HEADER_BYTES, len(data), size)]
        self._read_to += ready * size
        return records

    def is_drained(self) -> bool:
        """Return whether every record was read and none is being written."""
        (written_to,) = _POSITION.unpack_from(self._data)
        return bool(written_to == self._read_to)

    def skip_to(self, position: int) -> None:
        """Go on from a position that an earlier reader had reached, if it is further."""
        self._read_to = max(self._read_to, position)

    def release(self, position: int) -> None:
        """Let the kernel overwrite the records before a position."""
        _POSITION.pack_into(self._consumer, 0, position)

    def close(self) -> None:
        """Unmap it."""
        self._consumer.close()
        self._data.close()
