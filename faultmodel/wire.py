# SPDX-License-Identifier: Apache-2.0
"""The form in which a batch travels from collector to server: MessagePack, version 5.

A batch stands alone: it names its host, its stream and number, describes every VM that it counts for,
and says which time it covers. The architecture's own lists are encoded as that architecture's types.

A version adds fields only at the end of structures, each with a default, so that what is written in the
version before is read in the same way: collectors and servers need not change at once. What an earlier one
says otherwise is brought into the form of this one when it is read (``faultmodel.earlier``).
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct, defstruct

from faultmodel import arch, bounded, earlier
from faultmodel.arch.base import NO_FORMAT, Architecture
from faultmodel.contradictions import check_content
from faultmodel.errors import UnknownVersionError, WireError
from faultmodel.ledger import check_ledger, check_stalls
from faultmodel.record import Count, Host, Text
from faultmodel.rows import Rows, column
from faultmodel.sections import SECTIONS, Content, Section, rows_of
from faultmodel.text import printable, with_printable_texts

VERSION = 5
"""The one that is written."""
READABLE_VERSIONS = (2, 3, 4, 5)
CONTENT_TYPE = "application/vnd.kvmfaults.batch+msgpack"
MAX_BATCH_BYTES = 8 * 1024 * 1024
"""No batch is larger: the collector cuts, the server refuses."""
DIGEST_HEADER = "Kvmfaults-Batch"
"""Of a final answer: the digest of the batch that it is about. Servers of earlier releases do not send it."""

StreamId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Content):
    """What a host's collector saw between two readings of its counters.

    ``stream`` is new with every start of a collector; ``sequence`` counts its batches from 0 without a hole.
    A large reading comes in several batches, one after the other, as ``part`` 0, 1, ...: what the last of
    them covers is covered only once all have arrived.
    ``counting`` names the programs and maps that counted: it outlives the collector where they do.
    ``arch`` is the architecture whose records it has.
    """

    host: Host
    stream: str
    sequence: int
    arch: str
    counting: str
    part: int = 0


@dataclass(frozen=True, slots=True)
class BatchName:
    """What identifies a batch: its host's name, its stream and its number there."""

    host: str
    stream: str
    sequence: int


class _Header(Struct, frozen=True):
    version: int


class _NamedHost(Struct, frozen=True):
    name: Text


class _Named(Struct, frozen=True):
    host: _NamedHost
    stream: StreamId
    sequence: Count


class _Head(Struct, frozen=True, kw_only=True):
    version: int
    host: Host
    stream: StreamId
    sequence: Count
    arch: Text
    counting: StreamId
    part: Count = 0


def _field(section: Section) -> tuple[str, Any] | tuple[str, Any, Any]:
    """The architecture's own rows are read once it is known which that is."""
    if section.is_architectures:
        return section.name, Raw
    rows = Annotated[tuple[section.row, ...], Meta(max_length=section.most)]  # type: ignore[name-defined]
    return (section.name, rows, ()) if section.since > READABLE_VERSIONS[0] else (section.name, rows)


_Envelope = defstruct("_Envelope", map(_field, SECTIONS), bases=(_Head,), frozen=True, kw_only=True)
_decode_header = msgspec.msgpack.Decoder(_Header).decode
_decode_envelope = msgspec.msgpack.Decoder(_Envelope).decode
_decode_named = msgspec.msgpack.Decoder(_Named).decode


def encode(batch: Batch) -> bytes:
    """Encode a batch."""
    rows: dict[str, Any] = rows_of(batch)
    for section in SECTIONS:
        if section.is_architectures:
            rows[section.name] = Raw(msgspec.msgpack.encode(rows[section.name]))
    head = {name: getattr(batch, name) for name in _Head.__struct_fields__ if name != "version"}
    return msgspec.msgpack.encode(_Envelope(version=VERSION, **head, **rows))


