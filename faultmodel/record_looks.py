# SPDX-License-Identifier: Apache-2.0
"""What looks at the kernel's own state show of a VM: its memslots, KVM's own counts, its page sizes."""

from msgspec import Struct

from faultmodel.record import U32, U64, Count, DescribedVm, Text, TimeMs, TimeNs


class Memslot(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A memslot as it is from ``time_ns`` on, reported when it changes. ``size`` 0: it was deleted.

    ``offset``, ``file`` and ``permissions`` are those of what is mapped at ``host_address``.
    """

    time_ns: TimeNs
    vm: DescribedVm
    address_space: U32
    """On x86, 1 is that of system management mode."""
    slot: U32
    gpa: U64
    size: U64
    """In bytes."""
    flags: U32
    """As KVM has them: 1 logs dirty pages, 2 is read-only, 4 has a guest_memfd."""
    host_address: U64
    backing: Text = ""
    """anonymous, file, hugetlb, memfd, guest_memfd, device, none (nothing is mapped), or mixed.

    Empty: not known.
    """
    file: Text = ""
    offset: U64 | None = None
    guest_memfd: bool = False
    userfaultfd: bool | None = None
    """Whether another process provides its pages; None where that is not known."""
    permissions: Text = ""
    """As in /proc/PID/maps; empty where they are not known."""


class KvmCount(Struct, frozen=True, array_like=True, gc=False):
    """What KVM itself counted of one VM between two looks, and ``seen``, the faults seen between the same.

    Names are those of KVM's statistics (arch/x86/include/asm/kvm_host.h, kvm_vcpu_stat and kvm_vm_stat);
    ``pf_mmio`` is pf_mmio_spte_created, ``splits`` nx_lpage_splits.
    """

    bucket_ms: TimeMs
    vm: DescribedVm
    pf_taken: Count
    pf_fixed: Count
    pf_emulate: Count
    pf_spurious: Count
    pf_fast: Count
    pf_mmio: Count
    splits: Count
    seen: Count


class VmPages(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """How many pages of each size KVM maps for a VM, and how many its memslots would allow."""

    time_ns: TimeNs
    vm: DescribedVm
    pages_4k: Count
    pages_2m: Count
    pages_1g: Count
    could_4k: Count
    could_2m: Count
    could_1g: Count
    shadow_pages: Count | None = None
    """Pages of KVM's own page tables; None where the kernel does not show them."""
