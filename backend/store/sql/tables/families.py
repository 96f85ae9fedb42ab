# SPDX-License-Identifier: Apache-2.0
"""Each architecture's own tables, derived from its record types."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Index, MetaData, PrimaryKeyConstraint, Table, Text
from sqlalchemy.types import TypeEngine

from backend.errors import StoreError
from backend.store.sql.tables.columns import BY_TIME, ROW_NUMBER, metadata, number
from backend.store.sql.words import Word
from faultmodel import arch
from faultmodel.arch.base import Architecture
from faultmodel.record import U64


@dataclass(frozen=True, slots=True)
class Family:
    """An architecture's own tables."""

    architecture: Architecture
    exits: Table
    faults: Table
    """Records of single guest faults."""


def derive(architecture: Architecture, into: MetaData) -> Family:
    """Add an architecture's tables to ``into``, as its record types demand.

    :raises StoreError: a record has a field of a type that no column can hold
    """
    return Family(
        architecture,
        _exits(architecture, into),
        _faults(architecture, into),
    )


def _exits(architecture: Architecture, into: MetaData) -> Table:
    name = f"{architecture.table_prefix}_exits"
    return Table(
        name,
        into,
        # Numbered over all architectures, so not by the table itself.
        Column("position", ROW_NUMBER, primary_key=True, autoincrement=False),
        number("vm_id"),
        *_own_columns(architecture.exit),
        Index(None, "vm_id", "kind", "time_ns", "position"),
        Index(None, "kind", "time_ns", "position"),
    )


def _faults(architecture: Architecture, into: MetaData) -> Table:
    # The key is the order in which they are read, newest first, and nearly that in which they come: one tree
    # to append to, where an index beside the rows would be a second.
    return Table(
        f"{architecture.table_prefix}_faults",
        into,
        number("position"),
        number("vm_id"),
        *_own_columns(architecture.fault),
        PrimaryKeyConstraint("vm_id", "time_ns", "position"),
        sqlite_with_rowid=False,
        **BY_TIME,
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
    if plain is bool:
        return Boolean(), nullable
    if plain is int:
        return BigInteger(), nullable
    raise StoreError(f"{record.__name__}.{name} is {plain}, which no column can hold; use int, str or bool")


families: Mapping[str, Family] = MappingProxyType(
    {name: derive(architecture, metadata) for name, architecture in arch.architectures().items()}
)
"""Every architecture's tables, by the architecture's name."""
