"""The form in which a batch travels from collector to server: MessagePack, version 4.

A batch stands alone: it names its host, its stream and number, describes every VM that it counts for,
and says which time it covers. The architecture's own lists are encoded as that architecture's types.

A version adds fields only at the end of structures, each with a default, so that what is written in the
version before is read in the same way: collectors and servers need not change at once. What an earlier one
says otherwise is brought into the form of this one when it is read (``faultmodel.earlier``).
"""

from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from faultmodel import arch, earlier
from faultmodel.arch.base import NO_FORMAT, Architecture
from faultmodel.errors import UnknownVersionError, WireError
from faultmodel.ledger import check_ledger
from faultmodel.record import Cost, Count, ExitCount, Host, HostEvent, LedgerEntry, Loss, Span, Text, Vm
from faultmodel.text import printable, with_printable_texts

VERSION = 4
"""The one that is written."""
READABLE_VERSIONS = (2, 3, 4)
CONTENT_TYPE = "application/vnd.kvmfaults.batch+msgpack"
MAX_BATCH_BYTES = 8 * 1024 * 1024
"""No batch is larger: the collector cuts, the server refuses."""
MAX_ITEMS = 200_000
MAX_HOST_ITEMS = 1000

StreamId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a host's collector saw between two readings of its counters.

    ``stream`` is new with every start of a collector; ``sequence`` counts its batches from 0 without a hole.
    A large reading comes in several batches, one after the other, as ``part`` 0, 1, ...: what the last of
    them covers is covered only once all have arrived.
    ``counting`` names the programs and maps that counted: it outlives the collector where they do.
    ``fault_counts``, ``faults`` and ``exits`` hold the ``fault_count``, ``fault`` and ``exit`` records of
    architecture ``arch``; ``faults`` are those guest faults that were recorded one by one.
    """

    host: Host
    stream: str
    sequence: int
    arch: str
    counting: str
    part: int = 0
    covered: tuple[Span, ...] = ()
    vms: tuple[Vm, ...] = ()
    fault_counts: tuple[Any, ...] = ()
    faults: tuple[Any, ...] = ()
    exit_counts: tuple[ExitCount, ...] = ()
    exits: tuple[Any, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    lost: tuple[Loss, ...] = ()
    events: tuple[HostEvent, ...] = ()
    costs: tuple[Cost, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchName:
    """What tells a batch from all others: its host's name, its stream and its number there."""

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


class _Envelope(Struct, frozen=True, kw_only=True):
    version: int
    host: Host
    stream: StreamId
    sequence: Count
    arch: Text
    counting: StreamId
    part: Count = 0
    covered: Annotated[tuple[Span, ...], Meta(max_length=MAX_ITEMS)]
    vms: Annotated[tuple[Vm, ...], Meta(max_length=MAX_ITEMS)]
    fault_counts: Raw
    faults: Raw
    exit_counts: Annotated[tuple[ExitCount, ...], Meta(max_length=MAX_ITEMS)]
    exits: Raw
    ledger: Annotated[tuple[LedgerEntry, ...], Meta(max_length=MAX_ITEMS)]
    lost: Annotated[tuple[Loss, ...], Meta(max_length=MAX_ITEMS)]
    events: Annotated[tuple[HostEvent, ...], Meta(max_length=MAX_HOST_ITEMS)]
    costs: Annotated[tuple[Cost, ...], Meta(max_length=MAX_HOST_ITEMS)]


_decode_header = msgspec.msgpack.Decoder(_Header).decode
_decode_envelope = msgspec.msgpack.Decoder(_Envelope).decode
_decode_named = msgspec.msgpack.Decoder(_Named).decode
_vm_of = attrgetter("vm")


