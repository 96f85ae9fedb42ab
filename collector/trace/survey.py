# SPDX-License-Identifier: Apache-2.0
"""A first look through a whole recording: what has to be known before its first event can be counted."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from collector.trace.errors import TraceError
from collector.trace.lines import Entries, Line, read
from collector.trace.source import Source, chunks
from collector.trace.tasks import Tasks
from collector.trace.text import lines
from collector.trace.x86 import FormatEvidence
from faultmodel.exits import EXIT_REASONS

_ARCH_OF_EVENT: Mapping[str, str] = {
    "kvm_guest_fault": "aarch64",
    "kvm_page_fault": "x86_64",
    "kvm_mmu_spte_requested": "x86_64",
}
"""Events that one architecture alone has. ``kvm_exit`` is in all, each with a text of its own."""
_REASON = re.compile(r"reason .*?(\d+)\)?(?: errno \d+)?$").search
_ARCH_OF_REASON: Mapping[str, str] = {"x86": "x86_64", "arm64": "aarch64", "riscv": "riscv64"}
"""By the kernel's names of architectures, of those that alone have an exit reason."""
_KNOWN_FAULTS = frozenset(
    {
        *("kvm_guest_fault", "kvm_page_fault", "kvm_memory_fault"),
        # Each follows a fault that is counted. Source: Linux 7.3 and 5.10 include/trace/events/kvm.h, 7.3
        # arch/x86/kvm/trace.h and arch/arm64/kvm/trace_arm.h.
        *("kvm_async_pf_repeated_fault", "kvm_async_pf_doublefault", "kvm_rmp_fault", "kvm_access_fault"),
    }
)
_MOST_NAMES = 16
_ARCH_OF_EXIT: Mapping[str, str] = {"HSR_EC": "aarch64", "SCAUSE": "riscv64", " rip 0x": "x86_64"}


@dataclass(slots=True)
class Survey:
    """What a recording holds. Times are the recording's own."""

    source: Source
    digest: str = ""
    """Of the content, whether the file is compressed or not."""
    first_ns: int = 0
    last_ns: int = 0
    events: int = 0
    arch: str = ""
    """Empty where no event shows it."""
    x86: FormatEvidence = field(default_factory=FormatEvidence)
    tasks: Tasks = field(default_factory=Tasks)
    entries: Entries | None = None
    """What the header says; only ftrace's ``trace`` has one."""
    qemu_memory_faults_shown: bool = False
    """QEMU's log has ``kvm_memory_fault``."""
    other_faults: Counter[str] = field(default_factory=Counter)
    """Events by name, ``_MOST_NAMES`` at most, that sound like faults and are none of the kernel's own."""
    has_threads: bool = True
    """False where events do not show their threads, so that the CPUs stand for them."""


def survey(source: Source, see_bytes: Callable[[int], object] = lambda count: None) -> Survey:
    """Look through a recording.

    :param see_bytes: called with how far in the file it is
    :raises TraceError: it cannot be read, or holds no event
    """
    found = Survey(source)
    digest = blake2b(digest_size=32)
    for item in read(lines(_tee(chunks(source, see_bytes), digest.update))):
        if isinstance(item, Line):
            _note(found, item)
        elif isinstance(item, Entries):
            found.entries = item
    if not found.events:
        raise TraceError(
            f"{source.name} holds no event in the text form of ftrace's trace, trace-cmd report, perf "
            "script, perf trace or QEMU's trace log; each needs its time and its name, and its thread or CPU "
            "(perf script -F comm,pid,tid,cpu,time,event,trace; qemu -msg timestamp=on -trace kvm_run_exit)"
        )
    found.digest = digest.hexdigest()
    return found


def _note(found: Survey, line: Line) -> None:
    # Run for every line: comparisons, since min() and max() take several times as long.
    if line.monotonic_ns > found.last_ns:
        found.last_ns = line.monotonic_ns
    if line.monotonic_ns < found.first_ns or not found.events:
        found.first_ns = line.monotonic_ns
    found.events += 1
    found.tasks.see(line)
    found.has_threads &= line.has_thread
    if line.event == "kvm_memory_fault":
        found.qemu_memory_faults_shown = True
    elif "fault" in line.event and "kvm" in line.event and line.event not in _KNOWN_FAULTS:
        _note_other(found.other_faults, line.event)
    if not found.arch:
        found.arch = _arch_of(line)
    if found.arch == "x86_64":
        found.x86.see(line)


def _note_other(names: Counter[str], name: str) -> None:
    if name in names or len(names) < _MOST_NAMES:
        names[name] += 1


def _arch_of(line: Line) -> str:
    if line.event in ("kvm_userspace_exit", "kvm_run_exit"):
        return _arch_of_reason(line.text)
    if line.event != "kvm_exit":
        return _ARCH_OF_EVENT.get(line.event, "")
    return next((arch for mark, arch in _ARCH_OF_EXIT.items() if mark in line.text), "")


def _arch_of_reason(text: str) -> str:
    found = _REASON(text)
    reason = EXIT_REASONS.get(int(found[1][:10])) if found else None
    # Of a failed KVM_RUN the text has the errno in the reason's place.
    return _ARCH_OF_REASON.get(reason.only_on, "") if reason and "error" not in text else ""


def _tee(content: Iterator[bytes], see: Callable[[bytes], object]) -> Iterator[bytes]:
    for chunk in content:
        see(chunk)
        yield chunk
