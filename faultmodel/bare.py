"""A number alone: what it may be. The text does not say, so every reading is given, the likeliest first."""

import errno
import re
from dataclasses import dataclass

from faultmodel import arch, exits
from faultmodel.arch.base import SyndromeFormat
from faultmodel.numbers import Number, oddity, parse_numbers
from faultmodel.record import EHWPOISON, KVM_EXIT_MEMORY_FAULT

_ALONE = re.compile(r"0[xX][0-9a-fA-F]{1,20}|[0-9a-fA-F]{1,20}")
_HAS_DIGIT = re.compile(r"\d")
EXIT_REASON, ERRNO = "exit-reason", "errno"


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing that a number may be. ``target``: as ``explain.explain`` has it."""

    target: str
    number: Number
    syndrome: SyndromeFormat | None = None


def is_bare(text: str) -> bool:
    """Tell whether a text is a number and nothing else. Of letters alone it is a word of a language."""
    return bool(_ALONE.fullmatch(text) and _HAS_DIGIT.search(text))


def readings(text: str) -> tuple[Reading, ...]:
    """Return what a number alone may be, likely first; at least one.

    In decimal first what KVM_RUN gives for a memory fault. Then the hardware's words, those that have the
    least against them, then any other exit reason or errno.

    :param text: for which ``is_bare`` holds
    :raises WordError: it does not fit in 64 bits
    """
    numbers = parse_numbers(text)
    words = [
        (oddity(form, number.value), Reading(f"{architecture.name}:{form.name}", number, form))
        for number in numbers
        for architecture in arch.architectures().values()
        for form in architecture.formats.values()
    ]
    least = min(odd for odd, _ in words)
    found = [reading for odd, reading in words if odd == least]
    if not text.isdecimal():
        return tuple(found)
    number = Number(int(text), "decimal" if len(numbers) > 1 else "")
    of_memory_fault: list[Reading] = []
    for target, is_known, is_usual in (
        (EXIT_REASON, number.value in exits.EXIT_REASONS, number.value == KVM_EXIT_MEMORY_FAULT),
        (ERRNO, exits.is_errno(number.value), number.value in (errno.EFAULT, EHWPOISON)),
    ):
        if is_known:
            (of_memory_fault if is_usual else found).append(Reading(target, number))
    return (*of_memory_fault, *found)
