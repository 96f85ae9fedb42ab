# SPDX-License-Identifier: Apache-2.0
"""Why KVM_RUN failed: of guests whose memory was made to fail in one way each, the cause is that way.

Each guest fails three times: twice by a read and once by a write.
"""

import ctypes
import json
import mmap
import os
import select
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from demo import memory
from demo.guest import Guest
from demo.layout import Layout, Region
from demo.machine import Op
from demo.memory import PAGE, FarMemory, HostMemory
from faultmodel.causes import Cause
from faultmodel.record_stalls import CauseCount
from tests.kernel.looked import Looked, looked
from tests.kernel.userfaultfd import userfaultfd

pytestmark = pytest.mark.kernel

PAGES = 16
TOUCHES = ((Op.READ, 3), (Op.READ, 4), (Op.WRITE, 5))
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_HUGETLB, _NO_RESERVE = 0x40000, 0x4000


def _mapped(fd: int, pages: int = PAGES) -> HostMemory:
    return HostMemory(mmap.mmap(fd, pages * PAGE, mmap.MAP_SHARED), 0, pages)


def _failing(guest: Guest, region: Region) -> int:
    """Touch a region; return how often KVM_RUN failed."""
    return sum(len(guest.touch(region.touch(op, 1, first=first)).exits) for op, first in TOUCHES)


def _causes(probes: Looked) -> tuple[Counter[Cause], dict[str, Any]]:
    """Return exits by cause of this process's VM, and the newest's evidence."""
    rows: list[CauseCount] = list(probes.rows()["causes"])
    counts: Counter[Cause] = Counter()
    for row in rows:
        counts[row.cause] += row.count
    return counts, json.loads(rows[-1].evidence) if rows else {}


def _with(
    probes: Looked, host: HostMemory, break_it: Callable[[HostMemory], object], *, flags: int = 0
) -> tuple[Counter[Cause], dict[str, Any], Region]:
    """Run a guest whose memory breaks before it is touched."""
    layout = Layout()
    region = layout.add(host, flags=flags)
    with Guest(layout) as guest:
        guest.warm_up()
        break_it(host)
        assert _failing(guest, region) == len(TOUCHES)
        return *_causes(probes), region


@pytest.fixture
def probes(headers_cache: Path) -> Iterator[Looked]:
    with looked(headers_cache) as found:
        yield found


def test_memory_that_may_not_be_accessed(probes: Looked) -> None:
    counts, evidence, region = _with(probes, memory.anonymous(PAGES), HostMemory.forbid)
    assert counts == {Cause.PROT_NONE: len(TOUCHES)}
    assert (evidence["memslot"], evidence["permissions"]) == (region.slot, "---p")
    assert evidence["memslot_gpa"] == hex(region.gpa)


def test_memory_that_is_unmapped(probes: Looked) -> None:
    host = FarMemory(PAGES)
    counts, evidence, region = _with(probes, host, lambda host: host.close())
    assert counts == {Cause.NOT_MAPPED: len(TOUCHES)}
    assert (evidence["memslot"], evidence["not_mapped"]) == (region.slot, hex(host.address))


def test_a_memfd_that_is_truncated(probes: Looked) -> None:
    fd = os.memfd_create("cut", os.MFD_CLOEXEC)
    os.ftruncate(fd, PAGES * PAGE)
    counts, evidence, _ = _with(probes, _mapped(fd), lambda _: os.ftruncate(fd, 2 * PAGE - 1))
    os.close(fd)
    assert counts == {Cause.FILE_TRUNCATED: len(TOUCHES)}
    assert (evidence["file_bytes"], evidence["file"]) == (2 * PAGE - 1, "/memfd:cut")


def test_huge_pages_of_an_empty_pool(probes: Looked) -> None:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _HUGETLB | _NO_RESERVE
    pages = memory.HUGE_PAGE // PAGE
    host = HostMemory(mmap.mmap(-1, memory.HUGE_PAGE, flags), 0, pages)
    counts, evidence, _ = _with(probes, host, lambda _: None)
    assert counts == {Cause.TMPFS_FULL: len(TOUCHES)}
    assert (evidence["free_huge_pages"], evidence["page_bytes"]) == (0, memory.HUGE_PAGE)


def test_memory_of_which_nobody_provides_the_pages(probes: Looked) -> None:
    host = memory.anonymous(PAGES)
    with userfaultfd(host):
        counts, evidence, _ = _with(probes, host, lambda _: None)
    assert counts == {Cause.USERFAULTFD_GONE: len(TOUCHES)}
    assert evidence["userfaultfd"] == "registered"


