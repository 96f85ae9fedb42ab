# SPDX-License-Identifier: Apache-2.0
"""Livelocks: vCPUs that fault on the same page again and again, with nothing mapped that stays.

The kernel keeps how often each vCPU faulted on the same page, or two in turn, at the same instruction, and
how often with nothing mapped in between (repeat.bpf.h). Only vCPUs with many such faults are looked at. KVM's
own counts say then what became of the faults, and its count of invalidations whether the host took
memory back:

    retried     KVM gave up, for the guest to try again; most of its faults ended so
    taken back  KVM mapped the page, and the host took memory back, more than a thousand times a second

Both hold the vCPU where it is. Nothing else does, however often a page faults: KVM may do the access for the
guest; the guest may change its own page tables; the host may look which pages are used or written, which
takes nothing back; and it may take a page back now and then.

On arm64 KVM counts nothing, and no event shows that it mapped a page. There, what has been mapped stays until
the host takes it back or has the writes to it logged: that explains so many faults, and no more.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from msgspec import structs

from collector.counting.reading import Reading
from collector.counting.watching import VmStates
from collector.probe.layout import FORMATS, NOT_SHOWN, Repeats, VcpuKey, VmKey
from collector.probe.looks import LookedVcpu, LookedVm, Looks
from faultmodel.arch.arm64.esr import fault_status, is_write_fault
from faultmodel.arch.arm64.layout import CM
from faultmodel.record_livelocks import Livelock
from faultmodel.units import NS_PER_S

LEAST_RETRIED = 100
LEAST_TAKEN_BACK = 1000
"""A second."""
RAISED_AFTER_NS = 3 * NS_PER_S
_CALM_READINGS = 2
"""In which the vCPU is not held: then it is over."""
MOST_SUSPECTS = 64
"""That are looked at in a reading: those with the most faults."""
_PAGE_BITS = 12
_GUEST_VIRTUAL = "pferr"
"""The format of the words whose faults have a guest-virtual address."""
_ARM64 = "esr_el2"
_FAULTS_OF_ONE = 4
"""That follow from memory taken back once, at most: two pages, each read and then written."""


class _Place(NamedTuple):
    """A vCPU, and a page on which it faults."""

    vcpu: VcpuKey
    page: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What was known at a reading. ``counts``: KVM's; None where they were not shown.

    ``invalidate_seq``: likewise, NOT_SHOWN.
    """

    repeats: Repeats
    counts: LookedVcpu | None
    invalidate_seq: int


@dataclass(slots=True)
class _Suspect:
    """A vCPU that may be in a livelock, or is in one.

    ``held_ns``: the time of the readings in which it was held. ``calm``: in how many since it was not.
    """

    seen: Seen
    since_ns: int
    faults: int
    held_ns: int = 0
    calm: int = 0
    raised: Livelock | None = None


class LivelockWatcher:
    """Ships a livelock when it is found, while it lasts and when it is over."""

    name = "livelocks"

    def __init__(self, looks: Looks, states: VmStates) -> None:
        """:param looks: that show KVM's counts, where it has such"""
        self._looks = looks
        self._states = states
        self._suspects: dict[_Place, _Suspect] = {}
        self._left_out = 0

    def rows(self, reading: Reading, ids: Mapping[VmKey, str]) -> Mapping[str, Sequence[Any]]:
        """Return the section ``livelocks``. :raises ProbeError: the kernel refuses"""
        self._left_out = 0
        if not reading.repeating and not self._suspects:
            return {}
        states = self._states.at(reading, ids)
        found = self._look(reading, states)
        rows: list[Livelock] = []
        for place in [*self._suspects, *(place for place in found if place not in self._suspects)]:
            vm = VmKey(place.vcpu.kvm, place.vcpu.instance)
            if vm in ids:
                rows += self._judge(reading, place, found.get(place), states.get(vm), ids[vm])
        return {"livelocks": rows}

    def lacking(self) -> str:
        """Return what the newest rows lack."""
        return f"{self._left_out} vCPUs that may be in livelocks were not looked at" if self._left_out else ""

    def forget(self, vms: Collection[VmKey]) -> None:
        """Forget VMs that have ended."""
        gone = frozenset(vms)
        self._suspects = {
            place: suspect for place, suspect in self._suspects.items() if place.vcpu[:2] not in gone
        }

    def _look(self, reading: Reading, states: Mapping[VmKey, LookedVm]) -> dict[_Place, Seen]:
        """Return what is known of vCPUs that fault on a page again and again, of VMs that live."""
        ranked = sorted(reading.repeating.items(), key=lambda item: -item[1].repeats.repeats)
        self._left_out = len(ranked[MOST_SUSPECTS:])
        found = {}
        for vcpu, (slot, repeats) in ranked[:MOST_SUSPECTS]:
            state = states.get(VmKey(vcpu.kvm, vcpu.instance))
            if state is not None:
                counts = () if slot is None or not self._looks.shows_counts else self._looks.vcpus([slot])
                place = _Place(vcpu, repeats.repeats_address >> _PAGE_BITS)
                found[place] = Seen(repeats, next(iter(counts), None), state.invalidate_seq)
        return found

    def _judge(
        self, reading: Reading, place: _Place, now: Seen | None, state: LookedVm | None, vm: str
    ) -> Iterator[Livelock]:
        span_ns = reading.to_ns - reading.from_ns
        suspect = self._suspects.get(place)
        if suspect is None:
            if now is not None:
                # What there was before is not known: the next reading can tell.
                self._suspects[place] = _Suspect(now, now.repeats.repeats_since_ns, now.repeats.repeats)
            return
        if now is not None:
            faults, _ = added_repeats(now.repeats, suspect.seen.repeats)
            suspect.faults += faults
        is_held_now = now is not None and is_held(now, suspect.seen, span_ns)
        if is_held_now:
            suspect.calm = 0
            suspect.held_ns += span_ns
        else:
            suspect.calm += 1
        if now is not None:
            suspect.seen = now
        if state is None or suspect.calm >= _CALM_READINGS:
            del self._suspects[place]
            if suspect.raised is not None:
                yield structs.replace(suspect.raised, is_over=True)
        elif is_held_now and suspect.held_ns >= RAISED_AFTER_NS:
            suspect.raised = _livelock(reading, place, suspect, state, vm)
            yield suspect.raised


