# SPDX-License-Identifier: Apache-2.0
"""What tracefs is needed for: the numbers of tracepoints, by which perf events name them."""

from pathlib import Path

TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))


def event_id(tracepoint: str) -> int | None:
    """Return a tracepoint's number; None where tracefs is not there, or closed to this user.

    :param tracepoint: ``subsystem:name``
    """
    for root in TRACEFS:
        try:
            return int((root / "events" / tracepoint.replace(":", "/") / "id").read_text())
        except OSError:
            continue
    return None
