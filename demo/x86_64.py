"""A 64-bit x86 guest at CPL 3.

User mode is what every flavour of KVM runs natively: PVM emulates code at CPL 0 one instruction at a time,
and emulated code takes no guest faults. The guest needs no stack, no interrupt table and no memory of its
own but its code, its page tables and a task state segment whose I/O bitmap allows it the one ``out``
by which it says that it is done.
"""

import struct
from collections.abc import Iterable

from demo.kvm import (
    KVM_EXIT_IO,
    KVM_GET_REGS,
    KVM_GET_SREGS,
    KVM_SET_CPUID2,
    KVM_SET_REGS,
    KVM_SET_SREGS,
    Vcpu,
    VirtualMachine,
)
from demo.machine import Op, Touch
from demo.memory import HUGE_PAGE, PAGE

_CODE, _TSS, _PML4, _PDPT, _PD, _FIRST_PT = range(0, 6 * PAGE, PAGE)
_MAPPED_BYTES = 1 << 30
_PTE = 0x7  # present, writable, user (Intel SDM volume 3, 4.5)
_PDE_LARGE = 0x87

_TSS_IO_MAP_BASE = 102
_TSS_BYTES = 104
_DONE_PORT = 0x10

# rdi address, rsi addresses left, rdx stride, rcx the access to repeat, rbx the label next
_ACCESS = {
    Op.WRITE: bytes.fromhex("8807 eb06"),  # mov [rdi], al; jmp next
    Op.READ: bytes.fromhex("8a07 eb02"),  # mov al, [rdi]; jmp next
    Op.EXECUTE: bytes.fromhex("ffe7"),  # jmp rdi, where jmp rbx leads back
}
_NEXT = bytes.fromhex(
    "4801d7"  # add rdi, rdx
    "48ffce"  # dec rsi
    "7402"  # jz done
    "ffe1"  # jmp rcx
)
_DONE = bytes((0xE6, _DONE_PORT))  # out _DONE_PORT, al
_ENTRY = {Op.WRITE: _CODE, Op.READ: _CODE + 4, Op.EXECUTE: _CODE + 8}
_NEXT_ADDRESS = _CODE + 10

_REGS = struct.Struct("<18Q")
_RBX, _RCX, _RDX, _RSI, _RDI, _RIP, _RFLAGS = 1, 2, 3, 4, 5, 16, 17

_SEGMENT = struct.Struct("<QIHBBBBBBBBBB")
_CONTROL = struct.Struct("<7Q")
_CONTROL_OFFSET = 8 * _SEGMENT.size + 2 * 16
_CR0 = 0x80050033  # PG, AM, WP, NE, ET, MP, PE
_CR4 = 0x220  # OSFXSR, PAE
_EFER = 0xD01  # NXE, LMA, LME, SCE


class X86Machine:
    """The processor of a 64-bit x86 guest."""

    landing = bytes.fromhex("ffe3")  # jmp rbx

    def __init__(self, small_pages: Iterable[range]) -> None:
        chunks = {0}
        for addresses in small_pages:
            chunks.update(range(addresses.start // HUGE_PAGE, -(-addresses.stop // HUGE_PAGE)))
        self._small_chunks = sorted(chunks)
        self.system_pages = _FIRST_PT // PAGE + len(chunks)

    def system_image(self) -> bytes:
        """Return code, task state segment and page tables."""
        image = bytearray(self.system_pages * PAGE)
        code = b"".join((_ACCESS[Op.WRITE], _ACCESS[Op.READ], _ACCESS[Op.EXECUTE], _NEXT, _DONE))
        image[_CODE : _CODE + len(code)] = code
        struct.pack_into("<H", image, _TSS + _TSS_IO_MAP_BASE, _TSS_BYTES)
        struct.pack_into("<Q", image, _PML4, _PDPT | _PTE)
        struct.pack_into("<Q", image, _PDPT, _PD | _PTE)
        for chunk in range(_MAPPED_BYTES // HUGE_PAGE):
            struct.pack_into("<Q", image, _PD + 8 * chunk, chunk * HUGE_PAGE | _PDE_LARGE)
        for number, chunk in enumerate(self._small_chunks):
            table = _FIRST_PT + number * PAGE
            struct.pack_into("<Q", image, _PD + 8 * chunk, table | _PTE)
            entries = (chunk * HUGE_PAGE + page * PAGE | _PTE for page in range(512))
            struct.pack_into("<512Q", image, table, *entries)
        return bytes(image)

    def set_up(self, vm: VirtualMachine, vcpu: Vcpu) -> None:
        """Put the vCPU into 64-bit user mode, with all the features of the host."""
        vcpu.set(KVM_SET_CPUID2, vm.kvm.supported_cpuid())
        sregs = vcpu.get(KVM_GET_SREGS, 312)
        code = _segment(selector=0x33, kind=0xB, dpl=3, long=1)
        data = _segment(selector=0x2B, kind=0x3, dpl=3, long=0)
        task = _SEGMENT.pack(_TSS, PAGE - 1, 0x40, 0xB, 1, 0, 0, 0, 0, 0, 0, 0, 0)
        no_ldt = _SEGMENT.pack(0, 0, 0, 0x2, 0, 0, 0, 0, 0, 0, 0, 1, 0)
        sregs[:_CONTROL_OFFSET] = (code + data * 5 + task + no_ldt).ljust(_CONTROL_OFFSET, b"\0")
        apic_base = _CONTROL.unpack_from(sregs, _CONTROL_OFFSET)[-1]
        _CONTROL.pack_into(sregs, _CONTROL_OFFSET, _CR0, 0, _PML4, _CR4, 0, _EFER, apic_base)
        vcpu.set(KVM_SET_SREGS, sregs)

    def start(self, vcpu: Vcpu, touch: Touch) -> None:
        """Set the registers for a touch."""
        regs = [0] * 18
        regs[_RBX], regs[_RCX], regs[_RDX] = _NEXT_ADDRESS, _ENTRY[touch.op], touch.stride
        regs[_RSI], regs[_RDI] = touch.count, touch.gpa
        regs[_RIP], regs[_RFLAGS] = _ENTRY[touch.op], 0x2
        vcpu.set(KVM_SET_REGS, _REGS.pack(*regs))

    def skip(self, vcpu: Vcpu) -> int:
        """Go on behind the access, whichever it was: rbx points there."""
        regs = list(_REGS.unpack(vcpu.get(KVM_GET_REGS, _REGS.size)))
        regs[_RIP] = regs[_RBX]
        vcpu.set(KVM_SET_REGS, _REGS.pack(*regs))
        address: int = regs[_RDI]
        return address

    def is_done(self, vcpu: Vcpu, exit_reason: int) -> bool:
        """Tell whether the guest wrote to its port."""
        return exit_reason == KVM_EXIT_IO and vcpu.io_port() == _DONE_PORT


def _segment(*, selector: int, kind: int, dpl: int, long: int) -> bytes:
    # base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable, padding
    return _SEGMENT.pack(0, 0xFFFFFFFF, selector, kind, 1, dpl, 1 - long, 1, long, 1, 0, 0, 0)
