# SPDX-License-Identifier: Apache-2.0
"""The vocabulary: architectures, their words, and words decoded."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from backend.api import schemas
from backend.api.bodies import read_body
from backend.api.parameters import Parameters
from backend.api.presented import bits_text, decoded_body
from backend.api.responses import reader_problems
from backend.api.services import ServicesDep
from faultmodel import arch, context, exits, pasted
from faultmodel.arch.base import Flag, SyndromeFormat
from faultmodel.bits import BitField
from faultmodel.numbers import Number, likely_first, parse_numbers

router = APIRouter(prefix="/api/v1", tags=["Vocabulary"])

_MAX_TEXT_BYTES = pasted.MAX_CHARACTERS
_TEXT_EXAMPLE = "kvm_page_fault: vcpu 0 rip 0xfff0 address 0x4000 error_code 0x181"
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


class DecodeParameters(Parameters):
    """How a word is read."""

    format: str | SkipJsonSchema[None] = Field(
        None,
        max_length=64,
        description="Read it in this format only; x86_64 has `ept`, `npf` and `pferr`.",
        examples=["npf"],
    )


@router.get("/decode/{arch}/{word}", responses=reader_problems(404))
def decode_word(
    arch_name: Annotated[
        str, Path(alias="arch", description="An architecture, as `uname -m` has it.", examples=["x86_64"])
    ],
    word: Annotated[
        str,
        Path(
            description="64-bit word. Digits alone are read as hexadecimal and as decimal.",
            examples=["0x200000006"],
        ),
    ],
    asked: Annotated[DecodeParameters, Query()],
) -> schemas.Decoding:
    """Decode a word in one format, or in each that the architecture has."""
    architecture = arch.get(arch_name)
    formats = (
        architecture.formats.values() if asked.format is None else [architecture.format_named(asked.format)]
    )
    numbers = parse_numbers(word)
    readings = [_reading(form, number) for form in formats for number in likely_first(numbers, form)]
    return schemas.Decoding(arch=architecture.name, word=readings[0].word, readings=readings)


@router.post(
    "/decode",
    response_model=schemas.FoundWords,
    responses=reader_problems(404, 408, 413, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": f"UTF-8, at most {_MAX_TEXT_BYTES} bytes.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": _TEXT_EXAMPLE}},
        }
    },
)
async def decode_text(request: Request, services: ServicesDep) -> Response:
    """Find every word in lines of a trace or a log, and decode it; or a word with its kind before it.

    ftrace, trace-cmd, perf, KVM's and QEMU's error messages, dumps of a VMCB or VMCS, and what VMMs print of
    memory-fault exits are known.
    """
    body = await read_body(request, _MAX_TEXT_BYTES, "text/plain")
    # The answer, too, is made there: it may be longer than the text by far.
    return Response(await services.decoding.run(_found_words, body), media_type="application/json")


def _found_words(body: bytes) -> str:
    found = pasted.find(body.decode("utf-8", "replace"))
    items = [_found(item) for item in found.items]
    return schemas.FoundWords(items=items, truncated=found.truncated).model_dump_json()


def _reading(form: SyndromeFormat, number: Number) -> schemas.Reading:
    return schemas.Reading(
        format=form.name,
        title=form.title,
        word=hex(number.value),
        base=number.base,
        decoded=decoded_body(form, number.value),
    )


def _found(item: pasted.Found) -> schemas.FoundWord:
    return schemas.FoundWord(
        line=item.line,
        where=item.where,
        target=item.target,
        word=hex(item.word),
        summary=item.summary,
        decoded=None if item.syndrome is None else decoded_body(item.syndrome, item.word),
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
