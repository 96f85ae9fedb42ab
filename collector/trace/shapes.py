"""The shapes in which tools print one event, each as a pattern of a whole line.

ftrace's ``trace`` and ``trace_pipe``, and ``trace-cmd report``, whose latency form is the second line:

    #           TASK-PID     TGID     CPU#  |||||  TIMESTAMP  FUNCTION
               CPU 0/KVM-1234 (   1200) [003] d..1.  5.558954: kvm_exit: vcpu 0 reason npf ...
           CPU 0/KV-1234    3d..1.    5.558954: kvm_exit:  reason EXIT_NPF rip ...

The TGID column is there with the option record-tgid, the flags with irq-info, and how many flags there are
depends on the kernel. ``trace-cmd report`` puts the name of a file or ftrace instance before the lines where
it shows several. ``perf script``, whose ``-F`` leaves out or adds columns:

               CPU 0/KVM  1200/1234  [003]  5.558954:  kvm:kvm_exit: vcpu 0 reason npf ...

Source: Linux 6.18 kernel/trace/trace_output.c, trace_print_context(), and tools/perf/builtin-script.c;
what trace-cmd 3.1.6 and perf 6.1 print.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

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
_FIELDS = ("task", "tid", "tgid", "seconds", "fraction", "event", "text")


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape. ``match`` reads a line, and ``places`` are the groups of ``FIELDS`` in what it returns."""

    match: Callable[[str], re.Match[str] | None]
    places: tuple[int, ...]


def _shape(pattern: str) -> Shape:
    compiled = re.compile(pattern, re.DOTALL)
    return Shape(compiled.match, tuple(compiled.groupindex[name] for name in _FIELDS))


SHAPES = tuple(map(_shape, (_DASHED, _SPACED, _DASHED_WITH_MORE)))
"""Every shape. A line has at most one."""
