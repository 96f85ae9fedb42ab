"""What a recording's events say, and what reading them needs to know of a thread."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import Struct

from collector.trace.errors import LineError, UnattributedError
from collector.trace.lines import Line
from faultmodel.record import REASON_NOT_SHOWN, U32_MAX, exit_kind

_USERSPACE_EXIT = re.compile(r"reason (.+) \((\d{1,10})\)").fullmatch
_FAILED = ("error", "restart")
"""What ``kvm_userspace_exit`` prints instead of the reason where KVM_RUN failed."""


class Counted(Struct, frozen=True, gc=False):
    """Counters of one fault's word that grow by one. ``faults`` is among them where it is a new fault."""

    record: Any
    """The architecture's ``Fault``. Also where no guest faulted (``prefetched``): then it has the place."""
    counters: tuple[str, ...]


class ExitSeen(Struct, frozen=True, gc=False):
    """A return from KVM_RUN. ``record`` is the architecture's ``Exit`` where a memory fault may be why."""

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
    pending: Any = None
    """The fault whose outcome has not been seen."""
    format: str | None = None
    """x86: the format that the newest kvm_exit gives to a fault's word."""

    def vcpu_told(self) -> int:
        """Return the vCPU. :raises UnattributedError: nothing tells it"""
        if self.vcpu is None:
            raise UnattributedError
        return self.vcpu


Handler = Callable[[Thread, Line], Counted | ExitSeen | None]


class TraceReader(Protocol):
    """Reads one architecture's events."""

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """What reads each event's text, by the event's name; other events say nothing about faults.

        A handler raises LineError where the text is not in the kernel's form, and UnattributedError.
        """


class UserspaceExits:
    """Reads ``kvm_userspace_exit``, which every architecture has, in the vCPU's thread."""

    def __init__(self, offset_ns: int, exit_type: type, hardware: tuple[str, ...]) -> None:
        """:param hardware: the fields that ``exit_type`` takes over from a fault that was not resolved"""
        self._offset_ns = offset_ns
        self._exit_type = exit_type
        self._hardware = hardware

    def read(self, thread: Thread, line: Line) -> ExitSeen:
        """Read an exit; where it may answer a guest memory fault, with the fault that led to it."""
        reason, errno = _read_userspace_exit(line.text)
        fault, thread.pending = thread.pending, None
        time_ns, vcpu, kind = (
            line.monotonic_ns + self._offset_ns,
            thread.vcpu_told(),
            exit_kind(reason, errno),
        )
        if kind is None:
            return ExitSeen(time_ns, thread.vm, vcpu, reason, errno, None)
        record = self._exit_type(
            time_ns=time_ns,
            monotonic_ns=line.monotonic_ns,
            vm=thread.vm,
            vcpu=vcpu,
            kind=kind,
            reason=reason,
            errno=errno,
            **{name: getattr(fault, name) for name in self._hardware if fault is not None},
        )
        return ExitSeen(time_ns, thread.vm, vcpu, reason, errno, record)


def forget_pending(thread: Thread, line: Line) -> None:
    """Read ``kvm_entry``: the guest goes on, so its fault has ended, however it did."""
    thread.pending = None


def _read_userspace_exit(text: str) -> tuple[int, int]:
    # Of a failed KVM_RUN the text has the errno in the reason's place.
    # Source: Linux 6.18 include/trace/events/kvm.h, TRACE_EVENT(kvm_userspace_exit).
    found = _USERSPACE_EXIT(text)
    if found is None:
        raise LineError
    number = int(found[2])
    if number > U32_MAX:
        raise LineError
    return (REASON_NOT_SHOWN, number) if found[1] in _FAILED else (number, 0)
