# SPDX-License-Identifier: Apache-2.0
"""A number alone: what it may be. The text does not say, so the readings are given, the likeliest first.

A hardware's word that sets bits which nobody defines, or that shows no memory access, is no reading: it is
given only where the number has no other in that base.
"""

import errno
import re
from collections.abc import Iterator

from faultmodel import arch, exits
from faultmodel.arch.base import SyndromeFormat
from faultmodel.named import ERRNO, EXIT_REASON, Reading
from faultmodel.numbers import Number, oddity, parse_numbers, tells_access
from faultmodel.record import EHWPOISON, KVM_EXIT_MEMORY_FAULT

_ALONE = re.compile(r"0[xX][0-9a-fA-F]+|[0-9a-fA-F]+")
_HAS_DIGIT = re.compile(r"\d")
_MOST_USED = ("x86_64", "aarch64", "riscv64")
"""Of readings that are as likely, those of the first come first."""


def is_bare(text: str) -> bool:
    """Return whether a text is a number and nothing else. Of letters alone it is a word of a language."""
    return bool(_ALONE.fullmatch(text) and _HAS_DIGIT.search(text))


def readings(text: str) -> tuple[Reading, ...]:
    """Return what a number alone may be, likely first; at least one.

    In decimal first what KVM_RUN gives for a memory fault. Then the hardware's words, those that have the
    least against them first, then any other exit reason or errno.

    :param text: for which ``is_bare`` holds
    :raises WordError: it does not fit in 64 bits
    """
    numbers = parse_numbers(text)
    words = sorted(
        (
            (oddity(form, reading.number.value), reading)
            for number in numbers
            for form, reading in _of(number)
        ),
        key=lambda word: word[0],
    )
    found = [reading for _, reading in words]
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


def _of(number: Number) -> Iterator[tuple[SyndromeFormat, Reading]]:
    """Return the hardware's words that a number may be, at least one."""
    forms = [
        (form, Reading(f"{architecture.name}:{form.name}", number, form))
        for architecture in sorted(arch.architectures().values(), key=lambda one: _place(one.name))
        for form in architecture.formats.values()
    ]
    word = number.value
    sound = [one for one in forms if tells_access(one[0], word) and not one[0].decode(word).unknown_bits]
    yield from sound or [min(forms, key=lambda one: oddity(one[0], word))]


def _place(architecture: str) -> int:
    return _MOST_USED.index(architecture) if architecture in _MOST_USED else len(_MOST_USED)
