# SPDX-License-Identifier: Apache-2.0
"""The fields of ESR_EL2. Which ones a word has depends on its class, its ISV bit and its fault status."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType

from faultmodel.arch.arm64.codes import (
    EC_DABT_CUR,
    EC_DABT_LOW,
    EC_IABT_CUR,
    EC_IABT_LOW,
    EXCEPTION_CLASSES,
    EXTERNAL_ABORT,
    EXTERNAL_ABORTS,
    FAULT_STATUSES,
    PERMISSION_FAULTS,
    STAGE_FAULTS,
    WNR_UNDEFINED,
)
from faultmodel.bits import BitField, BitLayout

DATA_ABORTS = frozenset((EC_DABT_LOW, EC_DABT_CUR))
INSTRUCTION_ABORTS = frozenset((EC_IABT_LOW, EC_IABT_CUR))

FSC = 0x3F
WNR = 1 << 6
S1PTW = 1 << 7
CM = 1 << 8
LST = 3 << 11
ISV = 1 << 24
TAG_ACCESS = 1 << 41

_ST64BV = (1 << 11, 3 << 11)

_ESR = 'Arm ARM DDI 0487, "ESR_EL2", '
_FRAME = _ESR + "field descriptions"
_DATA = _ESR + "ISS encoding for a Data Abort"
_DATA_2 = _ESR + "ISS2 encoding for a Data Abort"
_INSTRUCTION = _ESR + "ISS encoding for an Instruction Abort"
_INSTRUCTION_2 = _ESR + "ISS2 encoding for an Instruction Abort"

_FSC_MEANINGS = {code: status.meaning for code, status in FAULT_STATUSES.items()}
_REGISTERS = {number: f"X{number}" for number in range(31)} | {31: "XZR"}
_ISV_1 = "ISV is 1"
_ISV_0 = "ISV is 0"
_SET = {0: "recoverable", 2: "uncontainable", 3: "restartable"}
_EXTERNAL = "external abort"
_NOT_ON_WALK = "external abort outside of a walk"
_PERMISSION = "permission fault"
_TOP_LEVEL = "the TopLevel check"
_PERMISSION_CAUSES = (
    ("dirty_bit", 37, "the dirty state (indirect permissions)"),
    ("overlay", 38, "a permission overlay"),
    ("assured_only", 39, "AssuredOnly, at stage 2"),
)

_OfStatus = tuple[BitField, frozenset[int]]
"""A field, and the fault status codes with which it is defined: with any other its bit says nothing."""


def _ordered(fields: Iterable[BitField]) -> tuple[BitField, ...]:
    return tuple(sorted(fields, key=lambda item: (item.low, item.undefined)))


def _of_status(fields: Iterable[_OfStatus], fsc: int) -> Iterator[BitField]:
    for item, codes in fields:
        yield item if fsc in codes else _undefined(item)


def _undefined(item: BitField) -> BitField:
    kind, comma, isv = item.when.partition(", ")
    return item.not_defined(f"any other fault{comma}{isv}", f"this is no {kind}")


def _both(fields: Iterable[_OfStatus]) -> Iterator[BitField]:
    for item, _ in fields:
        yield from (item, _undefined(item))


_CLASS = (
    BitField(
        "il",
        25,
        1,
        "the instruction is 32 bits long, or the exception does not say",
        _FRAME,
        {
            0: "the instruction is 16 bits long",
            1: "the instruction is 32 bits long, or the exception does not say",
        },
    ),
    BitField("ec", 26, 6, "exception class", _FRAME, EXCEPTION_CLASSES),
)

_OTHER = BitLayout(
    (
        BitField("iss", 0, 25, "syndrome of this exception class, not decoded", _FRAME),
        *_CLASS,
        BitField("iss2", 32, 24, "second syndrome of this exception class, not decoded", _FRAME),
    )
)

_DATA_COMMON = (
    BitField("dfsc", 0, 6, "data fault status code", _DATA, _FSC_MEANINGS),
    BitField("s1ptw", 7, 1, "the access was made by a walk of the guest's stage-1 tables", _DATA),
    BitField("cm", 8, 1, "a cache maintenance or address translation instruction", _DATA),
    BitField("isv", 24, 1, "bits 23 to 14 describe the instruction: one register, no writeback", _DATA),
    *_CLASS,
    BitField("gcs", 40, 1, "the access was to a guarded control stack", _DATA_2),
    BitField("tnd", 42, 1, "stage-1 fault: a tag was written to canonically tagged memory", _DATA_2),
    BitField("hdbssf", 43, 1, "the dirty state structure (HDBSS) was full or could not be written", _DATA_2),
)
_DATA_OF_STATUS: tuple[_OfStatus, ...] = (
    (
        BitField("ea", 9, 1, "type of external abort, implementation defined", _DATA, when=_EXTERNAL),
        EXTERNAL_ABORTS,
    ),
    (BitField("fnv", 10, 1, "FAR_EL2 is not valid", _DATA, when=_NOT_ON_WALK), frozenset((EXTERNAL_ABORT,))),
    *(
        (
            BitField(name, low, 1, f"{_PERMISSION} because of {cause}", _DATA_2, when=_PERMISSION),
            PERMISSION_FAULTS,
        )
        for name, low, cause in (*_PERMISSION_CAUSES, ("tag_access", 41, "NoTagAccess memory"))
    ),
)
_VNCR = BitField(
    "vncr",
    13,
    1,
    "the access went through VNCR_EL2 (nested virtualization)",
    _DATA,
    when="from the same exception level",
)
_NO_VNCR = _VNCR.not_defined("from a lower exception level", "the access is a lower exception level's")
_WNR = BitField(
    "wnr",
    6,
    1,
    "the access was a write; always 1 for cache maintenance and address translation",
    _DATA,
    {0: "the access was a read", 1: "the access was a write, or cache maintenance or address translation"},
    when="any other fault",
)
_NO_WNR = BitField(
    "wnr",
    6,
    1,
    "not defined here",
    _DATA,
    when="unsupported atomic access or update",
    undefined=True,
)
_ISV_SET = (
    BitField("ar", 14, 1, "the instruction has acquire or release semantics", _DATA, when=_ISV_1),
    BitField(
        "sf",
        15,
        1,
        "the register is 64 bits wide",
        _DATA,
        {0: "32-bit register", 1: "64-bit register"},
        when=_ISV_1,
    ),
    BitField("srt", 16, 5, "register that was loaded or stored", _DATA, _REGISTERS, when=_ISV_1),
    BitField("sse", 21, 1, "the loaded value is sign-extended", _DATA, when=_ISV_1),
    BitField(
        "sas",
        22,
        2,
        "access size",
        _DATA,
        {0: "1 byte", 1: "2 bytes", 2: "4 bytes", 3: "8 bytes"},
        when=_ISV_1,
    ),
)
_FNP = BitField("fnp", 15, 1, "FAR_EL2 is not precise (SVE or SME access)", _DATA, when=_ISV_0)
_ISV_CLEAR_OF_STATUS: tuple[_OfStatus, ...] = (
    (BitField("pfv", 14, 1, "PFAR_EL2 is valid", _DATA, when=f"{_EXTERNAL}, {_ISV_0}"), EXTERNAL_ABORTS),
    (
        BitField(
            "top_level",
            21,
            1,
            f"{_PERMISSION} because of {_TOP_LEVEL}",
            _DATA,
            when=f"{_PERMISSION}, {_ISV_0}",
        ),
        PERMISSION_FAULTS,
    ),
)
_XS = BitField(
    "xs", 32, 5, "register that receives the status", _DATA_2, _REGISTERS, when="ST64BV or ST64BV0"
)
# Kept as a field of its own, so that a 0 here does not read as register X0.
_NO_XS = BitField(
    "xs", 32, 5, "no status register", _DATA_2, {0: "no status register"}, when="any other access"
)
_LST = BitField(
    "lst",
    11,
    2,
    "kind of 64-byte access",
    _DATA,
    {0: "no 64-byte access", 1: "ST64BV", 2: "LD64B or ST64B", 3: "ST64BV0"},
    when="translation, access flag or permission fault",
)
_DATA_SET = BitField(
    "set", 11, 2, "state of the CPU after an external abort", _DATA, _SET, when="external abort"
)
_WU = BitField(
    "wu",
    16,
    2,
    "whether a store that met an external abort updated memory (FEAT_RASv2)",
    _DATA,
    {0: "not a store, or not known", 2: "the store did not update memory", 3: "the store updated memory"},
    when="external abort, ISV is 0",
)

_INSTRUCTION_COMMON = (
    BitField("ifsc", 0, 6, "instruction fault status code", _INSTRUCTION, _FSC_MEANINGS),
    BitField("s1ptw", 7, 1, "the access was made by a walk of the guest's stage-1 tables", _INSTRUCTION),
    *_CLASS,
    BitField(
        "hdbssf", 43, 1, "the dirty state structure (HDBSS) was full or could not be written", _INSTRUCTION_2
    ),
)
_INSTRUCTION_OF_STATUS: tuple[_OfStatus, ...] = (
    (
        BitField("ea", 9, 1, "type of external abort, implementation defined", _INSTRUCTION, when=_EXTERNAL),
        EXTERNAL_ABORTS,
    ),
    (
        BitField("fnv", 10, 1, "FAR_EL2 is not valid", _INSTRUCTION, when=_NOT_ON_WALK),
        frozenset((EXTERNAL_ABORT,)),
    ),
    (BitField("pfv", 14, 1, "PFAR_EL2 is valid", _INSTRUCTION, when=_EXTERNAL), EXTERNAL_ABORTS),
    (
        BitField(
            "top_level", 21, 1, f"{_PERMISSION} because of {_TOP_LEVEL}", _INSTRUCTION, when=_PERMISSION
        ),
        PERMISSION_FAULTS,
    ),
    *(
        (
            BitField(name, low, 1, f"{_PERMISSION} because of {cause}", _INSTRUCTION_2, when=_PERMISSION),
            PERMISSION_FAULTS,
        )
        for name, low, cause in _PERMISSION_CAUSES
    ),
)
_INSTRUCTION_SET = BitField(
    "set",
    11,
    2,
    "state of the CPU after an external abort",
    _INSTRUCTION,
    _SET,
    when=_NOT_ON_WALK,
)


FIELDS: Mapping[str, tuple[BitField, ...]] = MappingProxyType(
    {
        "data abort": _ordered(
            (
                *(
                    *_DATA_COMMON,
                    _WNR,
                    _NO_WNR,
                    _VNCR,
                    _NO_VNCR,
                    *_ISV_SET,
                    _FNP,
                    _XS,
                    _NO_XS,
                    _LST,
                    _DATA_SET,
                    _WU,
                ),
                *_both((*_DATA_OF_STATUS, *_ISV_CLEAR_OF_STATUS)),
            )
        ),
        "instruction abort": _ordered(
            (*_INSTRUCTION_COMMON, _INSTRUCTION_SET, *_both(_INSTRUCTION_OF_STATUS))
        ),
        "any other exception class": _OTHER.fields,
    }
)
"""Every field of ESR_EL2, by kind of word."""


def exception_class(esr: int) -> int:
    """Return EC, bits 31 to 26."""
    return esr >> 26 & 0x3F


def is_data_abort(esr: int) -> bool:
    """Return whether EC is a data abort, of either exception level."""
    return exception_class(esr) in DATA_ABORTS


def is_instruction_abort(esr: int) -> bool:
    """Return whether EC is an instruction abort, of either exception level."""
    return exception_class(esr) in INSTRUCTION_ABORTS


def layout(esr: int) -> BitLayout:
    """Return the fields of this word."""
    if is_data_abort(esr):
        is_own = exception_class(esr) == EC_DABT_CUR
        return _data_abort(bool(esr & ISV), esr & FSC, esr & LST in _ST64BV, is_own)
    if is_instruction_abort(esr):
        return _instruction_abort(esr & FSC)
    return _OTHER


@cache
def _data_abort(isv: bool, fsc: int, st64bv: bool, is_own: bool) -> BitLayout:
    of_isv = _ISV_SET if isv else (_FNP, *_of_status(_ISV_CLEAR_OF_STATUS, fsc))
    fields = [*_DATA_COMMON, *_of_status(_DATA_OF_STATUS, fsc), *of_isv]
    fields.append(_VNCR if is_own else _NO_VNCR)
    fields.append(_NO_WNR if fsc in WNR_UNDEFINED else _WNR)
    fields.append(_XS if st64bv and fsc in STAGE_FAULTS else _NO_XS)
    if fsc in STAGE_FAULTS:
        fields.append(_LST)
    if fsc in EXTERNAL_ABORTS:
        fields.append(_DATA_SET)
        if not isv:
            fields.append(_WU)
    return BitLayout(_ordered(fields))


@cache
def _instruction_abort(fsc: int) -> BitLayout:
    # SET is defined for the external abort that was not on a walk only; a data abort has it for both.
    extra = [_INSTRUCTION_SET] if fsc == EXTERNAL_ABORT else []
    of_status = _of_status(_INSTRUCTION_OF_STATUS, fsc)
    return BitLayout(_ordered((*_INSTRUCTION_COMMON, *of_status, *extra)))
