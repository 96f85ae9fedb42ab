# SPDX-License-Identifier: Apache-2.0
"""A kernel image for a stock QEMU, whose guest touches memory on command.

It is an ELF file with a PVH entry note, which QEMU starts in 32-bit protected mode. A few dozen
instructions enter 64-bit user mode, since that is what every flavour of KVM runs natively. There
the guest touches its own pages once, says so by a byte on the first serial port, and from then on waits for
bytes: each is the number of a touch to do, and is answered when it is done.

QEMU's own firmware and its emulation fault on pages too; between a command and its answer there are the
faults of the touch alone.
"""

import struct
from collections.abc import Sequence

from demo.machine import Op, Touch
from demo.memory import PAGE
from demo.x86_code import (
    CR0,
    CR4,
    EFER,
    ENTRY,
    LANDING,
    NEXT,
    TOUCH_LOOP,
    page_tables,
    small_chunks,
    task_state,
)

FIRST_TARGET = 16 << 20
"""Targets may lie here and above; what is below is the image's and the firmware's."""
DONE = b"D"
"""The guest's answer to each command, and its first word when it is ready."""

_BASE = 1 << 20
_CODE, _TOUCHES, _TSS, _TABLES = (_BASE + page * PAGE for page in range(4))
_PROTECTED_MODE, _LONG_MODE, _USER_MODE, _GDT = (_CODE + offset for offset in (0, 0x80, 0x100, 0x200))
_STACK_TOP = _TSS + PAGE
_KERNEL_CODE, _USER_DATA, _USER_CODE, _TASK = 0x08, 0x2B, 0x33, 0x38
_EFER_MSR = 0xC0000080
_EFER_AT_START = EFER & ~(1 << 10)  # LMA is the processor's to set
_COM1, _COM1_LINE_STATUS = 0x3F8, 0x3FD
_PAUSES_PER_POLL = 2000

_XEN_ELFNOTE_PHYS32_ENTRY = 18  # include/xen/interface/elfnote.h
_PT_LOAD, _PT_NOTE = 1, 4
_ELF_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<8I")


def build_image(touches: Sequence[Touch]) -> bytes:
    """Return the image of a guest that can do each of the touches, by its place in the sequence plus 1.

    :param touches: at most 127, between ``FIRST_TARGET`` and 1 GiB. The pages to be executed come with the
        image, so they are present in the host from the start, and make it as large as they are.
    """
    tables = page_tables(
        _TABLES,
        small_chunks((range(_BASE, _TABLES), *(range(t.gpa, t.gpa + t.count * t.stride) for t in touches))),
    )
    own_pages = (_TABLES - _BASE + len(tables)) // PAGE
    table = b"".join(
        struct.pack("<4Q", touch.gpa, touch.count, touch.stride, _TOUCH_LOOP + ENTRY[touch.op])
        for touch in (Touch(Op.READ, _BASE, own_pages, PAGE), *touches)
    )
    kernel = _code() + table.ljust(PAGE, b"\0") + task_state() + tables
    landings = [
        (touch.gpa, LANDING.ljust(touch.stride, b"\0") * touch.count)
        for touch in touches
        if touch.op is Op.EXECUTE
    ]
    return _elf([(_BASE, kernel), *landings])


def _code() -> bytes:
    page = bytearray(PAGE)
    for address, part in (
        (_PROTECTED_MODE, _protected_mode()),
        (_LONG_MODE, _long_mode()),
        (_USER_MODE, _user_mode() + TOUCH_LOOP + _report()),
        (_GDT, _descriptors()),
    ):
        page[address - _CODE : address - _CODE + len(part)] = part
    return bytes(page)


def _protected_mode() -> bytes:
    return b"".join(
        (
            struct.pack("<BBBI", 0x0F, 0x01, 0x15, _GDT),  # lgdt [_GDT]
            struct.pack("<BIBBB", 0xB8, _TABLES, 0x0F, 0x22, 0xD8),  # mov eax, _TABLES; mov cr3, eax
            struct.pack("<BIBBB", 0xB8, CR4, 0x0F, 0x22, 0xE0),  # mov eax, CR4; mov cr4, eax
            struct.pack("<BI", 0xB9, _EFER_MSR),  # mov ecx, _EFER_MSR
            struct.pack("<BI", 0xB8, _EFER_AT_START),  # mov eax, _EFER_AT_START
            bytes.fromhex("31d2 0f30"),  # xor edx, edx; wrmsr
            struct.pack("<BIBBB", 0xB8, CR0, 0x0F, 0x22, 0xC0),  # mov eax, CR0; mov cr0, eax
            struct.pack("<BIH", 0xEA, _LONG_MODE, _KERNEL_CODE),  # jmp _KERNEL_CODE:_LONG_MODE
        )
    )


