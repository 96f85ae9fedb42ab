# SPDX-License-Identifier: Apache-2.0
"""Tables follow from an architecture's record types."""

import dataclasses

import pytest
from msgspec import Struct
from sqlalchemy import MetaData

from backend.errors import StoreError
from backend.store.sql.records import fault_count_columns
from backend.store.sql.tables import derive, families, fault_counts
from faultmodel import arch
from faultmodel.record import U64, Count, Text
from tests.batches import VM_ID, fault_count


class _Count(Struct, frozen=True):
    bucket_ms: int
    vm: str
    vcpu: int
    cause: U64
    world: Text
    faults: Count = 0


class _Exit(Struct, frozen=True):
    vm: str
    time_ns: int
    kind: str
    cause: U64 | None = None
    world: Text | None = None


class _Fault(Struct, frozen=True):
    time_ns: int
    vm: str
    vcpu: int
    cause: U64
    private: bool | None = None


class _Odd(Struct, frozen=True):
    vm: str
    cause: list[int]


def _made_up(exit_record: type) -> arch.base.Architecture:
    return dataclasses.replace(
        arch.get("riscv64"),
        table_prefix="made_up",
        fault=_Fault,
        fault_count=_Count,
        exit=exit_record,
        word_field="cause",
    )


def test_a_family_has_the_columns_of_its_records() -> None:
    family = derive(_made_up(_Exit), MetaData())

    assert family.exits.name == "made_up_exits"
    assert {column.name: column.nullable for column in family.exits.columns} == {
        "position": False,
        "vm_id": False,
        "time_ns": False,
        "kind": False,
        "cause": True,
        "world": True,
    }
    assert family.faults.name == "made_up_faults"
    assert {column.name: column.nullable for column in family.faults.columns} == {
        "position": False,
        "vm_id": False,
        "time_ns": False,
        "vcpu": False,
        "cause": False,
        "private": True,
    }
    assert [column.name for column in family.faults.primary_key] == ["vm_id", "time_ns", "position"]


def test_a_field_that_no_column_can_hold_is_named() -> None:
    with pytest.raises(StoreError, match=r"_Odd\.cause is list\[int\], which no column can hold"):
        derive(_made_up(_Odd), MetaData())


@pytest.mark.parametrize("arch_name", arch.architectures())
def test_every_architecture_has_its_family(arch_name: str) -> None:
    prefix = arch.get(arch_name).table_prefix
    assert families[arch_name].exits.name == f"{prefix}_exits"
    assert families[arch_name].faults.name == f"{prefix}_faults"


@pytest.mark.parametrize("arch_name", arch.architectures())
def test_counts_of_every_architecture_lie_in_one_table_under_the_name_of_their_word(arch_name: str) -> None:
    count = fault_count(arch_name=arch_name, word=2**64 - 1, faults=7)
    values = fault_count_columns(arch.get(arch_name), [count], {VM_ID: 3})

    row = {name: value for name, (value,) in zip(fault_counts.columns.keys(), values, strict=True)}
    assert (row["vm_id"], row["word"], row["faults"]) == (3, -1, 7)
    assert row["format"] == next(iter(arch.get(arch_name).formats))


def test_no_two_architectures_share_the_name_of_a_format() -> None:
    names = [name for architecture in arch.architectures().values() for name in architecture.formats]
    assert len(set(names)) == len(names)
