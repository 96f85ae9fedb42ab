# SPDX-License-Identifier: Apache-2.0
"""Flags of a word: one for every set bit, and those derived from several bits."""

from collections.abc import Iterable, Iterator

from faultmodel.arch.base import Flag
from faultmodel.bits import Decoded
from faultmodel.record import Access, Side

_ACCESS_MEANING = {
    Access.READ: "the guest read",
    Access.WRITE: "the guest wrote",
    Access.EXECUTE: "the guest fetched an instruction",
    Access.OTHER: "neither a read nor a write nor a fetch",
    Access.UNKNOWN: "the syndrome does not show what the guest wanted",
}


def of_bits(decoded: Decoded, side: Side = Side.HARDWARE) -> Iterator[Flag]:
    """Yield a flag for every set one-bit field and every set bit that no field covers, lowest first.

    Fields of several bits are codes: what they say is for the format to derive. A field that is not defined
    in this word is no flag.
    """
    flags = [
        Flag(item.field.name, side, item.field.low, item.meaning)
        for item in decoded.fields
        if item.field.width == 1 and item.value and not item.field.undefined
    ]
    flags += (Flag(f"bit {bit}", side, bit, "not defined") for bit in decoded.unknown_bits)
    yield from sorted(flags, key=_bit)


def derived(name: str, meaning: str) -> Flag:
    """Return a hardware flag that follows from several bits."""
    return Flag(name, Side.HARDWARE, None, meaning)


def of_access(access: Access) -> Iterator[Flag]:
    """Yield the flag of a read, write or execute access; of another access there is none."""
    if access in (Access.READ, Access.WRITE, Access.EXECUTE):
        yield derived(access.value, _ACCESS_MEANING[access])


def unknown_phrase(decoded: Decoded) -> Iterator[str]:
    """Yield what a summary says of bits that no field covers, nothing where there is none."""
    if decoded.unknown_bits:
        numbers = ", ".join(str(bit) for bit in decoded.unknown_bits)
        yield f"unknown bit{'s' if len(decoded.unknown_bits) > 1 else ''} {numbers}"


def unique(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """Return the flags in order, of several with one name the first: a word has each flag once."""
    by_name: dict[str, Flag] = {}
    for flag in flags:
        by_name.setdefault(flag.name, flag)
    return tuple(by_name.values())


def _bit(flag: Flag) -> int:
    return -1 if flag.bit is None else flag.bit
