# SPDX-License-Identifier: Apache-2.0
"""A 64-bit Arm guest at EL1, without address translation of its own.

It runs as firmware does: the MMU is off, so guest-virtual addresses are guest-physical ones, and one page of
code is all that it needs. It leaves by ``brk``, which KVM hands to user space while the guest is debugged:
unlike a write to a device, which is how others do it, that takes no stage-2 fault.

Sources: Arm Architecture Reference Manual (DDI 0487), C6.2 for the instructions and D1.3 for the vectors;
arch/arm64/include/uapi/asm/kvm.h for the registers' numbers.
"""

import ctypes
import mmap
import struct
from collections.abc import Iterable
from enum import IntEnum

from demo.errors import KvmUnavailableError
from demo.kvm import (
    IOC_READ,
    IOC_WRITE,
    KVM_EXIT_DEBUG,
    Vcpu,
    VirtualMachine,
    ioctl,
    ioctl_number,
)
from demo.machine import Op, Touch
from demo.memory import PAGE

# x0 is the address, x1 how many are left, x2 the stride, x3 the access to repeat, x4 where to go on after it.
_ADDRESS, _LEFT, _STRIDE, _REPEAT, _NEXT = range(5)
_TOUCH_LOOP = struct.pack(
    "<10I",
    0x39000005,  # write:   strb w5, [x0]
    0x14000004,  #          b next
    0x39400005,  # read:    ldrb w5, [x0]
    0x14000002,  #          b next
    0xD61F0000,  # execute: br x0, where the landing leads back
    0x8B020000,  # next:    add x0, x0, x2
    0xF1000421,  #          subs x1, x1, #1
    0x54000040,  #          b.eq done
    0xD61F0060,  #          br x3
    0xD4200000,  # done:    brk #0
)
_ENTRY = {Op.WRITE: 0, Op.READ: 8, Op.EXECUTE: 16}
_AFTER_ACCESS = 20
_LANDING = struct.pack("<I", 0xD61F0080)  # br x4

_VECTORS, _VECTOR_BYTES, _VECTOR_COUNT = 0x800, 0x80, 16
_EXCEPTION = struct.pack("<I", 0xD4200020)  # brk #1: not what is_done looks for, so the guest has failed
_DONE_SYNDROME = 0xF2000000  # EC 0x3c, a brk; IL; comment 0

_KVM_REG = 0x6030 << 48  # KVM_REG_ARM64 | KVM_REG_SIZE_U64
_CORE = _KVM_REG | 0x10 << 16  # plus the offset into struct kvm_regs, in words of 4 bytes
_PC = _CORE | 64
_VBAR_EL1 = _KVM_REG | 0x13 << 16 | 3 << 14 | 12 << 7  # op0 3, op1 0, CRn 12, CRm 0, op2 0

_VCPU_INIT_BYTES = 32
_GUESTDBG_ENABLE, _GUESTDBG_USE_SW_BP = 1 << 0, 1 << 16
_GUEST_DEBUG_BYTES = 8 + 4 * 16 * 8


class Arm64Request(IntEnum):
    """The ioctls of arm64."""

    KVM_SET_GUEST_DEBUG = ioctl_number(IOC_WRITE, 0x9B, _GUEST_DEBUG_BYTES)
    KVM_GET_ONE_REG = ioctl_number(IOC_WRITE, 0xAB, 16)
    KVM_SET_ONE_REG = ioctl_number(IOC_WRITE, 0xAC, 16)
    KVM_ARM_VCPU_INIT = ioctl_number(IOC_WRITE, 0xAE, _VCPU_INIT_BYTES)
    KVM_ARM_PREFERRED_TARGET = ioctl_number(IOC_READ, 0xAF, _VCPU_INIT_BYTES)


class Arm64Machine:
    """The processor of a 64-bit Arm guest."""

    system_pages = 1
    landing = _LANDING
    forgets_all = False

    def __init__(self, small_pages: Iterable[range]) -> None:
        """Make the processor; it has no page tables, so ``small_pages`` is not used.

        :raises KvmUnavailableError: this kernel's pages are not of 4 KiB
        """
        if mmap.PAGESIZE != PAGE:
            raise KvmUnavailableError(
                f"demonstration guests need a kernel with pages of {PAGE} bytes, this one has {mmap.PAGESIZE}"
            )

    def system_image(self) -> bytes:
        """Return the page of code: the loop, and a vector for each exception."""
        vectors = _EXCEPTION.ljust(_VECTOR_BYTES, b"\0") * _VECTOR_COUNT
        return _TOUCH_LOOP.ljust(_VECTORS, b"\0") + vectors

    def set_up(self, vm: VirtualMachine, vcpu: Vcpu) -> None:
        """Put the vCPU into EL1, with the host's own kind of processor."""
        target = bytearray(_VCPU_INIT_BYTES)
        ioctl(vm.fd, Arm64Request.KVM_ARM_PREFERRED_TARGET, target)
        ioctl(vcpu.fd, Arm64Request.KVM_ARM_VCPU_INIT, target)
        debug = struct.pack("<II", _GUESTDBG_ENABLE | _GUESTDBG_USE_SW_BP, 0)
        ioctl(vcpu.fd, Arm64Request.KVM_SET_GUEST_DEBUG, debug.ljust(_GUEST_DEBUG_BYTES, b"\0"))
        _set_register(vcpu, _VBAR_EL1, _VECTORS)

    def start(self, vcpu: Vcpu, touch: Touch) -> None:
        """Set the registers for a touch."""
        entry = _ENTRY[touch.op]
        for number, value in (
            (_ADDRESS, touch.gpa),
            (_LEFT, touch.count),
            (_STRIDE, touch.stride),
            (_REPEAT, entry),
            (_NEXT, _AFTER_ACCESS),
        ):
            _set_register(vcpu, _general(number), value)
        _set_register(vcpu, _PC, entry)

    def skip(self, vcpu: Vcpu) -> int:
        """Go on behind the access."""
        _set_register(vcpu, _PC, _AFTER_ACCESS)
        return _register(vcpu, _general(_ADDRESS))

    def is_done(self, vcpu: Vcpu, exit_reason: int) -> bool:
        """Return whether the guest came to the ``brk`` behind its loop."""
        return exit_reason == KVM_EXIT_DEBUG and vcpu.debug_syndrome() == _DONE_SYNDROME


def _general(number: int) -> int:
    return _CORE | 2 * number


def _register(vcpu: Vcpu, register: int) -> int:
    value = ctypes.c_uint64()
    ioctl(vcpu.fd, Arm64Request.KVM_GET_ONE_REG, struct.pack("<QQ", register, ctypes.addressof(value)))
    return value.value


def _set_register(vcpu: Vcpu, register: int, value: int) -> None:
    cell = ctypes.c_uint64(value)
    ioctl(vcpu.fd, Arm64Request.KVM_SET_ONE_REG, struct.pack("<QQ", register, ctypes.addressof(cell)))
