"""A word, or a line with words in it, explained as text for a terminal."""

from collections.abc import Iterable, Iterator, Sequence

from faultmodel import arch, bare, exits, pasted
from faultmodel.arch.base import Architecture, SyndromeFormat
from faultmodel.bare import ERRNO, EXIT_REASON
from faultmodel.bits import Decoded, FieldValue
from faultmodel.errors import UnknownNameError, WordError
from faultmodel.numbers import Number, likely_first, parse_numbers
from faultmodel.pasted import EXIT_FLAGS

_NONE = "none"
_OTHER_TARGETS = (EXIT_FLAGS, EXIT_REASON, ERRNO)


def explain(target: str, word: str) -> str:
    """Explain a word, line by line, without a newline at the end.

    :param target: an architecture (``x86_64``, ``arm64``), one with a format (``x86_64:npf``) or a format
        alone (``npf``); ``exit`` (the flags of a memory-fault exit), ``exit-reason`` or ``errno``. An
        architecture of several formats gives each reading, for the word does not tell which it is in
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
    name, colon, format_name = _of_format(target).partition(":")
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
    if bare.is_bare(text.strip()) and len(found) > 1:
        return _bare(text.strip(), found)
    if not found:
        raise WordError(
            "no word in this text is known; name what it is: decode x86_64:npf 0x200000006, decode errno 14"
        )
    return "\n\n".join("\n".join(_found_lines(item)) for item in found)


def _bare(number: str, found: Sequence[pasted.Found]) -> str:
    """All that a number may be in a line each, the likeliest first, and that one explained."""
    rows = [(f"decode {item.target} {_as_given(item)}", item.summary, f"({item.where})") for item in found]
    lines = (f"{number} does not say what it is. The likeliest comes first:", *_columns(rows))
    return "\n".join((*lines, "", *_found_lines(found[0])))


def _as_given(item: pasted.Found) -> str:
    return str(item.word) if item.syndrome is None else hex(item.word)


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


def _of_format(target: str) -> str:
    """Return ``x86_64:npf`` of ``npf``: no two architectures have a format of one name."""
    known = (f"{item.name}:{name}" for item in arch.architectures().values() for name in item.formats)
    return next((full for full in known if full.partition(":")[2] == target), target)


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
    return "\n".join((f"{EXIT_REASON} {number}", *_columns(rows)))


def _errno(number: int) -> str:
    rows: list[tuple[str, ...]] = [
        ("name", exits.errno_name(number)),
        ("meaning", exits.errno_meaning(number)),
    ]
    return "\n".join((f"{ERRNO} {number}", *_columns(rows)))


def _found_lines(item: pasted.Found) -> Iterator[str]:
    yield item.where
    if item.syndrome is not None:
        yield from _format_lines(item.target, item.syndrome, Number(item.word))
    elif item.target == EXIT_FLAGS:
        yield from _exit_lines(Number(item.word))
    elif item.target == EXIT_REASON:
        yield _reason(item.word)
    elif item.target == ERRNO:
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
