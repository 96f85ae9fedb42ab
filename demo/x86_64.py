# SPDX-License-Identifier: Apache-2.0
"""A 64-bit x86 guest at CPL 3.

User mode is what every flavour of KVM runs natively: PVM emulates code at CPL 0 one instruction at a time,
and emulated code takes no guest faults. The guest needs no stack, no interrupt table and no memory of its
own but its code, its page tables and a task state segment.

By one ``out`` it says that it is done. That is allowed to it twice over: by its I/O privilege level,
which PVM does not heed, and by the task state segment's I/O bitmap, which QEMU's emulation of SVM does not.
"""

import struct
from collections.abc import Iterable
from enum import IntEnum

from demo.kvm import (
    IOC_READ,
    IOC_WRITE,
    KVM_EXIT_IO,
    Vcpu,
    VirtualMachine,
    ioctl,
    ioctl_number,
)
from demo.machine import Touch
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

_CODE, _TSS, _TABLES = 0, PAGE, 2 * PAGE
_DONE_PORT = 0x10
_IOPL_3 = 0x3002  # RFLAGS, with the bit that is always set
_DONE = bytes((0xE6, _DONE_PORT))  # out _DONE_PORT, al

# arch/x86/include/uapi/asm/kvm.h: struct kvm_regs, kvm_sregs and kvm_cpuid2
_REGS = struct.Struct("<18Q")
_RBX, _RCX, _RDX, _RSI, _RDI, _RIP, _RFLAGS = 1, 2, 3, 4, 5, 16, 17

_SEGMENT = struct.Struct("<QIHBBBBBBBBBB")
_CONTROL = struct.Struct("<7Q")  # cr0, cr2, cr3, cr4, cr8, efer, apic_base
_CONTROL_OFFSET = 8 * _SEGMENT.size + 2 * 16
_SREGS_BYTES = _CONTROL_OFFSET + _CONTROL.size + 32
_CPUID_BYTES, _CPUID_ENTRY_BYTES, _CPUID_ENTRIES = 8, 40, 256


class X86Request(IntEnum):
    """The ioctls of x86."""

    KVM_GET_SUPPORTED_CPUID = ioctl_number(IOC_READ | IOC_WRITE, 0x05, _CPUID_BYTES)
    KVM_GET_REGS = ioctl_number(IOC_READ, 0x81, _REGS.size)
    KVM_SET_REGS = ioctl_number(IOC_WRITE, 0x82, _REGS.size)
    KVM_GET_SREGS = ioctl_number(IOC_READ, 0x83, _SREGS_BYTES)
    KVM_SET_SREGS = ioctl_number(IOC_WRITE, 0x84, _SREGS_BYTES)
    KVM_SET_CPUID2 = ioctl_number(IOC_WRITE, 0x90, _CPUID_BYTES)


class X86Machine:
    """The processor of a 64-bit x86 guest."""

    landing = LANDING
    forgets_all = True

    def __init__(self, small_pages: Iterable[range]) -> None:
        image = TOUCH_LOOP + _DONE
        tables = page_tables(_TABLES, small_chunks((range(_TABLES), *small_pages)))
        self._image = image.ljust(PAGE, b"\0") + task_state() + tables
        self.system_pages = len(self._image) // PAGE

    def system_image(self) -> bytes:
        """Return code, task state segment and page tables."""
        return self._image

    def set_up(self, vm: VirtualMachine, vcpu: Vcpu) -> None:
        """Put the vCPU into 64-bit user mode, with all the features of the host."""
        cpuid = bytearray(_CPUID_BYTES + _CPUID_ENTRIES * _CPUID_ENTRY_BYTES)
        struct.pack_into("<I", cpuid, 0, _CPUID_ENTRIES)
        ioctl(vm.kvm.fd, X86Request.KVM_GET_SUPPORTED_CPUID, cpuid)
        ioctl(vcpu.fd, X86Request.KVM_SET_CPUID2, cpuid)
        sregs = bytearray(_SREGS_BYTES)
        ioctl(vcpu.fd, X86Request.KVM_GET_SREGS, sregs)
        code = _segment(selector=0x33, kind=0xB, long=1)
        data = _segment(selector=0x2B, kind=0x3, long=0)
        task = _SEGMENT.pack(_TSS, PAGE - 1, 0x40, 0xB, 1, 0, 0, 0, 0, 0, 0, 0, 0)
        no_ldt = _SEGMENT.pack(0, 0, 0, 0x2, 0, 0, 0, 0, 0, 0, 0, 1, 0)
        # cs; ds, es, fs, gs, ss; tr; ldt; and no gdt and idt
        sregs[:_CONTROL_OFFSET] = (code + data * 5 + task + no_ldt).ljust(_CONTROL_OFFSET, b"\0")
        apic_base = _CONTROL.unpack_from(sregs, _CONTROL_OFFSET)[-1]
        _CONTROL.pack_into(sregs, _CONTROL_OFFSET, CR0, 0, _TABLES, CR4, 0, EFER, apic_base)
        ioctl(vcpu.fd, X86Request.KVM_SET_SREGS, sregs)

    def start(self, vcpu: Vcpu, touch: Touch) -> None:
        """Set the registers for a touch."""
        regs = [0] * 18
        regs[_RBX], regs[_RCX], regs[_RDX] = _CODE + NEXT, _CODE + ENTRY[touch.op], touch.stride
        regs[_RSI], regs[_RDI] = touch.count, touch.gpa
        regs[_RIP], regs[_RFLAGS] = _CODE + ENTRY[touch.op], _IOPL_3
        ioctl(vcpu.fd, X86Request.KVM_SET_REGS, _REGS.pack(*regs))

    def skip(self, vcpu: Vcpu) -> int:
        """Go on behind the access, whichever it was: rbx points there."""
        block = bytearray(_REGS.size)
        ioctl(vcpu.fd, X86Request.KVM_GET_REGS, block)
        regs = list(_REGS.unpack(block))
        regs[_RIP] = regs[_RBX]
        ioctl(vcpu.fd, X86Request.KVM_SET_REGS, _REGS.pack(*regs))
        address: int = regs[_RDI]
        return address

    def is_done(self, vcpu: Vcpu, exit_reason: int) -> bool:
        """Return whether the guest wrote to its port."""
        return exit_reason == KVM_EXIT_IO and vcpu.io_port() == _DONE_PORT


def _segment(*, selector: int, kind: int, long: int) -> bytes:
    # base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable, padding
    return _SEGMENT.pack(0, 0xFFFFFFFF, selector, kind, 1, 3, 1 - long, 1, long, 1, 0, 0, 0)
