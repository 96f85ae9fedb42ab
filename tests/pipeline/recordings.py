# SPDX-License-Identifier: Apache-2.0
"""The recorded traces and what happened in them, read without the code that is tested."""

import json
import lzma
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from collector.trace.endings import Ended
from collector.trace.lines import Line
from collector.trace.recording import Options, Recording
from collector.trace.seen import Counted, ExitSeen
from collector.trace.source import Source
from collector.trace.survey import survey
from faultmodel.outcomes import Outcome
from faultmodel.record import Access

CAPTURES = Path(__file__).parent / "captures"
END_NS = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z, when every recording is made to end."""

_MARK = re.compile(r" *kt-(\d+) .*: tracing_mark_write: kt case=\w+ phase=(\w+) (begin|end)(?: vcpu=(\d+))?")
_FAULT = re.compile(r": (?:kvm_page_fault: |kvm_guest_fault: |kvm_exit: SEPC:\S+ SCAUSE:0x1[457],)")
_ACCESS = {
    "read1": Access.READ,
    "read4": Access.READ,
    "ldp": Access.READ,
    "write1": Access.WRITE,
    "write8": Access.WRITE,
    "rmw": Access.WRITE,
    "dczva": Access.WRITE,
    "exec": Access.EXECUTE,
}


@dataclass(frozen=True, slots=True)
class Phase:
    """One thing that a guest did, between two lines of the trace, in one thread where a vCPU is named."""

    capture: str
    name: str
    vcpu: int | None
    tid: int
    first_line: int
    last_line: int
    access: Access
    pages: frozenset[int]
    exits: dict[str, int]
    expect_faults: int | None
    expect_distinct_pages: int | None

    def __str__(self) -> str:
        return f"{self.capture}-{self.name}-{self.first_line}"

    def has(self, line: Line) -> bool:
        """Return whether an event belongs to this phase."""
        return self.first_line < line.number < self.last_line and line.tid == self.tid


@dataclass(frozen=True, slots=True)
class Read:
    """A recording as the collector reads it: faults, exits, and how faults ended."""

    counted: tuple[Counted, ...]
    exits: tuple[ExitSeen, ...]
    ended: tuple[Ended, ...]

    def faults(self, phase: Phase) -> list[Any]:
        """Return the guest faults of a phase that lie in its pages."""
        return [
            seen.record
            for seen in self.counted
            if seen.is_guest_fault and phase.has(seen.line) and page(seen.record) in phase.pages
        ]

    def outcomes(self, phase: Phase) -> Counter[Outcome]:
        """Return how the guest faults of a phase ended that lie in its pages."""
        return Counter(
            ended.outcome
            for ended in self.ended
            if phase.has(ended.fault.line) and page(ended.fault.record) in phase.pages
        )

    def exits_of(self, phase: Phase) -> list[ExitSeen]:
        """Return the exits to user space of a phase."""
        return [seen for seen in self.exits if phase.has(seen.line)]


def names() -> list[str]:
    """Return every recording's name."""
    return sorted(path.name.removesuffix(".trace.txt.xz") for path in CAPTURES.glob("*.trace.txt.xz"))


def path_of(name: str) -> Path:
    """Return a recording's file."""
    return CAPTURES / f"{name}.trace.txt.xz"


def prepare(path: Path) -> Recording:
    """Return the recording in a file, not read yet."""
    return Recording(
        survey(Source(path.name, path)), Options(host="recorded", below="recorded", end_ns=END_NS)
    )


def recording_of(name: str) -> Recording:
    """Return a recording, not read yet."""
    return prepare(path_of(name))


def read_all(recording: Recording) -> Read:
    """Read a recording, once."""
    seen = list(recording.seen())
    return Read(
        tuple(item for item in seen if isinstance(item, Counted)),
        tuple(item for item in seen if isinstance(item, ExitSeen)),
        tuple(recording.ended()),
    )


@cache
def read(name: str) -> Read:
    """Read a recording."""
    return read_all(recording_of(name))


@cache
def text(name: str) -> str:
    """Return a recording's text."""
    with lzma.open(path_of(name), "rt") as file:
        return file.read()


def fault_lines(name: str) -> int:
    """Return how many lines of a recording's text are faults."""
    return len(_FAULT.findall(text(name)))


@cache
def truth() -> dict[str, list[dict[str, Any]]]:
    """Return what is known of each recording, by its name."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with lzma.open(CAPTURES / "truth.jsonl.xz", "rt") as file:
        for item in map(json.loads, file):
            found[item["capture"]].append(item)
    return found


def pid(name: str) -> int:
    """Return the VMM's process id."""
    number: int = truth()[name][0]["pid"]
    return number


@cache
def phases() -> tuple[Phase, ...]:
    """Return every phase whose beginning and end are in its recording."""
    return tuple(phase for name in names() for phase in _phases(name))


def page(record: Any) -> int:
    """Return the number of the page that a fault is on. The guests map addresses to themselves."""
    address: int = record.address if record.gpa is None else record.gpa
    return address >> 12


def _phases(name: str) -> list[Phase]:
    spans = _spans(name)
    found = []
    for item in truth()[name]:
        key = (item.get("phase"), item.get("vcpu"))
        if not spans[key]:
            continue
        tid, first_line, last_line = spans[key].pop(0)
        first, stride, faults = (
            int(item["first_gpa"], 16),
            item.get("stride", 4096),
            item.get("expect_faults"),
        )
        found.append(
            Phase(
                name,
                item["phase"],
                item.get("vcpu"),
                tid,
                first_line,
                last_line,
                _ACCESS[item["op"]],
                frozenset((first + place * stride) >> 12 for place in range(item["n"])),
                item.get("exits", {}),
                item["n"] if faults == "n" else faults,
                item.get("expect_distinct_pages"),
            )
        )
    return found


def _spans(name: str) -> dict[Any, list[tuple[int, int, int]]]:
    """Where each phase, by name and vCPU, began and ended, each time that it did: thread and lines."""
    begun: dict[Any, int] = {}
    spans: dict[Any, list[tuple[int, int, int]]] = defaultdict(list)
    for number, line in enumerate(text(name).splitlines(), 1):
        if mark := _MARK.match(line):
            tid, phase, edge, vcpu = mark.groups()
            key = (phase, None if vcpu is None else int(vcpu))
            if edge == "begin":
                begun[key] = number
            elif key in begun:
                spans[key].append((int(tid), begun.pop(key), number))
    return spans
