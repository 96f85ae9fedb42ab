# SPDX-License-Identifier: Apache-2.0
"""Batches of earlier versions: their bytes as those versions wrote them, and what they say.

``wire_v2/ARCH.msgpack`` was written by the collector of version 2, with every section filled; ``ARCH.json``
says what is in it, by the names of the fields. ``wire_v3`` and ``wire_v4`` are the same of versions 3 and 4.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faultmodel import earlier, wire
from faultmodel.errors import WireError
from faultmodel.kinds import CheckState
from faultmodel.record import REASON_NOT_SHOWN, ExitKind
from faultmodel.sections import SECTIONS
from tests.batches import exit_record, make_batch

ARCHITECTURES = ("aarch64", "riscv64", "x86_64")
_NOW = {"stands_for": "weight"}
"""Fields that have another name now. A row's place gives the field, not its name."""
EARLIER = [(version, name) for version in (2, 3, 4) for name in ARCHITECTURES]


def stored(version: int, name: str, ending: str) -> Path:
    """Return the path of a batch as a version wrote it, or of what it says."""
    return Path(__file__).with_name(f"wire_v{version}") / f"{name}.{ending}"


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


@pytest.mark.parametrize(("version", "name"), EARLIER)
def test_a_batch_of_an_earlier_version_is_read(version: int, name: str) -> None:
    data = stored(version, name, "msgpack").read_bytes()
    said = json.loads(stored(version, name, "json").read_text())
    assert msgspec.msgpack.decode(data)["version"] == version
    assert all(
        said[section] for section in ("vms", "fault_counts", "faults", "exit_counts", "exits", "ledger")
    )
    assert all(said[section] for section in ("covered", "lost", "events", "costs"))
    read = wire.decode(data)
    assert not any(section.rows(read) for section in SECTIONS if section.since > version)
    said["faults"] = [{_NOW.get(name, name): value for name, value in row.items()} for row in said["faults"]]
    if version < earlier.FIELDS:
        # What was sent as if it were a tracepoint are checks.
        posed = {"bpffs:pins": "pins", "uevent:kvm": "ends"}
        probes = said["host"].pop("probes")
        said["host"]["probes"] = [probe for probe in probes if probe["tracepoint"] not in posed]
        assert [(check.name, check.state is CheckState.OK, check.found) for check in read.host.checks] == [
            (posed[probe["tracepoint"]], probe["state"] == "attached", probe["detail"])
            for probe in probes
            if probe["tracepoint"] in posed
        ]
    assert differences(said, read, "batch") == []


@pytest.mark.parametrize(("version", "name"), EARLIER)
def test_a_batch_of_an_earlier_version_can_be_written_in_this_one(version: int, name: str) -> None:
    batch = wire.decode(stored(version, name, "msgpack").read_bytes())
    data = wire.encode(batch)
    assert msgspec.msgpack.decode(data)["version"] == wire.VERSION
    assert wire.decode(data) == batch


def test_the_former_name_of_a_kind_of_exit_is_read() -> None:
    record = exit_record(kind=ExitKind.UNCLASSIFIED_ERROR, reason=REASON_NOT_SHOWN)
    data = msgspec.msgpack.decode(wire.encode(make_batch(exits=[record])))
    (sent,) = data["exits"]
    assert sent["kind"] == "unclassified_error"
    sent["kind"] = "untold_error"
    (read,) = wire.decode(msgspec.msgpack.encode(data | {"version": 3})).exits
    assert read == record
    sent["kind"] = "former_error"
    with pytest.raises(WireError):
        wire.decode(msgspec.msgpack.encode(data | {"version": 3}))
