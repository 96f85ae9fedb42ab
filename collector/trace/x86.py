"""x86: the texts of the events that tell of faults, and the format of their words.

``kvm_page_fault`` is the fault; what ``kvmmmu`` events say after it in the same thread, before the guest goes
on, is its outcome. A recording without ``kvm_page_fault`` (not enabled, or KVM's PVM flavour) has only those:
there each is a fault whose word is not shown. Source: Linux 6.18 arch/x86/kvm/trace.h and mmu/mmutrace.h;
``kvm_page_fault`` prints neither vCPU nor RIP before 6.1.
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
_EXIT = re.compile(r"(?:vcpu (\d{1,9}) )?reason (.+?) rip 0x.*").fullmatch
_ENTRY = re.compile(r"vcpu (\d{1,9})\b.*").fullmatch
_PAGE_FAULT = re.compile(rf"(?:vcpu (\d{{1,9}}) rip {_HEX} )?address {_HEX} error_code {_HEX}").fullmatch
_REQUESTED = re.compile(rf"gfn {_HEX} pfn {_HEX} level (\d)\b.*").fullmatch
_FAST = re.compile(rf"vcpu (\d{{1,9}}) gva {_HEX} .* spurious ([01]) fixed ([01])").fullmatch
_MMIO = re.compile(rf"addr:{_HEX} gfn {_HEX} access .*").fullmatch

_NO_PAGE = 0xFFF0_0000_0000_0000
"""In a pfn: an error, or that no slot covers the address. Source: include/linux/kvm_host.h, KVM_PFN_*."""
_BY_LEVEL = {1: ("mapped_4k",), 2: ("mapped_2m",), 3: ("mapped_1g",)}


@dataclass(slots=True)
class FormatEvidence:
    """What a recording tells of the formats of its words, collected while it is surveyed."""

    page_faults_shown: bool = False
    formats: set[str] = field(default_factory=set)
    """Of this host's words, by the reasons of its kvm_exit events."""
    untold: int = 0
    """kvm_page_fault events that follow no kvm_exit which would tell their format."""
    _told: set[int] = field(default_factory=set)
    """The threads whose newest kvm_exit tells."""

    def see(self, line: Line) -> None:
        """Take note of an event."""
        if line.event == "kvm_exit":
            found = _EXIT(line.text)
            reason = found[2] if found else ""
            if reason in FORMAT_BY_HOST:
                self.formats.add(FORMAT_BY_HOST[reason])
            (self._told.add if reason in FORMAT_BY_EXIT else self._told.discard)(line.tid)
        elif line.event == "kvm_entry":
            self._told.discard(line.tid)
        elif line.event == "kvm_page_fault":
            self.page_faults_shown = True
            self.untold += line.tid not in self._told


@dataclass(frozen=True, slots=True, kw_only=True)
class X86Options:
    """How to read an x86 recording.

    ``format`` is that of words whose own ``kvm_exit`` is missing, None where there are none.
    ``page_faults_shown``: the recording has ``kvm_page_fault``.
    """

    format: str | None
    page_faults_shown: bool


class X86Reader:
    """Reads x86 events."""

    def __init__(self, offset_ns: int, options: X86Options) -> None:
        """:param offset_ns: what to add to the recording's times for UTC"""
        self._offset_ns = offset_ns
        self._format = options.format or NO_FORMAT
        self._page_faults_shown = options.page_faults_shown
        exits = UserspaceExits(offset_ns, X86Exit, ("format", "syndrome", "address", "rip"))
        self.handlers: Mapping[str, Handler] = {
            "kvm_exit": self._exit,
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
        return thread.close()

    def _entry(self, thread: Thread, line: Line) -> Counted | None:
        if found := _ENTRY(line.text):
            thread.vcpu = int(found[1])
        thread.format = None
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
            vcpu=thread.vcpu_told(),
            format=thread.format or self._format,
            syndrome=int(word, 16),
            address=int(address, 16),
            rip=int(rip, 16) if rip else None,
        )
        return thread.begin(Counted(fault, ("faults",), line))

    def _requested(self, thread: Thread, line: Line) -> Counted | None:
        found = _REQUESTED(line.text)
        if found is None:
            raise LineError
        gfn, level = int(found[1], 16), int(found[3])
        if int(found[2], 16) & _NO_PAGE:
            return self._outcome(thread, line, ("mmio", "no_memslot"), gfn << 12)
        outcome = self._outcome(thread, line, _BY_LEVEL.get(level, ()), gfn << 12, level)
        if outcome is None:
            # No guest asked: KVM_PRE_FAULT_MEMORY, or a page that an asynchronous fault had waited for.
            return Counted(self._without_word(thread, line, gfn << 12, level), ("prefetched",), line)
        return outcome

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
        return Counted(ended.record, ("faults", "mmio", "no_memslot"), ended.line) if ended else None

    def _async(self, thread: Thread, line: Line) -> Counted | None:
        # The guest runs on, or waits; KVM maps the page later, ahead of the guest's next try.
        return thread.close()

    def _outcome(
        self, thread: Thread, line: Line, counters: tuple[str, ...], address: int, level: int | None = None
    ) -> Counted | None:
        """Return the fault that ended so; without kvm_page_fault, a fault of which only this is known."""
        ended = thread.close()
        if ended is not None:
            fault = ended.record
            if level is not None:
                fault = replace(fault, gfn=address >> 12, level=level)
            return Counted(fault, ("faults", *counters), ended.line)
        if self._page_faults_shown:
            return None
        return Counted(self._without_word(thread, line, address, level), ("faults", *counters), line)

    def _without_word(self, thread: Thread, line: Line, address: int, level: int | None) -> X86Fault:
        return X86Fault(
            time_ns=line.monotonic_ns + self._offset_ns,
            monotonic_ns=line.monotonic_ns,
            vm=thread.vm,
            vcpu=thread.vcpu_told(),
            format=NO_FORMAT,
            syndrome=0,
            address=address,
            gfn=address >> 12,
            level=level,
        )
