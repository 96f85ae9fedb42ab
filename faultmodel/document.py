# SPDX-License-Identifier: Apache-2.0
"""The page docs/syndromes.md, from the tables that decode.

``python -m faultmodel.document > docs/syndromes.md`` writes it; a test compares.
"""

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from faultmodel import exits
from faultmodel.arch import architectures
from faultmodel.arch.base import Architecture, Flag, SyndromeFormat
from faultmodel.bits import BitField
from faultmodel.context import CONTEXT, OUTCOMES

_INLINE = 4
"""Codes with more values than this have a table of their own."""

_INTRODUCTION = """\
<!-- Written by `python -m faultmodel.document`. Change the tables in faultmodel/, not this page. -->

# Syndromes, exits and context

What every bit and code of a fault means, as kvmfaults decodes it. `kvmfaults-server decode` explains a
single word, `kvmfaults-server decode x86_64:npf 0x200000006`, and every word in a line of a trace or a log,
`kvmfaults-server decode 'LINE'`.

A bit that is not listed is shown as `bit 47`, a code that is not listed as `unknown:0x2f`: they are
counted and stored like all others. A bit that is proposed is in patches that no released kernel has."""

_EXITS = """\
## Exits

A memory-fault exit is KVM_RUN returning with `KVM_EXIT_MEMORY_FAULT` (39) and errno EFAULT or EHWPOISON.
With any other errno the reason is stale, and `kvm_run.memory_fault` is not read.

### Flags of a memory-fault exit"""

_CONTEXT = """\
## Software context

What KVM knew of a fault and how it ended, apart from the hardware's syndrome. The same on every
architecture."""


def page() -> str:
    """Return the page, with a newline at the end."""
    parts = [_INTRODUCTION]
    for architecture in architectures().values():
        parts.extend(_architecture(architecture))
    parts.extend(_exits())
    parts.extend(_context())
    return "\n\n".join(parts) + "\n"


def _architecture(architecture: Architecture) -> Iterator[str]:
    yield f"## {architecture.name}"
    codes: dict[str, tuple[BitField, ...]] = {}
    for item in architecture.formats.values():
        yield from _format(architecture, item)
        codes.update(item.fields)
    yield from _codes(field for fields in codes.values() for field in fields)


def _format(architecture: Architecture, item: SyndromeFormat) -> Iterator[str]:
    yield f"### `{architecture.name}:{item.name}`: {item.title}"
    rule = inspect.getdoc(item.access)
    if rule is not None:
        yield " ".join(rule.split())
    for kind, fields in item.fields.items():
        if len(item.fields) > 1:
            yield f"#### {kind[0].upper()}{kind[1:]}"
        yield _fields(fields)


def _fields(fields: Sequence[BitField]) -> str:
    head = ["bits", "field", "meaning", "source"]
    conditional = any(item.when for item in fields)
    if conditional:
        head.insert(2, "where")
    rows = []
    for item in fields:
        row = [_bits(item), f"`{item.name}`", _meaning(item), item.source]
        if conditional:
            row.insert(2, item.when)
        rows.append(row)
    return _table(head, rows)


def _bits(item: BitField) -> str:
    return str(item.low) if item.width == 1 else f"{item.low + item.width - 1}:{item.low}"


def _meaning(item: BitField) -> str:
    if not item.values:
        return item.meaning
    if len(item.values) > _INLINE:
        return f"{item.meaning}: codes below"
    values = "; ".join(f"{value}: {meaning}" for value, meaning in item.values.items())
    return values if item.width == 1 else f"{item.meaning}. {values}"


def _codes(fields: Iterable[BitField]) -> Iterator[str]:
    by_values: dict[tuple[tuple[int, str], ...], list[str]] = {}
    for item in fields:
        if len(item.values) > _INLINE:
            names = by_values.setdefault(tuple(sorted(item.values.items())), [])
            if item.name not in names:
                names.append(item.name)
    for values, names in by_values.items():
        yield f"#### Codes of {', '.join(f'`{name}`' for name in names)}"
        yield _table(("code", "meaning"), ((f"{value:#x}", meaning) for value, meaning in values))


def _exits() -> Iterator[str]:
    yield _EXITS
    yield _fields(exits.FLAGS_LAYOUT.fields)
    for kind, text in exits.EXPLANATIONS.items():
        yield f"`{kind.value}`: {text}"
    yield "### Exit reasons"
    rows = (
        (str(number), f"`{reason.name}`", reason.meaning, reason.only_on)
        for number, reason in exits.EXIT_REASONS.items()
    )
    yield _table(("number", "name", "meaning", "only on"), rows)


def _context() -> Iterator[str]:
    yield _CONTEXT
    yield _named("flag", CONTEXT)
    yield _named("outcome", OUTCOMES)


def _named(title: str, flags: Mapping[str, Flag]) -> str:
    return _table((title, "meaning"), ((f"`{flag.name}`", flag.meaning) for flag in flags.values()))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(page())
