# SPDX-License-Identifier: Apache-2.0
"""What a line of a pasted text holds, and what earlier lines show of later ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from re import Match

from faultmodel import arch, exits
from faultmodel.arch.base import SyndromeFormat
from faultmodel.named import ERRNO, EXIT_FLAGS, EXIT_REASON

ADDRESS, CODE = "address", "code"
HEX = r"(?:0[xX])?([0-9a-fA-F]{1,16})\b"
NUMBER = r"(0[xX][0-9a-fA-F]{1,16}|\d{1,20})\b"


@dataclass(frozen=True, slots=True)
class Found:
    """A word of the text. ``where``: what gave it, as ``kvm_page_fault error_code``."""

    line: int
    """From 1."""
    where: str
    target: str
    """What it is: an architecture and format (``x86_64:ept``), or a name of this module or of ``named``."""
    word: int
    summary: str
    syndrome: SyndromeFormat | None = None
    """How to decode it, where it is a hardware's word."""


@dataclass(slots=True)
class Before:
    """What earlier lines say about later ones."""

    formats: tuple[str, ...] = ()
    """Of the word of a ``kvm_page_fault``, by the ``kvm_exit`` before it."""
    nested: bool = False
    """``kvm_nested_vmexit``: the exit was of a guest that the guest runs."""
    suberror: int | None = None
    data: dict[int, int] = field(default_factory=dict)
    exit_code: int | None = None
    """Of the VMCB."""
    in_memory_fault: bool = False
    """A structure that began on a line before is a memory fault's."""


Word = tuple[str, str, int]
"""Where, target and word of a ``Found``."""
Read = Callable[[Match[str], Before], Iterator[Word]]
Patterns = tuple[tuple[str, Read], ...]


def simple(where: str, target: str, base: int = 16) -> Read:
    """Return what reads a pattern whose one group is the word."""

    def read(match: Match[str], before: Before) -> Iterator[Word]:
        yield where, target, int(match[1], base)

    return read


def explained(line: int, where: str, target: str, word: int) -> Found:
    """Return a word with what it says."""
    if target == EXIT_REASON:
        return Found(line, where, target, word, _reason(word))
    if target == ERRNO:
        return Found(line, where, target, word, f"{exits.errno_name(word)}: {exits.errno_meaning(word)}")
    if target == EXIT_FLAGS:
        names = ", ".join(exits.flag_names(word)) or "none: the access was to shared memory"
        return Found(line, where, target, word, f"flags of a memory-fault exit: {names}")
    if target in (ADDRESS, CODE):
        return Found(line, where, target, word, where)
    name, _, format_name = target.partition(":")
    syndrome = arch.get(name).format_named(format_name)
    return Found(line, where, target, word, syndrome.summary(word), syndrome)


def _reason(number: int) -> str:
    known = exits.EXIT_REASONS.get(number)
    return exits.reason_name(number) if known is None else f"{known.name}: {known.meaning}"
