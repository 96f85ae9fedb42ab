"""The tables as SQLAlchemy Core sees them: the common ones, and one family per architecture.

A family is derived from the architecture's own record types. Migrations are written out by hand, and a
test compares the two, so that neither can change alone.

Inside the database a VM, a host and a stream is a small integer: counts are many, and each names its VM.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

from backend.errors import StoreError
from backend.store.words import Word
from faultmodel import arch
from faultmodel.arch.base import Architecture
from faultmodel.record import COUNTERS, U64

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite numbers rows by itself only in a column whose type is exactly INTEGER.
_ROW_NUMBER = BigInteger().with_variant(Integer(), "sqlite")


def _number(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _reference(name: str, to: str) -> Column[int]:
    return Column(name, BigInteger, ForeignKey(to), nullable=False)


hosts = Table(
    "hosts",
    metadata,
    Column("id", _ROW_NUMBER, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    _text("arch"),
    _text("boot_id"),
    _text("kernel"),
    _text("flavour"),
    _text("state"),
    _text("detail"),
    _text("collector_version"),
    _text("probes"),
    _number("last_batch_ns"),
    _number("covered_to_ns", nullable=True),
    _number("described_stream_id"),
    _number("described_sequence"),
)

streams = Table(
    "streams",
    metadata,
    Column("id", _ROW_NUMBER, primary_key=True),
    Column("stream", Text, nullable=False, unique=True),
    _reference("host_id", "hosts.id"),
)

applied_batches = Table(
    "applied_batches",
    metadata,
    _reference("stream_id", "streams.id"),
    _number("first_sequence"),
    _number("last_sequence"),
    PrimaryKeyConstraint("stream_id", "first_sequence"),
    sqlite_with_rowid=False,
)

vms = Table(
    "vms",
    metadata,
    Column("id", _ROW_NUMBER, primary_key=True),
    Column("public_id", Text, nullable=False, unique=True),
    _reference("host_id", "hosts.id"),
    _text("arch"),
    _text("boot_id"),
    _number("pid"),
    _number("started_ns"),
    _number("ended_ns", nullable=True),
    _text("name"),
    _text("uuid"),
    _text("vmm"),
    _text("manager"),
    _text("command"),
    _number("first_seen_ms"),
    _number("last_seen_ms"),
    _number("described_stream_id"),
    _number("described_sequence"),
    Index(None, "host_id"),
    Index(None, "name"),
    Index(None, "pid"),
)
Index("ix_vms_first_seen_ms_public_id", vms.c.first_seen_ms.desc(), vms.c.public_id)

vcpus = Table(
    "vcpus",
    metadata,
    _reference("vm_id", "vms.id"),
    _number("vcpu"),
    PrimaryKeyConstraint("vm_id", "vcpu"),
    sqlite_with_rowid=False,
)

coverage = Table(
    "coverage",
    metadata,
    _reference("host_id", "hosts.id"),
    _number("from_ns"),
    _number("to_ns"),
    PrimaryKeyConstraint("host_id", "from_ns"),
    sqlite_with_rowid=False,
)

losses = Table(
    "losses",
    metadata,
    _reference("host_id", "hosts.id"),
    _text("kind"),
    _number("bucket_s"),
    _number("count"),
    PrimaryKeyConstraint("host_id", "kind", "bucket_s"),
    sqlite_with_rowid=False,
)

loss_totals = Table(
    "loss_totals",
    metadata,
    _reference("host_id", "hosts.id"),
    _text("kind"),
    _number("count"),
    PrimaryKeyConstraint("host_id", "kind"),
    sqlite_with_rowid=False,
)

tokens = Table(
    "tokens", metadata, Column("sha256", Text, primary_key=True), _text("kind"), Column("host", Text)
)

# Counts and exits have no foreign key to vms: it would be looked up for every row of the hot path, and
# their rows are only ever written with a number that the same transaction read from vms.
exit_counts = Table(
    "exit_counts",
    metadata,
    _number("vm_id"),
    _number("bucket_s"),
    _number("vcpu"),
    _number("reason"),
    _number("errno"),
    _number("count"),
    PrimaryKeyConstraint("vm_id", "bucket_s", "vcpu", "reason", "errno"),
    sqlite_with_rowid=False,
)


@dataclass(frozen=True, slots=True)
class Family:
    """An architecture's own tables."""

    architecture: Architecture
    fault_counts: Table
    exits: Table


def derive(architecture: Architecture, into: MetaData) -> Family:
    """Add an architecture's tables to ``into``, as its record types demand.

    :raises StoreError: a record has a field of a type that no column can hold
    """
    return Family(architecture, _fault_counts(architecture, into), _exits(architecture, into))


def _fault_counts(architecture: Architecture, into: MetaData) -> Table:
    own = [c for c in _own_columns(architecture.fault_count) if c.name not in COUNTERS]
    return Table(
        f"{architecture.table_prefix}_fault_counts",
        into,
        _number("vm_id"),
        _number("bucket_s"),
        *own,
        *(_number(name) for name in COUNTERS),
        PrimaryKeyConstraint("vm_id", "bucket_s", *(c.name for c in own)),
        sqlite_with_rowid=False,
    )


def _exits(architecture: Architecture, into: MetaData) -> Table:
    name = f"{architecture.table_prefix}_exits"
    return Table(
        name,
        into,
        # Numbered over all architectures, so not by the table itself.
        Column("position", _ROW_NUMBER, primary_key=True, autoincrement=False),
        _number("vm_id"),
        *_own_columns(architecture.exit),
        Index(None, "vm_id", "kind", "time_ns", "position"),
        Index(None, "kind", "time_ns", "position"),
    )


def _own_columns(record: type) -> Iterator[Column[Any]]:
    for field in msgspec.structs.fields(record):
        if field.name in ("vm", "bucket_ms"):
            continue
        column_type, nullable = _column_type(record, field.name, field.type)
        yield Column(field.name, column_type, nullable=nullable)


def _column_type(record: type, name: str, hint: object) -> tuple[TypeEngine[Any], bool]:
    nullable = False
    if get_origin(hint) in (Union, UnionType):
        nullable = True
        hint = next(item for item in get_args(hint) if item is not type(None))
    if hint == U64:
        return Word(), nullable
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if isinstance(plain, type) and issubclass(plain, str):
        return Text(), nullable
    if plain is int:
        return BigInteger(), nullable
    raise StoreError(f"{record.__name__}.{name} is {plain}, which no column can hold; use int or str")


families: Mapping[str, Family] = MappingProxyType(
    {name: derive(architecture, metadata) for name, architecture in arch.architectures().items()}
)
"""Every architecture's tables, by the architecture's name."""
