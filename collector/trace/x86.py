# SPDX-License-Identifier: Apache-2.0
"""x86: the texts of the events that show faults, and the format of their words.

``kvm_page_fault`` is the fault; what ``kvmmmu`` events say after it in the same thread, before the guest goes
on, is its outcome. KVM may ask for the mapping more than once (TDX tries again by itself): the last counts.
``kvm_nested_vmexit`` between ``kvm_exit`` and the fault says that a guest of the guest ran. A recording
without ``kvm_page_fault`` (not enabled, or KVM's PVM flavour) has only the outcomes: there each is a fault
whose word is not shown. Source: Linux 6.18 arch/x86/kvm/trace.h and mmu/mmutrace.h; ``kvm_page_fault`` prints
neither vCPU nor RIP before 6.1, and only the low 32 bits of the word.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from collector.trace.errors import LineError
from collector.trace.lines import Line
from collector.trace.seen import Counted, Handler, Thread, UserspaceExits
from faultmodel.arch.base import NO_FORMAT
from faultmodel.arch.x86 import X86Exit, X86Fault

FORMAT_BY_EXIT: Mapping[str, str] = {
    "EPT_VIOLATION": "ept",
    "npf": "npf",
    "EXIT_NPF": "npf",
    "PF excp": "pferr",
    "EXIT_EXCP_PF": "pferr",
    # VMX, an exception in the guest; a kvm_page_fault after it is one of shadow paging.
    "EXCEPTION_NMI": "pferr",
}
"""The format of ``kvm_page_fault``'s word, by the reason of the ``kvm_exit`` that it follows.

SVM's reasons are named one way by the kernel and the other by libtraceevent, for trace-cmd and perf.
"""
FORMAT_BY_HOST: Mapping[str, str] = {
    "EPT_VIOLATION": "ept",
    "EPT_MISCONFIG": "ept",
    "npf": "npf",
    "EXIT_NPF": "npf",
    "PF excp": "pferr",
    "EXIT_EXCP_PF": "pferr",
}
"""What a reason says of a host's other faults. EXCEPTION_NMI says nothing: it occurs with EPT too."""

_HEX = "(?:0x)?([0-9a-f]{1,16})"
_EXIT = re.compile(
    r"(?:vcpu (\d{1,9}) )?reason (.+?) rip 0x[0-9a-f]*(?: info1? (?:0x)?([0-9a-f]{1,16})\b)?.*"
).fullmatch
_ENTRY = re.compile(r"vcpu (\d{1,9})\b.*").fullmatch
_PAGE_FAULT = re.compile(rf"(?:vcpu (\d{{1,9}}) rip {_HEX} )?address {_HEX} error_code {_HEX}").fullmatch
_REQUESTED = re.compile(rf"gfn {_HEX} pfn {_HEX} level (\d)\b.*").fullmatch
_FAST = re.compile(rf"vcpu (\d{{1,9}}) gva {_HEX} .* spurious ([01]) fixed ([01])").fullmatch
_MMIO = re.compile(rf"addr:{_HEX} gfn {_HEX} access .*").fullmatch

_LOW_32 = 2**32 - 1
_PROTECTED_EXITS = frozenset(("vmgexit", "EXIT_VMGEXIT", "TDCALL"))
"""Reasons of ``kvm_exit`` that only guests have whose registers KVM cannot read: SEV-ES, SNP, TDX."""
_NO_PAGE = 0xFFF0_0000_0000_0000
"""In a pfn: an error, or that no slot covers the address. Source: include/linux/kvm_host.h, KVM_PFN_*."""
_BY_LEVEL = {1: ("mapped_4k",), 2: ("mapped_2m",), 3: ("mapped_1g",)}


