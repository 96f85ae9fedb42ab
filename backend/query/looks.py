# SPDX-License-Identifier: Apache-2.0
"""What looks at the kernel's own state showed: memslots, why KVM_RUN failed, and what KVM itself counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.query.choice import chosen_members
from backend.store.contract.hosts import AsOf
from backend.store.contract.looks import CauseSum, FixedSum, KvmCountSum, MemslotLife, MemslotPlace
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from faultmodel.record_looks import VmPages

_MMIO = (
    "Accesses to memory-mapped I/O that KVM knows already may be in one of both counts alone. A fault that "
    "is under way is in one count before the other."
)
_FIRST_LOOK = (
    "KVM's count is of the time between looks at it, which begin at the second one for a VM that was there "
    "before; ours is of all faults that were seen."
)
_SLOW_SPURIOUS = (
    f"KVM also counts those that were found fixed under its lock, which no tracepoint shows. {_FIRST_LOOK}"
)
_NOT_SHOWN = "No tracepoint shows these one by one."
_SIZES = {"4k": 1 << 12, "2m": 1 << 21, "1g": 1 << 30}


@dataclass(frozen=True, slots=True)
class Memslots:
    """A page of memslots. ``after``: the place of the last one, None on the last page."""

    items: Sequence[MemslotLife]
    after: MemslotPlace | None
    vms_left_out: int
    as_of: AsOf


@dataclass(frozen=True, slots=True)
class Beside:
    """One of KVM's counts, and ours of the same; None where there is none.

    ``why`` they differ: empty where they do not, or have nothing to do with each other.
    """

    name: str
    kvm: int
    ours: int | None
    has_same_meaning: bool
    why: str

    @property
    def difference(self) -> int | None:
        """How much more KVM counted."""
        return None if self.ours is None else self.kvm - self.ours


@dataclass(frozen=True, slots=True)
class OfSize:
    """Pages of one size: that KVM maps, and that it could map at most."""

    size: str
    mapped: int
    could: int

    @property
    def mapped_bytes(self) -> int:
        """All of them, in bytes."""
        return self.mapped * _SIZES[self.size]

    @property
    def could_bytes(self) -> int:
        """The same of those that it could map."""
        return self.could * _SIZES[self.size]


@dataclass(frozen=True, slots=True)
class Pages:
    """What pages KVM maps for a VM: when it was looked at last, UTC ns, and by size, the smallest first."""

    time_ns: int
    sizes: Sequence[OfSize]
    shadow_pages: int | None

    @property
    def huge_share(self) -> float | None:
        """How much of the memory that is mapped is in pages of more than 4 KiB; None where none is mapped."""
        return _huge([(one.size, one.mapped_bytes) for one in self.sizes])

    @property
    def huge_could(self) -> float | None:
        """How much of all memory could be."""
        return _huge([(one.size, one.could_bytes) for one in self.sizes])


@dataclass(frozen=True, slots=True)
class KvmStats:
    """What KVM counted of one VM in a range, and which pages it maps now; None where that is not known."""

    vm: str
    counts: Sequence[Beside]
    splits: int
    pages: Pages | None


@dataclass(frozen=True, slots=True)
class AllKvmStats:
    """A page of VMs, by their ids."""

    items: Sequence[KvmStats]
    has_more: bool
    vms_left_out: int
    as_of: AsOf


@dataclass(frozen=True, slots=True)
class Causes:
    """A page of causes, most exits first."""

    items: Sequence[CauseSum]
    has_more: bool
    vms_left_out: int
    as_of: AsOf


def causes(
    store: Store, vm_ids: Sequence[str] | None, span: TimeRange, now_ms: int, *, limit: int, after: int
) -> Causes:
    """Return why KVM_RUN of VMs failed, of every VM of the range where None.

    Within the caller's snapshot of the store.

    :param after: how many items the pages before had
    :raises NotFoundError: a VM is unknown
    """
    ids, left_out, as_of = chosen_members(store, vm_ids, span, now_ms)
    found = store.cause_sums(ids, span)
    return Causes(found[after : after + limit], len(found) > after + limit, left_out, as_of)


def memslots(
    store: Store,
    vm_ids: Sequence[str] | None,
    span: TimeRange,
    now_ms: int,
    *,
    limit: int,
    after: MemslotPlace | None,
) -> Memslots:
    """Return memslots of VMs, of every VM of the range where None, that were there at some time of it.

    Within the caller's snapshot of the store.

    :raises NotFoundError: a VM is unknown
    """
    ids, left_out, as_of = chosen_members(store, vm_ids, span, now_ms)
    found = store.memslots(ids, span, limit=limit + 1, after=after)
    items = found[:limit]
    return Memslots(items, items[-1].place if len(found) > limit else None, left_out, as_of)


def kvm_stats(
    store: Store, vm_ids: Sequence[str] | None, span: TimeRange, now_ms: int, *, limit: int, after: int
) -> AllKvmStats:
    """Return what KVM counted of VMs, of every VM of the range where None; those alone that it counts for.

    Within the caller's snapshot of the store.

    :param after: how many items the pages before had
    :raises NotFoundError: a VM is unknown
    """
    ids, left_out, as_of = chosen_members(store, vm_ids, span, now_ms)
    counts = {one.vm: one for one in store.kvm_count_sums(ids, span)}
    pages = {one.vm: one for one in store.vm_pages(ids)}
    known = sorted(counts.keys() | pages.keys())
    shown = known[after : after + limit]
    fixed = {one.vm: one for one in store.fixed_sums(shown, span)}
    return AllKvmStats(
        [_stats(vm, counts, fixed, pages) for vm in shown], len(known) > after + limit, left_out, as_of
    )


def _stats(
    vm: str,
    counts: Mapping[str, KvmCountSum],
    fixed: Mapping[str, FixedSum],
    pages: Mapping[str, VmPages],
) -> KvmStats:
    of_kvm = counts.get(vm) or KvmCountSum(vm, 0, 0, 0, 0, 0, 0, 0, 0)
    found = pages.get(vm)
    return KvmStats(
        vm,
        _beside(of_kvm, fixed.get(vm) or FixedSum(vm, 0, 0, 0, 0, 0)),
        of_kvm.splits,
        None if found is None else _pages(found),
    )


def _beside(of_kvm: KvmCountSum, ours: FixedSum) -> Sequence[Beside]:
    # arch/x86/kvm/mmu/mmu_internal.h, kvm_mmu_do_page_fault(): a fault that the fast path fixes, or finds
    # fixed, is in pf_fast and in pf_fixed or pf_spurious.
    mapped = ours.mapped_4k + ours.mapped_2m + ours.mapped_1g
    return [
        _one("pf_taken", of_kvm.pf_taken, of_kvm.seen, _MMIO, has_same_meaning=True),
        _one("pf_fixed", of_kvm.pf_fixed, mapped + ours.fast, _FIRST_LOOK, has_same_meaning=True),
        _one("pf_fast", of_kvm.pf_fast, ours.fast + ours.spurious, _FIRST_LOOK, has_same_meaning=True),
        _one("pf_spurious", of_kvm.pf_spurious, ours.spurious, _SLOW_SPURIOUS, has_same_meaning=False),
        Beside("pf_emulate", of_kvm.pf_emulate, None, False, _NOT_SHOWN),
        Beside("pf_mmio_spte_created", of_kvm.pf_mmio, None, False, _NOT_SHOWN),
    ]


def _one(name: str, kvm: int, ours: int, why: str, *, has_same_meaning: bool) -> Beside:
    return Beside(name, kvm, ours, has_same_meaning, why if kvm != ours else "")


def _pages(found: VmPages) -> Pages:
    return Pages(
        found.time_ns,
        [
            OfSize("4k", found.pages_4k, found.could_4k),
            OfSize("2m", found.pages_2m, found.could_2m),
            OfSize("1g", found.pages_1g, found.could_1g),
        ],
        found.shadow_pages,
    )


def _huge(sizes: Sequence[tuple[str, int]]) -> float | None:
    whole = sum(size for _, size in sizes)
    return sum(size for name, size in sizes if name != "4k") / whole if whole else None