def test_a_write_to_a_mapping_for_reading_has_its_permissions_as_evidence(probes: Looked) -> None:
    layout = Layout()
    fd = os.memfd_create("rom", os.MFD_CLOEXEC)
    os.ftruncate(fd, PAGES * PAGE)
    mapping = mmap.mmap(fd, PAGES * PAGE, mmap.MAP_SHARED)
    region = layout.add(HostMemory(mapping, 0, PAGES))
    os.close(fd)
    with Guest(layout) as guest:
        guest.warm_up()
        assert _libc.mprotect(region.require_memory().address, region.size, mmap.PROT_READ) == 0
        assert len(guest.touch(region.touch(Op.WRITE, 2)).exits) == 2
        counts, evidence = _causes(probes)
    assert counts == {Cause.UNKNOWN: 2}
    assert (evidence["permissions"], evidence["file"]) == ("r--s", "/memfd:rom")


@contextmanager
def _small_tmpfs(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_tmpfs_that_is_full(probes: Looked, tmp_path: Path) -> None:
    with _small_tmpfs(tmp_path / "small") as folder, (folder / "ram").open("w+b") as file:
        file.truncate(PAGES * PAGE)

        def fill(_: HostMemory) -> None:
            written = 0
            with (folder / "rest").open("wb", 0) as rest, suppress(OSError):
                while True:
                    written += rest.write(bytes(PAGE))
            assert written == 1 << 20

        counts, evidence, _ = _with(probes, _mapped(file.fileno()), fill)
        path = str(folder / "ram")
    assert counts == {Cause.TMPFS_FULL: len(TOUCHES)}
    assert (evidence["limit_bytes"], evidence["file"]) == (1 << 20, path)


def test_a_guest_memfd_that_is_closed(probes: Looked) -> None:
    layout = Layout()
    lost = layout.add_hole(PAGES)
    with Guest(layout) as guest:
        guest.warm_up()
        guest.attach_lost(lost)
        assert _failing(guest, lost) == len(TOUCHES)
        counts, evidence = _causes(probes)
    assert counts == {Cause.GUEST_MEMFD_FAILED: len(TOUCHES)}
    assert (evidence["guest_memfd"], evidence["gpa"]) == ("closed", hex(lost.gpa + 5 * PAGE))


def test_of_two_defects_it_is_not_guessed_which_it_was(probes: Looked) -> None:
    """Only where the kernel shows the address is it known which part of the memslot was touched."""
    fd = os.memfd_create("both", os.MFD_CLOEXEC)
    os.ftruncate(fd, PAGES * PAGE)
    host = _mapped(fd)

    def break_both(host: HostMemory) -> None:
        assert _libc.mprotect(host.address + 12 * PAGE, PAGE, 0) == 0
        os.ftruncate(fd, 2 * PAGE)

    counts, evidence, _ = _with(probes, host, break_both)
    os.close(fd)
    assert counts in ({Cause.UNKNOWN: 3}, {Cause.FILE_TRUNCATED: 3})
    if counts[Cause.UNKNOWN]:
        assert evidence["found"] == ["file_truncated", "prot_none"]


def test_the_first_exit_wakes_who_waits_for_it(probes: Looked) -> None:
    layout = Layout()
    region = layout.add(memory.anonymous(PAGES))
    with Guest(layout) as guest, select.epoll() as epoll:
        guest.warm_up()
        _causes(probes)
        epoll.register(probes.probes.exits_fd, select.EPOLLIN | select.EPOLLET)
        guest.touch(region.touch(Op.WRITE, 2, first=8))
        assert not epoll.poll(0), "nothing failed"
        region.require_memory().forbid()
        _failing(guest, region)
        assert [fd for fd, _ in epoll.poll(60)] == [probes.probes.exits_fd]


def test_exits_are_counted_once_each_by_their_cause(probes: Looked) -> None:
    layout = Layout()
    forbidden = layout.add(memory.anonymous(PAGES))
    lost = layout.add_hole(PAGES)
    total: Counter[Cause] = Counter()
    with Guest(layout) as guest:
        guest.warm_up()
        forbidden.require_memory().forbid()
        guest.attach_lost(lost)
        for rounds in (1, 40, 0, 200):
            for _ in range(rounds):
                _failing(guest, forbidden)
                _failing(guest, lost)
            total += _causes(probes)[0]
    assert total == {Cause.PROT_NONE: 241 * 3, Cause.GUEST_MEMFD_FAILED: 241 * 3}