@dataclass(slots=True)
class FormatEvidence:
    """What a recording shows of the formats of its words, collected while it is surveyed."""

    page_faults_shown: bool = False
    formats: set[str] = field(default_factory=set)
    """Of this host's words, by the reasons of its kvm_exit events."""
    format_unknown: int = 0
    """kvm_page_fault events that follow no kvm_exit that shows their format."""
    nested_exits_shown: bool = False
    """kvm_nested_vmexit is recorded: where it is missing, the VM's own guest ran."""
    protected_threads: set[int] = field(default_factory=set)
    """Of guests whose registers KVM cannot read."""
    _format_known: set[int] = field(default_factory=set)
    """The threads whose newest kvm_exit shows it."""

    def see(self, line: Line) -> None:
        """Take note of an event."""
        if line.event == "kvm_exit":
            found = _EXIT(line.text)
            reason = found[2] if found else ""
            if reason in FORMAT_BY_HOST:
                self.formats.add(FORMAT_BY_HOST[reason])
            if reason in _PROTECTED_EXITS:
                self.protected_threads.add(line.tid)
            (self._format_known.add if reason in FORMAT_BY_EXIT else self._format_known.discard)(line.tid)
        elif line.event == "kvm_entry":
            self._format_known.discard(line.tid)
        elif line.event == "kvm_page_fault":
            self.page_faults_shown = True
            self.format_unknown += line.tid not in self._format_known
        elif line.event == "kvm_nested_vmexit":
            self.nested_exits_shown = True
        elif line.event == "kvm_vmgexit_enter":
            self.protected_threads.add(line.tid)


@dataclass(frozen=True, slots=True, kw_only=True)
class X86Options:
    """How to read an x86 recording.

    ``format`` is that of words whose own ``kvm_exit`` is missing, None where there are none.
    ``page_faults_shown``: the recording has ``kvm_page_fault``. ``nested_exits_shown``: it has
    ``kvm_nested_vmexit``. ``protected``: the VMs whose registers KVM cannot read.
    """

    format: str | None
    page_faults_shown: bool
    nested_exits_shown: bool = False
    protected: frozenset[str] = frozenset()


