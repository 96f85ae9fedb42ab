# SPDX-License-Identifier: Apache-2.0
"""Why KVM_RUN failed over a fault, by what was looked at: the memslot, and what the host has mapped there.

Where the kernel does not show at which address of a memslot the fault was (PVM), every mapping of the
memslot is looked at: the only kind of defect among them is the cause, and the evidence says so.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from collector.counting.backing import PAGE, shown_file
from collector.probe.mappings import Mapping as HostMapping
from faultmodel.causes import Cause, Unseen
from faultmodel.record import EHWPOISON, KVM_EXIT_MEMORY_FAULT, Access

_READ_ONLY, _GUEST_MEMFD = 2, 4
"""include/uapi/linux/kvm.h, KVM_MEM_READONLY and KVM_MEM_GUEST_MEMFD."""
_PRIVATE = 8
"""The same, KVM_MEMORY_EXIT_FLAG_PRIVATE."""
_HANDLED_STATUSES = frozenset({0b0001, 0b0010, 0b0011})
"""arm64: ESR_EL2.FSC without the level, of translation, access flag and permission faults."""
_HUGE_PAGES = Path("/sys/kernel/mm/hugepages")
_MOST_PATH = 200


class Slot(NamedTuple):
    """A memslot, in bytes. ``memfd_bytes``: the size of its guest_memfd, None where none is open."""

    slot: int
    gpa: int
    size: int
    host_address: int
    flags: int
    memfd_bytes: int | None = None
    memfd_offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One way in which KVM_RUN failed, and what was found.

    ``gpa``, ``access``, ``fault_status`` (arm64's FSC), ``exit_flags``: None where the kernel does not show
    it. ``slot``: the memslot of ``gpa``, else the one that KVM looked up last. ``has_no_slot``: no memslot
    has ``gpa``. ``mappings``: those of the VMM's process within the memslot, None where they cannot be seen.
    ``unseen``: what could not be looked at, and why.
    """

    reason: int
    errno: int
    gpa: int | None = None
    access: Access | None = None
    fault_status: int | None = None
    exit_flags: int | None = None
    slot: Slot | None = None
    has_no_slot: bool = False
    mappings: Sequence[HostMapping] | None = None
    unseen: tuple[Unseen, ...] = ()

    @property
    def host_address(self) -> int | None:
        """The VMM's address of ``gpa``."""
        if self.gpa is None or self.slot is None:
            return None
        return self.slot.host_address + self.gpa - self.slot.gpa

    @property
    def is_private(self) -> bool:
        """Whether KVM says that the guest accessed the memory as private."""
        return bool((self.exit_flags or 0) & _PRIVATE)

    @property
    def may_write(self) -> bool:
        """Whether the guest wrote, or may have."""
        return self.access in (None, Access.WRITE, Access.UNKNOWN)


Evidence = Mapping[str, Any]
Found = tuple[Cause, Evidence]


def diagnose(failure: Failure) -> Found:
    """Return the cause, and what was found, as JSON has it."""
    evidence: dict[str, Any] = dict(_where(failure))
    cause = _by_the_exit(failure)
    if cause is None and failure.slot is not None:
        cause, more = _by_mappings(failure)
        evidence |= more
    if failure.unseen:
        evidence["not_seen"] = list(failure.unseen)
    return cause or Cause.UNKNOWN, evidence


def _where(failure: Failure) -> Iterator[tuple[str, Any]]:
    if failure.gpa is not None:
        yield "gpa", hex(failure.gpa)
    if failure.access not in (None, Access.UNKNOWN):
        yield "access", str(failure.access)
    if failure.fault_status is not None:
        yield "fault_status", hex(failure.fault_status)
    slot = failure.slot
    if slot is None:
        return
    yield "memslot", slot.slot
    yield "memslot_gpa", hex(slot.gpa)
    yield "memslot_size", slot.size
    if failure.gpa is None:
        yield "memslot_by", "looked_up_last"
    if slot.flags & _READ_ONLY:
        yield "memslot_flags", "read_only"
    if slot.flags & _GUEST_MEMFD:
        yield "guest_memfd", "closed" if slot.memfd_bytes is None else "open"
        if slot.memfd_bytes is not None:
            yield "guest_memfd_bytes", slot.memfd_bytes
    address = failure.host_address
    yield "host_address", hex(slot.host_address if address is None else address)


def _by_the_exit(failure: Failure) -> Cause | None:
    """Return the cause, where exit, fault and memslot show it."""
    slot = failure.slot
    if failure.errno == EHWPOISON:
        return Cause.HWPOISON
    if failure.fault_status is not None and failure.fault_status >> 2 not in _HANDLED_STATUSES:
        return Cause.UNSUPPORTED_FAULT_STATUS
    if failure.has_no_slot:
        return Cause.NO_MEMSLOT
    if slot is None:
        return None
    if failure.reason == KVM_EXIT_MEMORY_FAULT and slot.flags & _GUEST_MEMFD:
        return _by_guest_memfd(failure, slot)
    if failure.is_private:
        return Cause.PRIVATE_SHARED_MISMATCH
    writes = failure.access is Access.WRITE
    return Cause.READ_ONLY_MEMSLOT if writes and slot.flags & _READ_ONLY else None


