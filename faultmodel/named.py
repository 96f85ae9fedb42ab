# SPDX-License-Identifier: Apache-2.0
"""A word whose kind is named before it: ``x86_64:npf 0x200000006``, ``exit-reason 39``, ``errno 14``."""

import re
from dataclasses import dataclass

from faultmodel import arch, exits
from faultmodel.arch.base import Architecture, SyndromeFormat
from faultmodel.errors import UnknownNameError
from faultmodel.numbers import Number, likely_first, parse_numbers

EXIT_FLAGS, EXIT_REASON, ERRNO = "exit", "exit-reason", "errno"
_OTHER_TARGETS = (EXIT_FLAGS, EXIT_REASON, ERRNO)
_TARGET_WORD = re.compile(r"([\w:-]{1,64})\s+(\S{1,64})")


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing that a number may be. ``target``: an architecture and format, or one of this module's."""

    target: str
    number: Number
    syndrome: SyndromeFormat | None = None
    """How to decode it, where it is a hardware's word."""


def is_target(text: str) -> bool:
    """Return whether a text names something that a word can be."""
    name, _, _ = text.partition(":")
    return (
        text in _OTHER_TARGETS
        or any(name in architecture.machines for architecture in arch.architectures().values())
        or _of_format(text) != text
    )


def target_and_word(text: str) -> tuple[str, str] | None:
    """Return the two parts of a text that is a word with its kind before it; None where it is another."""
    found = _TARGET_WORD.fullmatch(text.strip())
    return (found[1], found[2]) if found and is_target(found[1]) else None


def readings(target: str, word: str) -> tuple[Reading, ...]:
    """Return what a word is, in each way in which it can be read, the likely one first.

    :param target: an architecture (``x86_64``, ``arm64``), one with a format (``x86_64:npf``) or a format
        alone (``npf``); ``exit`` (the flags of a memory-fault exit), ``exit-reason`` or ``errno``. An
        architecture of several formats gives each reading, for the word does not show which it is in
    :param word: 0x-hexadecimal; digits alone are read as hexadecimal and as decimal
    :raises FaultModelError: with one line that says what is wrong with target or word
    """
    match target:
        case "exit-reason":
            return (Reading(target, Number(exits.reason_of(word))),)
        case "errno":
            return (Reading(target, Number(exits.errno_of(word))),)
        case "exit":
            # Programs print the flags in decimal, or with 0x.
            return tuple(Reading(target, number) for number in reversed(parse_numbers(word)))
    name, colon, format_name = _of_format(target).partition(":")
    architecture = _architecture(name)
    formats = [architecture.format_named(format_name)] if colon else architecture.formats.values()
    numbers = parse_numbers(word)
    return tuple(
        Reading(f"{architecture.name}:{item.name}", number, item)
        for item in formats
        for number in likely_first(numbers, item)
    )


def _of_format(target: str) -> str:
    """Return ``x86_64:npf`` of ``npf``: no two architectures have a format of one name."""
    known = (f"{item.name}:{name}" for item in arch.architectures().values() for name in item.formats)
    return next((full for full in known if full.partition(":")[2] == target), target)


def _architecture(name: str) -> Architecture:
    try:
        return arch.get(name)
    except UnknownNameError as exc:
        raise UnknownNameError(f"{exc}, {', '.join(_OTHER_TARGETS)}") from None
