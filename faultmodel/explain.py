"""A word, or a line with words in it, explained as text for a terminal."""

from collections.abc import Iterable, Iterator

from faultmodel import arch, exits, pasted
from faultmodel.arch.base import Architecture, SyndromeFormat
from faultmodel.bits import Decoded, FieldValue
from faultmodel.errors import UnknownNameError, WordError
from faultmodel.numbers import Number, likely_first, parse_numbers

_NONE = "none"
EXIT_TARGET = "exit"
"""The target that means the flags of a memory-fault exit."""
REASON_TARGET = "exit-reason"
ERRNO_TARGET = "errno"
_OTHER_TARGETS = (EXIT_TARGET, REASON_TARGET, ERRNO_TARGET)


def explain(target: str, word: str) -> str:
    """Explain a word, line by line, without a newline at the end.

    :param target: an architecture (``x86_64``, ``arm64``), or one with a format (``x86_64:npf``); ``exit``,
        ``exit-reason`` or ``errno``. An architecture of several formats gives each reading, for the word does
        not tell which it is in
    :param word: 0x-hexadecimal; digits alone are read as hexadecimal and as decimal, the likely one first
    :raises FaultModelError: with one line that says what is wrong with target or word
    """
    match target:
        case "exit-reason":
            return _reason(exits.reason_of(word))
        case "errno":
            return _errno(exits.errno_of(word))
        case "exit":
            numbers = parse_numbers(word)
            sections = ["\n".join(_exit_lines(number)) for number in reversed(numbers)]
            return _with_note(word, numbers, sections)
    name, colon, format_name = target.partition(":")
    architecture = _architecture(name)
    formats = [architecture.format_named(format_name)] if colon else architecture.formats.values()
    numbers = parse_numbers(word)
    sections = [
        "\n".join(_format_lines(f"{architecture.name}:{item.name}", item, number))
        for item in formats
        for number in likely_first(numbers, item)
    ]
    return _with_note(word, numbers, sections)


def explain_text(text: str) -> str:
    """Explain every word in a text that somebody pasted, without a newline at the end.

    :raises WordError: there is no word in it that is known
    """
    found = pasted.find(text)
    if not found:
        raise WordError(
            "no word in this text is known; name what it is: decode x86_64:npf 0x200000006, decode errno 14"
        )
    return "\n\n".join("\n".join(_found_lines(item)) for item in found)


def is_target(text: str) -> bool:
    """Tell whether a text names something that a word can be, for sure or by its form."""
    name, colon, _ = text.partition(":")
    return (
        text in _OTHER_TARGETS
        or any(name in architecture.machines for architecture in arch.architectures().values())
        or (not colon and " " not in text)
    )


def _with_note(word: str, numbers: tuple[Number, ...], sections: list[str]) -> str:
    if len(numbers) > 1:
        note = (
            f"{word} is read as hexadecimal, as kernels print words, and as decimal; 0x{word} is one of them"
        )
        sections = [note, *sections]
    return "\n\n".join(sections)


def _architecture(name: str) -> Architecture:
    try:
        return arch.get(name)
    except UnknownNameError as exc:
        raise UnknownNameError(f"{exc}, {', '.join(_OTHER_TARGETS)}") from None


def _head(target: str, number: Number) -> str:
    head = f"{target} {number.value:#x} ({number.value})"
    return f"{head}, read as {number.base}" if number.base else head


def _reason(number: int) -> str:
    known = exits.EXIT_REASONS.get(number)
    rows: list[tuple[str, ...]] = [("name", exits.reason_name(number))]
    if known is not None:
        rows.append(("meaning", known.meaning))
        rows += [("only on", known.only_on)] if known.only_on else []
    return "\n".join((f"{REASON_TARGET} {number}", *_columns(rows)))


def _errno(number: int) -> str:
    rows: list[tuple[str, ...]] = [
        ("name", exits.errno_name(number)),
        ("meaning", exits.errno_meaning(number)),
    ]
    return "\n".join((f"{ERRNO_TARGET} {number}", *_columns(rows)))


def _found_lines(item: pasted.Found) -> Iterator[str]:
    yield item.where
    if item.syndrome is not None:
        yield from _format_lines(item.target, item.syndrome, Number(item.word))
    elif item.target == pasted.EXIT_FLAGS:
        yield from _exit_lines(Number(item.word))
    elif item.target == pasted.EXIT_REASON:
        yield _reason(item.word)
    elif item.target == pasted.ERRNO:
        yield _errno(item.word)
    else:
        yield f"  {item.word:#x} ({item.word})"


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
    yield _head(EXIT_TARGET, number)
    rows: list[tuple[str, ...]] = [
        ("format", "flags of a memory-fault exit, kvm_run.memory_fault.flags"),
        ("flags", _listed(exits.flag_names(word))),
    ]
    if number.base != "hexadecimal" and word in exits.EXIT_REASONS:
        rows.append(("as an exit reason", f"{exits.reason_name(word)}: decode {REASON_TARGET} {word}"))
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


def _columns(rows: list[tuple[str, ...]]) -> Iterator[str]:
    # Every column but the last is as wide as its widest cell.
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  " + "  ".join((*cells, row[-1]))
