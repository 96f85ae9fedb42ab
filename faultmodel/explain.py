# SPDX-License-Identifier: Apache-2.0
"""A word, or a line with words in it, explained as text for a terminal."""

from collections.abc import Iterable, Iterator, Sequence

from faultmodel import bare, exits, named, pasted
from faultmodel.arch.base import SyndromeFormat
from faultmodel.bits import Decoded, FieldValue
from faultmodel.errors import WordError
from faultmodel.named import ERRNO, EXIT_FLAGS, EXIT_REASON, Reading
from faultmodel.numbers import Number
from faultmodel.pasted.found import ADDRESS, CODE

_NONE = "none"
_TRUNCATED = (
    f"There may be more: of a text the first {pasted.MAX_FOUND} words are read, and {pasted.MAX_CHARACTERS} "
    "characters looked at. Give the rest by itself."
)


def explain(target: str, word: str) -> str:
    """Explain a word, line by line, without a newline at the end.

    :param target: as ``named.readings`` has it, and so ``word``
    :raises FaultModelError: with one line that says what is wrong with target or word
    """
    found = named.readings(target, word)
    sections = ["\n".join(_reading_lines(reading)) for reading in found]
    if any(reading.number.base for reading in found):
        note = (
            f"{word} is read as hexadecimal, as kernels print words, and as decimal; 0x{word} is one of them"
        )
        sections = [note, *sections]
    return "\n\n".join(sections)


def explain_text(text: str) -> str:
    """Explain every word in a text that somebody pasted, without a newline at the end.

    :raises WordError: there is no word in it that is known
    """
    alone = text.strip()
    if target_and_word := named.target_and_word(alone):
        return explain(*target_and_word)
    words = pasted.find(text)
    found = words.items
    if bare.is_bare(alone) and len(found) > 1:
        return _bare(alone, found)
    if not found:
        rest = f". {_TRUNCATED}" if words.truncated else ""
        raise WordError(
            "no word in this text is known; name what it is: decode x86_64:npf 0x200000006, decode errno 14"
            f"{rest}"
        )
    sections = ["\n".join(_found_lines(item)) for item in found]
    if words.truncated:
        sections.append(_TRUNCATED)
    return "\n\n".join(sections)


def _bare(number: str, found: Sequence[pasted.Found]) -> str:
    """All that a number may be in a line each, the likeliest first, and that one explained."""
    rows: list[tuple[str, ...]] = [
        (f"decode {item.target} {_as_given(item)}", item.summary, f"({item.where})") for item in found
    ]
    if len({item.where for item in found}) == 1:
        # There is one way to read the digits.
        rows = [row[:2] for row in rows]
    lines = (f"{number} does not say what it is. The likeliest comes first:", *_columns(rows))
    return "\n".join((*lines, "", *_found_lines(found[0])))


def _as_given(item: pasted.Found) -> str:
    return str(item.word) if item.syndrome is None else hex(item.word)


def _head(target: str, number: Number) -> str:
    head = f"{target} {number.value:#x} ({number.value})"
    return f"{head}, read as {number.base}" if number.base else head


def _reason(number: int) -> str:
    known = exits.EXIT_REASONS.get(number)
    rows: list[tuple[str, ...]] = [("name", exits.reason_name(number))]
    if known is not None:
        rows.append(("meaning", known.meaning))
        rows += [("only on", known.only_on)] if known.only_on else []
    return "\n".join((f"{EXIT_REASON} {number}", *_columns(rows)))


def _errno(number: int) -> str:
    rows: list[tuple[str, ...]] = [
        ("name", exits.errno_name(number)),
        ("meaning", exits.errno_meaning(number)),
    ]
    return "\n".join((f"{ERRNO} {number}", *_columns(rows)))


def _found_lines(item: pasted.Found) -> Iterator[str]:
    yield item.where
    if item.target in (ADDRESS, CODE):
        yield f"  {item.word:#x} ({item.word})"
    else:
        yield from _reading_lines(Reading(item.target, Number(item.word), item.syndrome))


def _reading_lines(reading: Reading) -> Iterator[str]:
    if reading.syndrome is not None:
        yield from _format_lines(reading.target, reading.syndrome, reading.number)
    elif reading.target == EXIT_FLAGS:
        yield from _exit_lines(reading.number)
    elif reading.target == EXIT_REASON:
        yield _reason(reading.number.value)
    else:
        yield _errno(reading.number.value)


def _format_lines(target: str, item: SyndromeFormat, number: Number) -> Iterator[str]:
    word = number.value
    yield _head(target, number)
    decoded = item.decode(word)
    undefined = _listed(value.field.name for value in decoded.undefined)
    rows: list[tuple[str, ...]] = [
        ("format", item.title),
        ("summary", item.summary(word)),
        ("access", item.access(word).value),
        ("flags", _listed(flag.name for flag in item.flags(word))),
        ("not defined", undefined),
    ]
    yield from _columns(rows if undefined != _NONE else rows[:-1])
    yield from _decoded_lines(decoded)


def _exit_lines(number: Number) -> Iterator[str]:
    word = number.value
    yield _head(EXIT_FLAGS, number)
    rows: list[tuple[str, ...]] = [
        ("format", "flags of a memory-fault exit, kvm_run.memory_fault.flags"),
        ("flags", _listed(exits.flag_names(word))),
    ]
    if number.base != "hexadecimal" and word in exits.EXIT_REASONS:
        rows.append(("as an exit reason", f"{exits.reason_name(word)}: decode {EXIT_REASON} {word}"))
    yield from _columns(rows)
    yield from _decoded_lines(exits.FLAGS_LAYOUT.decode(word))


def _decoded_lines(decoded: Decoded) -> Iterator[str]:
    yield ""
    yield from _columns([("bits", "field", "value", "meaning"), *map(_row, decoded.fields)])
    yield ""
    sources = dict.fromkeys(item.field.source for item in decoded.fields)
    unknown = _listed(str(bit) for bit in decoded.unknown_bits)
    yield from _columns([("unknown bits", unknown), *(("source", source) for source in sources)])


def _row(item: FieldValue) -> tuple[str, ...]:
    low, high = item.field.low, item.field.low + item.field.width - 1
    bits = str(low) if low == high else f"{high}:{low}"
    value = str(item.value) if item.field.width == 1 else f"{item.value:#x}"
    return bits, item.field.name, value, item.meaning


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or _NONE


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    # Every column but the last is as wide as its widest cell.
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  " + "  ".join((*cells, row[-1]))
