"""A layout says by name what a compiler laid out."""

import ctypes

import pytest

from collector.errors import PinnedError
from collector.probe import compiled
from collector.probe.compiled import Layout, Number
from collector.probe.layout import VcpuKey
from collector.probe.views import View


class Key(ctypes.Structure):
    """As BCC makes them of C structures."""

    _fields_ = [("kvm", ctypes.c_ulong), ("instance", ctypes.c_ulong), ("flags", ctypes.c_uint)]


class Item(ctypes.Structure):
    """In an array."""

    _fields_ = [("word", ctypes.c_ulong), ("count", ctypes.c_ushort)]


class Value(ctypes.Structure):
    """With all that a structure may have."""

    _fields_ = [
        ("flags", ctypes.c_ubyte),
        ("vm", Key),
        ("vcpu", ctypes.c_uint),
        ("pad", ctypes.c_uint),
        ("__pad_1", ctypes.c_char * 4),
        ("change", ctypes.c_short),
        ("name", ctypes.c_char * 12),
        ("items", Item * 3),
    ]


def _layout(value: type) -> Layout:
    return compiled.describe({"counts": {"table": (ctypes.c_int, value)}}, {"counts": 4})


def test_every_field_is_found_by_its_name() -> None:
    fields = _layout(Value).value("table")
    assert fields.size == ctypes.sizeof(Value)
    assert fields.numbers == {
        "flags": Number(0, "B"),
        "kvm": Number(8, "Q"),
        "instance": Number(16, "Q"),
        "vm.flags": Number(24, "I"),
        "vcpu": Number(32, "I"),
        "change": Number(44, "h"),
        "name": Number(46, "12s"),
    }
    items = fields.arrays["items"]
    assert (items.offset, items.count, items.of.size) == (64, 3, 16)
    assert items.of.numbers == {"word": Number(0, "Q"), "count": Number(8, "H")}


def test_a_view_picks_its_fields_wherever_they_are() -> None:
    view = View.of(_layout(Value).value("table"), VcpuKey)
    value = Value(vm=Key(kvm=1, instance=2), vcpu=3, change=-1)
    assert view.unpack(bytes(value)) == VcpuKey(kvm=1, instance=2, vcpu=3)
    again = Value.from_buffer_copy(view.pack(VcpuKey(4, 5, 6), over=bytes(value)))
    assert (again.vm.kvm, again.vm.instance, again.vcpu, again.change) == (4, 5, 6, -1)


def test_a_field_that_must_be_there_and_is_not_is_named() -> None:
    with pytest.raises(PinnedError, match="its maps have no kvm, instance, vcpu"):
        View.of(_layout(Item).value("table"), VcpuKey)


def test_a_layout_is_the_same_after_it_was_written() -> None:
    layout = _layout(Value)
    assert compiled.decode(compiled.encode(layout)) == layout
    assert layout.sets["counts"].number == 4


@pytest.mark.parametrize("text", [b"", b"{}", b'{"types":{},"sets":[]}', b"\xff"])
def test_what_is_no_layout_is_said_to_be_none(text: bytes) -> None:
    with pytest.raises(PinnedError, match="how its maps are laid out cannot be read"):
        compiled.decode(text)
