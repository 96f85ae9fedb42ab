# SPDX-License-Identifier: Apache-2.0
"""Tables of what hosts took: how many are carried, with what, and what a batch takes."""

import math
import os
from collections.abc import Sequence

from bench.markdown import table
from bench.scaling.disk import Size
from bench.scaling.steps import Step

_MIB = 1024 * 1024


def delays(steps: Sequence[Step]) -> list[str]:
    """Return how soon batches were stored after the end of their second."""
    head = [
        "hosts",
        "due/s",
        "stored/s",
        "delay p50, ms",
        "p99, ms",
        "oldest at the end, s",
        "refused",
        "carried",
    ]
    return table([head, *map(_delays, steps)])


def processors(steps: Sequence[Step]) -> list[str]:
    """Return who had how much of the machine's processors."""
    cores = os.cpu_count()
    head = [
        "hosts",
        "servers, cores",
        "event loops",
        "PostgreSQL",
        "load generator",
        "other work",
        f"of {cores}",
    ]
    return table([head, *map(_processors, steps)])


def per_batch(steps: Sequence[Step]) -> list[str]:
    """Return what a batch takes."""
    head = [
        "hosts",
        "server, ms of CPU",
        "PostgreSQL, ms of CPU",
        "WAL, kB",
        "sent, kB",
        "answered, bytes",
        "memory of servers, MiB",
        "of PostgreSQL, MiB",
    ]
    return table([head, *map(_per_batch, steps)])


def on_disk(sizes: Sequence[Size], batches: int) -> list[str]:
    """Return what the tables take that have a hundredth of all bytes or rows, or more.

    :param batches: that were stored in all
    """
    whole, all_rows = sum(size for _, _, size in sizes), sum(rows for _, rows, _ in sizes)
    head = ["table", "rows", "rows/batch", "MB", "bytes/row"]
    body = [
        [name, f"{rows:,}", f"{rows / batches:,.1f}", f"{size / 1e6:,.1f}", f"{size / rows:,.0f}"]
        for name, rows, size in sizes
        if size >= whole / 100 or rows >= all_rows / 100
    ]
    body.append(["all", "", "", f"{whole / 1e6:,.1f}", ""])
    return table([head, *body])


def conclusion(steps: Sequence[Step], servers: int) -> str:
    """Return how many hosts are carried, and what is full where more are not."""
    carried = max((step.hosts for step in steps if step.is_carried), default=0)
    last = steps[-1]
    if last.is_carried:
        return f"Carried: {carried} hosts, the most that were tried."
    used = last.used
    busy = used.machine / used.wall_s / (os.cpu_count() or 1)
    stored, of_servers, of_loops = (
        part / used.wall_s for part in (last.stored, used.servers / servers, used.event_loops / servers)
    )
    return (
        f"Carried: {carried} hosts. Of {last.hosts} hosts {stored:,.0f} batches a second are stored. Then all"
        f" processors are busy for {busy:.0%} of the time, a server takes {of_servers:.2f} of a core, and its"
        f" event loop {of_loops:.2f} of that."
    )


def _delays(step: Step) -> list[str]:
    ascending = sorted(step.delivered.delays_s)
    wall_s = step.used.wall_s
    return [
        f"{step.hosts}",
        f"{step.due / wall_s:,.0f}",
        f"{step.stored / wall_s:,.1f}",
        _ms(ascending, 50),
        _ms(ascending, 99),
        f"{step.waits_s:.1f}",
        f"{step.delivered.refused}",
        "yes" if step.is_carried else "no",
    ]


def _ms(ascending: Sequence[float], percent: int) -> str:
    if not ascending:
        return ""
    return f"{ascending[math.ceil(len(ascending) * percent / 100) - 1] * 1000:,.0f}"


def _processors(step: Step) -> list[str]:
    used = step.used
    other = used.machine - used.servers - used.database - used.generator
    parts = (used.servers, used.event_loops, used.database, used.generator, max(0.0, other))
    busy = used.machine / used.wall_s
    return [f"{step.hosts}", *(f"{part / used.wall_s:.2f}" for part in parts), f"{busy:.2f}"]


def _per_batch(step: Step) -> list[str]:
    used, batches = step.used, max(1, step.stored)
    return [
        f"{step.hosts}",
        f"{used.servers * 1000 / batches:.1f}",
        f"{used.database * 1000 / batches:.1f}",
        f"{used.wal / 1000 / batches:,.0f}",
        f"{step.delivered.sent / 1000 / batches:,.1f}",
        f"{step.delivered.answered / batches:,.0f}",
        f"{step.of_servers / _MIB:,.0f}",
        f"{step.of_database / _MIB:,.0f}",
    ]
