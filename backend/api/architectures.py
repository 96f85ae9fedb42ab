"""The vocabulary: architectures, their words, and words decoded."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic.json_schema import SkipJsonSchema

from backend.api import schemas
from backend.api.presented import bits_text, decoded_body
from backend.api.responses import reader_problems
from faultmodel import arch, context, exits
from faultmodel.arch.base import Flag, SyndromeFormat
from faultmodel.bits import BitField, parse_word

router = APIRouter(prefix="/api/v1", tags=["Vocabulary"])

_ALL_EXIT_FLAGS = sum(field.mask for field in exits.FLAGS_LAYOUT.fields)


@router.get("/architectures", responses=reader_problems())
def list_architectures() -> schemas.Architectures:
    """List every architecture with its syndrome formats, and the flags that all have in common."""
    return schemas.Architectures(
        items=[
            schemas.ArchitectureDefinition(
                name=one.name,
                machines=list(one.machines),
                formats=[_format(form) for form in one.formats.values()],
            )
            for one in arch.architectures().values()
        ],
        exit_flags=_flags(exits.flags(_ALL_EXIT_FLAGS)),
        context=_flags(context.CONTEXT.values()),
        outcomes=_flags(context.OUTCOMES.values()),
    )


@router.get("/decode/{arch}/{word}", responses=reader_problems(404))
def decode_word(
    arch_name: Annotated[
        str, Path(alias="arch", description="An architecture, as `uname -m` has it.", examples=["x86_64"])
    ],
    word: Annotated[
        str, Path(description="64-bit word, 0x-hexadecimal or decimal.", examples=["0x200000006"])
    ],
    format_name: Annotated[
        str | SkipJsonSchema[None],
        Query(
            alias="format",
            max_length=64,
            description="Read it in this format only; x86_64 has `ept`, `npf` and `pferr`.",
            examples=["npf"],
        ),
    ] = None,
) -> schemas.Decoding:
    """Decode a word in one format, or in each that the architecture has."""
    architecture = arch.get(arch_name)
    formats = (
        architecture.formats.values() if format_name is None else [architecture.format_named(format_name)]
    )
    number = parse_word(word)
    return schemas.Decoding(
        arch=architecture.name,
        word=hex(number),
        readings=[
            schemas.Reading(format=form.name, title=form.title, decoded=decoded_body(form, number))
            for form in formats
        ],
    )


def _format(form: SyndromeFormat) -> schemas.FormatDefinition:
    fields = [_field(kind, field) for kind, fields in form.fields.items() for field in fields]
    return schemas.FormatDefinition(name=form.name, title=form.title, fields=fields)


def _field(kind: str, field: BitField) -> schemas.FieldDefinition:
    return schemas.FieldDefinition(
        kind=kind,
        name=field.name,
        bits=bits_text(field),
        low=field.low,
        width=field.width,
        meaning=field.meaning,
        when=field.when,
        values={hex(value): meaning for value, meaning in field.values.items()},
        source=field.source,
        proposed=field.proposed,
        defined=not field.undefined,
    )


def _flags(flags: Iterable[Flag]) -> list[schemas.FlagDefinition]:
    return [
        schemas.FlagDefinition(flag=flag.name, side=flag.side, bit=flag.bit, meaning=flag.meaning)
        for flag in flags
    ]
