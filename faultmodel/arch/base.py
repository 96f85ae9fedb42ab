# SPDX-License-Identifier: Apache-2.0
"""What an architecture must provide, and the check that it does.

To add an architecture, write one module ``faultmodel/arch/<name>.py``, or a package of that name, that ends
in ``ARCHITECTURE = Architecture(...)``. The registry finds it. The server's tables of faults and exits, the
API, the decoder and the documentation are derived from it. It defines

- ``Fault``, the full record of one guest fault, with every word that the hardware gave;
- ``FaultCount``, the count of faults of one VM, vCPU and syndrome in one bucket;
- ``Exit``, the record of one memory-fault or bare error exit;
- one ``SyndromeFormat`` for each form in which the hardware's word comes.

These are the architecture's own types; nothing is inherited. The fields that common code relies on are
checked here, by name and type, when the architecture is registered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Union, get_args, get_origin, get_type_hints

from faultmodel.bits import BitField, BitLayout, Decoded
from faultmodel.causes import Cause
from faultmodel.errors import ArchitectureError, UnknownNameError
from faultmodel.record import COUNTERS, Access, ExitKind, Side

NO_FORMAT = "none"
"""In a record's format field: the kernel showed no syndrome for these faults."""

FAULT_FIELDS: Mapping[str, tuple[type, ...]] = {
    "time_ns": (int,),
    "monotonic_ns": (int,),
    "vm": (str,),
    "vcpu": (int,),
    "gpa": (int, type(None)),
    "l2_address": (int, type(None)),
    "gva": (int, type(None)),
    "guest_pc": (int, type(None)),
    "access": (Access,),
    "private": (bool, type(None)),
    "memslot": (int, type(None)),
    "weight": (int,),
    "nested": (bool, type(None)),
}
"""Required of every architecture's ``Fault``: field or property, and the types that it may have.

``gpa`` is the VM's own guest-physical address and nothing else: that of a guest's guest is ``l2_address``.
``gva`` is the address that the guest accessed, ``guest_pc`` that of the instruction; None where not shown.
"""

COUNT_FIELDS: Mapping[str, tuple[type, ...]] = {
    "bucket_ms": (int,),
    "vm": (str,),
    "vcpu": (int,),
    **dict.fromkeys(COUNTERS, (int,)),
}

