# SPDX-License-Identifier: Apache-2.0
"""Histograms of how long faults stall vCPUs: buckets between powers of two of a µs, four to each octave.

Octave N >= 0 is [2**N, 2**(N + 1)) µs, in four equal parts, so that every power of two is an edge. Octave -1
is [0, 1) µs, in quarters. The last part of octave 31 has all from there on. Faults whose time was not taken
are counted in an octave of their own.
"""

UNTIMED = -2
"""The octave of faults whose time was not taken: the first of its four counts has them."""
FIRST_OCTAVE = -1
LAST_OCTAVE = 31
QUARTERS = 4
_QUARTER_NS = 250
_QUARTER_US = 0.25


def bucket_of(ns: int) -> tuple[int, int]:
    """Return the octave of a time in ns, and the quarter of it, from 0 on."""
    quarters = ns // _QUARTER_NS
    if quarters < QUARTERS:
        return FIRST_OCTAVE, quarters
    shift = quarters.bit_length() - 3
    if shift > LAST_OCTAVE:
        return LAST_OCTAVE, QUARTERS - 1
    return shift, quarters >> shift & 3


def lower_ns(octave: int, quarter: int) -> int:
    """Return the shortest time that a bucket has, in ns."""
    if octave == FIRST_OCTAVE:
        return quarter * _QUARTER_NS
    return (QUARTERS + quarter << octave) * _QUARTER_NS


def upper_us(octave: int, quarter: int) -> float | None:
    """Return the time in µs that ends a bucket, and is not in it; None for the last one, which has no end."""
    if (octave, quarter) == (LAST_OCTAVE, QUARTERS - 1):
        return None
    if octave == FIRST_OCTAVE:
        return (quarter + 1) * _QUARTER_US
    return (QUARTERS + quarter + 1 << octave) * _QUARTER_US
