# SPDX-License-Identifier: Apache-2.0
"""How the faults of a recording ended, and how long they stalled their vCPUs.

It follows the order of events, as the collector's programs do on a live host: a fault ends once, where the
guest goes on (``kvm_entry``) or KVM_RUN returns, with what KVM has last done about it. Where nothing shows
what that was, the guest went on all the same, or took the same fault again at once. Where the recording has
no ``kvm_entry``, it is not known how long a fault lasted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from collector.trace.lines import Line
from collector.trace.seen import Counted, ExitSeen, Thread
from faultmodel.arch.base import Architecture
from faultmodel.outcomes import Outcome
from faultmodel.record import EFAULT, EHWPOISON, ERRNO_NOT_SHOWN

_KVM_EXIT_MMIO, _EINTR = 6, 4
_ENTRY = "kvm_entry"
_EXIT = "kvm_userspace_exit"
_ENDS_LATER = frozenset(
    {"fast_page_fault", "handle_mmio_page_fault", "mark_mmio_spte", "kvm_try_async_get_page"}
)
"""Events after which nothing more is learnt of a fault, which lasts on."""
_BY_COUNTER: Mapping[str, Outcome] = {
    "mapped_4k": Outcome.MAPPED_4K,
    "mapped_2m": Outcome.MAPPED_2M,
    "mapped_1g": Outcome.MAPPED_1G,
    "fast": Outcome.FAST,
    "spurious": Outcome.SPURIOUS,
    "mmio": Outcome.MMIO,
}
_BY_EVENT: Mapping[str, Outcome] = {
    "kvm_access_fault": Outcome.ACCESS_FLAG,
    "kvm_mmio": Outcome.MMIO,
    "kvm_mmio_nisv": Outcome.NISV,
    "kvm_inject_nested_exception": Outcome.REFLECTED,
}
"""arm64: what KVM does about a fault, if it does that within one."""

_RESUMED = (Outcome.RESUMED, Outcome.RETRIED)


class Ended(Struct, frozen=True, gc=False):
    """A guest fault that has ended, and after how long; None where that is not known."""

    fault: Counted
    outcome: Outcome
    ns: int | None


@dataclass(slots=True)
class Endings:
    """Finds out how faults ended from what is seen of a recording, in its order."""

    architecture: Architecture
    _ended: list[Ended] = field(default_factory=list)
    _noted: dict[tuple[str, int], tuple[int, Outcome]] = field(default_factory=dict)
    """By VM and vCPU: what was done about a fault, by its line."""
    _lasting: dict[tuple[str, int], tuple[Counted, Outcome | None]] = field(default_factory=dict)
    """Faults of which all is known but when they end."""
    _newest: dict[tuple[str, int], tuple[tuple[object, ...], Outcome]] = field(default_factory=dict)
    """Of each vCPU the newest fault, by what makes another the same, and its outcome."""

    def note(self, line: Line, thread: Thread) -> None:
        """Take note of an event of a vCPU's thread, before it is read."""
        if thread.vcpu is None:
            return
        vcpu = thread.vm, thread.vcpu
        outcome = _BY_EVENT.get(line.event)
        if outcome is not None and thread.open is not None:
            self._noted[vcpu] = thread.open.line.number, outcome
        elif line.event == _ENTRY and (lasting := self._lasting.pop(vcpu, None)) is not None:
            self._end(vcpu, *lasting, line)

    def see(self, seen: Counted | ExitSeen, by: Line | None) -> None:
        """Take note of an exit, or of a fault.

        :param by: the line that shows its end, None where none does
        """
        if isinstance(seen, ExitSeen):
            self._see_exit(seen)
        elif seen.is_guest_fault and by is not None:
            self._see_fault(seen, by)

    def take(self) -> Sequence[Ended]:
        """Return those that have ended since the last time."""
        ended, self._ended = self._ended, []
        return ended

    def _see_fault(self, fault: Counted, by: Line) -> None:
        vcpu = fault.record.vm, fault.record.vcpu
        if (before := self._lasting.pop(vcpu, None)) is not None:
            self._end(vcpu, *before, None)
        outcome = next((_BY_COUNTER[name] for name in fault.counters if name in _BY_COUNTER), None)
        line, noted = self._noted.pop(vcpu, (0, None))
        if outcome is None and line == fault.line.number:
            outcome = noted
        if by.event == _ENTRY:
            self._end(vcpu, fault, outcome, by)
        elif by.event == _EXIT or (by.event in _ENDS_LATER and by.number != fault.line.number):
            self._lasting[vcpu] = fault, outcome
        else:
            self._end(vcpu, fault, outcome, None)

    def _see_exit(self, seen: ExitSeen) -> None:
        vcpu = seen.vm, seen.vcpu
        if (lasting := self._lasting.pop(vcpu, None)) is not None:
            fault, outcome = lasting
            self._end(vcpu, fault, _of_exit(seen, outcome), seen.line)
        if seen.errno == 0:
            # User space has done something: the next fault is no other try.
            self._newest.pop(vcpu, None)

    def _end(self, vcpu: tuple[str, int], fault: Counted, outcome: Outcome | None, by: Line | None) -> None:
        key = self._same(fault)
        if outcome is None:
            before = self._newest.get(vcpu)
            is_again = before is not None and before[0] == key and before[1] in _RESUMED
            outcome = Outcome.RETRIED if is_again else Outcome.RESUMED
        self._newest[vcpu] = key, outcome
        ns = None if by is None else max(0, by.monotonic_ns - fault.line.monotonic_ns)
        self._ended.append(Ended(fault, outcome, ns))

    def _same(self, fault: Counted) -> tuple[object, ...]:
        """What two faults have in common that are the same. x86: not all kernels show the instruction."""
        record = fault.record
        pc = None if self.architecture.name == "x86_64" else record.guest_pc
        word = getattr(record, self.architecture.word_field)
        return record.gpa, record.l2_address, record.gva, pc, word


def _of_exit(seen: ExitSeen, noted: Outcome | None) -> Outcome | None:
    """Return how the fault ended that an exit ends. :param noted: what was done about it"""
    if seen.errno in (EFAULT, EHWPOISON):
        return Outcome.EXIT
    if seen.errno == ERRNO_NOT_SHOWN:
        return Outcome.UNKNOWN
    if seen.errno not in (0, _EINTR):
        return noted or Outcome.EXIT
    return Outcome.MMIO if seen.errno == 0 and seen.reason == _KVM_EXIT_MMIO else noted
