# SPDX-License-Identifier: Apache-2.0
"""One line of a recording's text: an event, something about the recording, or neither.

Each line is read for itself, whatever a header says; ``shapes`` has the forms in which tools print events.
"""

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from collector.trace import fields
from collector.trace.shapes import SHAPES, Kind, Shape

_QEMU_TASK = "qemu"
"""Its log names no thread."""

_PREFIX = r"(?: *\S+: +)?"
_LOST = re.compile(
    rf"{_PREFIX}CPU:\d+ \[(?:LOST )?(?:(\d{{1,18}}) )?EVENTS(?: DROPPED)?\]|"
    r".*: +PERF_RECORD_LOST(?:_SAMPLES)? lost (?:samples )?(\d{1,18})"
).fullmatch
"""By ftrace, trace-cmd and ``perf script --show-lost-events``."""
_ENTRIES = re.compile(r"# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18}) .*").fullmatch
_NOT_EVENTS = re.compile(
    r"#.*|\s*|--|\s*=> .*|##### CPU \d+ buffer started ####|"
    rf"{_PREFIX}(?:cpus=\d+|version = \d+|CPU \d+ is empty)|"
    r"\s+[0-9a-f]{1,16} (?!.*[^:]:(?:[^:]|$)).*|.*: +PERF_RECORD_\w+.*"
).fullmatch
"""Comments, empty lines, what grep puts between its findings, the frames of a stack trace by ftrace and by
perf, where a CPU's part begins, trace-cmd's header, and what perf prints of processes and mappings."""


class Line(Struct, frozen=True, gc=False):
    """An event in a thread. ``event`` is empty where it names none (a traced function)."""

    number: int
    """Of the line in the recording, from 1."""
    task: str
    """The thread's name, empty where it is not shown."""
    tid: int
    tgid: int | None
    """None where the recording does not show it."""
    monotonic_ns: int
    """By the recording's clock, which is since boot unless it was set to another."""
    event: str
    text: str
    has_thread: bool = True
    """False where the recording does not show it, and ``tid`` is the CPU."""


class LostEvents(Struct, frozen=True, gc=False):
    """Events that were overwritten before they could be read; 1 where their number is not shown."""

    count: int


class Entries(Struct, frozen=True, gc=False):
    """How many events the recording should have, as its header says, and how many were recorded in all."""

    in_buffer: int
    written: int


class Unreadable(Struct, frozen=True, gc=False):
    """A line that is none that a tool prints, or an event's text that is not its kernel's."""

    number: int
    text: str


def read(lines: Iterable[str | None]) -> Iterator[Line | LostEvents | Entries | Unreadable]:
    """Read lines. What is neither an event nor about events is left out."""
    shape = SHAPES[0]
    match, places, kind = shape.match, shape.places, shape.kind
    for number, line in enumerate(lines, 1):
        found = match(line) if line is not None else None
        if found is None:
            # Nearly every line of a recording has the shape of the line before.
            other = _shape_of(line)
            if other is None:
                if (item := _read_other(number, line)) is not None:
                    yield item
                continue
            match, places, kind = other.match, other.places, other.kind
            found = match(line or "")
            assert found is not None
        task, tid, tgid, seconds, fraction, event, text = found.group(*places)
        if kind is Kind.FIELDS:
            text = fields.text_of(event, text)
        yield Line(
            number,
            task or (_QEMU_TASK if kind is Kind.QEMU else ""),
            int(tid),
            int(tgid) if tgid and tgid[0] != "-" else None,
            # Seconds and us or ns, but for perf trace's ms, whose last digit is a us as well.
            int(seconds + fraction) * (1 if len(fraction) == 9 else 1000),
            event or "",
            text or "",
            kind is not Kind.NO_THREAD,
        )


def _shape_of(line: str | None) -> Shape | None:
    if line is None:
        return None
    return next((shape for shape in SHAPES if shape.match(line)), None)


def _read_other(number: int, line: str | None) -> LostEvents | Entries | Unreadable | None:
    if line is None:
        return Unreadable(number, "(cut off by the end of the file, or too long)")
    if entries := _ENTRIES(line):
        return Entries(int(entries[1]), int(entries[2]))
    if lost := _LOST(line):
        return LostEvents(int(lost[1] or lost[2] or 1))
    return None if _NOT_EVENTS(line) else Unreadable(number, line)
