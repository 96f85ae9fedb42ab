# SPDX-License-Identifier: Apache-2.0
"""Checks that all the time of a run is covered, in every hour to which the collector's clock jumped."""

from tests.soak.stage import Stage

Span = tuple[int, int]
"""Half-open, UTC ms."""

_DAY_MS = 86_400_000
_MARGIN_MS = 60_000
"""Far less than a jump of the clock, and more than a reading may be late."""
_ROUNDING_MS = 250
"""A reading near the full second ends with it, the last one and that before a jump of the clock, too."""


def gaps_and_doubles(stage: Stage, ended_ms: int) -> tuple[list[str], list[str]]:
    """Return what is not covered of the time in which guests ran, and what is covered twice, in words.

    :param ended_ms: when the last guest had ended, by the machine's clock
    """
    offsets_ms = stage.clock.offsets_ms
    rates = stage.product.get(
        "rates",
        from_=stage.attached_ms + min(offsets_ms) - _MARGIN_MS,
        to=ended_ms + max(offsets_ms) + _DAY_MS,
        step="1d",
    )
    covered = [(span["from_ms"], span["to_ms"]) for span in rates["coverage"]]
    gaps, doubles, reached_ms = [], [], stage.attached_ms
    for offset_ms in offsets_ms:
        pieces = _around(covered, offset_ms, (stage.attached_ms, ended_ms))
        # None where the clock jumped on before anything was read.
        if pieces and pieces[0][0] < reached_ms - _ROUNDING_MS and offset_ms != offsets_ms[0]:
            doubles.append(f"{reached_ms - pieces[0][0]} ms are covered twice")
        for begin_ms, end_ms in pieces:
            # Within one setting of the clock nothing is rounded: its pieces are apart, or they would be one.
            if begin_ms > reached_ms + (_ROUNDING_MS if begin_ms == pieces[0][0] else 0):
                gaps.append(f"gap of {begin_ms - reached_ms} ms in what is covered")
            reached_ms = end_ms
    if reached_ms < ended_ms - _ROUNDING_MS:
        gaps.append(f"the last {ended_ms - reached_ms} ms are not covered")
    return gaps, doubles


def _around(covered: list[Span], offset_ms: int, run: Span) -> list[Span]:
    """Return what is covered of a run as the clock showed it with this offset, by the machine's clock."""
    shifted = ((begin_ms - offset_ms, end_ms - offset_ms) for begin_ms, end_ms in covered)
    return sorted(span for span in shifted if span[0] < run[1] + _MARGIN_MS and span[1] > run[0] - _MARGIN_MS)
