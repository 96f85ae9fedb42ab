# SPDX-License-Identifier: Apache-2.0
"""Recordings written by a test, and what the collector reads in them."""

from collections import Counter
from pathlib import Path
from typing import Any

from collector.trace.recording import Options, Recording
from collector.trace.seen import ExitSeen
from collector.trace.source import Source
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


def prepare(path: Path, **options: Any) -> Recording:
    """Prepare a recording that ends at END_NS."""
    values: dict[str, Any] = {"host": "recorded/trace", "below": "recorded", "end_ns": END_NS, **options}
    return Recording(survey(Source(str(path), path)), Options(**values))


def batch(path: Path, **options: Any) -> Batch:
    """Return the one batch of a small recording."""
    (only,) = prepare(path, **options).batches()
    return only


def faults(path: Path, **options: Any) -> list[Any]:
    """Return a recording's guest faults in full, in the order of their lines."""
    seen = [item for item in prepare(path, **options).seen() if not isinstance(item, ExitSeen)]
    return [item.record for item in sorted(seen, key=lambda item: item.line.number) if item.is_guest_fault]


def counters(path: Path, **options: Any) -> dict[str, int]:
    """Return the sum of a recording's fault counters."""
    total: Counter[str] = Counter()
    for seen in prepare(path, **options).seen():
        if not isinstance(seen, ExitSeen):
            total.update(seen.counters)
    return dict(total)


def exits(path: Path, **options: Any) -> list[ExitSeen]:
    """Return a recording's exits to user space."""
    return [seen for seen in prepare(path, **options).seen() if isinstance(seen, ExitSeen)]
