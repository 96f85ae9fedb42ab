# SPDX-License-Identifier: Apache-2.0
"""Reads a process's mappings through the kernel's iterator (mappings.bpf.c), without ptrace and /proc."""

import mmap
import os
import stat
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from collector.errors import ProbeError
from collector.probe import syscall
from collector.probe.bytecode_cache import BytecodeCache
from collector.probe.compiler_process import Order, Terms
from collector.probe.handles import Handles
from collector.probe.loading import load_unattached
from collector.probe.plan import Plan
from collector.probe.source import FOLDER, make_source, one_text

_MAIN = "mappings.bpf.c"
_ITERATOR = "task_vma"
_HEAD = struct.Struct("=6Q4I2Qq")
_PATH_BYTES = 7
"""Which number of it is the length of the path that follows."""
_SHOWN = ((0x1, "r"), (0x2, "w"), (0x4, "x"))
"""include/linux/mm.h: VM_READ, VM_WRITE, VM_EXEC."""
_SHARED, _PFN, _IO = 0x8, 0x400, 0x4000
_HUGETLB, _HUGE_WANTED, _HUGE_REFUSED = 0x400000, 0x20000000, 0x40000000


@dataclass(frozen=True, slots=True)
class Mapping:
    """One mapping. Addresses, ``offset`` (in its file) and ``page_bytes`` (of the file system) in bytes.

    ``file_bytes``: the size of the file. ``limit_blocks``: how much its file system may hold, and
    ``used_blocks`` how much it does at least, in pages; None where it is no tmpfs, or has no limit.
    ``path`` is empty where there is no file, and where the path is too long; ``mode`` is the file's, 0 where
    there is none. ``userfaultfd``: the kernel's address of the one that is registered, or 0.
    """

    start: int
    end: int
    flags: int
    offset: int
    userfaultfd: int
    mode: int
    page_bytes: int
    path: str
    file_bytes: int = 0
    limit_blocks: int | None = None
    used_blocks: int = 0

    @property
    def permissions(self) -> str:
        """As /proc/PID/maps has them."""
        letters = "".join(letter if self.flags & bit else "-" for bit, letter in _SHOWN)
        return letters + ("s" if self.flags & _SHARED else "p")

    @property
    def has_userfaultfd(self) -> bool:
        """Whether one is registered."""
        return bool(self.userfaultfd)

    @property
    def is_hugetlb(self) -> bool:
        """Whether its pages are hugetlb's, of ``page_bytes``."""
        return bool(self.flags & _HUGETLB)

    @property
    def is_of_device(self) -> bool:
        """Whether it shows something else than pages of memory: /dev/zero is memory."""
        is_special = stat.S_ISCHR(self.mode) and not self.path.startswith("/dev/zero")
        return is_special or bool(self.flags & (_PFN | _IO))

    def may_be_huge(self, setting: str) -> bool:
        """Return whether the kernel may give it huge pages. :param setting: always, madvise or never"""
        if self.flags & _HUGE_REFUSED:
            return False
        return setting == "always" or (setting == "madvise" and bool(self.flags & _HUGE_WANTED))


class Mappings:
    """The iterator's program, loaded. To be closed."""

    def __init__(self, handles: Handles) -> None:
        """:param handles: of the program; are this object's from here on"""
        self._handles = handles

    def of(self, pid: int, mm: int, ranges: Iterable[tuple[int, int]]) -> Sequence[Mapping] | None:
        """Return a process's mappings at some addresses, in their order.

        :param mm: its address space, a kernel address
        :param ranges: beginnings and ends
        :return: None if that process has ended, or cannot be seen: another one has its pid
        :raises ProbeError: the kernel refuses
        """
        try:
            return self._wanted(pid, mm, *_joined(ranges))
        except ProcessLookupError:
            return None
        except OSError as exc:
            raise ProbeError(f"the kernel does not show a process's mappings: {exc.strerror}") from exc

    def _wanted(self, pid: int, mm: int, begins: list[int], ends: list[int]) -> list[Mapping] | None:
        found: list[Mapping] = []
        before = -1
        with closing(syscall.iterate(self._handles.programs[_ITERATOR], pid)) as parts:
            for numbers, path in _records(parts):
                start, end, of_mm = numbers[:3]
                if start <= before:
                    # All over again, for the next thread.
                    break
                before = start
                if of_mm != mm:
                    return None
                # The last range that begins before its end; of thousands of mappings few are wanted.
                near = bisect_left(begins, end) - 1
                if near >= 0 and ends[near] > start:
                    found.append(_mapping(numbers, path))
        return None if before < 0 else found

    def close(self) -> None:
        """Unload the program."""
        self._handles.close()


def load(plan: Plan, headers: Path, *, cache: BytecodeCache | None, terms: Terms) -> Mappings:
    """Load the program.

    :param plan: of the programs that count
    :param headers: tree from ``collector.probe.headers``
    :raises ProbeError: it cannot be compiled, or the kernel refuses it, as before 6.1
    """
    flags = make_source(plan).flags
    order = Order(one_text(FOLDER, _MAIN), flags, str(headers), (), (), is_typed=True, iterators=(_ITERATOR,))
    mappings = Mappings(load_unattached(order, {}, cache=cache, terms=terms))
    try:
        # An older kernel takes the program, and iterates over all processes only.
        mappings.of(os.getpid(), 0, ())
    except ProbeError:
        mappings.close()
        raise
    return mappings


def _joined(ranges: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Return the beginnings and ends of ranges that do not overlap, in their order."""
    begins: list[int] = []
    ends: list[int] = []
    for begin, end in sorted(ranges):
        if ends and begin <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            begins.append(begin)
            ends.append(end)
    return begins, ends


def _records(parts: Iterable[bytes]) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """Yield each mapping's numbers and path."""
    data = b""
    for part in parts:
        data += part
        place = 0
        while place + _HEAD.size <= len(data):
            numbers = _HEAD.unpack_from(data, place)
            end = place + _HEAD.size + numbers[_PATH_BYTES]
            if end > len(data):
                break
            yield numbers, data[place + _HEAD.size : end]
            place = end
        data = data[place:]


def _mapping(numbers: tuple[int, ...], path: bytes) -> Mapping:
    start, end, _, flags, page_offset, userfaultfd, mode, _, shift, has_limit, file_bytes, limit, used = (
        numbers
    )
    return Mapping(
        start=start,
        end=end,
        flags=flags,
        offset=page_offset * mmap.PAGESIZE,
        userfaultfd=userfaultfd,
        mode=mode,
        page_bytes=1 << shift,
        path=path.partition(b"\0")[0].decode(errors="replace"),
        file_bytes=file_bytes,
        limit_blocks=limit if has_limit else None,
        used_blocks=used,
    )
