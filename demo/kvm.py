# SPDX-License-Identifier: Apache-2.0
"""The KVM ioctls that a small guest needs.

Names and numbers are those of include/uapi/linux/kvm.h. Everything that is not here (registers,
page tables) belongs to a processor and lies in that processor's module.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import struct
from dataclasses import dataclass
from enum import IntEnum

from demo.errors import DemoError, KvmUnavailableError

KVM_EXIT_IO = 2
KVM_EXIT_DEBUG = 4
KVM_EXIT_MMIO = 6
KVM_EXIT_MEMORY_FAULT = 39

KVM_MEM_LOG_DIRTY_PAGES = 1 << 0
KVM_MEM_READONLY = 1 << 1
KVM_MEM_GUEST_MEMFD = 1 << 2

GUEST_MEMFD_FLAG_MMAP = 1 << 0
GUEST_MEMFD_FLAG_INIT_SHARED = 1 << 1

KVM_CAP_GUEST_MEMFD_FLAGS = 244

_KVMIO = 0xAE
IOC_NONE, IOC_WRITE, IOC_READ = 0, 1, 2  # include/uapi/asm-generic/ioctl.h


def ioctl_number(direction: int, number: int, size: int) -> int:
    """Return the number of a KVM ioctl, as the _IO macros of asm-generic/ioctl.h make it."""
    return direction << 30 | size << 16 | _KVMIO << 8 | number


class Request(IntEnum):
    """The ioctls of every architecture."""

    KVM_GET_API_VERSION = ioctl_number(IOC_NONE, 0x00, 0)
    KVM_CREATE_VM = ioctl_number(IOC_NONE, 0x01, 0)
    KVM_CHECK_EXTENSION = ioctl_number(IOC_NONE, 0x03, 0)
    KVM_GET_VCPU_MMAP_SIZE = ioctl_number(IOC_NONE, 0x04, 0)
    KVM_CREATE_VCPU = ioctl_number(IOC_NONE, 0x41, 0)
    KVM_GET_DIRTY_LOG = ioctl_number(IOC_WRITE, 0x42, 16)
    KVM_SET_USER_MEMORY_REGION = ioctl_number(IOC_WRITE, 0x46, 32)
    KVM_SET_USER_MEMORY_REGION2 = ioctl_number(IOC_WRITE, 0x49, 160)
    KVM_RUN = ioctl_number(IOC_NONE, 0x80, 0)
    KVM_CREATE_GUEST_MEMFD = ioctl_number(IOC_READ | IOC_WRITE, 0xD4, 64)


def ioctl(fd: int, request: IntEnum, argument: int | bytes | bytearray = 0) -> int:
    """Make a KVM ioctl and return its answer; what the kernel writes goes into a bytearray in place.

    :raises DemoError: naming the ioctl, and why the kernel refused it
    """
    try:
        return int(fcntl.ioctl(fd, request, bytearray(argument) if isinstance(argument, bytes) else argument))
    except OSError as error:
        raise DemoError(f"{request.name}: {error.strerror}") from error


_API_VERSION = 12
_RUN_EXIT_REASON = 8
_RUN_UNION = 32  # struct kvm_run's union of exits; s390 alone has it elsewhere
_UNION_ENDS = _RUN_UNION + 256


@dataclass(frozen=True, slots=True)
class MemoryFault:
    """``kvm_run.memory_fault``: valid after EFAULT or EHWPOISON with KVM_EXIT_MEMORY_FAULT only."""

    flags: int
    gpa: int
    size: int


@dataclass(frozen=True, slots=True)
class Mmio:
    """``kvm_run.mmio``: an access to an address that no memslot covers, or a write to a read-only one."""

    gpa: int
    length: int
    is_write: bool


@dataclass(frozen=True, slots=True)
class RunResult:
    """How one KVM_RUN ended: ``errno`` is 0 where it succeeded."""

    errno: int
    exit_reason: int


class Kvm:
    """The host's /dev/kvm."""

    def __init__(self) -> None:
        """Open /dev/kvm.

        :raises KvmUnavailableError: it is absent, not permitted or of another interface version
        """
        try:
            self.fd = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise KvmUnavailableError("no /dev/kvm: KVM is not loaded, or this machine has none") from None
        except PermissionError:
            raise KvmUnavailableError("/dev/kvm: permission denied; run as root or join group kvm") from None
        except OSError as error:
            raise KvmUnavailableError(f"/dev/kvm: {error.strerror}") from error
        try:
            version = ioctl(self.fd, Request.KVM_GET_API_VERSION)
        except DemoError as error:
            raise KvmUnavailableError(f"/dev/kvm is not KVM: {error}") from error
        if version != _API_VERSION:
            raise KvmUnavailableError(f"/dev/kvm has interface version {version}, not {_API_VERSION}")

    def supports(self, capability: int) -> int:
        """Return what KVM_CHECK_EXTENSION says of a KVM_CAP_*: 0 is no, more than 1 is a number or flags."""
        return ioctl(self.fd, Request.KVM_CHECK_EXTENSION, capability)

    def create_vm(self) -> "VirtualMachine":
        """Create a VM of the default type.

        :raises KvmUnavailableError: the kernel refuses, for example for want of virtualisation hardware
        """
        try:
            return VirtualMachine(self, ioctl(self.fd, Request.KVM_CREATE_VM))
        except DemoError as error:
            raise KvmUnavailableError(str(error)) from error

    def close(self) -> None:
        """Close the device; VMs made from it live on."""
        os.close(self.fd)


