# SPDX-License-Identifier: Apache-2.0
"""A VM's faults by what the hardware and KVM said of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backend.store.contract.values import SyndromeCount
from faultmodel import arch, context
from faultmodel.arch.base import Flag
from faultmodel.record import Side

FAULT_CONTEXT = ("private", "no_memslot", "dirty_logging", "nested", "context_unknown")
"""The software flags that a fault count carries."""
_PREFETCHED = "prefetched"


@dataclass(frozen=True, slots=True)
class FlagCount:
    """Faults with one flag. ``flag.bit`` is None where it is derived, or differs between formats."""

    flag: Flag
    count: int


@dataclass(frozen=True, slots=True)
class Breakdown:
    """``total`` faults, each with any number of ``flags`` and outcomes; what never occurred is not listed.

    ``undefined``: bits that were set where the manual leaves them undefined, so that they are no flags.
    """

    total: int
    flags: Sequence[FlagCount]
    undefined: Sequence[FlagCount]
    outcomes: Sequence[FlagCount]


def breakdown(counts: Iterable[SyndromeCount]) -> Breakdown:
    """Break faults down: hardware flags first, then software flags, each most first."""
    flags: dict[tuple[Side, str], FlagCount] = {}
    undefined: dict[tuple[Side, str], FlagCount] = {}
    outcomes: dict[tuple[Side, str], FlagCount] = {}
    total = 0
    for item in counts:
        total += item.counters["faults"]
        for flag in _hardware_flags(item):
            _add(flags, flag, item.counters["faults"])
        for flag in _undefined(item):
            _add(undefined, flag, item.counters["faults"])
        for name in FAULT_CONTEXT:
            _add(flags, context.CONTEXT[name], item.counters[name])
        for flag in (*context.OUTCOMES.values(), context.CONTEXT[_PREFETCHED]):
            _add(outcomes, flag, item.counters[flag.name])
    return Breakdown(
        total, _ordered(flags.values()), _ordered(undefined.values()), _ordered(outcomes.values())
    )


def _hardware_flags(item: SyndromeCount) -> Sequence[Flag]:
    if item.format is None:
        return ()
    return arch.get(item.arch).format_named(item.format).flags(item.word)


def _undefined(item: SyndromeCount) -> Iterable[Flag]:
    if item.format is None:
        return
    for value in arch.get(item.arch).format_named(item.format).decode(item.word).undefined:
        yield Flag(value.field.name, Side.HARDWARE, value.field.low, value.meaning)


def _add(into: dict[tuple[Side, str], FlagCount], flag: Flag, count: int) -> None:
    if not count:
        return
    known = into.get((flag.side, flag.name), FlagCount(flag, 0))
    bit = known.flag.bit if known.flag.bit == flag.bit else None
    merged = Flag(flag.name, flag.side, bit, known.flag.meaning)
    into[flag.side, flag.name] = FlagCount(merged, known.count + count)


def _ordered(counts: Iterable[FlagCount]) -> Sequence[FlagCount]:
    return sorted(counts, key=lambda item: (item.flag.side is Side.SOFTWARE, -item.count, item.flag.name))
