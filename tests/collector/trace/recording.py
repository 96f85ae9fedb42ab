"""Recordings written by a test, and what the collector reads in them."""

from collections import Counter
from pathlib import Path
from typing import Any

from collector.trace.replay import Options, Replay
from collector.trace.seen import ExitSeen
from collector.trace.survey import survey
from faultmodel.wire import Batch

END_NS = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z"""


def event(text: str, *, at: float = 1.0, task: str = "kt-100", flags: str = "d..1. ", tgid: str = "") -> str:
    """Return a line of a recording."""
    return f"{task:>24} {tgid}[001] {flags}{at:12.6f}: {text}\n"


def write(directory: Path, *lines: str) -> Path:
    """Write a recording."""
    path = directory / "trace.txt"
    path.write_text("".join(lines))
    return path


def replay(path: Path, **options: Any) -> Replay:
    """Prepare a recording that ends at END_NS."""
    values: dict[str, Any] = {"host": "recorded", "end_ns": END_NS, **options}
    return Replay(survey(path), Options(**values))


def batch(path: Path, **options: Any) -> Batch:
    """Return the one batch of a small recording."""
    (only,) = replay(path, **options).batches()
    return only


def faults(path: Path, **options: Any) -> list[Any]:
    """Return a recording's guest faults in full."""
    return [
        seen.record
        for _, seen in replay(path, **options).seen()
        if not isinstance(seen, ExitSeen) and "faults" in seen.counters
    ]


def counters(path: Path, **options: Any) -> dict[str, int]:
    """Return the sum of a recording's fault counters."""
    total: Counter[str] = Counter()
    for _, seen in replay(path, **options).seen():
        if not isinstance(seen, ExitSeen):
            total.update(seen.counters)
    return dict(total)


def exits(path: Path, **options: Any) -> list[ExitSeen]:
    """Return a recording's exits to user space."""
    return [seen for _, seen in replay(path, **options).seen() if isinstance(seen, ExitSeen)]
