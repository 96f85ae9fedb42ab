"""A word explained as text, for a terminal."""

from collections.abc import Iterable, Iterator

from faultmodel import arch, exits
from faultmodel.arch.base import Architecture, SyndromeFormat
from faultmodel.bits import Decoded, FieldValue, parse_word
from faultmodel.errors import UnknownNameError

_NONE = "none"
EXIT_TARGET = "exit"
"""The target that means the flags of a memory-fault exit."""


def explain(target: str, word: str) -> str:
    """Explain a word, line by line, without a newline at the end.

    :param target: ``exit``, an architecture (``x86_64``, ``arm64``), or one with a format (``x86_64:npf``);
        an architecture of several formats gives each reading, for the word does not tell which it is in
    :param word: decimal or 0x-hexadecimal
    :raises FaultModelError: with one line that says what is wrong with target or word
    """
    if target == EXIT_TARGET:
        return "\n".join(_exit_lines(parse_word(word)))
    name, colon, format_name = target.partition(":")
    architecture = _architecture(name)
    formats = [architecture.format_named(format_name)] if colon else architecture.formats.values()
    number = parse_word(word)
    sections = ("\n".join(_format_lines(architecture.name, item, number)) for item in formats)
    return "\n\n".join(sections)


def _architecture(name: str) -> Architecture:
    try:
        return arch.get(name)
    except UnknownNameError as exc:
        raise UnknownNameError(f"{exc}, {EXIT_TARGET}") from None


def _format_lines(arch_name: str, item: SyndromeFormat, word: int) -> Iterator[str]:
    yield f"{arch_name}:{item.name} {word:#x} ({word})"
    undefined = _listed(value.field.name for value in item.decode(word).undefined)
    rows: list[tuple[str, ...]] = [
        ("format", item.title),
        ("summary", item.summary(word)),
        ("access", item.access(word).value),
        ("flags", _listed(flag.name for flag in item.flags(word))),
        ("not defined", undefined),
    ]
    yield from _columns(rows if undefined != _NONE else rows[:-1])
    yield from _decoded_lines(item.decode(word))


def _exit_lines(word: int) -> Iterator[str]:
    yield f"{EXIT_TARGET} {word:#x} ({word})"
    yield from _columns(
        [
            ("format", "flags of a memory-fault exit, kvm_run.memory_fault.flags"),
            ("flags", _listed(exits.flag_names(word))),
        ]
    )
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