EXIT_FIELDS: Mapping[str, tuple[type, ...]] = {
    "time_ns": (int,),
    "monotonic_ns": (int,),
    "vm": (str,),
    "vcpu": (int,),
    "kind": (ExitKind,),
    "reason": (int,),
    "errno": (int,),
    "flags": (int, type(None)),
    "gpa": (int, type(None)),
    "size": (int, type(None)),
    "vm_gpa": (int, type(None)),
    "l2_address": (int, type(None)),
    "nested": (bool, type(None)),
    "cause": (Cause, type(None)),
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing that a syndrome or a context says, for breakdowns.

    ``bit`` is the bit's number in the word, None where the flag is derived from several.
    """

    name: str
    side: Side
    bit: int | None
    meaning: str


@dataclass(frozen=True, slots=True)
class SyndromeFormat:
    """One form of the hardware's word.

    ``access`` and ``flags`` are total functions over all 64-bit words.
    """

    name: str
    title: str
    layout: Callable[[int], BitLayout]
    """The bits of this word: which layout holds may depend on the word (arm64: data or instruction abort)."""
    access: Callable[[int], Access]
    flags: Callable[[int], tuple[Flag, ...]]
    summary: Callable[[int], str]
    """The word in one line: "write, page not present, final translation"."""
    fields: Mapping[str, tuple[BitField, ...]]
    """Every field that a word can have, by kind of word, lowest bit first. ``layout`` picks from these."""
    marks: int = 0
    """Bits of which the hardware sets one in each of its words; 0 where there are none."""

    def decode(self, word: int) -> Decoded:
        """Decode a word, 0 <= word < 2**64. Never fails; unknown bits are in the result."""
        return self.layout(word).decode(word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """An architecture's records, formats and names."""

    name: str
    """Canonical, as ``uname -m`` has it: also the value of ``arch`` in batches, SQL and the API."""
    table_prefix: str
    """Of its tables of records: ``x86`` gives ``x86_faults`` and ``x86_exits``. Counts share one table."""
    machines: tuple[str, ...]
    """Every ``uname -m`` that means this architecture."""
    fault: type
    fault_count: type
    exit: type
    formats: Mapping[str, SyndromeFormat]
    word_field: str
    """The field of ``fault``, ``fault_count`` and ``exit`` that holds the hardware's word."""
    format_field: str | None
    """The field that names the word's format, None where the architecture has only one."""
    software_fields: tuple[str, ...] = ()
    """The architecture's own fields of ``fault`` that KVM worked out; the others are the hardware's words."""

    def format_of(self, record: object) -> SyndromeFormat | None:
        """Return the format of a record's word, None where the kernel showed no syndrome."""
        if self.format_field is None:
            return None if getattr(record, self.word_field) is None else next(iter(self.formats.values()))
        return self.formats.get(getattr(record, self.format_field) or "")

    def format_named(self, name: str) -> SyndromeFormat:
        """Return one of ``formats``.

        :raises UnknownNameError: this architecture has no such format
        """
        try:
            return self.formats[name]
        except KeyError:
            known = ", ".join(self.formats)
            raise UnknownNameError(f"{self.name} has no syndrome format {name!r}; it has {known}") from None


def check(architecture: Architecture) -> None:
    """Assert that an architecture provides what every architecture must.

    :raises ArchitectureError: naming the record and the field that is missing or mistyped
    """
    for title, record, required in (
        ("fault", architecture.fault, FAULT_FIELDS),
        ("fault count", architecture.fault_count, COUNT_FIELDS),
        ("exit", architecture.exit, EXIT_FIELDS),
    ):
        for field, types in required.items():
            _check_field(architecture.name, title, record, field, types)
        _check_field(architecture.name, title, record, architecture.word_field, (int, type(None)))
        if architecture.format_field is not None:
            _check_field(architecture.name, title, record, architecture.format_field, (str, type(None)))
    if not architecture.formats:
        raise ArchitectureError(f"architecture {architecture.name}: no syndrome format")
    for name, item in architecture.formats.items():
        if name != item.name or name == NO_FORMAT:
            raise ArchitectureError(
                f"architecture {architecture.name}: format {item.name!r} under name {name!r}"
            )
    if architecture.format_field is None and len(architecture.formats) != 1:
        raise ArchitectureError(
            f"architecture {architecture.name}: several formats and no field that names one"
        )


def _check_field(arch: str, title: str, record: type, field: str, types: tuple[type, ...]) -> None:
    where = f"architecture {arch}: its {title} record"
    found = _types_of(record, field)
    if found is None:
        raise ArchitectureError(f"{where} lacks the required field {field!r}")
    wrong = [_name(item) for item in found if item not in types]
    if wrong:
        allowed = " or ".join(_name(item) for item in types)
        raise ArchitectureError(f"{where} has {', '.join(wrong)} in field {field!r}, must be {allowed}")


def _types_of(record: type, field: str) -> tuple[object, ...] | None:
    """Return what a field or property may hold, None where there is no such field."""
    attribute = getattr(record, field, None)
    if isinstance(attribute, property):
        # A property that does not say what it returns has no type that is allowed.
        hint = get_type_hints(attribute.fget).get("return", object)
    else:
        hint = get_type_hints(record).get(field)
    if hint is None:
        return None
    # Only a union's arguments are alternatives: those of list[int] are not.
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _name(kind: object) -> str:
    if kind is type(None):
        return "None"
    return kind.__name__ if isinstance(kind, type) else str(kind)
