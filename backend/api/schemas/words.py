# SPDX-License-Identifier: Apache-2.0
"""Words as they are read, and everything that they are read by."""

from pydantic import BaseModel, Field

from backend.api.schemas.fields import WordText
from faultmodel.record import Access, Side


class WordField(BaseModel):
    """A field of a word, with the value it has there."""

    name: str = Field(examples=["write"])
    bits: str = Field(description="Highest and lowest bit, or the only one", examples=["31:26"])
    low: int = Field(description="Lowest bit", ge=0, le=63)
    width: int = Field(description="Number of bits", ge=1, le=64)
    value: WordText
    meaning: str
    source: str = Field(description="The manual or kernel source that defines it")
    proposed: bool = Field(description="Seen in patches that no released kernel has")
    defined: bool = Field(description="False where the manual leaves these bits undefined in this word")


class Decoded(BaseModel):
    """A word as one format reads it; every set bit is in a field or in `unknown_bits`."""

    summary: str = Field(examples=["write, page not present, final translation"])
    access: Access
    flags: list[str] = Field(examples=[["write", "npt_user", "guest_final"]])
    undefined: list[str] = Field(
        description="Fields that are set and say nothing: the manual leaves them undefined in this word",
        examples=[[]],
    )
    fields: list[WordField]
    unknown_bits: list[int]


class FieldDefinition(BaseModel):
    """A field that a word can have."""

    kind: str = Field(description="Kind of word that has it", examples=["data abort"])
    name: str = Field(examples=["dfsc"])
    bits: str = Field(examples=["5:0"])
    low: int
    width: int
    meaning: str
    when: str = Field(description="In which words of the kind it is there, empty where in all")
    values: dict[str, str] = Field(description="Meaning by value in hexadecimal, where the field is a code")
    source: str
    proposed: bool
    defined: bool = Field(
        description="False where the manual leaves these bits undefined, in the words of `when`"
    )


class FormatDefinition(BaseModel):
    """A form in which an architecture's word comes."""

    name: str = Field(examples=["npf"])
    title: str
    fields: list[FieldDefinition]


class FlagDefinition(BaseModel):
    """A flag that is the same on every architecture."""

    flag: str = Field(examples=["private"])
    side: Side
    bit: int | None
    meaning: str


class ArchitectureDefinition(BaseModel):
    """An architecture and its syndrome formats."""

    name: str = Field(examples=["x86_64"])
    machines: list[str] = Field(description="Every `uname -m` that means it", examples=[["x86_64", "amd64"]])
    formats: list[FormatDefinition]


class Architectures(BaseModel):
    """Everything that words are decoded by."""

    items: list[ArchitectureDefinition]
    exit_flags: list[FlagDefinition] = Field(description="Bits of a memory-fault exit's flags")
    context: list[FlagDefinition] = Field(description="What KVM knew when it handled the fault")
    outcomes: list[FlagDefinition] = Field(description="How a fault ended")


class Reading(BaseModel):
    """The word read in one format, of digits alone as hexadecimal and as decimal, the likely one first."""

    format: str = Field(examples=["npf"])
    title: str
    word: WordText
    base: str = Field(
        description="How digits alone were read: `hexadecimal` or `decimal`; empty where there is one way",
        examples=[""],
    )
    decoded: Decoded


class Decoding(BaseModel):
    """A word, read in each format that was asked for: the word does not show which it is in."""

    arch: str = Field(examples=["x86_64"])
    word: WordText = Field(description="That of the first reading")
    readings: list[Reading]


class FoundWord(BaseModel):
    """A word in a text."""

    line: int = Field(description="From 1", ge=1)
    where: str = Field(description="What gave it", examples=["kvm_page_fault error_code"])
    target: str = Field(
        description="What it is: an architecture and format, `exit-reason`, `errno`, `exit` (flags of a "
        "memory-fault exit), `address` or `code`",
        examples=["x86_64:ept"],
    )
    word: WordText
    summary: str
    decoded: Decoded | None = Field(description="Null where it is no word of bits")


class FoundWords(BaseModel):
    """Every word of a text that is known, in order; at most 64. What may be in several formats is in each."""

    items: list[FoundWord]
    truncated: bool = Field(description="The text was not looked at to its end: there may be more words")