def _by_guest_memfd(failure: Failure, slot: Slot) -> Cause:
    if slot.memfd_bytes is None:
        return Cause.GUEST_MEMFD_FAILED
    offset = 0 if failure.gpa is None else failure.gpa - slot.gpa
    if slot.memfd_offset + offset >= slot.memfd_bytes:
        return Cause.GUEST_MEMFD_HOLE
    return Cause.PRIVATE_SHARED_MISMATCH if failure.is_private else Cause.GUEST_MEMFD_FAILED


def _by_mappings(failure: Failure) -> tuple[Cause | None, Evidence]:
    """Return the cause, where what is mapped in the memslot shows it."""
    if failure.mappings is None:
        return None, {}
    found: dict[Cause, Evidence] = {}
    for cause, evidence in _defects(failure, failure.mappings):
        found.setdefault(cause, evidence)
    if not found:
        return None, _described(failure)
    if len(found) > 1 and failure.gpa is None:
        # Each is somewhere in the memslot, and where the fault was is not shown.
        return None, {"found": sorted(found)}
    cause, evidence = next(iter(found.items()))
    if failure.gpa is None:
        evidence = {**evidence, "found_by": "only_defect_of_memslot"}
    return cause, evidence


def _defects(failure: Failure, mappings: Sequence[HostMapping]) -> Iterator[Found]:
    """Yield what is wrong at the fault's page, or anywhere in the memslot where that is not shown."""
    slot, address = failure.slot, failure.host_address
    assert slot is not None
    begin, end = slot.host_address, slot.host_address + slot.size
    if address is not None:
        begin = address - address % PAGE
        end = begin + PAGE
    certain: list[Found] = []
    likely: list[Found] = []
    covered_to = begin
    for one in _within(mappings, begin, end):
        if one.start > covered_to:
            certain.append((Cause.NOT_MAPPED, {"not_mapped": hex(covered_to)}))
        covered_to = one.end
        certain += _certain(failure, one, max(begin, one.start), min(end, one.end))
        likely += _likely(failure, one)
    if covered_to < end:
        certain.append((Cause.NOT_MAPPED, {"not_mapped": hex(covered_to)}))
    # A mapping that is as it should be may still have no page to give.
    yield from certain or likely


def _certain(failure: Failure, one: HostMapping, begin: int, end: int) -> Iterator[Found]:
    """Yield what makes an access to a part of a mapping fail each time."""
    if one.permissions.startswith("---"):
        yield Cause.PROT_NONE, _of_mapping(one)
    elif one.mode and not one.is_of_device:
        last = end - PAGE if failure.gpa is None else begin
        ends = -(-one.file_bytes // PAGE) * PAGE
        if one.offset + last - one.start >= ends:
            yield Cause.FILE_TRUNCATED, {**_of_mapping(one), "file_bytes": one.file_bytes}


def _likely(failure: Failure, one: HostMapping) -> Iterator[Found]:
    """Yield what makes an access to a mapping fail where its page is not there."""
    if one.is_of_device and failure.may_write:
        yield Cause.PFN_NOT_WRITABLE, _of_mapping(one)
    elif one.limit_blocks is not None and one.limit_blocks - one.used_blocks <= _uncertain_blocks():
        limit = {"limit_bytes": one.limit_blocks * PAGE, "used_bytes_at_least": one.used_blocks * PAGE}
        yield Cause.TMPFS_FULL, {**_of_mapping(one), **limit}
    elif one.is_hugetlb and (free := _free_huge_pages(one.page_bytes)) == 0:
        yield Cause.TMPFS_FULL, {**_of_mapping(one), "free_huge_pages": free, "page_bytes": one.page_bytes}
    elif one.has_userfaultfd:
        yield Cause.USERFAULTFD_GONE, {**_of_mapping(one), "userfaultfd": "registered"}


def _described(failure: Failure) -> Evidence:
    """Return what is mapped where nothing is wrong: its permissions may say that it is for reading."""
    slot, address = failure.slot, failure.host_address
    assert slot is not None
    begin = slot.host_address if address is None else address
    end = slot.host_address + slot.size if address is None else address + 1
    return next(map(_of_mapping, _within(failure.mappings or (), begin, end)), {})


def _of_mapping(one: HostMapping) -> Evidence:
    found: dict[str, Any] = {"mapping": hex(one.start), "permissions": one.permissions}
    if file := shown_file(one):
        found["file"] = file[:_MOST_PATH]
    return found


def _within(mappings: Iterable[HostMapping], begin: int, end: int) -> Iterator[HostMapping]:
    return (one for one in mappings if one.end > begin and one.start < end)


def _uncertain_blocks() -> int:
    """Return how many blocks a tmpfs may have more than it shows: CPUs add theirs up in batches.

    lib/percpu_counter.c, percpu_counter_batch.
    """
    cpus = os.cpu_count() or 1
    return cpus * max(32, 2 * cpus)


def _free_huge_pages(page_bytes: int, folder: Path = _HUGE_PAGES) -> int | None:
    """Return how many pages of the pool nobody has, nor is promised; None where that is not shown."""
    pool = folder / f"hugepages-{page_bytes >> 10}kB"
    try:
        free, promised = (int((pool / name).read_text()) for name in ("free_hugepages", "resv_hugepages"))
    except (OSError, ValueError):
        return None
    return max(0, free - promised)
