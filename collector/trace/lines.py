"""One line of ftrace's ``trace`` or ``trace_pipe`` text.

    #           TASK-PID     TGID     CPU#  |||||  TIMESTAMP  FUNCTION
               CPU 0/KVM-1234 (   1200) [003] d..1.  5.558954: kvm_exit: vcpu 0 reason npf ...

The TGID column is there with the option record-tgid, the flags with irq-info, and how many flags there are
depends on the kernel; so each line is read for itself, whatever the header says.
Source: Linux 6.18 kernel/trace/trace_output.c, trace_print_context().
"""

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

_LINE = re.compile(
    r" *(?P<task>.{1,16}?)-(?P<tid>\d{1,9}) +"
    r"(?:\( *(?P<tgid>\d{1,9}|-+)\) +)?"
    r"\[\d+\] +(?:[^\s\d]\S* +)?"
    r"(?P<seconds>\d{1,9})\.(?P<fraction>\d{6}(?:\d{3})?): "
    r"(?:(?P<event>\w+): ?)?(?P<text>.*)",
    re.DOTALL,
).match
_LOST = re.compile(r"CPU:\d+ \[LOST (\d{1,18}) EVENTS\]").fullmatch
_ENTRIES = re.compile(r"# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18}) .*").fullmatch
_NOT_EVENTS = re.compile(r"#.*| => .*|\s*|##### CPU \d+ buffer started ####").fullmatch
"""Comments, the frames of a stack trace, empty lines, and where a CPU's part begins."""


class Line(Struct, frozen=True, gc=False):
    """An event in a thread. ``event`` is empty where it names none (a traced function)."""

    number: int
    """Of the line in the recording, from 1."""
    task: str
    tid: int
    tgid: int | None
    """None where the recording does not show it."""
    monotonic_ns: int
    """By the recording's clock, which is since boot unless it was set to another."""
    event: str
    text: str


class LostEvents(Struct, frozen=True, gc=False):
    """Events that were overwritten before they could be read."""

    count: int


class Entries(Struct, frozen=True, gc=False):
    """How many events the recording should have, as its header says, and how many were recorded in all."""

    in_buffer: int
    written: int


class Unreadable(Struct, frozen=True, gc=False):
    """A line that is none that ftrace prints, or an event's text that is not its kernel's."""

    number: int
    text: str


def read(lines: Iterable[str | None]) -> Iterator[Line | LostEvents | Entries | Unreadable]:
    """Read lines. What is neither an event nor about events is left out."""
    for number, line in enumerate(lines, 1):
        found = _LINE(line) if line is not None else None
        if found is None:
            other = _read_other(number, line)
            if other is not None:
                yield other
            continue
        task, tid, tgid, seconds, fraction, event, text = found.groups()
        yield Line(
            number,
            task,
            int(tid),
            int(tgid) if tgid and tgid[0] != "-" else None,
            int(seconds + fraction) * (1000 if len(fraction) == 6 else 1),
            event or "",
            text,
        )


def _read_other(number: int, line: str | None) -> LostEvents | Entries | Unreadable | None:
    if line is None:
        return Unreadable(number, "(cut off by the end of the file, or too long)")
    if entries := _ENTRIES(line):
        return Entries(int(entries[1]), int(entries[2]))
    if lost := _LOST(line):
        return LostEvents(int(lost[1]))
    return None if _NOT_EVENTS(line) else Unreadable(number, line)
