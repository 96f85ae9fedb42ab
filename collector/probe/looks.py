# SPDX-License-Identifier: Apache-2.0
"""Asks the kernel about VMs now, by running programs that are attached to nothing (looks.bpf.c)."""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from collector.errors import ProbeError
from collector.probe import syscall
from collector.probe.bytecode_cache import BytecodeCache
from collector.probe.compiler_process import Order, Terms
from collector.probe.handles import Handles
from collector.probe.layout import NOT_SHOWN, VmKey
from collector.probe.loading import load_unattached
from collector.probe.plan import Plan
from collector.probe.source import FOLDER, make_source, one_text

T = TypeVar("T")

_MAIN = "looks.bpf.c"
_FIRST = bytes(4)
_MOST_VCPUS, _MOST_VMS = 128, 64
"""In one run."""
MOST_MEMSLOTS = 512
"""Of one address space, in one look; the others are left out."""
_TRIES = 3
"""A list that changes while it is read is read again."""
_VM_KEY = struct.Struct("=2Q")
_VCPU = struct.Struct("=10Q")
_VM = struct.Struct("=6QIxxxxQ2I")
_MEMSLOTS_HEAD = struct.Struct("=2Q4I")
_MEMSLOT = struct.Struct("=3QI2H")


class LookedVcpu(NamedTuple):
    """KVM's own counts of one vCPU's faults, which only grow, and ours, ``seen``, read before them."""

    kvm: int
    instance: int
    vcpu: int
    seen: int
    pf_taken: int
    pf_fixed: int
    pf_emulate: int
    pf_spurious: int
    pf_fast: int
    pf_mmio: int


class LookedVm(NamedTuple):
    """A VM's state. ``mm``: its address space. ``generation`` changes with its memslots.

    ``pages_*``: what KVM has mapped, in pages of each size. ``splits`` only grows. ``invalidate_seq``: how
    often the host has taken back memory, or NOT_SHOWN; ``is_invalidating``: whether it was doing so.
    """

    mm: int
    generation: int
    pages_4k: int
    pages_2m: int
    pages_1g: int
    splits: int
    address_spaces: int
    invalidate_seq: int = NOT_SHOWN
    is_invalidating: int = 0


class LookedMemslot(NamedTuple):
    """A memslot. ``flags`` are KVM_MEM_* (include/uapi/linux/kvm.h)."""

    base_gfn: int
    pages: int
    host_address: int
    flags: int
    slot: int
    address_space: int


class Looks:
    """The programs, loaded. For one thread, since they answer in maps. To be closed."""

    def __init__(self, handles: Handles) -> None:
        """:param handles: as ``load`` returns them; are this object's from here on"""
        self._handles = handles
        self._maps = {name: syscall.open_map(fd) for name, fd in handles.maps.items()}

    @property
    def shows_counts(self) -> bool:
        """Whether this kernel's KVM has counts of faults and pages, as x86 has from 5.18."""
        return "vcpus" in self._handles.programs

    @property
    def shows_memslots(self) -> bool:
        """Whether this kernel keeps memslots in a way that is known, as from 5.17 on."""
        return "memslots" in self._handles.programs

    def vcpus(self, places: Iterable[int]) -> Sequence[LookedVcpu]:
        """Return KVM's counts of the vCPUs in these slots, of VMs that live. See ``shows_counts``.

        :raises ProbeError: the kernel refuses
        """
        found: list[LookedVcpu] = []
        for asked in _in_parts(places, _MOST_VCPUS):
            self._put("vcpu_question", struct.pack(f"={len(asked)}I", *asked))
            answer = self._ask("vcpus", (len(asked),), "vcpu_answer")
            answered = _VCPU.iter_unpack(answer[: len(asked) * _VCPU.size])
            found += [vcpu for vcpu in map(LookedVcpu._make, answered) if vcpu.kvm]
        return found

    def vms(self, vms: Iterable[VmKey]) -> Mapping[VmKey, LookedVm]:
        """Return the state of those that live.

        :raises ProbeError: the kernel refuses
        """
        found = {}
        for asked in _in_parts(vms, _MOST_VMS):
            self._put("vm_question", b"".join(_VM_KEY.pack(*vm) for vm in asked))
            answers = _VM.iter_unpack(self._ask("vms", (len(asked),), "vm_answer"))
            for vm, (*state, is_there) in zip(asked, answers, strict=False):
                if is_there:
                    found[vm] = LookedVm(*state)
        return found

    def memslots(self, vm: VmKey, address_space: int) -> Sequence[LookedMemslot] | None:
        """Return a VM's memslots of one moment, ``MOST_MEMSLOTS`` at most. See ``shows_memslots``.

        :return: None if the VM has ended, or if they change all the time
        :raises ProbeError: the kernel refuses
        """
        for _ in range(_TRIES):
            found: list[LookedMemslot] = []
            generations: set[int] = set()
            is_whole = False
            while not is_whole and len(found) < MOST_MEMSLOTS and len(generations) < 2:
                answer = self._ask("memslots", (*vm, address_space, not generations), "memslots_answer")
                generation, _, _, count, is_there, is_whole = _MEMSLOTS_HEAD.unpack_from(answer)
                if not is_there:
                    return None
                generations.add(generation)
                entries = answer[_MEMSLOTS_HEAD.size : _MEMSLOTS_HEAD.size + count * _MEMSLOT.size]
                found += map(LookedMemslot._make, _MEMSLOT.iter_unpack(entries))
            if len(generations) == 1:
                return found[:MOST_MEMSLOTS]
        return None

    def close(self) -> None:
        """Unload the programs."""
        self._handles.close()

    def _put(self, question: str, content: bytes) -> None:
        table = self._maps[question]
        try:
            syscall.update(table, _FIRST, content.ljust(table.value_size, b"\0"))
        except OSError as exc:
            raise _refused(exc) from exc

    def _ask(self, look: str, arguments: Sequence[int], answer: str) -> bytes:
        try:
            syscall.run(self._handles.programs[look], struct.pack(f"={len(arguments)}Q", *arguments))
            return syscall.lookup(self._maps[answer], _FIRST) or b""
        except OSError as exc:
            raise _refused(exc) from exc


def load(plan: Plan, headers: Path, slots: int, *, cache: BytecodeCache | None, terms: Terms) -> Looks:
    """Load the programs.

    :param plan: of the programs that count
    :param headers: tree from ``collector.probe.headers``
    :param slots: file descriptor of the counting set's map of this name
    :raises ProbeError: they cannot be compiled, or the kernel refuses them
    """
    looks: dict[str, tuple[str, ...]] = {"vms": ("vm_question", "vm_answer")}
    if "HAVE_PF_TAKEN" in plan.macros:
        looks["vcpus"] = ("vcpu_question", "vcpu_answer")
    if "HAVE_MEMSLOT_HASH" in plan.macros:
        looks["memslots"] = ("memslots_answer",)
    order = Order(
        one_text(FOLDER, _MAIN),
        make_source(plan).flags,
        str(headers),
        (),
        tuple(name for maps in looks.values() for name in maps),
        looks=tuple(looks),
    )
    return Looks(load_unattached(order, {"slots": slots}, cache=cache, terms=terms))


def _in_parts(whole: Iterable[T], most: int) -> Iterator[list[T]]:
    left = iter(whole)
    while part := list(islice(left, most)):
        yield part


def _refused(exc: OSError) -> ProbeError:
    return ProbeError(f"KVM's state cannot be looked at: {exc.strerror}")
