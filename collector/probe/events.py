# SPDX-License-Identifier: Apache-2.0
"""Perf events of tracepoints, to which the programs on their perf side are attached.

Debian's kernels ask for CAP_SYS_ADMIN while kernel.perf_event_paranoid is above 2, as it is by default;
others for CAP_PERFMON. So whoever opens them may be another process.
"""

import os
from collections.abc import Callable, Sequence

from collector.probe.tracefs import event_id

OpenEvent = Callable[[int], int]
"""Takes a tracepoint's number and returns a file descriptor of its event. Raises OSError: it is refused."""

_SKIPS = "programs can be preempted on this kernel, which then skips them for other threads, and"
_NO_TRACEFS = f"{_SKIPS} without tracefs only one side of each tracepoint is looked at"
_REFUSED = f"{_SKIPS} only one side of each tracepoint is looked at, since perf events are refused"


def why_not(tracepoints: Sequence[str], open_event: OpenEvent) -> str:
    """Return why the perf side of tracepoints cannot be used; empty where it can.

    :param tracepoints: as ``Plan.attach``
    """
    for tracepoint in tracepoints:
        number = event_id(tracepoint)
        if number is None:
            return _NO_TRACEFS
        try:
            os.close(open_event(number))
        except OSError as exc:
            return f"{_REFUSED} ({exc.strerror or exc})"
    return ""
