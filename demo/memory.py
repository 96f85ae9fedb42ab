# SPDX-License-Identifier: Apache-2.0
"""Host memory that backs a guest's."""

import ctypes
import mmap
import os

from demo.errors import DemoError

PAGE = 4096
HUGE_PAGE = 2 << 20

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_long)
_libc.mmap.restype = ctypes.c_void_p
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.fallocate64.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)

_FAR = 0x1000_0000_0000
FALLOC_FL_KEEP_SIZE = 1 << 0  # include/uapi/linux/falloc.h
FALLOC_FL_PUNCH_HOLE = 1 << 1


class HostMemory:
    """A mapping of whole pages at a known address, aligned to 2 MiB."""

    def __init__(self, mapping: mmap.mmap, offset: int, pages: int) -> None:
        self._mapping = mapping
        self._offset = offset
        self.pages = pages
        self.address = _address(mapping) + offset

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.pages * PAGE

    def write(self, offset: int, content: bytes) -> None:
        """Copy bytes to an offset; the pages that it touches become present in the host."""
        start = self._offset + offset
        self._mapping[start : start + len(content)] = content

    def read(self, offset: int, count: int) -> bytes:
        """Return bytes from an offset on."""
        start = self._offset + offset
        return self._mapping[start : start + count]

    def fill(self, content: bytes) -> None:
        """Write the same bytes to the start of every page."""
        for offset in range(0, self.size, PAGE):
            self.write(offset, content)

    def discard(self) -> None:
        """Take all pages from the process, so that the guest's next touch of each faults anew.

        Anonymous memory loses its contents; a file's are kept in the page cache.
        """
        self._mapping.madvise(mmap.MADV_DONTNEED, self._offset, self.size)

    def forbid(self) -> None:
        """Make every access to it an error (PROT_NONE), KVM's included."""
        self._protect(0)

    def permit(self) -> None:
        """Allow reads and writes again."""
        self._protect(mmap.PROT_READ | mmap.PROT_WRITE)

    def close(self) -> None:
        """Unmap it."""
        self._mapping.close()

    def _protect(self, protection: int) -> None:
        if _libc.mprotect(self.address, self.size, protection) != 0:
            raise DemoError(f"mprotect: {os.strerror(ctypes.get_errno())}")


class FarMemory(HostMemory):
    """Anonymous memory of which nothing is mapped at its address any more once it is closed.

    The kernel puts what a process maps next to what it has. This is far from that: else the guest would be
    given whatever the process maps there later.
    """

    def __init__(self, pages: int) -> None:
        """:raises DemoError: it cannot be mapped"""
        self.pages = pages
        protection, kind = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.address = _libc.mmap(_FAR, self.size, protection, kind, -1, 0)
        if self.address != _FAR:
            raise DemoError(f"nothing can be mapped at {_FAR:#x}")

    def close(self) -> None:
        """Unmap it."""
        _libc.munmap(self.address, self.size)


def anonymous(pages: int, *, huge: bool = False) -> HostMemory:
    """Map anonymous memory, absent until touched: of 4 KiB pages or, where possible, 2 MiB ones."""
    mapping = mmap.mmap(-1, pages * PAGE + HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    offset = -_address(mapping) % HUGE_PAGE
    mapping.madvise(mmap.MADV_HUGEPAGE if huge else mmap.MADV_NOHUGEPAGE)
    return HostMemory(mapping, offset, pages)


def file_backed(pages: int) -> HostMemory:
    """Map a memory file: unlike anonymous memory it keeps its contents when discarded."""
    fd = os.memfd_create("demo-guest", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, pages * PAGE)
        return HostMemory(mmap.mmap(fd, pages * PAGE, mmap.MAP_SHARED), 0, pages)
    finally:
        os.close(fd)


def mapped(fd: int, pages: int) -> HostMemory:
    """Map the start of a file, or of a guest_memfd."""
    return HostMemory(mmap.mmap(fd, pages * PAGE, mmap.MAP_SHARED), 0, pages)


def punch(fd: int, pages: int) -> None:
    """Take the first pages of a memory file from it; they are absent, and zero, from then on."""
    if _libc.fallocate64(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, pages * PAGE) != 0:
        raise DemoError(f"fallocate: {os.strerror(ctypes.get_errno())}")


def _address(mapping: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(mapping))
