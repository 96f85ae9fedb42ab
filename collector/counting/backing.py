# SPDX-License-Identifier: Apache-2.0
"""What the host has behind a memslot, and in what pages it could be mapped."""

import mmap
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from collector.probe.looks import LookedMemslot
from collector.probe.mappings import Mapping as HostMapping
from collector.vms.identity.secrets import command_text
from faultmodel.record import TEXT_LENGTH
from faultmodel.text import cut

PAGE = mmap.PAGESIZE
_2M, _1G = 1 << 21, 1 << 30
_DELETED = " (deleted)"
_OF_MEMORY = ("/memfd:", "/dev/zero", "/anon_hugepage")
"""Files without a name in any folder: of each the kernel says that it was deleted."""
_SETTINGS = Path("/sys/kernel/mm/transparent_hugepage")
_AS_MADVISE = {"advise": "madvise", "force": "always", "within_size": "always"}
_MOST_PERMISSIONS = 4


class PageSizes(NamedTuple):
    """How many pages of each size."""

    of_4k: int
    of_2m: int
    of_1g: int


@dataclass(frozen=True, slots=True)
class Backing:
    """What is mapped where a memslot's memory is: the fields of ``faultmodel.record_looks.Memslot``."""

    backing: str
    file: str = ""
    offset: int | None = None
    userfaultfd: bool | None = None
    permissions: str = ""


UNKNOWN = Backing("")


def huge_page_settings(folder: Path = _SETTINGS) -> Mapping[str, str]:
    """Return when memory without a file, and memory of a memfd, is given huge pages.

    :return: by ``enabled`` and ``shmem_enabled``: always, madvise or never
    """
    return {name: _setting(folder / name) for name in ("enabled", "shmem_enabled")}


def backing_of(memslot: LookedMemslot, mappings: Sequence[HostMapping]) -> Backing:
    """Return what is behind a memslot.

    The mapping at its beginning stands for all, unless others are of another kind: then it is ``mixed``.

    :param mappings: of its VM's process, by address
    """
    within = list(_within(memslot, mappings))
    if not within:
        return Backing("none", userfaultfd=False)
    kinds = {_kind(one) for one in within}
    first = within[0]
    whole = sum(min(one.end, _end(memslot)) - max(one.start, memslot.host_address) for one in within)
    if whole < memslot.pages * PAGE:
        kinds.add("none")
    permissions = list(dict.fromkeys(one.permissions for one in within))
    # A memslot may begin where nothing is mapped.
    is_at_beginning = first.start <= memslot.host_address
    has_file = is_at_beginning and bool(first.mode)
    return Backing(
        backing=kinds.pop() if len(kinds) == 1 else "mixed",
        file=shown_file(first) if is_at_beginning else "",
        offset=memslot.host_address - first.start + first.offset if has_file else None,
        userfaultfd=any(one.has_userfaultfd for one in within),
        permissions=",".join(permissions[:_MOST_PERMISSIONS]),
    )


def shown_file(mapping: HostMapping) -> str:
    """Return the path of a mapping's file without secrets; empty where there is none."""
    path = mapping.path.removesuffix(_DELETED) if mapping.path.startswith(_OF_MEMORY) else mapping.path
    return cut(command_text((path,)), TEXT_LENGTH) if path else ""


def page_sizes(
    memslots: Sequence[LookedMemslot], mappings: Sequence[HostMapping], settings: Mapping[str, str]
) -> PageSizes:
    """Return in how many pages of each size KVM could map the memslots, as large as they may be.

    A page needs a backing that has pages of this size, and equally aligned addresses of guest and host.

    :param settings: as ``huge_page_settings`` returns them
    """
    found = [0, 0, 0]
    for memslot in memslots:
        gpa = memslot.base_gfn * PAGE
        covered = 0
        for one in _within(memslot, mappings):
            begin, end = max(one.start, memslot.host_address), min(one.end, _end(memslot))
            first = gpa + begin - memslot.host_address
            sizes = _sizes(first, first + end - begin, begin, _largest(one, settings))
            found = [so_far + more for so_far, more in zip(found, sizes, strict=True)]
            covered += end - begin
        # What is not mapped may be later, in whatever pages.
        found[0] += memslot.pages - covered // PAGE
    return PageSizes(*found)


def _sizes(first: int, end: int, host: int, largest: int) -> PageSizes:
    """Divide guest addresses into pages. :param host: the address of ``first``"""

    def fitting(size: int) -> int:
        is_possible = largest >= size and (first - host) % size == 0
        return max(0, end // size - -(-first // size)) if is_possible else 0

    huge = fitting(_1G)
    large = fitting(_2M) - huge * (_1G // _2M)
    return PageSizes((end - first) // PAGE - large * (_2M // PAGE) - huge * (_1G // PAGE), large, huge)


def _largest(one: HostMapping, settings: Mapping[str, str]) -> int:
    kind = _kind(one)
    if kind == "hugetlb":
        return one.page_bytes
    has_file = bool(one.mode)
    setting = settings["shmem_enabled" if has_file else "enabled"]
    return _2M if kind in ("anonymous", "memfd") and one.may_be_huge(setting) else PAGE


def _kind(one: HostMapping) -> str:
    if one.is_hugetlb:
        return "hugetlb"
    if "[kvm-gmem]" in one.path:
        return "guest_memfd"
    if one.is_of_device or one.path.startswith("/dmabuf:"):
        return "device"
    if one.path.startswith("/memfd:"):
        return "memfd"
    is_file = one.mode and not one.path.startswith("/dev/zero")
    return "file" if is_file else "anonymous"


def _end(memslot: LookedMemslot) -> int:
    return memslot.host_address + memslot.pages * PAGE


def _within(memslot: LookedMemslot, mappings: Sequence[HostMapping]) -> Iterator[HostMapping]:
    first = bisect_right(mappings, memslot.host_address, key=lambda one: one.end)
    return takewhile(lambda one: one.start < _end(memslot), mappings[first:])


def _setting(path: Path) -> str:
    """Return the word in brackets, as for memory without a file."""
    try:
        word = path.read_text().partition("[")[2].partition("]")[0]
    except OSError:
        return "never"
    return _AS_MADVISE.get(word, word)
