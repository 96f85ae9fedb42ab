# SPDX-License-Identifier: Apache-2.0
"""Machine code and page tables that every x86 guest of ours shares.

The code touches memory: ``rdi`` is the address, ``rsi`` how many are left, ``rdx`` the stride, ``rcx`` the
access to repeat, ``rbx`` where to go on after it. It needs no stack, so that it faults on nothing but
its targets. It is position-independent and ends by falling through to what lies behind it.
"""

import struct
from collections.abc import Iterable

from demo.machine import Op
from demo.memory import HUGE_PAGE, PAGE

TOUCH_LOOP = bytes.fromhex(
    "8807 eb06"  # write:   mov [rdi], al; jmp next
    "8a07 eb02"  # read:    mov al, [rdi]; jmp next
    "ffe7"  # execute: jmp rdi, where LANDING leads back
    "4801d7"  # next:    add rdi, rdx
    "48ffce"  #          dec rsi
    "7402"  #          jz behind the loop
    "ffe1"  #          jmp rcx
)
ENTRY = {Op.WRITE: 0, Op.READ: 4, Op.EXECUTE: 8}
"""Offset of each access in ``TOUCH_LOOP``, for ``rcx``."""
NEXT = 10
"""Offset of ``next``, for ``rbx``."""

LANDING = bytes.fromhex("ffe3")  # jmp rbx

CR0 = 0x80050033  # PG, AM, WP, NE, ET, MP, PE
CR4 = 0x220  # OSFXSR, PAE
EFER = 0xD01  # NXE, LMA, LME, SCE

TSS_IO_MAP_BASE = 102
TSS_BYTES = 104

_MAPPED_BYTES = 1 << 30
_PTE = 0x7  # present, writable, user (Intel SDM volume 3, 4.5)
_PDE_LARGE = 0x87


def task_state() -> bytes:
    """Return one page: a task state segment whose I/O bitmap, all zeros, allows user mode every low port."""
    page = bytearray(PAGE)
    struct.pack_into("<H", page, TSS_IO_MAP_BASE, TSS_BYTES)
    return bytes(page)


def small_chunks(ranges: Iterable[range]) -> list[int]:
    """Return the numbers of the 2 MiB chunks that ranges of addresses lie in, ascending."""
    numbers = set[int]()
    for addresses in ranges:
        numbers.update(range(addresses.start // HUGE_PAGE, -(-addresses.stop // HUGE_PAGE)))
    return sorted(numbers)


def page_tables(base: int, small: list[int]) -> bytes:
    """Return tables, to lie at ``base``, that map the first GiB to itself for user mode.

    The root comes first. The chunks in ``small`` are mapped by 4 KiB pages, a table each, all others by
    2 MiB pages. No accessed bit is set.
    """
    pdpt, pd, first = (base + number * PAGE for number in (1, 2, 3))
    directory = [chunk * HUGE_PAGE | _PDE_LARGE for chunk in range(_MAPPED_BYTES // HUGE_PAGE)]
    tables = []
    for number, chunk in enumerate(small):
        directory[chunk] = first + number * PAGE | _PTE
        tables.append(struct.pack("<512Q", *(chunk * HUGE_PAGE + page * PAGE | _PTE for page in range(512))))
    root = struct.pack("<Q", pdpt | _PTE).ljust(PAGE, b"\0")
    return (
        root
        + struct.pack("<Q", pd | _PTE).ljust(PAGE, b"\0")
        + struct.pack("<512Q", *directory)
        + b"".join(tables)
    )
