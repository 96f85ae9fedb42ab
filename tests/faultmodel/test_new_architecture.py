# SPDX-License-Identifier: Apache-2.0
"""An architecture is one file: put in the package's path, it is registered, decoded and documented."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faultmodel import arch
from faultmodel.document import page
from faultmodel.errors import ArchitectureError
from faultmodel.explain import explain

Adder = Callable[[str], None]

WHOLE = """
from dataclasses import replace

from faultmodel.arch.riscv import ARCHITECTURE as RISCV

ARCHITECTURE = replace(RISCV, name="fourth64", table_prefix="fourth", machines=("fourth64", "fourth"))
"""
LACKING = """
from dataclasses import replace

from msgspec import Struct

from faultmodel.arch.riscv import ARCHITECTURE as RISCV


class Exit(Struct):
    time_ns: int


ARCHITECTURE = replace(RISCV, name="fourth64", exit=Exit)
"""
TWICE = """
from faultmodel.arch.riscv import ARCHITECTURE
"""


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Adder]:
    """Puts a module into the package, for the time of the test."""

    def add_module(text: str) -> None:
        (tmp_path / "zz_fourth.py").write_text(text)
        monkeypatch.setattr(arch, "__path__", [*arch.__path__, str(tmp_path)])
        arch.architectures.cache_clear()

    yield add_module
    sys.modules.pop("faultmodel.arch.zz_fourth", None)
    arch.architectures.cache_clear()


def test_a_fourth_architecture_is_found_decoded_and_documented(add: Adder) -> None:
    add(WHOLE)
    assert arch.get("fourth").name == "fourth64"
    assert "store/AMO guest-page fault" in explain("fourth", "23")
    assert "## fourth64" in page()


def test_a_fourth_architecture_that_lacks_a_field_is_refused_with_its_name(add: Adder) -> None:
    add(LACKING)
    with pytest.raises(ArchitectureError, match="fourth64: its exit record lacks the required field"):
        arch.architectures()


def test_an_architecture_that_is_defined_twice_is_refused(add: Adder) -> None:
    add(TWICE)
    with pytest.raises(ArchitectureError, match="architecture riscv64 is defined twice"):
        arch.architectures()
