"""Prints what the turns took: medians, and each turn beside the same turn without a tracer."""

import statistics
from collections.abc import Sequence

from bench.markdown import table
from bench.overhead.turns import Taken

Row = tuple[str, ...]

_HEAD: Row = ("", "CPU ns/fault", "added", "quartiles", "floors", "added, by the clock", "told of", "ns/run")


def lines(names: Sequence[str], taken: Sequence[Taken]) -> list[str]:
    """Return the table as Markdown. The first tracer is none, the second is the floor."""
    base, floor = taken[0], statistics.median(_added(taken[1].cpu_ns, taken[0].cpu_ns))
    named = list(zip(names, taken, strict=True))
    rows = [(name, *_figures(of, base, floor)) for name, of in named if not of.refused]
    return [*table([_HEAD, *rows]), *(f"{name}: {of.refused}" for name, of in named if of.refused)]


def _figures(taken: Taken, base: Taken, floor: float) -> Row:
    cpu_ns = f"{statistics.median(taken.cpu_ns):,.0f}"
    if taken is base:
        return (cpu_ns, *[""] * (len(_HEAD) - 2))
    added = _added(taken.cpu_ns, base.cpu_ns)
    low, median, high = statistics.quantiles(added, n=4, method="inclusive")
    return (
        cpu_ns,
        f"{median:,.0f}",
        f"{low:,.0f} to {high:,.0f}",
        f"{median / floor:.1f}" if floor > 0 else "lost in the noise",
        f"{statistics.median(_added(taken.wall_ns, base.wall_ns)):,.0f}",
        # Other guests of this host are told of too.
        f"{min(1.0, min(taken.told)):.1%}" if taken.told else "",
        f"{taken.run_time.ns / taken.run_time.runs:,.0f}" if taken.run_time.runs else "",
    )


def _added(taken: Sequence[float], base: Sequence[float]) -> list[float]:
    return [ns - without for ns, without in zip(taken, base, strict=True)]