def added_repeats(now: Repeats, before: Repeats) -> tuple[int, int]:
    """Return how many faults there were since, and before how many of them nothing was mapped."""
    if now.repeats_since_ns != before.repeats_since_ns:
        return now.repeats, now.repeats_unmapped
    return now.repeats - before.repeats, now.repeats_unmapped - before.repeats_unmapped


def is_held(now: Seen, before: Seen, span_ns: int) -> bool:
    """Return whether a vCPU cannot go on, by what was added in a time."""
    if FORMATS[now.repeats.repeats_format] == _ARM64:
        return _is_held_on_arm64(now, before, span_ns)
    if now.counts is None or before.counts is None:
        return False
    repeats, unmapped = added_repeats(now.repeats, before.repeats)
    taken = now.counts.pf_taken - before.counts.pf_taken
    fixed = now.counts.pf_fixed - before.counts.pf_fixed
    done = now.counts.pf_emulate - before.counts.pf_emulate
    done += now.counts.pf_spurious - before.counts.pf_spurious
    retried = min(unmapped, taken - fixed - done)
    if retried * NS_PER_S >= LEAST_RETRIED * span_ns and retried >= fixed + done:
        return True
    if NOT_SHOWN in (now.invalidate_seq, before.invalidate_seq):
        return False
    taken_back = min(repeats - unmapped, fixed, now.invalidate_seq - before.invalidate_seq)
    return taken_back * NS_PER_S >= LEAST_TAKEN_BACK * span_ns and taken_back >= done


def _is_held_on_arm64(now: Seen, before: Seen, span_ns: int) -> bool:
    """The same, by how many faults there were of which no event shows that KVM did the access."""
    word = now.repeats.repeats_word
    status = fault_status(word)
    if status is None or status.kind not in ("translation", "permission") or word & CM:
        # Of access flags an event shows what was done; maintenance of caches is skipped where no memory is.
        return False
    _, faults = added_repeats(now.repeats, before.repeats)
    if faults * NS_PER_S >= LEAST_TAKEN_BACK * span_ns:
        return True
    if NOT_SHOWN in (now.invalidate_seq, before.invalidate_seq):
        return False
    if status.kind == "permission" and is_write_fault(word):
        # Each may be the first since the log of dirty pages was collected, which no count shows.
        return False
    explained = _FAULTS_OF_ONE * (now.invalidate_seq - before.invalidate_seq)
    return (faults - explained) * NS_PER_S >= LEAST_RETRIED * span_ns


def _livelock(reading: Reading, place: _Place, suspect: _Suspect, state: LookedVm, vm: str) -> Livelock:
    repeats = suspect.seen.repeats
    form, address = FORMATS[repeats.repeats_format], repeats.repeats_address
    is_shown = state.invalidate_seq != NOT_SHOWN
    return Livelock(
        time_ns=reading.to_ns,
        vm=vm,
        vcpu=place.vcpu.vcpu,
        since_monotonic_ns=suspect.since_ns,
        for_ns=max(0, reading.checkpoint.monotonic_ns - suspect.since_ns),
        faults=suspect.faults,
        is_over=False,
        gpa=None if form == _GUEST_VIRTUAL else address,
        gva=address if form == _GUEST_VIRTUAL else None,
        pc=None if repeats.repeats_pc == NOT_SHOWN else repeats.repeats_pc,
        format=form,
        syndrome=repeats.repeats_word,
        invalidate_seq=state.invalidate_seq if is_shown else None,
        invalidating=bool(state.is_invalidating) if is_shown else None,
    )
