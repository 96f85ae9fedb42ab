# SPDX-License-Identifier: Apache-2.0
"""A layout that lacks something, or has something else in its place, is refused with what is wrong with it.

Whoever opens a set of another version does so at every start: what is raised then must not be one's own end.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from collector.errors import PinnedError
from collector.probe import compiled
from collector.probe.compiled import Field, Layout, Structure
from collector.probe.views import Views
from tests.collector.layouts import COMPILED

replace = msgspec.structs.replace
TEXT = compiled.encode(COMPILED)


def _with(name: str, change: Callable[[Structure], Structure]) -> Layout:
    return replace(COMPILED, types={**COMPILED.types, name: change(COMPILED.types[name])})


def _as(field: str, one: Field) -> Callable[[Structure], Structure]:
    return lambda structure: replace(structure, fields={**structure.fields, field: one})


def _without(field: str) -> Callable[[Structure], Structure]:
    def change(structure: Structure) -> Structure:
        return replace(
            structure, fields={name: one for name, one in structure.fields.items() if name != field}
        )

    return change


def _map_of(name: str, types: tuple[str, str]) -> Layout:
    counts = COMPILED.concerns["counts"]
    changed = replace(counts, maps={**counts.maps, name: types})
    return replace(COMPILED, concerns={**COMPILED.concerns, "counts": changed})


@pytest.mark.parametrize(
    ("layout", "found"),
    [
        (_with("vcpu_counts", _without("tid")), "its maps have no tid"),
        (_with("vcpu_counts", lambda one: replace(one, arrays={})), "its maps have no syndromes"),
        (_map_of("exit_counts", ("exit_key", "fault_counters")), "its maps have no number"),
        (_with("vcpu_counts", _as("seen", Field(40, "8s"))), "its maps have something else as seen"),
        (_with("vcpu_counts", _as("tid", Field(24, "H"))), "its maps have something else as tid"),
        (_with("vcpu_counts", _as("tid", Field(26, "I"))), "its maps have something else as tid"),
        (_with("vcpu_counts", _as("seen", Field(28, "Q"))), "two fields in its maps lie at one place"),
        (_with("about", _as("counting", Field(0, "Q"))), "its maps have something else as counting"),
        (_with("vm_record", _as("comm", Field(32, "I"))), "its maps have something else as comm"),
    ],
)  # fmt: skip
def test_a_field_that_is_missing_or_something_else_is_named(layout: Layout, found: str) -> None:
    again = compiled.decode(compiled.encode(layout))
    with pytest.raises(PinnedError, match=found):
        Views(again)


def _changed(*path: str, value: Any) -> bytes:
    """The text with another value there."""
    content = msgspec.json.decode(TEXT)
    place: dict[str, Any] = content
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return msgspec.json.encode(content)


def _lacking(name: str) -> bytes:
    content: Mapping[str, Any] = msgspec.json.decode(TEXT)
    return msgspec.json.encode({key: value for key, value in content.items() if key != name})


_SEEN = ("types", "vcpu_counts", "fields", "seen")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'{"types":{},"concerns":[]}',
        b"\xff",
        TEXT[: len(TEXT) // 2],
        TEXT[:-1],
        TEXT.replace(b"kvm", b"\xff\xfe\xfd", 1),
        b'{"types":{"a":' + b'{"size":1,"arrays":{"a":{"offset":0,"count":1,"of":' * 3000,
        _changed(*_SEEN, value=[40, "Z"]),
        _changed(*_SEEN, value=[40, "QQ"]),
        _changed(*_SEEN, value=[40, "99999999999s"]),
        _changed(*_SEEN, value=[-8, "Q"]),
        _changed(*_SEEN, value=[1209, "Q"]),
        _changed(*_SEEN, value=[40]),
        _changed("types", "vcpu_counts", "size", value=0),
        _changed("types", "vcpu_counts", "size", value=10**30),
        _changed("types", "vcpu_counts", "arrays", "exits", "count", value=7),
        _changed("types", "vcpu_counts", "arrays", "exits", "count", value=10**7),
        _changed("concerns", "counts", "maps", "vms", value=["vm_key", "nowhere"]),
        _changed("concerns", "counts", "maps", "vms", value=["vm_key"]),
        _changed("version", value=2),
        *map(_lacking, ("version", "types", "concerns", "formats")),
    ],
)  # fmt: skip
def test_what_is_no_layout_is_said_to_be_none(text: bytes) -> None:
    with pytest.raises(PinnedError, match="how its maps are laid out cannot be read"):
        compiled.decode(text)


def test_what_a_later_version_says_besides_changes_nothing() -> None:
    content = msgspec.json.decode(TEXT)
    content["later"] = content["types"]["vm_key"]["later"] = {"of": 1}
    assert compiled.decode(msgspec.json.encode(content)) == COMPILED