class X86Reader:
    """Reads x86 events."""

    def __init__(self, offset_ns: int, options: X86Options) -> None:
        """:param offset_ns: what to add to the recording's times for UTC"""
        self._offset_ns = offset_ns
        self._format = options.format or NO_FORMAT
        self._page_faults_shown = options.page_faults_shown
        self._not_nested = False if options.nested_exits_shown else None
        self._protected = options.protected
        exits = UserspaceExits(offset_ns, X86Exit, ("format", "syndrome", "address", "rip"))
        self.handlers: Mapping[str, Handler] = {
            "kvm_exit": self._exit,
            "kvm_nested_vmexit": self._nested_exit,
            "kvm_entry": self._entry,
            "kvm_page_fault": self._page_fault,
            "kvm_mmu_spte_requested": self._requested,
            "fast_page_fault": self._fast,
            "handle_mmio_page_fault": self._mmio,
            "mark_mmio_spte": self._mark_mmio,
            "kvm_try_async_get_page": self._async,
            "kvm_userspace_exit": exits.read,
        }

    def _exit(self, thread: Thread, line: Line) -> Counted | None:
        found = _EXIT(line.text)
        if found is None:
            raise LineError
        if found[1]:
            thread.vcpu = int(found[1])
        thread.format = FORMAT_BY_EXIT.get(found[2])
        thread.whole_word = int(found[3], 16) if found[3] and thread.format == "npf" else None
        thread.nested = self._not_nested
        return thread.close()

    def _nested_exit(self, thread: Thread, line: Line) -> Counted | None:
        # The same exit again, of a guest that the guest runs, whether KVM or the guest deals with it.
        thread.nested = True
        return None

    def _entry(self, thread: Thread, line: Line) -> Counted | None:
        if found := _ENTRY(line.text):
            thread.vcpu = int(found[1])
        thread.format, thread.whole_word, thread.nested = None, None, self._not_nested
        return thread.close()

    def _page_fault(self, thread: Thread, line: Line) -> Counted | None:
        found = _PAGE_FAULT(line.text)
        if found is None:
            raise LineError
        vcpu, rip, address, word = found.groups()
        if vcpu is not None:
            thread.vcpu = int(vcpu)
        fault = X86Fault(
            time_ns=line.monotonic_ns + self._offset_ns,
            monotonic_ns=line.monotonic_ns,
            vm=thread.vm,
            vcpu=thread.known_vcpu(),
            format=thread.format or self._format,
            syndrome=_whole(int(word, 16), thread) if vcpu is None else int(word, 16),
            address=int(address, 16),
            rip=self._rip(thread, rip),
            nested=thread.nested,
        )
        return thread.begin(Counted(fault, ("faults",), line))

    def _rip(self, thread: Thread, rip: str | None) -> int | None:
        # Of a protected guest the kernel gives 0 (from 7.2 on). Another guest may well run at 0.
        number = int(rip, 16) if rip else None
        return None if number == 0 and thread.vm in self._protected else number

    def _requested(self, thread: Thread, line: Line) -> Counted | None:
        found = _REQUESTED(line.text)
        if found is None:
            raise LineError
        gfn, level = int(found[1], 16), int(found[3])
        has_page = not int(found[2], 16) & _NO_PAGE
        how = _BY_LEVEL.get(level, ()) if has_page else ("mmio", "no_memslot")
        fault = thread.open
        if fault is not None and (not fault.has_outcome or fault.record.gfn == gfn):
            # Not the end of it yet: KVM may try again, and then the last try is the outcome.
            record = replace(fault.record, gfn=gfn, level=level if has_page else None)
            thread.open = Counted(record, ("faults", *how), fault.line)
            return None
        if not self._page_faults_shown:
            return Counted(self._without_word(thread, line, gfn << 12, level), ("faults", *how), line)
        if not has_page:
            return None
        # No guest asked: KVM_PRE_FAULT_MEMORY, or a page that an asynchronous fault had waited for.
        return Counted(self._without_word(thread, line, gfn << 12, level), ("prefetched",), line)

    def _fast(self, thread: Thread, line: Line) -> Counted | None:
        found = _FAST(line.text)
        if found is None:
            raise LineError
        vcpu, address, spurious, fixed = found.groups()
        thread.vcpu = int(vcpu)
        if spurious == fixed == "0":
            # Not to be fixed this way: what the slow path does follows.
            return None
        return self._outcome(thread, line, ("spurious" if spurious == "1" else "fast",), int(address, 16))

    def _mmio(self, thread: Thread, line: Line) -> Counted | None:
        found = _MMIO(line.text)
        if found is None:
            raise LineError
        return self._outcome(thread, line, ("mmio",), int(found[2], 16) << 12)

    def _mark_mmio(self, thread: Thread, line: Line) -> Counted | None:
        # Follows kvm_mmu_spte_requested, where that is recorded, and then says nothing new.
        ended = thread.close()
        if ended is None or ended.has_outcome:
            return ended
        return Counted(ended.record, ("faults", "mmio", "no_memslot"), ended.line)

    def _async(self, thread: Thread, line: Line) -> Counted | None:
        # The guest runs on, or waits; KVM maps the page later, ahead of the guest's next try.
        return thread.close()

    def _outcome(self, thread: Thread, line: Line, counters: tuple[str, ...], address: int) -> Counted | None:
        """Return the fault that ended so; without kvm_page_fault, a fault of which only this is known."""
        ended = thread.close()
        if ended is not None:
            return ended if ended.has_outcome else Counted(ended.record, ("faults", *counters), ended.line)
        if self._page_faults_shown:
            return None
        return Counted(self._without_word(thread, line, address, None), ("faults", *counters), line)

    def _without_word(self, thread: Thread, line: Line, address: int, level: int | None) -> X86Fault:
        return X86Fault(
            time_ns=line.monotonic_ns + self._offset_ns,
            monotonic_ns=line.monotonic_ns,
            vm=thread.vm,
            vcpu=thread.known_vcpu(),
            format=NO_FORMAT,
            syndrome=0,
            address=address,
            gfn=address >> 12,
            level=level,
            nested=thread.nested,
        )


def _whole(word: int, thread: Thread) -> int:
    """Return the whole of a word of which the event has the low 32 bits, if the exit before it has it."""
    whole = thread.whole_word
    return whole if whole is not None and whole & _LOW_32 == word else word
