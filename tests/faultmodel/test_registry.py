# SPDX-License-Identifier: Apache-2.0
"""What an architecture must provide to be registered."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest

from faultmodel import arch
from faultmodel.arch.base import COUNT_FIELDS, EXIT_FIELDS, FAULT_FIELDS, Architecture, check
from faultmodel.errors import ArchitectureError, UnknownNameError
from faultmodel.record import Access

X86 = arch.get("x86_64")
ARM64 = arch.get("aarch64")
ALL = pytest.mark.parametrize("architecture", arch.architectures().values(), ids=arch.architectures())


def hints(required: Mapping[str, tuple[type, ...]], **changes: object) -> list[tuple[str, object]]:
    plain: dict[str, object] = {name: kinds[0] for name, kinds in required.items()}
    return [(name, kind) for name, kind in (plain | changes).items() if kind is not None]


def with_fault(**changes: object) -> Architecture:
    """Riscv's shape, with a fault record whose fields are of the first type allowed but for the changes."""
    fields = hints(FAULT_FIELDS, **({"scause": int} | changes))
    return replace(arch.get("riscv64"), fault=msgspec.defstruct("Fault", fields, kw_only=True))


def test_the_three_architectures_are_registered() -> None:
    assert list(arch.architectures()) == ["aarch64", "riscv64", "x86_64"]


@ALL
def test_a_registered_architecture_keeps_its_own_name_among_its_machines(architecture: Architecture) -> None:
    assert architecture.name in architecture.machines
    assert arch.for_machine(architecture.name) is architecture


@ALL
def test_every_format_is_found_by_its_name(architecture: Architecture) -> None:
    assert [architecture.format_named(name).name for name in architecture.formats] == [*architecture.formats]


def test_table_prefixes_are_distinct() -> None:
    prefixes = [architecture.table_prefix for architecture in arch.architectures().values()]
    assert len(prefixes) == len(set(prefixes))


def test_an_architecture_is_found_by_another_name_of_its_machines() -> None:
    assert arch.get("arm64") is ARM64
    assert arch.get("amd64") is X86


def test_an_unknown_architecture_is_answered_with_those_known() -> None:
    with pytest.raises(UnknownNameError, match="no architecture 'vax'; there is aarch64, riscv64, x86_64"):
        arch.get("vax")


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no architecture for machine 'vax'"):
        arch.for_machine("vax")


def test_an_unknown_format_is_answered_with_those_known() -> None:
    with pytest.raises(UnknownNameError, match="x86_64 has no syndrome format 'vmx'; it has ept, npf, pferr"):
        X86.format_named("vmx")


def test_a_record_with_every_required_field_passes() -> None:
    check(with_fault())


@pytest.mark.parametrize("field", FAULT_FIELDS)
def test_a_fault_that_lacks_a_field_is_refused_with_its_name(field: str) -> None:
    with pytest.raises(
        ArchitectureError, match=f"riscv64: its fault record lacks the required field '{field}'"
    ):
        check(with_fault(**{field: None}))


@pytest.mark.parametrize("field", COUNT_FIELDS)
def test_a_count_that_lacks_a_field_is_refused_with_its_name(field: str) -> None:
    fields = hints(COUNT_FIELDS, esr_el2=int, **{field: None})
    wrong = replace(ARM64, fault_count=msgspec.defstruct("Count", fields))
    with pytest.raises(ArchitectureError, match=f"its fault count record lacks the required field '{field}'"):
        check(wrong)


@pytest.mark.parametrize("field", EXIT_FIELDS)
def test_an_exit_that_lacks_a_field_is_refused_with_its_name(field: str) -> None:
    fields = hints(EXIT_FIELDS, esr_el2=int, **{field: None})
    wrong = replace(ARM64, exit=msgspec.defstruct("Exit", fields))
    with pytest.raises(ArchitectureError, match=f"its exit record lacks the required field '{field}'"):
        check(wrong)


def test_a_record_without_the_hardware_s_word_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="lacks the required field 'scause'"):
        check(with_fault(scause=None))


def test_a_record_without_the_word_s_format_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="lacks the required field 'kind_of_word'"):
        check(replace(X86, format_field="kind_of_word"))


@pytest.mark.parametrize(
    ("field", "kind", "message"),
    [
        ("vcpu", float, "float in field 'vcpu', must be int"),
        ("vcpu", bool, "bool in field 'vcpu', must be int"),
        ("vcpu", int | None, "None in field 'vcpu', must be int"),
        ("vcpu", list[int], r"list\[int\] in field 'vcpu', must be int"),
        ("gpa", str, "str in field 'gpa', must be int or None"),
        ("gpa", int | str, "str in field 'gpa', must be int or None"),
        ("access", str, "str in field 'access', must be Access"),
        ("private", int, "int in field 'private', must be bool or None"),
    ],
)
def test_a_field_of_another_type_is_refused(field: str, kind: object, message: str) -> None:
    with pytest.raises(ArchitectureError, match=f"its fault record has {message}"):
        check(with_fault(**{field: kind}))


class WithProperties(msgspec.Struct):
    """A record that derives what another stores."""

    time_ns: int
    monotonic_ns: int
    vm: str
    vcpu: int
    scause: int
    private: bool | None = None
    memslot: int | None = None
    weight: int = 1
    nested: bool | None = None

    @property
    def gpa(self) -> int | None:
        return None

    @property
    def l2_address(self) -> int | None:
        return None

    @property
    def gva(self) -> int | None:
        return None

    @property
    def guest_pc(self) -> int | None:
        return None

    @property
    def access(self) -> Access:
        return Access.READ


class WithUntypedProperty(WithProperties):
    """A record that does not say what it derives."""

    @property
    def gpa(self):  # type: ignore[no-untyped-def]  # noqa: ANN201
        return 1


def test_a_property_may_stand_for_a_field() -> None:
    check(replace(arch.get("riscv64"), fault=WithProperties))


def test_a_property_that_does_not_say_its_type_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="object in field 'gpa', must be int or None"):
        check(replace(arch.get("riscv64"), fault=WithUntypedProperty))


def test_an_architecture_without_formats_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="x86_64: no syndrome format"):
        check(replace(X86, formats={}))


def test_several_formats_need_a_field_that_names_one() -> None:
    with pytest.raises(ArchitectureError, match="several formats and no field that names one"):
        check(replace(X86, format_field=None))


def test_a_format_under_another_name_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="format 'npf' under name 'svm'"):
        check(replace(X86, formats={"svm": X86.formats["npf"]}))
