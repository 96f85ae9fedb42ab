# SPDX-License-Identifier: Apache-2.0
"""Wire records to columns of a table, and rows back to records.

Done column by column, in C as far as it goes: measured, four times as fast as value by value, and this is the
hot path.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import BigInteger, Column, Table, Text
from sqlalchemy.engine import Row

from backend.errors import BatchError, StoreError
from backend.store.contract.bounds import MAX_COUNT, MAX_NS
from backend.store.contract.check import check_texts
from backend.store.contract.values import RecordRow
from backend.store.sql import writer
from backend.store.sql.tables import fault_counts
from backend.store.sql.words import SIGNED_MAX, Word, to_signed
from faultmodel import arch
from faultmodel.arch.base import Architecture
from faultmodel.causes import Cause
from faultmodel.record import BUCKET_MS, ExitKind
from faultmodel.rows import Rows

_FIELDS = {"vm_id": "vm", "bucket_s": "bucket_ms"}


@dataclass(frozen=True, slots=True)
class _Naming:
    """Where a table's columns come from, if not from the record's field of their name.

    ``fields``: from another field; ``constants``: what they always are.
    """

    fields: Mapping[str, str] = field(default_factory=lambda: _FIELDS)
    constants: Mapping[str, object] = field(default_factory=dict)


_PLAIN = _Naming()


def count_columns(
    table: Table,
    records: Sequence[Any],
    vm_numbers: Mapping[str, int],
    naming: _Naming = _PLAIN,
) -> writer.Columns:
    """Return the columns of one or more counts, whose table has a column for each of the record's fields.

    :param vm_numbers: each VM's number in the database, by its id
    :raises BatchError: a bucket or a count is impossible
    """
    counts = {column.name for column in writer.value_columns(table)}
    values = _values(list(table.columns), records, vm_numbers, naming)
    for column, found in zip(table.columns, values, strict=True):
        most = MAX_NS if column.name.endswith("ns") else MAX_COUNT
        if column.name in counts and (total := sum(found)) > most:
            raise BatchError(f"{column.name} is {total} in one batch, more than {most}")
    return values


def fault_count_columns(
    architecture: Architecture, records: Sequence[Any], vm_numbers: Mapping[str, int]
) -> writer.Columns:
    """Return the columns of one or more of an architecture's fault counts. See ``count_columns``."""
    return count_columns(fault_counts, records, vm_numbers, _naming_of(architecture.name))


def host_count_columns(table: Table, records: Sequence[Any], host_id: int) -> writer.Columns:
    """Return the columns of one or more counts of a host. See ``count_columns``."""
    return count_columns(table, records, {}, _Naming(constants={"host_id": host_id}))


def record_columns(
    table: Table, records: Sequence[Any], vm_numbers: Mapping[str, int], positions: Sequence[int]
) -> writer.Columns:
    """Return the columns of one or more fault or exit records, numbered with ``positions``."""
    own = [column for column in table.columns if column.name != "position"]
    return [positions, *_values(own, records, vm_numbers)]


def record_of(record: type[Struct], row: Row[Any]) -> Struct:
    """Build an architecture's fault or exit record from its row, which has the VM by its number alone."""
    fields = dict(row._mapping)
    del fields["position"], fields["vm_id"]
    if "kind" in fields:
        fields["kind"] = ExitKind(fields["kind"])
    if fields.get("cause") is not None:
        fields["cause"] = Cause(fields["cause"])
    return record(vm="", **fields)


def of_vm(row: RecordRow, vm_id: str) -> RecordRow:
    """Return a record with its VM."""
    return replace(row, record=msgspec.structs.replace(row.record, vm=vm_id))


@cache
def _naming_of(arch_name: str) -> _Naming:
    """Return where the columns of an architecture's fault counts come from.

    :raises StoreError: its count has something that there is no column for
    """
    architecture = arch.get(arch_name)
    fields = {**_FIELDS, "word": architecture.word_field}
    constants = {}
    if architecture.format_field is None:
        (constants["format"],) = architecture.formats
    else:
        fields["format"] = architecture.format_field
    known = {fields.get(column.name, column.name) for column in fault_counts.columns}
    further = {item.name for item in msgspec.structs.fields(architecture.fault_count)} - known
    if further:
        names = ", ".join(sorted(further))
        raise StoreError(f"{architecture.fault_count.__name__} has {names}, for which there is no column")
    return _Naming(fields, constants)


def _values(
    columns: Sequence[Column[Any]],
    records: Sequence[Any],
    vm_numbers: Mapping[str, int],
    naming: _Naming = _PLAIN,
) -> list[Sequence[Any]]:
    """The columns' values, as the driver takes them."""
    found = dict((records if isinstance(records, Rows) else Rows(records)).columns)
    found |= {name: [value] * len(records) for name, value in naming.constants.items()}
    fields = naming.fields
    return [_stored(column, found[fields.get(column.name, column.name)], vm_numbers) for column in columns]


def _stored(column: Column[Any], found: Sequence[Any], vm_numbers: Mapping[str, int]) -> Sequence[Any]:
    match column.name:
        case "vm_id":
            return list(map(vm_numbers.__getitem__, found))
        case "bucket_s":
            return _buckets_s(found)
    if isinstance(column.type, Word):
        return _signed(found)
    if isinstance(found[0], bool) and isinstance(column.type, BigInteger):
        return list(map(int, found))
    if isinstance(column.type, Text):
        different = set(found)
        if any(isinstance(one, Enum) for one in different):
            return [None if one is None else one.value for one in found]
        check_texts(different)
    return found


def _buckets_s(buckets_ms: Sequence[int]) -> Sequence[int]:
    in_s = {}
    for bucket_ms in set(buckets_ms):
        if bucket_ms % BUCKET_MS:
            raise BatchError(f"bucket {bucket_ms} ms does not start a second")
        in_s[bucket_ms] = bucket_ms // BUCKET_MS
    return list(map(in_s.__getitem__, buckets_ms))


def _signed(words: Sequence[int | None]) -> Sequence[int | None]:
    if max(filter(None, words), default=0) <= SIGNED_MAX:  # Nearly always, but of addresses in a kernel.
        return words
    return [None if word is None else to_signed(word) for word in words]
