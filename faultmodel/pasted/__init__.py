# SPDX-License-Identifier: Apache-2.0
"""The words in a text that somebody pasted: what they are, and what they say.

Read are the texts of ftrace, trace-cmd, perf and perf trace, of KVM's and QEMU's error messages (``KVM
internal error``, ``error: kvm run failed``), of the dumps of a VMCB and a VMCS in the kernel's log, and what
VMMs print of KVM_EXIT_MEMORY_FAULT. A text may have several lines that belong together: a ``kvm_exit`` shows
in which format the word of the ``kvm_page_fault`` after it is. A text that is a word with its kind before it
(``errno 14``) is that word, and one that is a number alone is all that the number may be.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from faultmodel import bare, named
from faultmodel.named import Reading
from faultmodel.pasted import kernel, programs, x86
from faultmodel.pasted.found import ADDRESS, CODE, Before, Found, explained
from faultmodel.record import U64_MAX

__all__ = ["MAX_CHARACTERS", "MAX_FOUND", "Found", "Words", "find"]

MAX_CHARACTERS = 16_384
MAX_FOUND = 64
_MAX_LINE = 2048
_PATTERNS = tuple(
    (re.compile(pattern), read) for part in (x86, kernel, programs) for pattern, read in part.PATTERNS
)


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text, in order. ``truncated``: the text was not looked at to its end."""

    items: tuple[Found, ...]
    truncated: bool = False


def find(text: str) -> Words:
    """Return the words of a text, in order, each once: at most ``MAX_FOUND``.

    :param text: the first ``MAX_CHARACTERS`` are looked at, and of each line the first ``_MAX_LINE``
    :raises FaultModelError: it is a number alone of more than 64 bits, or a kind and no word of that kind
    """
    alone = text.strip()
    if bare.is_bare(alone):
        return Words(tuple(_found(bare.readings(alone), is_named=False)))
    if target_and_word := named.target_and_word(alone):
        return Words(tuple(_found(named.readings(*target_and_word), is_named=True)))
    truncated = len(text) > MAX_CHARACTERS
    before = Before()
    found: dict[tuple[object, ...], Found] = {}
    for number, line in enumerate(text[:MAX_CHARACTERS].replace("\u00a0", " ").splitlines(), 1):
        if not line or line.isspace():
            continue
        truncated |= len(line) > _MAX_LINE
        for item in _in_line(number, line[:_MAX_LINE], before):
            # Two patterns may know the same word; two fields may have the same address.
            where = item.where if item.target in (ADDRESS, CODE) else ""
            found.setdefault((item.line, item.target, item.word, where), item)
        if len(found) > MAX_FOUND:
            break
    return Words(tuple(found.values())[:MAX_FOUND], truncated or len(found) > MAX_FOUND)


def _found(readings: Iterable[Reading], *, is_named: bool) -> Iterator[Found]:
    for reading in readings:
        base = f"read as {reading.number.base}" if reading.number.base else ""
        kind = reading.syndrome.title if reading.syndrome is not None else reading.target
        where = ", ".join(filter(None, (kind if is_named else "", base))) or "a number"
        yield explained(1, where, reading.target, reading.number.value)


def _in_line(number: int, line: str, before: Before) -> Iterator[Found]:
    for pattern, read in _PATTERNS:
        for match in pattern.finditer(line):
            for where, target, word in read(match, before):
                if 0 <= word <= U64_MAX:
                    yield explained(number, where, target, word)
