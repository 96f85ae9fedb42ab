# SPDX-License-Identifier: Apache-2.0
"""A layout says by name what a compiler laid out."""

import ctypes

import pytest

from collector.errors import PinnedError
from collector.probe import compiled
from collector.probe.compiled import Field, Layout
from collector.probe.layout import VcpuKey
from collector.probe.view import View


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
    return compiled.describe(
        {"counts": {"table": (ctypes.c_int, value)}},
        {"counts": 4},
        {"counts": ("kvm_userspace_exit",)},
        {1: "ept"},
    )


def test_every_field_is_found_by_its_name() -> None:
    fields = _layout(Value).value("table")
    assert fields.size == ctypes.sizeof(Value)
    assert fields.fields == {
        "flags": Field(0, "B"),
        "kvm": Field(8, "Q"),
        "instance": Field(16, "Q"),
        "vm.flags": Field(24, "I"),
        "vcpu": Field(32, "I"),
        "change": Field(44, "h"),
        "name": Field(46, "12s"),
    }
    items = fields.arrays["items"]
    assert (items.offset, items.count, items.of.size) == (64, 3, 16)
    assert items.of.fields == {"word": Field(0, "Q"), "count": Field(8, "H")}


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
    assert layout.concerns["counts"].meaning == 4


class Narrow(ctypes.Structure):
    """With bits of a number as fields."""

    _fields_ = [("kvm", ctypes.c_ulong), ("vcpu", ctypes.c_uint, 8), ("other", ctypes.c_uint, 24)]


class NamedLikePadding(ctypes.Structure):
    """With names that begin as those of padding do, and with padding."""

    _fields_ = [
        *((name, ctypes.c_uint) for name in ("padded", "paddr", "pad", "pad_2", "pad3")),
        *((name, ctypes.c_char * 4) for name in ("__pad_1", "__pad_end")),
    ]


def test_bits_of_a_number_are_refused_since_a_layout_has_bytes() -> None:
    with pytest.raises(ValueError, match="vcpu of Narrow is a bit field"):
        _layout(Narrow)


def test_only_padding_is_left_out() -> None:
    assert list(_layout(NamedLikePadding).value("table").fields) == ["padded", "paddr"]
