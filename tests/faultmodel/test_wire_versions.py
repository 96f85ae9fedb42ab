"""Batches of the version before: their bytes as that version wrote them, and what they say.

``wire_v2/ARCH.msgpack`` was written by the collector of version 2, with every section filled; ``ARCH.json``
says what is in it, by the names of the fields.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faultmodel import wire

FOLDER = Path(__file__).with_name("wire_v2")
ARCHITECTURES = ("aarch64", "riscv64", "x86_64")


def differences(said: Any, read: Any, place: str) -> list[str]:
    """Return where what was read is not what was said; fields of later versions are not looked at."""
    if isinstance(said, list):
        if len(said) != len(read):
            return [f"{place}: {len(read)} items, not {len(said)}"]
        pairs = [
            (str(number), one, other) for number, (one, other) in enumerate(zip(said, read, strict=True))
        ]
    elif isinstance(said, dict):
        pairs = [(name, value, getattr(read, name)) for name, value in said.items()]
    else:
        return [] if said == read else [f"{place}: {read!r}, not {said!r}"]
    return [line for name, one, other in pairs for line in differences(one, other, f"{place}.{name}")]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_batch_of_the_version_before_is_read(name: str) -> None:
    data = (FOLDER / f"{name}.msgpack").read_bytes()
    said = json.loads((FOLDER / f"{name}.json").read_text())
    assert msgspec.msgpack.decode(data)["version"] == 2
    assert all(
        said[section] for section in ("vms", "fault_counts", "faults", "exit_counts", "exits", "ledger")
    )
    assert all(said[section] for section in ("covered", "lost", "events", "costs"))
    assert differences(said, wire.decode(data), "batch") == []


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_batch_of_the_version_before_can_be_written_in_this_one(name: str) -> None:
    batch = wire.decode((FOLDER / f"{name}.msgpack").read_bytes())
    data = wire.encode(batch)
    assert msgspec.msgpack.decode(data)["version"] == wire.VERSION == 3
    assert wire.decode(data) == batch
