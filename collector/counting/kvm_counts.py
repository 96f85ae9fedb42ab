# SPDX-License-Identifier: Apache-2.0
"""KVM's own counts of each VM, to be shown beside ours, and what pages it maps."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from collector.counting.backing import PageSizes
from collector.counting.decoder import shares
from collector.counting.reading import Reading
from collector.counting.watching import VmStates
from collector.probe.layout import VmKey
from collector.probe.looks import LookedVcpu, LookedVm, Looks
from faultmodel.record_looks import KvmCount, VmPages

_COUNTS = ("pf_taken", "pf_fixed", "pf_emulate", "pf_spurious", "pf_fast", "pf_mmio", "splits", "seen")
"""Of a KvmCount, in its order."""

Vcpu = tuple[int, int, int]


class KvmCountsWatcher:
    """Ships differences between two looks at the same vCPU: KVM's counts, and ours at these instants.

    A vCPU's first look is compared with 0 if its VM's process began after the very first look. Other vCPUs
    may have faulted before: their second look is the first that is compared. A vCPU without a slot is
    left out. One that is in the middle of a fault is one ahead in KVM's count; the next look has it in both.
    """

    name = "kvm_counts"

    def __init__(
        self,
        looks: Looks,
        states: VmStates,
        places: Callable[[], Sequence[int]],
        could_have: Callable[[VmKey], PageSizes | None],
    ) -> None:
        """:param places: returns the places of the slots in the newest snapshot

        :param could_have: returns what pages a VM's memory could be mapped in, None while that is not known
        """
        self._looks = looks
        self._states = states
        self._places = places
        self._could_have = could_have
        self._began_boottime_ns: int | None = None
        self._vcpus: dict[Vcpu, tuple[int, ...]] = {}
        self._splits: dict[VmKey, int] = {}
        self._pages: dict[VmKey, tuple[int, ...]] = {}

    def rows(self, reading: Reading, ids: Mapping[VmKey, str]) -> Mapping[str, Sequence[Any]]:
        """Return the sections ``kvm_counts`` and ``vm_pages``; of pages what has changed.

        :raises ProbeError: the kernel refuses
        """
        if self._began_boottime_ns is None:
            self._began_boottime_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        states = self._states.at(reading, ids)
        added = self._added(reading, ids)
        for vm, state in states.items():
            before = self._splits.get(vm, 0 if self._is_new(reading, vm) else state.splits)
            self._splits[vm] = state.splits
            if state.splits > before:
                added.setdefault(vm, Counter())["splits"] += state.splits - before
        return {
            "kvm_counts": [
                KvmCount(share.bucket_ms, ids[vm], *parts)
                for share in shares(reading)
                for vm, counts in added.items()
                if any(parts := [share.part(counts[name]) for name in _COUNTS])
            ],
            "vm_pages": [
                row
                for vm, state in states.items()
                if (row := self._changed_pages(reading.to_ns, vm, ids[vm], state)) is not None
            ],
        }

    def lacking(self) -> str:
        """Return what the rows lack: nothing."""
        return ""

    def forget(self, vms: Collection[VmKey]) -> None:
        """Forget VMs that have ended."""
        gone = frozenset(vms)
        self._vcpus = {key: counts for key, counts in self._vcpus.items() if key[:2] not in gone}
        for vm in gone:
            self._splits.pop(vm, None)
            self._pages.pop(vm, None)

    def _added(self, reading: Reading, ids: Mapping[VmKey, str]) -> dict[VmKey, Counter[str]]:
        """Return what was added since the look before, by VM."""
        now: dict[Vcpu, tuple[int, ...]] = {}
        for found in self._looks.vcpus(self._places()):
            key = (found.kvm, found.instance, found.vcpu)
            # A vCPU whose thread was replaced has two slots, each with its own part of our count.
            now[key] = _numbers(found, 0 if key not in now else now[key][-1])
        added: dict[VmKey, Counter[str]] = {}
        for key, counts in now.items():
            vm = VmKey(key[0], key[1])
            if vm not in ids:
                continue
            before = self._vcpus.get(key)
            if before is None and self._is_new(reading, vm):
                before = (0,) * len(counts)
            self._vcpus[key] = counts
            if before is not None and before != counts:
                of_vm = added.setdefault(vm, Counter())
                for name, one, other in zip(_OF_VCPU, counts, before, strict=True):
                    # An ended thread's slot may have been freed.
                    of_vm[name] += max(0, one - other)
        return added

    def _is_new(self, reading: Reading, vm: VmKey) -> bool:
        """Whether the VM began after the first look: then all that KVM counted was seen."""
        assert self._began_boottime_ns is not None
        return reading.vms[vm].start_boottime_ns >= self._began_boottime_ns

    def _changed_pages(self, time_ns: int, vm: VmKey, identity: str, state: LookedVm) -> VmPages | None:
        could = self._could_have(vm)
        if could is None:
            return None
        pages = (state.pages_4k, state.pages_2m, state.pages_1g, *could)
        if self._pages.get(vm) == pages:
            return None
        self._pages[vm] = pages
        return VmPages(
            time_ns=time_ns,
            vm=identity,
            pages_4k=state.pages_4k,
            pages_2m=state.pages_2m,
            pages_1g=state.pages_1g,
            could_4k=could.of_4k,
            could_2m=could.of_2m,
            could_1g=could.of_1g,
        )


_OF_VCPU = ("pf_taken", "pf_fixed", "pf_emulate", "pf_spurious", "pf_fast", "pf_mmio", "seen")


def _numbers(found: LookedVcpu, seen_elsewhere: int) -> tuple[int, ...]:
    return (
        found.pf_taken,
        found.pf_fixed,
        found.pf_emulate,
        found.pf_spurious,
        found.pf_fast,
        found.pf_mmio,
        found.seen + seen_elsewhere,
    )
