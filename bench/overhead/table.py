# SPDX-License-Identifier: Apache-2.0
"""Prints what the turns took: medians, and each turn beside the same turn without a tracer."""

import statistics
from collections.abc import Callable, Mapping, Sequence

from bench.markdown import table
from bench.overhead.turns import Taken

Row = tuple[str, ...]
Limit = Callable[[Mapping[str, float]], float | None]
"""The most that a tracer may add, from what the others add, by name; None where those are missing."""

_HEAD: Row = (
    *("", "CPU ns/fault", "added", "quartiles", "limit", "floors"),
    *("by the clock", "reported", "ns/run"),
)


def lines(names: Sequence[str], taken: Sequence[Taken], limits: Mapping[str, Limit]) -> list[str]:
    """Return the table as Markdown. The first tracer is none, the second is the floor.

    :param limits: by the name of the tracer that has one
    """
    base = taken[0]
    named = {name: of for name, of in zip(names, taken, strict=True) if not of.refused}
    added = {name: statistics.median(_added(of.cpu_ns, base.cpu_ns)) for name, of in named.items()}
    floor = added[names[1]]
    rows: list[Row] = [(names[0], f"{statistics.median(base.cpu_ns):,.0f}", *[""] * (len(_HEAD) - 2))]
    for name in list(named)[1:]:
        limit = limits[name](added) if name in limits else None
        rows.append((name, *_figures(named[name], base, limit, floor)))
    refused = [f"{name}: {of.refused}" for name, of in zip(names, taken, strict=True) if of.refused]
    return [*table([_HEAD, *rows]), *refused]


def exit_lines(event: str, names: Sequence[str], taken: Sequence[Taken]) -> list[str]:
    """Return the table of what each of some other event took. The first tracer is none."""
    base = taken[0]
    rows: list[Row] = [("", f"CPU ns/{event}", "added", "ns/run")]
    for name, of in zip(names, taken, strict=True):
        added = statistics.median(_added(of.cpu_ns, base.cpu_ns))
        rows.append(
            (
                name,
                f"{statistics.median(of.cpu_ns):,.0f}",
                f"{added:,.0f}" if of is not base else "",
                _ns_per_run(of),
            )
        )
    return table(rows)


def _figures(taken: Taken, base: Taken, limit: float | None, floor: float) -> Row:
    low, median, high = statistics.quantiles(_added(taken.cpu_ns, base.cpu_ns), n=4, method="inclusive")
    return (
        f"{statistics.median(taken.cpu_ns):,.0f}",
        f"{median:,.0f}",
        f"{low:,.0f} to {high:,.0f}",
        f"{limit:,.0f}" if limit is not None else "",
        f"{median / floor:.1f}" if floor > 0 else "lost in the noise",
        f"{statistics.median(_added(taken.wall_ns, base.wall_ns)):,.0f}",
        # A tracer reports the faults of other guests of this host, too.
        f"{min(1.0, min(taken.reported)):.1%}" if taken.reported else "",
        _ns_per_run(taken),
    )


def _ns_per_run(taken: Taken) -> str:
    return f"{taken.run_time.ns / taken.run_time.runs:,.0f}" if taken.run_time.runs else ""


def _added(taken: Sequence[float], base: Sequence[float]) -> list[float]:
    return [ns - without for ns, without in zip(taken, base, strict=True)]
