# SPDX-License-Identifier: Apache-2.0
"""Each VM's memslots, with what the host has behind them."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from collector.counting.backing import (
    PAGE,
    UNKNOWN,
    Backing,
    PageSizes,
    backing_of,
    huge_page_settings,
    page_sizes,
)
from collector.counting.reading import Reading
from collector.counting.watching import VmStates
from collector.errors import ProbeError
from collector.probe.layout import VmKey
from collector.probe.looks import MOST_MEMSLOTS, LookedMemslot, LookedVm, Looks
from collector.probe.mappings import Mapping as HostMapping
from collector.probe.mappings import Mappings
from faultmodel.record_looks import Memslot

_AGAIN_NS = 5 * 10**9
"""After which time a VM is looked at again though its memslots did not change: its mappings may have."""
_MOST_CHANGED, _MOST_AGAIN = 16, 1
"""VMs that are looked at in one reading, of those whose memslots changed and of others. A look takes up to a
millisecond."""
_GUEST_MEMFD = 4
"""include/uapi/linux/kvm.h, KVM_MEM_GUEST_MEMFD."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found at the newest look. ``could``, ``mappings``: None if the mappings could not be seen."""

    generation: int
    looked_ns: int
    memslots: Mapping[tuple[int, int], Memslot]
    could: PageSizes | None
    mappings: Sequence[HostMapping] | None


class MemslotWatcher:
    """Ships memslots when they change: all of a VM in the reading in which it appears, then differences."""

    name = "memslots"

    def __init__(self, looks: Looks, states: VmStates, mappings: Mappings | None) -> None:
        """:param mappings: None if the kernel does not show them; then the backing is not known"""
        self._looks = looks
        self._states = states
        self._mappings = mappings
        self._known: dict[VmKey, _Known] = {}
        self._turns: deque[VmKey] = deque()
        """VMs by when they were looked at last."""
        self._left_out: set[VmKey] = set()
        self._refusal = ""

    def rows(self, reading: Reading, ids: Mapping[VmKey, str]) -> Mapping[str, Sequence[Any]]:
        """Return the section ``memslots``: those that changed. :raises ProbeError: the kernel refuses"""
        states = self._states.at(reading, ids)
        due = self._due(states, reading.to_ns)
        settings = huge_page_settings() if due else {}
        rows: list[Memslot] = []
        self._refusal = ""
        for vm in due:
            try:
                now = self._look(reading, vm, states[vm], ids[vm], settings)
            except ProbeError as exc:
                # What the VMs before it have is known from here on, so it has to be sent.
                self._refusal = str(exc)
                break
            before = self._known.get(vm)
            if before is not None:
                self._turns.remove(vm)
                self._turns.append(vm)
            if now is None:
                # It has ended, or changes all the time: the next reading looks again.
                continue
            if before is None:
                self._turns.append(vm)
            self._known[vm] = now
            rows += _changed(before.memslots if before else {}, now.memslots, reading.to_ns)
        return {"memslots": rows}

    def could_have(self, vm: VmKey) -> PageSizes | None:
        """Return what pages a VM's memory could be mapped in; None if that is not known."""
        known = self._known.get(vm)
        return None if known is None else known.could

    def mappings_before(self, vm: VmKey, addresses: Iterable[int]) -> Sequence[HostMapping] | None:
        """Return what was mapped in a VM's memslots at the newest look.

        :param addresses: where memslots begin in the VMM's memory
        :return: None if that is not known, or was not looked at for each of these
        """
        known = self._known.get(vm)
        if known is None or not {one.host_address for one in known.memslots.values()}.issuperset(addresses):
            return None
        return known.mappings

    def lacking(self) -> str:
        """Return what the rows lack; empty if they are whole."""
        if self._refusal or not self._left_out:
            return self._refusal
        return f"{len(self._left_out)} VMs have more memslots than the {MOST_MEMSLOTS} that are shown"

    def forget(self, vms: Collection[VmKey]) -> None:
        """Forget VMs that have ended."""
        gone = frozenset(vms)
        self._left_out -= gone
        self._turns = deque(vm for vm in self._turns if vm not in gone)
        for vm in gone:
            self._known.pop(vm, None)

    def _due(self, states: Mapping[VmKey, LookedVm], now_ns: int) -> list[VmKey]:
        changed = [
            vm
            for vm, state in states.items()
            if (known := self._known.get(vm)) is None or known.generation != state.generation
        ]
        again = [
            vm
            for vm in list(self._turns)[:_MOST_AGAIN]
            if vm in states and now_ns - self._known[vm].looked_ns >= _AGAIN_NS
        ]
        return list(dict.fromkeys([*changed[:_MOST_CHANGED], *again]))

    def _look(
        self, reading: Reading, vm: VmKey, state: LookedVm, identity: str, settings: Mapping[str, str]
    ) -> _Known | None:
        found: list[LookedMemslot] = []
        for address_space in range(state.address_spaces):
            of_space = self._looks.memslots(vm, address_space)
            if of_space is None:
                return None
            if len(of_space) == MOST_MEMSLOTS:
                self._left_out.add(vm)
            found += of_space
        mappings = self._mappings_of(reading.vms[vm].tgid, state.mm, found)
        return _Known(
            state.generation,
            reading.to_ns,
            {(one.address_space, one.slot): _row(one, identity, mappings, reading.to_ns) for one in found},
            None if mappings is None else page_sizes(_of_the_guest(found), mappings, settings),
            mappings,
        )

    def _mappings_of(
        self, pid: int, mm: int, memslots: Sequence[LookedMemslot]
    ) -> Sequence[HostMapping] | None:
        """Return what the VM's process has mapped there; None if that cannot be seen."""
        if self._mappings is None:
            return None
        ranges = [(one.host_address, one.host_address + one.pages * PAGE) for one in memslots]
        return self._mappings.of(pid, mm, ranges)


def _of_the_guest(memslots: Iterable[LookedMemslot]) -> list[LookedMemslot]:
    """Return those of the first address space. That of system management mode has the same memory."""
    return [one for one in memslots if not one.address_space]


def _row(one: LookedMemslot, identity: str, mappings: Sequence[HostMapping] | None, time_ns: int) -> Memslot:
    backing: Backing = UNKNOWN if mappings is None else backing_of(one, mappings)
    has_guest_memfd = bool(one.flags & _GUEST_MEMFD)
    if has_guest_memfd and backing.backing in ("", "none"):
        backing = Backing("guest_memfd", userfaultfd=backing.userfaultfd)
    return Memslot(
        time_ns=time_ns,
        vm=identity,
        address_space=one.address_space,
        slot=one.slot,
        gpa=one.base_gfn * PAGE,
        size=one.pages * PAGE,
        flags=one.flags,
        host_address=one.host_address,
        backing=backing.backing,
        file=backing.file,
        offset=backing.offset,
        guest_memfd=has_guest_memfd,
        userfaultfd=backing.userfaultfd,
        permissions=backing.permissions,
    )


def _changed(
    before: Mapping[tuple[int, int], Memslot], now: Mapping[tuple[int, int], Memslot], time_ns: int
) -> list[Memslot]:
    rows = [
        row
        for key, row in now.items()
        if key not in before or msgspec.structs.replace(before[key], time_ns=time_ns) != row
    ]
    deleted = [row for key, row in before.items() if key not in now]
    return rows + [msgspec.structs.replace(row, time_ns=time_ns, size=0) for row in deleted]
