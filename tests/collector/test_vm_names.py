# SPDX-License-Identifier: Apache-2.0
"""The names of every kind of VM that is known, by what its process shows."""

import shlex
from pathlib import Path

import pytest

from collector.vms.identity.naming import Naming, name_vm

SANDBOX = "0d3a4f6c8e1b2a5978c6d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3"
UUID = "c7a5fdbd-edaf-9455-926a-d65c16db1809"


def rows() -> list[list[str]]:
    lines = (Path(__file__).parent / "vm_names.tsv").read_text().splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def spelt(text: str) -> str:
    words = {"S": SANDBOX, "U": UUID, "-": ""}
    if text in words:
        return words[text]
    return (
        text.replace("/S/", f"/{SANDBOX}/")
        .replace("sandbox-S", f"sandbox-{SANDBOX}")
        .replace("-S.", f"-{SANDBOX}.")
    )


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[2])
def test_a_vm_is_named_as_its_program_says(row: list[str]) -> None:
    comm, cgroup, command, *expected = row
    arguments = [spelt(argument) if argument != "-" else argument for argument in shlex.split(command)]
    name, uuid, vmm, manager = map(spelt, expected)
    named = Naming(name, uuid, vmm, manager, is_comm=name == comm)
    assert name_vm(arguments, spelt(cgroup), comm) == named
