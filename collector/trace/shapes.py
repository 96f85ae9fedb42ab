# SPDX-License-Identifier: Apache-2.0
"""The shapes in which tools print one event, each as a pattern of a whole line.

ftrace's ``trace`` and ``trace_pipe``, and ``trace-cmd report``, whose latency form is the second line:

    #           TASK-PID     TGID     CPU#  |||||  TIMESTAMP  FUNCTION
               CPU 0/KVM-1234 (   1200) [003] d..1.  5.558954: kvm_exit: vcpu 0 reason npf ...
           CPU 0/KV-1234    3d..1.    5.558954: kvm_exit:  reason EXIT_NPF rip ...

The TGID column is there with the option record-tgid, the flags with irq-info, and how many flags there are
depends on the kernel. ``trace-cmd report`` puts the name of a file or ftrace instance before the lines where
it shows several. ``perf script``, whose ``-F`` leaves out or adds columns:

               CPU 0/KVM  1200/1234  [003]  5.558954:  kvm:kvm_exit: vcpu 0 reason npf ...

Without columns for the thread the CPU stands for it. ``perf trace -e kvm:*``, with milliseconds since its
start, and QEMU's own trace log, with the thread and the time of day:

     12481.879 qemu-system-x8/27004 kvm:kvm_page_fault(fault_address: 16384, error_code: 385)
    15268@1647341556.924605:kvm_run_exit cpu_index 0, reason 2

Source: Linux 6.18 kernel/trace/trace_output.c, trace_print_context(), and tools/perf/builtin-script.c and
builtin-trace.c; QEMU 8 scripts/tracetool/backend/log.py; what trace-cmd 3.1.6 and perf 6.1 print.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

# Possessive where nothing can be given back: half of an import's time is spent in these.
_TIME = r"(?P<seconds>[1-8]?\d{1,9})\.(?P<fraction>\d{6}(?:\d{3})?): *+"
_EVENT = r"(?:[\w-]++:(?=\w))?(?P<event>[\w-]++)(?::|[/:]\S*?:) *+"
"""``subsystem:event: ``, the first part only by perf; ``event/option/: ``."""
_TASK = r"(?P<task>(?:[^:]|:(?! )){1,16}?)-(?P<tid>\d{1,9}+) ++"
_COLUMNS = r"(?:\( *+(?P<tgid>\d{1,9}|-++)\) ++)?(?:\[\d++\] ++(?:[^\s\d]\S*+ ++)?|\d++[^\s\d\]]\S*+ ++)"
_DASHED = rf" *+{_TASK}{_COLUMNS}{_TIME}(?!\(\+)(?:{_EVENT})?(?P<text>.*)"
_DASHED_WITH_MORE = rf" *+(?:\S+: ++)?{_TASK}{_COLUMNS}{_TIME}(?:\(\+\d++\) ++)?(?:{_EVENT})?(?P<text>.*)"
"""By trace-cmd, with the name of a file or an instance before it, or with the time since the event before."""
_SPACED = (
    r" *+(?:(?P<task>\S.{0,31}?) ++)?(?:(?P<tgid>\d{1,9}+)/ *+)?(?P<tid>\d{1,9}+) ++"
    r"(?:\[\d++\] ++)?(?:[A-Za-z]{1,8} ++)?"
    rf"{_TIME}(?:\d++ ++)?(?!PERF_RECORD_){_EVENT}(?P<text>.*)"
)
_NO_THREAD = rf" *+\[(?P<tid>\d{{1,9}}+)\] ++{_TIME}(?:\d++ ++)?(?!PERF_RECORD_){_EVENT}(?P<text>.*)"
"""Its thread is the CPU: all that is known of who ran is that nobody else did there."""
_PERF_TRACE = (
    r" *+(?P<seconds>\d{1,12})\.(?P<fraction>\d{3}) ++(?:\( *+(?:[\d.]++ ms)?\): ++)?"
    r"(?:(?P<task>.{1,16}?)/(?P<tid>\d{1,9}+) ++)(?:\w++:)(?P<event>\w++)(?P<text>[(:].*)"
)
_QEMU = r"(?P<tid>\d{1,9}+)@(?P<seconds>\d{1,10}+)\.(?P<fraction>\d{6}):(?P<event>\w++)(?: ++(?P<text>.*))?$"
_FIELDS = ("task", "tid", "tgid", "seconds", "fraction", "event", "text")


class Kind(Enum):
    """What is special about a shape's lines."""

    EVENT = auto()
    """Nothing: the kernel's text of an event in a thread."""
    NO_THREAD = auto()
    """The thread is not shown; ``tid`` is the CPU."""
    FIELDS = auto()
    """The event's fields, or its text, as perf trace prints them; the time is in ms."""
    QEMU = auto()
    """QEMU's own event."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape. ``match`` reads a line, and ``places`` are the groups of ``FIELDS`` in what it returns."""

    match: Callable[[str], re.Match[str] | None]
    places: tuple[int, ...]
    kind: Kind


def _shape(pattern: str, kind: Kind = Kind.EVENT) -> Shape:
    # A group that a shape does not have is one that matches nothing.
    names = [name for name in _FIELDS if f"(?P<{name}>" not in pattern]
    compiled = re.compile(pattern + "".join(f"(?P<{name}>(?!))?" for name in names), re.DOTALL)
    return Shape(compiled.match, tuple(compiled.groupindex[name] for name in _FIELDS), kind)


SHAPES = (
    _shape(_DASHED),
    _shape(_SPACED),
    _shape(_DASHED_WITH_MORE),
    _shape(_NO_THREAD, Kind.NO_THREAD),
    _shape(_PERF_TRACE, Kind.FIELDS),
    _shape(_QEMU, Kind.QEMU),
)
"""Every shape. A line has at most one."""
