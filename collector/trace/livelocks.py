# SPDX-License-Identifier: Apache-2.0
"""Livelocks, as far as a recording shows them: a vCPU that takes the same fault again and again.

The same fault is that of the same instruction at the same address, with the same word. ``LEAST_FAULTS`` of
them within ``WITHIN_NS`` are a livelock, unless something explains them: that KVM mapped the page, or did the
access for the guest, so that it went on; or that the host took the page back, or its accessed flag, since the
fault before. A guest may have two such faults in turn, as of an instruction and of its operand; with a third
one it moves.

What explains a fault has to be in the recording. Where it may be missing, nothing is taken for a livelock:
of arm64 without ``kvm_exit``, the events that are enough for faults do not show accesses that KVM does for
the guest, and of shadow paging they never show them.
"""

from dataclasses import dataclass, field
from typing import Any

from collector.trace.lines import Line
from collector.trace.seen import Counted, ExitSeen, Thread
from faultmodel.arch.base import Architecture
from faultmodel.record_livelocks import Livelock
from faultmodel.units import NS_PER_S

LEAST_FAULTS = 300
WITHIN_NS = 3 * NS_PER_S
_AT_ONCE = 2
_TAKEN_BACK = frozenset(
    {
        *("kvm_unmap_hva", "kvm_unmap_hva_range", "kvm_set_spte_hva", "kvm_mmu_prepare_zap_page"),
        *("kvm_age_hva", "kvm_age_page"),
    }
)
"""Events of any thread: the host takes pages from guests, or looks whether they are used."""
_DONE = frozenset({"kvm_mmio", "kvm_mmio_nisv", "kvm_fast_mmio", "kvm_emulate_insn", "kvm_access_fault"})
"""Events of a vCPU's thread: KVM has done what the guest wanted."""
_RESOLVED = frozenset({"mapped_4k", "mapped_2m", "mapped_1g", "fast", "mmio"})
"""Counters of a fault after which the guest goes on."""


@dataclass(slots=True)
class _Run:
    """The same fault, over and over."""

    key: tuple[Any, ...]
    first: Any
    last: Any
    """The last one that nothing explains."""
    line: int
    """Of the last one of all."""
    faults: int = 1
    is_livelock: bool = False


@dataclass(slots=True)
class Livelocks:
    """Finds livelocks in what is seen of a recording, in its order."""

    architecture: Architecture
    _runs: dict[tuple[str, int], list[_Run]] = field(default_factory=dict)
    """By VM and vCPU."""
    _over: list[Livelock] = field(default_factory=list)
    _taken_back_line: int = 0
    _exits_shown: bool = False

    def note(self, line: Line, thread: Thread | None) -> None:
        """Take note of an event that is no fault. ``thread``: the vCPU's, None where it is none."""
        if line.event in _TAKEN_BACK:
            self._taken_back_line = line.number
        elif line.event == "kvm_exit":
            self._exits_shown = True
        elif thread is not None and thread.vcpu is not None and line.event in _DONE:
            self._end((thread.vm, thread.vcpu))

    def note_loss(self) -> None:
        """Take note that events are missing: they may explain what follows."""
        for runs in self._runs.values():
            runs[:] = [run for run in runs if run.is_livelock]

    def see(self, seen: Counted | ExitSeen) -> None:
        """Take note of a fault, once its end is seen, or of an exit."""
        if isinstance(seen, ExitSeen):
            if seen.errno == 0:
                self._end((seen.vm, seen.vcpu))
        elif seen.is_guest_fault:
            record = seen.record
            if not _RESOLVED.isdisjoint(seen.counters) or not self._would_be_explained(seen):
                self._end((record.vm, record.vcpu))
            else:
                self._add(seen)

    def take(self, *, is_end: bool) -> tuple[Livelock, ...]:
        """Return those that are over since the last time; at the recording's end those that are not, too."""
        found, self._over = self._over, []
        if is_end:
            found += [
                self._livelock(run, is_over=False)
                for runs in self._runs.values()
                for run in runs
                if run.is_livelock
            ]
        return tuple(found)

    def _would_be_explained(self, seen: Counted) -> bool:
        """Whether the recording would show an access that KVM does for the guest."""
        record = seen.record
        has_events = self._exits_shown or self.architecture.name != "aarch64"
        is_shadow_paging = record.gpa is None and record.l2_address is None
        return has_events and not is_shadow_paging

    def _add(self, seen: Counted) -> None:
        record, line = seen.record, seen.line.number
        vcpu = record.vm, record.vcpu
        key = (
            *(record.gpa, record.l2_address, record.gva, record.guest_pc),
            getattr(record, self.architecture.word_field),
        )
        runs = self._runs.setdefault(vcpu, [])
        run = next((one for one in runs if one.key == key), None)
        if run is None:
            if len(runs) == _AT_ONCE:
                self._end(vcpu)
                runs = self._runs.setdefault(vcpu, [])
            runs.append(_Run(key, record, record, line))
            return
        is_explained = self._taken_back_line > run.line
        run.line = line
        is_late = record.monotonic_ns - (run.last if run.is_livelock else run.first).monotonic_ns > WITHIN_NS
        if is_late or (is_explained and not run.is_livelock):
            self._close(run)
            runs[runs.index(run)] = _Run(key, record, record, line)
            return
        run.faults += 1
        if not is_explained:
            run.last = record
        run.is_livelock |= run.faults >= LEAST_FAULTS

    def _end(self, vcpu: tuple[str, int]) -> None:
        for run in self._runs.pop(vcpu, ()):
            self._close(run)

    def _close(self, run: _Run) -> None:
        if run.is_livelock:
            self._over.append(self._livelock(run, is_over=True))

    def _livelock(self, run: _Run, *, is_over: bool) -> Livelock:
        last = run.last
        form = self.architecture.format_of(last)
        return Livelock(
            time_ns=last.time_ns,
            vm=last.vm,
            vcpu=last.vcpu,
            since_monotonic_ns=run.first.monotonic_ns,
            for_ns=max(0, last.monotonic_ns - run.first.monotonic_ns),
            faults=run.faults,
            is_over=is_over,
            gpa=last.gpa,
            gva=last.gva,
            pc=last.guest_pc,
            format=None if form is None else form.name,
            syndrome=None if form is None else getattr(last, self.architecture.word_field),
        )