def decode(data: bytes) -> Batch:
    """Decode a batch and check every field's type and bound, and that it counts only for VMs it describes.

    Whoever sent it, its texts can be shown: see ``faultmodel.text``.

    :raises UnknownVersionError: another version of this program may read it
    :raises WireError: saying which field is wrong
    """
    if len(data) > MAX_BATCH_BYTES:
        raise WireError(f"batch has {len(data)} bytes, more than the {MAX_BATCH_BYTES} allowed")
    try:
        envelope = _envelope_of(data)
        architecture = _architecture(envelope.arch)
        batch = Batch(
            host=with_printable_texts(bounded.host(earlier.host(envelope.version, envelope.host))),
            stream=envelope.stream,
            sequence=envelope.sequence,
            arch=envelope.arch,
            counting=envelope.counting,
            part=envelope.part,
            **{section.name: _rows(section, envelope, architecture) for section in SECTIONS},
        )
        batch = replace(batch, events=bounded.events(earlier.events(envelope.version, batch.events)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise WireError(f"not a batch: {exc}") from exc
    check_content(batch)
    _check_formats(batch, architecture)
    if batch.part > batch.sequence:
        raise WireError(f"batch {batch.sequence} cannot be part {batch.part} of a reading: too few before it")
    check_ledger(batch.ledger, batch.fault_counts, batch.faults)
    check_stalls(batch.stall_ledger, batch.stalls)
    return batch


def digest_of(data: bytes) -> str:
    """Return what tells a batch's bytes from any others: 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def name_of(data: bytes) -> BatchName | None:
    """Return which batch this is, also where it cannot be read otherwise; None where that is not to be seen.

    A later version's is, as long as it names its batches in the same way.
    """
    try:
        named = _decode_named(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return BatchName(printable(named.host.name), named.stream, named.sequence)


def _envelope_of(data: bytes) -> _Head:
    try:
        envelope: Any = _decode_envelope(data)
    except msgspec.ValidationError:
        # A later version may be of another shape, and should be refused for what it is.
        _check_version(_decode_header(data).version)
        raise
    _check_version(envelope.version)
    head: _Head = envelope
    return head


def _check_version(version: int) -> None:
    if version not in READABLE_VERSIONS:
        known = ", ".join(map(str, READABLE_VERSIONS))
        raise UnknownVersionError(f"batch has version {version}, this server reads versions {known}")


def _architecture(name: str) -> Architecture:
    # An alias is refused: the name is the value of ``arch`` in the store.
    known = arch.architectures()
    if name not in known:
        raise UnknownVersionError(f"batch is of architecture {name!r}; this server knows {', '.join(known)}")
    return known[name]


def _rows(section: Section, envelope: _Head, architecture: Architecture) -> tuple[Any, ...]:
    rows: Any = getattr(envelope, section.name)
    if isinstance(section.row, str):
        decode_rows = _rows_decoder(getattr(architecture, section.row), section.most).decode
        try:
            rows = decode_rows(rows)
        except msgspec.DecodeError as exc:
            raise WireError(f"not a batch: {exc}, in {section.name}") from exc
    decoded: tuple[Any, ...] = with_printable_texts(rows) if section.has_texts else Rows(rows)
    return decoded


@cache
def _rows_decoder(row: type, most: int) -> "msgspec.msgpack.Decoder[tuple[Any, ...]]":
    kind: Any = Annotated[tuple[row, ...], Meta(max_length=most)]  # type: ignore[valid-type]
    return msgspec.msgpack.Decoder(kind)


def _check_formats(batch: Batch, architecture: Architecture) -> None:
    if architecture.format_field is None:
        return
    # An exit before which the kernel showed no fault has None.
    allowed = {*architecture.formats, NO_FORMAT, None}
    for section in SECTIONS:
        if not section.is_architectures:
            continue
        for name in set(column(section.rows(batch), architecture.format_field)) - allowed:
            known = ", ".join((*architecture.formats, NO_FORMAT))
            raise UnknownVersionError(
                f"batch has a syndrome of format {name!r}; this server knows {known} of {architecture.name}"
            )
