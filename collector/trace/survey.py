"""A first look through a whole recording: what has to be known before its first event can be counted."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from collector.trace.errors import TraceError
from collector.trace.lines import Entries, Line, read
from collector.trace.source import Source, chunks, lines
from collector.trace.tasks import Tasks
from collector.trace.x86 import FormatEvidence

_ARCH_OF_EVENT: Mapping[str, str] = {
    "kvm_guest_fault": "aarch64",
    "kvm_page_fault": "x86_64",
    "kvm_mmu_spte_requested": "x86_64",
}
"""Events that one architecture alone has. ``kvm_exit`` is in all, each with a text of its own."""
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
    """Empty where no event tells."""
    x86: FormatEvidence = field(default_factory=FormatEvidence)
    tasks: Tasks = field(default_factory=Tasks)
    entries: Entries | None = None
    """What the header says; only ftrace's ``trace`` has one."""


def survey(source: Source, see_bytes: Callable[[int], object] = lambda count: None) -> Survey:
    """Look through a recording.

    :param see_bytes: is told how far in the file it is
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
            f"{source.name} holds no event in the text form of ftrace's trace, trace-cmd report or perf "
            "script; each needs its thread's id, its time in seconds and its name (perf script "
            "-F comm,pid,tid,cpu,time,event,trace)"
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
    if not found.arch:
        found.arch = _arch_of(line)
    if found.arch == "x86_64":
        found.x86.see(line)


def _arch_of(line: Line) -> str:
    if line.event != "kvm_exit":
        return _ARCH_OF_EVENT.get(line.event, "")
    return next((arch for mark, arch in _ARCH_OF_EXIT.items() if mark in line.text), "")


def _tee(content: Iterator[bytes], see: Callable[[bytes], object]) -> Iterator[bytes]:
    for chunk in content:
        see(chunk)
        yield chunk