def _long_mode() -> bytes:
    return b"".join(
        (
            struct.pack("<BIBBB", 0xB8, _TASK, 0x0F, 0x00, 0xD8),  # mov eax, _TASK; ltr ax
            struct.pack("<BI", 0xBC, _STACK_TOP),  # mov esp, _STACK_TOP
            struct.pack("<BbBbBb", 0x6A, _USER_DATA, 0x6A, 0, 0x6A, 2),  # push ss, rsp, rflags
            struct.pack("<BbBI", 0x6A, _USER_CODE, 0x68, _USER_MODE),  # push cs, rip
            bytes.fromhex("48cf"),  # iretq
        )
    )


def _user_mode() -> bytes:
    """Do touch 0 at first, then wait for the number of another, and set the touch loop's registers."""
    return b"".join(
        (
            struct.pack("<BBI", 0x41, 0xB8, _TOUCHES),  # mov r8d, _TOUCHES
            bytes.fromhex("31c0 eb19"),  # xor eax, eax; jmp run
            struct.pack("<BI", 0xB9, _PAUSES_PER_POLL),  # poll: mov ecx, _PAUSES_PER_POLL
            bytes.fromhex("f390 e2fc"),  # again: pause; loop again
            struct.pack("<BIB", 0xBA, _COM1_LINE_STATUS, 0xEC),  # mov edx, _COM1_LINE_STATUS; in al, dx
            bytes.fromhex("a801 74ed"),  # test al, 1; jz poll
            struct.pack("<BBB", 0xB2, _COM1 & 0xFF, 0xEC),  # mov dl, _COM1; in al, dx
            bytes.fromhex("0fb6c0"),  # movzx eax, al
            bytes.fromhex("c1e005"),  # run: shl eax, 5
            bytes.fromhex("498b3c00 498b740008"),  # mov rdi, [r8 + rax]; mov rsi, [r8 + rax + 8]
            bytes.fromhex("498b540010 498b4c0018"),  # mov rdx, [r8 + rax + 16]; mov rcx, [r8 + rax + 24]
            struct.pack("<BI", 0xBB, _TOUCH_LOOP + NEXT),  # mov ebx, next
            bytes.fromhex("ffe1"),  # jmp rcx
        )
    )


_USER_MODE_BYTES = 0x40
_POLL = _USER_MODE + 0x0A
_TOUCH_LOOP = _USER_MODE + _USER_MODE_BYTES


def _report() -> bytes:
    answer = struct.pack(
        "<BIBBB", 0xBA, _COM1, 0xB0, DONE[0], 0xEE
    )  # mov edx, _COM1; mov al, DONE; out dx, al
    behind = _TOUCH_LOOP + len(TOUCH_LOOP) + len(answer) + 2
    return answer + struct.pack("<Bb", 0xEB, _POLL - behind)  # jmp poll


def _descriptors() -> bytes:
    """Return what lgdt reads, followed by the descriptors (Intel SDM volume 3, 3.4.5 and 7.2.3)."""
    task = (PAGE - 1) | (_TSS & 0xFFFFFF) << 16 | 0x89 << 40 | _TSS >> 24 << 56
    table = {
        _KERNEL_CODE: 0x00AF9B000000FFFF,
        _USER_DATA & ~3: 0x00CFF3000000FFFF,
        _USER_CODE & ~3: 0x00AFFB000000FFFF,
        _TASK: task,
    }
    descriptors = [table.get(selector, 0) for selector in range(0, _TASK + 16, 8)]
    pointer = struct.pack("<HI", 8 * len(descriptors) - 1, _GDT + 8).ljust(8, b"\0")
    return pointer + struct.pack(f"<{len(descriptors)}Q", *descriptors)


def _elf(segments: Sequence[tuple[int, bytes]]) -> bytes:
    """Return an ELF file that loads each content at its address."""
    note = struct.pack("<III4sI", 4, 4, _XEN_ELFNOTE_PHYS32_ENTRY, b"Xen\0", _PROTECTED_MODE)
    count = len(segments) + 1
    note_offset = _ELF_HEADER.size + count * _PROGRAM_HEADER.size
    offset = -(-(note_offset + len(note)) // PAGE) * PAGE
    headers = [_PROGRAM_HEADER.pack(_PT_NOTE, note_offset, 0, 0, len(note), len(note), 4, 4)]
    for address, content in segments:
        headers.append(
            _PROGRAM_HEADER.pack(_PT_LOAD, offset, address, address, len(content), len(content), 7, PAGE)
        )
        offset += -(-len(content) // PAGE) * PAGE
    start = _elf_header(count) + b"".join(headers) + note
    return b"".join(
        part.ljust(-(-len(part) // PAGE) * PAGE, b"\0") for part in (start, *(c for _, c in segments))
    )


def _elf_header(program_headers: int) -> bytes:
    executable, i386, version = 2, 3, 1
    return _ELF_HEADER.pack(
        b"\x7fELF\1\1\1",
        executable,
        i386,
        version,
        _PROTECTED_MODE,
        _ELF_HEADER.size,
        0,
        0,
        _ELF_HEADER.size,
        _PROGRAM_HEADER.size,
        program_headers,
        0,
        0,
        0,
    )