def encode(batch: Batch) -> bytes:
    """Encode a batch."""
    return msgspec.msgpack.encode(
        _Envelope(
            version=VERSION,
            host=batch.host,
            stream=batch.stream,
            sequence=batch.sequence,
            arch=batch.arch,
            counting=batch.counting,
            part=batch.part,
            covered=batch.covered,
            vms=batch.vms,
            fault_counts=Raw(msgspec.msgpack.encode(batch.fault_counts)),
            faults=Raw(msgspec.msgpack.encode(batch.faults)),
            exit_counts=batch.exit_counts,
            exits=Raw(msgspec.msgpack.encode(batch.exits)),
            ledger=batch.ledger,
            lost=batch.lost,
            events=batch.events,
            costs=batch.costs,
        )
    )


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
            host=with_printable_texts(earlier.host(envelope.version, envelope.host)),
            stream=envelope.stream,
            sequence=envelope.sequence,
            arch=envelope.arch,
            counting=envelope.counting,
            part=envelope.part,
            covered=envelope.covered,
            vms=with_printable_texts(envelope.vms),
            fault_counts=_decode_list("fault_counts", envelope.fault_counts, architecture.fault_count),
            faults=_decode_list("faults", envelope.faults, architecture.fault),
            exit_counts=envelope.exit_counts,
            exits=_decode_list("exits", envelope.exits, architecture.exit),
            ledger=envelope.ledger,
            lost=with_printable_texts(envelope.lost),
            events=with_printable_texts(earlier.events(envelope.version, envelope.events)),
            costs=envelope.costs,
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise WireError(f"not a batch: {exc}") from exc
    _check_vms(batch)
    _check_formats(batch, architecture)
    _check_spans(batch.covered)
    if batch.part > batch.sequence:
        raise WireError(f"batch {batch.sequence} cannot be part {batch.part} of a reading: too few before it")
    check_ledger(batch.ledger, batch.fault_counts, batch.faults)
    return batch


def name_of(data: bytes) -> BatchName | None:
    """Return which batch this is, also where it cannot be read otherwise; None where that is not to be seen.

    A later version's is, as long as it names its batches in the same way.
    """
    try:
        named = _decode_named(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return BatchName(printable(named.host.name), named.stream, named.sequence)


def _envelope_of(data: bytes) -> _Envelope:
    try:
        envelope = _decode_envelope(data)
    except msgspec.ValidationError:
        # A later version may be of another shape, and should be refused for what it is.
        _check_version(_decode_header(data).version)
        raise
    _check_version(envelope.version)
    return envelope


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


def _decode_list(field: str, raw: Raw, item: type) -> tuple[Any, ...]:
    try:
        return _list_decoder(item).decode(raw)
    except msgspec.DecodeError as exc:
        raise WireError(f"not a batch: {exc}, in {field}") from exc


@cache
def _list_decoder(item: type) -> "msgspec.msgpack.Decoder[tuple[Any, ...]]":
    kind: Any = Annotated[tuple[item, ...], Meta(max_length=MAX_ITEMS)]  # type: ignore[valid-type]
    return msgspec.msgpack.Decoder(kind)


# A batch has many rows and few VMs and formats: these are gathered in C before they are looked at.


def _check_vms(batch: Batch) -> None:
    described = {vm.id for vm in batch.vms}
    for part in (batch.fault_counts, batch.faults, batch.exit_counts, batch.exits, batch.ledger):
        for vm_id in set(map(_vm_of, part)) - described:
            raise WireError(f"batch counts for VM {vm_id} and does not describe it")


def _check_formats(batch: Batch, architecture: Architecture) -> None:
    if architecture.format_field is None:
        return
    # An exit before which the kernel showed no fault has None.
    allowed = {*architecture.formats, NO_FORMAT, None}
    format_of = attrgetter(architecture.format_field)
    for part in (batch.fault_counts, batch.faults, batch.exits):
        for name in set(map(format_of, part)) - allowed:
            known = ", ".join((*architecture.formats, NO_FORMAT))
            raise UnknownVersionError(
                f"batch has a syndrome of format {name!r}; this server knows {known} of {architecture.name}"
            )


def _check_spans(spans: tuple[Span, ...]) -> None:
    for span in spans:
        if span.to_ns < span.from_ns:
            raise WireError(f"covered span ends at {span.to_ns} before it begins at {span.from_ns}")
