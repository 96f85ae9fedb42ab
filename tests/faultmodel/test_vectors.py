# SPDX-License-Identifier: Apache-2.0
"""Words whose meaning is known, from files beside this one: ``vectors/<architecture>.toml``."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from faultmodel.arch import architectures
from faultmodel.arch.base import SyndromeFormat

FOLDER = Path(__file__).parent / "vectors"


def vectors(arch: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads((FOLDER / f"{arch}.toml").read_text())["vector"]
    return found


CASES = [
    pytest.param(architecture.formats[vector["format"]], vector, id=f"{vector['format']} {vector['word']}")
    for architecture in architectures().values()
    for vector in vectors(architecture.name)
]


@pytest.mark.parametrize("arch", architectures())
def test_each_format_of_each_architecture_has_vectors(arch: str) -> None:
    assert {vector["format"] for vector in vectors(arch)} == set(architectures()[arch].formats)


@pytest.mark.parametrize(("syndrome", "vector"), CASES)
def test_the_fields_are_as_known(syndrome: SyndromeFormat, vector: dict[str, Any]) -> None:
    decoded = syndrome.decode(int(vector["word"], 16))
    assert {item.field.name: item.value for item in decoded.fields if item.value} == vector["fields"]
    assert list(decoded.unknown_bits) == vector.get("unknown_bits", [])
    assert [item.field.name for item in decoded.undefined] == vector.get("undefined", [])


@pytest.mark.parametrize(("syndrome", "vector"), CASES)
def test_the_access_is_as_known(syndrome: SyndromeFormat, vector: dict[str, Any]) -> None:
    assert syndrome.access(int(vector["word"], 16)).value == vector["access"]


@pytest.mark.parametrize(("syndrome", "vector"), CASES)
def test_the_flags_are_as_known(syndrome: SyndromeFormat, vector: dict[str, Any]) -> None:
    assert [flag.name for flag in syndrome.flags(int(vector["word"], 16))] == vector["flags"]


@pytest.mark.parametrize(("syndrome", "vector"), CASES)
def test_the_summary_is_as_known(syndrome: SyndromeFormat, vector: dict[str, Any]) -> None:
    assert syndrome.summary(int(vector["word"], 16)) == vector["summary"]


@pytest.mark.parametrize(("syndrome", "vector"), CASES)
def test_each_vector_names_its_source(syndrome: SyndromeFormat, vector: dict[str, Any]) -> None:
    assert vector["source"]
