# SPDX-License-Identifier: Apache-2.0
"""Prints what the turns took: medians and quartiles, each turn beside the bare driver's."""

import statistics
from collections.abc import Mapping, Sequence

from bench.markdown import table
from bench.writing.ways import Taken

_HEAD = ("", "rows/s", "quartiles", "of bare", "quartiles", "CPU us/row", "of bare")


def lines(taken: Mapping[str, Sequence[Taken]], rows: int) -> list[str]:
    """Return the table as Markdown. The first way is the bare driver.

    :param rows: of one turn
    """
    bare, *_ = taken.values()
    body = [(name, *_figures(turns, bare, rows)) for name, turns in taken.items()]
    return table([_HEAD, *body])


def _figures(turns: Sequence[Taken], bare: Sequence[Taken], rows: int) -> tuple[str, ...]:
    speeds = [rows / turn.wall_s for turn in turns]
    ratios = [base.wall_s / turn.wall_s for turn, base in zip(turns, bare, strict=True)]
    cpu_s = statistics.median(turn.cpu_s for turn in turns)
    is_bare = turns is bare
    return (
        f"{statistics.median(speeds):,.0f}",
        _quartiles(speeds, ",.0f"),
        "" if is_bare else f"{statistics.median(ratios):.2f}",
        "" if is_bare else _quartiles(ratios, ".2f"),
        f"{cpu_s / rows * 1e6:.2f}",
        "" if is_bare else f"{statistics.median(turn.cpu_s for turn in bare) / cpu_s:.2f}",
    )


def _quartiles(values: Sequence[float], form: str) -> str:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{low:{form}} to {high:{form}}"
