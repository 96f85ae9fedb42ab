# SPDX-License-Identifier: Apache-2.0
"""Reads the head of a batch of any wire version, without decoding the rest."""

import msgspec
from msgspec import Struct

from faultmodel.record import Span


class _Host(Struct):
    name: str
    boot_id: str = ""


class _Named(Struct):
    host: _Host


class _Counts(Struct):
    host: _Host
    version: int = 0
    stream: str = ""
    sequence: int = 0
    covered: tuple[Span, ...] = ()
    vms: tuple[msgspec.Raw, ...] = ()


_decode_named = msgspec.msgpack.Decoder(_Named).decode
_decode_counts = msgspec.msgpack.Decoder(_Counts).decode


class Glance(Struct, frozen=True):
    """The head of a batch. Times are UTC nanoseconds, 0 if the batch covers no time."""

    host: str
    version: int
    stream: str
    sequence: int
    from_ns: int
    to_ns: int
    vms: int


def host_of(batch: bytes) -> str:
    """Return the name of the host that a batch counts for; empty where it cannot be read."""
    try:
        return _decode_named(batch).host.name
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def glance(batch: bytes) -> Glance | None:
    """Return the head of a batch; None if it cannot be read."""
    try:
        found = _decode_counts(batch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Glance(
        host=found.host.name,
        version=found.version,
        stream=found.stream,
        sequence=found.sequence,
        from_ns=min((span.from_ns for span in found.covered), default=0),
        to_ns=max((span.to_ns for span in found.covered), default=0),
        vms=len(found.vms),
    )
