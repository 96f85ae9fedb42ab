"""The form in which a batch travels from collector to server: MessagePack, version 1.

A batch stands alone: it names its host, its stream and number, describes every VM that it counts for,
and says which time it covers. The architecture's own lists are encoded as that architecture's types.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from faultmodel import arch
from faultmodel.errors import UnknownNameError, WireError
from faultmodel.record import Count, ExitCount, Host, Loss, Span, Text, Vm

VERSION = 1
CONTENT_TYPE = "application/vnd.kvmfaults.batch+msgpack"
MAX_BATCH_BYTES = 8 * 1024 * 1024
"""No batch is larger: the collector cuts, the server refuses."""
MAX_ITEMS = 200_000

StreamId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a host's collector saw between two readings of its counters.

    ``stream`` is new with every start of a collector; ``sequence`` counts its batches from 0 without a hole.
    ``fault_counts`` and ``exits`` hold the ``fault_count`` and ``exit`` records of architecture ``arch``.
    """

    host: Host
    stream: str
    sequence: int
    arch: str
    covered: tuple[Span, ...] = ()
    vms: tuple[Vm, ...] = ()
    fault_counts: tuple[Any, ...] = ()
    exit_counts: tuple[ExitCount, ...] = ()
    exits: tuple[Any, ...] = ()
    lost: tuple[Loss, ...] = ()


class _Envelope(Struct, frozen=True, kw_only=True):
    version: int
    host: Host
    stream: StreamId
    sequence: Count
    arch: Text
    covered: Annotated[tuple[Span, ...], Meta(max_length=MAX_ITEMS)]
    vms: Annotated[tuple[Vm, ...], Meta(max_length=MAX_ITEMS)]
    fault_counts: Raw
    exit_counts: Annotated[tuple[ExitCount, ...], Meta(max_length=MAX_ITEMS)]
    exits: Raw
    lost: Annotated[tuple[Loss, ...], Meta(max_length=MAX_ITEMS)]


def encode(batch: Batch) -> bytes:
    """Encode a batch."""
    return msgspec.msgpack.encode(
        _Envelope(
            version=VERSION,
            host=batch.host,
            stream=batch.stream,
            sequence=batch.sequence,
            arch=batch.arch,
            covered=batch.covered,
            vms=batch.vms,
            fault_counts=Raw(msgspec.msgpack.encode(batch.fault_counts)),
            exit_counts=batch.exit_counts,
            exits=Raw(msgspec.msgpack.encode(batch.exits)),
            lost=batch.lost,
        )
    )


def decode(data: bytes) -> Batch:
    """Decode a batch and check every field's type and bound, and that it counts only for VMs it describes.

    :raises WireError: saying which field is wrong
    """
    try:
        envelope = msgspec.msgpack.decode(data, type=_Envelope)
        if envelope.version != VERSION:
            raise WireError(f"batch has version {envelope.version}, this server reads version {VERSION}")
        architecture = arch.get(envelope.arch)
        batch = Batch(
            host=envelope.host,
            stream=envelope.stream,
            sequence=envelope.sequence,
            arch=envelope.arch,
            covered=envelope.covered,
            vms=envelope.vms,
            fault_counts=_decode_list(envelope.fault_counts, architecture.fault_count),
            exit_counts=envelope.exit_counts,
            exits=_decode_list(envelope.exits, architecture.exit),
            lost=envelope.lost,
        )
    except (msgspec.DecodeError, UnknownNameError, UnicodeDecodeError, RecursionError) as exc:
        raise WireError(f"not a batch: {exc}") from exc
    _check(batch)
    return batch


def _decode_list(raw: Raw, item: type) -> tuple[Any, ...]:
    return msgspec.msgpack.decode(raw, type=Annotated[tuple[item, ...], Meta(max_length=MAX_ITEMS)])  # type: ignore[valid-type]


def _check(batch: Batch) -> None:
    described = {vm.id for vm in batch.vms}
    for part in (batch.fault_counts, batch.exit_counts, batch.exits):
        for item in part:
            if item.vm not in described:
                raise WireError(f"batch counts for VM {item.vm} and does not describe it")
    for span in batch.covered:
        if span.to_ns < span.from_ns:
            raise WireError(f"covered span ends at {span.to_ns} before it begins at {span.from_ns}")
