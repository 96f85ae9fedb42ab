# SPDX-License-Identifier: Apache-2.0
"""What a recording's events say, and what reading them needs to know of a thread."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import Struct

from collector.trace.errors import LineError, UnattributedError
from collector.trace.lines import Line
from faultmodel.record import (
    EFAULT,
    ERRNO_NOT_SHOWN,
    KVM_EXIT_MEMORY_FAULT,
    MAX_VCPU,
    REASON_NOT_SHOWN,
    U32_MAX,
    exit_kind,
)

_USERSPACE_EXIT = re.compile(r"reason (.+) \((\d{1,10})\)(?: errno (\d{1,4}))?").fullmatch
"""The errno is ``fields``', where the recording has it."""
KVM_EXIT_UNKNOWN = 0
_FAILED = ("error", "restart")
"""What ``kvm_userspace_exit`` prints instead of the reason where KVM_RUN failed."""


class Counted(Struct, frozen=True, gc=False):
    """A fault and what is known of its end: the counters of its word that grow by one.

    ``faults`` is among them where a guest faulted; ``prefetched`` are mappings that none asked for.
    """

    record: Any
    """The architecture's ``Fault``. Also where no guest faulted: then it has the place."""
    counters: tuple[str, ...]
    line: Line
    """The fault's own."""

    @property
    def is_guest_fault(self) -> bool:
        """Whether a guest faulted."""
        return "faults" in self.counters

    @property
    def has_outcome(self) -> bool:
        """Whether an event has shown how the fault ended."""
        return len(self.counters) > 1


class ExitSeen(Struct, frozen=True, gc=False):
    """A return from KVM_RUN. ``record`` is the architecture's ``Exit`` where a memory fault may be why."""

    line: Line
    time_ns: int
    vm: str
    vcpu: int
    reason: int
    errno: int
    record: Any


@dataclass(slots=True)
class Thread:
    """A thread that runs a vCPU, as far as the recording has been read."""

    vm: str
    vcpu: int | None
    open: Counted | None = None
    """The fault whose end has not been seen, and so neither all of its counters."""
    format: str | None = None
    """x86: the format that the newest kvm_exit gives to a fault's word."""
    whole_word: int | None = None
    """x86: the word as the newest kvm_exit has it, where that is of a fault."""
    nested: bool | None = None
    """Whether a guest of the guest runs (L2); None where nothing shows it."""

    def known_vcpu(self) -> int:
        """Return the vCPU.

        :raises UnattributedError: nothing shows it
        :raises LineError: KVM has none of this number
        """
        if self.vcpu is None:
            raise UnattributedError
        if self.vcpu > MAX_VCPU:
            raise LineError
        return self.vcpu

    def begin(self, fault: Counted) -> Counted | None:
        """Take note of a guest fault. Return the one before it where that is still open."""
        ended, self.open = self.open, fault
        return ended

    def close(self) -> Counted | None:
        """Return the fault that is still open: nothing more will be known of it."""
        ended, self.open = self.open, None
        return ended


Handler = Callable[[Thread, Line], Counted | ExitSeen | None]


class TraceReader(Protocol):
    """Reads one architecture's events."""

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """What reads each event's text, by the event's name; other events say nothing about faults.

        A handler returns the fault whose end the event shows. It raises LineError where the text is not in
        the kernel's form, and UnattributedError.
        """


class UserspaceExits:
    """Reads ``kvm_userspace_exit``, which every architecture has, in the vCPU's thread."""

    def __init__(self, offset_ns: int, exit_type: type, hardware: tuple[str, ...]) -> None:
        """:param hardware: the fields that ``exit_type`` takes over from a fault that was not resolved"""
        self._offset_ns = offset_ns
        self._exit_type = exit_type
        self._hardware = hardware

    def read(self, thread: Thread, line: Line) -> ExitSeen:
        """Read an exit; where it may answer a guest memory fault, with the fault that led to it.

        That fault is still open afterwards.
        """
        reason, errno = _read_userspace_exit(line.text)
        unresolved = thread.open is not None and not thread.open.has_outcome
        fault = thread.open.record if thread.open is not None and unresolved else None
        time_ns, vcpu, kind = (
            line.monotonic_ns + self._offset_ns,
            thread.known_vcpu(),
            exit_kind(reason, errno),
        )
        if kind is None:
            return ExitSeen(line, time_ns, thread.vm, vcpu, reason, errno, None)
        record = self._exit_type(
            time_ns=time_ns,
            monotonic_ns=line.monotonic_ns,
            vm=thread.vm,
            vcpu=vcpu,
            kind=kind,
            reason=reason,
            errno=errno,
            nested=thread.nested,
            **{name: getattr(fault, name) for name in self._hardware if fault is not None},
        )
        return ExitSeen(line, time_ns, thread.vm, vcpu, reason, errno, record)


def close_fault(thread: Thread, line: Line) -> Counted | None:
    """Read ``kvm_entry``: the guest goes on, so its fault has ended, however it did."""
    return thread.close()


def _read_userspace_exit(text: str) -> tuple[int, int]:
    # Of a failed KVM_RUN the text has the errno in the reason's place.
    # Source: Linux 6.18 include/trace/events/kvm.h, TRACE_EVENT(kvm_userspace_exit).
    found = _USERSPACE_EXIT(text)
    if found is None:
        raise LineError
    number = int(found[2])
    if number > U32_MAX:
        raise LineError
    if found[1] in _FAILED:
        return REASON_NOT_SHOWN, number
    if found[3] is not None:
        return number, int(found[3])
    # libtraceevent, which trace-cmd and perf print with, reads the errno as a positive number and so shows
    # the reason always. KVM gives two with an error only: this one with EFAULT, or EHWPOISON, which is rare,
    # and KVM_EXIT_UNKNOWN, which stands there where KVM set none, with any.
    if number == KVM_EXIT_MEMORY_FAULT:
        return number, EFAULT
    return number, ERRNO_NOT_SHOWN if number == KVM_EXIT_UNKNOWN else 0