class VirtualMachine:
    """One ``struct kvm``. Ends when it and all its vCPUs are closed."""

    def __init__(self, kvm: Kvm, fd: int) -> None:
        self.kvm = kvm
        self.fd = fd

    def set_memory(self, *, slot: int, gpa: int, size: int, address: int, flags: int = 0) -> None:
        """Set a memslot of host memory; ``size`` 0 deletes it. Sizes in bytes."""
        request = struct.pack("<IIQQQ", slot, flags, gpa, size, address)
        ioctl(self.fd, Request.KVM_SET_USER_MEMORY_REGION, request)

    def set_guest_memfd(self, *, slot: int, gpa: int, size: int, address: int, guest_memfd: int) -> None:
        """Set a memslot that a guest_memfd backs, from its start; ``address`` is where it is mapped."""
        request = struct.pack(
            "<IIQQQQII", slot, KVM_MEM_GUEST_MEMFD, gpa, size, address, 0, guest_memfd, 0
        ).ljust(160, b"\0")
        ioctl(self.fd, Request.KVM_SET_USER_MEMORY_REGION2, request)

    def create_guest_memfd(self, size: int) -> int:
        """Create a guest_memfd of ``size`` bytes whose pages the host may map, and return its descriptor.

        :raises KvmUnavailableError: this kernel's KVM has none, or none that the host may map
        """
        wanted = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED
        if self.kvm.supports(KVM_CAP_GUEST_MEMFD_FLAGS) & wanted != wanted:
            raise KvmUnavailableError(
                "this kernel's KVM has no guest_memfd that the host can map (Linux 6.18)"
            )
        request = bytearray(struct.pack("<QQ", size, wanted).ljust(64, b"\0"))
        try:
            return ioctl(self.fd, Request.KVM_CREATE_GUEST_MEMFD, request)
        except DemoError as error:
            raise KvmUnavailableError(str(error)) from error

    def dirty_pages(self, *, slot: int, pages: int) -> list[int]:
        """Return the numbers, within the slot, of the pages written since last asked, and forget them."""
        bitmap = ctypes.create_string_buffer((pages + 63) // 64 * 8)
        request = struct.pack("<IIQ", slot, 0, ctypes.addressof(bitmap))
        ioctl(self.fd, Request.KVM_GET_DIRTY_LOG, request)
        word = int.from_bytes(bitmap.raw, "little")
        return [page for page in range(pages) if word >> page & 1]

    def create_vcpu(self, vcpu_id: int) -> "Vcpu":
        """Create a vCPU; its state is the processor module's to set."""
        fd = ioctl(self.fd, Request.KVM_CREATE_VCPU, vcpu_id)
        size = ioctl(self.kvm.fd, Request.KVM_GET_VCPU_MMAP_SIZE)
        return Vcpu(vcpu_id, fd, mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))

    def close(self) -> None:
        """Close the VM's descriptor."""
        os.close(self.fd)


class Vcpu:
    """One vCPU: its descriptor and its ``struct kvm_run``. To be run by one thread at a time."""

    def __init__(self, vcpu_id: int, fd: int, run: mmap.mmap) -> None:
        self.id = vcpu_id
        self.fd = fd
        self._run = run

    def run(self) -> RunResult:
        """Run the guest until it leaves for user space. Other Python threads go on meanwhile.

        The reason is cleared first, so that a failure without an annotated exit does not show a stale one;
        but not that of an MMIO exit, by which arm64 and riscv know that there is an access to complete.
        """
        if self._exit_reason() != KVM_EXIT_MMIO:
            struct.pack_into("<I", self._run, _RUN_EXIT_REASON, 0)
        try:
            fcntl.ioctl(self.fd, Request.KVM_RUN, 0)
            failure = 0
        except OSError as error:
            failure = error.errno or errno.EIO
        return RunResult(failure, self._exit_reason())

    def memory_fault(self) -> MemoryFault:
        """Return ``kvm_run.memory_fault``."""
        return MemoryFault(*struct.unpack_from("<QQQ", self._run, _RUN_UNION))

    def io_port(self) -> int:
        """Return ``kvm_run.io.port``."""
        port: int = struct.unpack_from("<H", self._run, _RUN_UNION + 2)[0]
        return port

    def debug_syndrome(self) -> int:
        """Return ``kvm_run.debug.arch.hsr`` of arm64: the low half of ESR_EL2."""
        syndrome: int = struct.unpack_from("<I", self._run, _RUN_UNION)[0]
        return syndrome

    def mmio(self) -> Mmio:
        """Return ``kvm_run.mmio``. A read's answer is what lies there: zeros, if nobody wrote it."""
        gpa, _data, length, is_write = struct.unpack_from("<QQIB", self._run, _RUN_UNION)
        return Mmio(gpa, length, bool(is_write))

    def exit_words(self) -> str:
        """Return the first words of the exit's union in hex, for messages about unexpected exits."""
        return self._run[_RUN_UNION:_UNION_ENDS][:32].hex()

    def close(self) -> None:
        """Unmap and close the vCPU."""
        self._run.close()
        os.close(self.fd)

    def _exit_reason(self) -> int:
        reason: int = struct.unpack_from("<I", self._run, _RUN_EXIT_REASON)[0]
        return reason
