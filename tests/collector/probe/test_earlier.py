"""What is read of maps that an earlier version laid out, which lack fields and maps of this one."""

import pytest

from collector.probe import compiled
from collector.probe.layout import CONCERNS, MEANINGS, NOT_SHOWN_8, VcpuHead
from collector.probe.views import View, Views
from tests.collector.layouts import EARLIER

LAYOUTS = {path.stem: compiled.decode(path.read_bytes()) for path in EARLIER.iterdir()}
OLDEST = LAYOUTS["1715d92b533c28d0341ea9f184555711"]


@pytest.mark.parametrize("digest", LAYOUTS)
def test_every_earlier_version_has_what_is_read(digest: str) -> None:
    layout = LAYOUTS[digest]
    Views(layout)
    assert {name: one.meaning for name, one in layout.concerns.items()} == MEANINGS
    for name, maps in CONCERNS.items():
        assert set(maps) - set(layout.concerns[name].maps) <= {"second_looks", "overlooked_cut"}


def test_a_counter_that_was_not_kept_adds_nothing() -> None:
    values = bytes(range(1, 89))
    counters = Views(OLDEST).fault_counters.unpack(values)
    assert counters[:2] == (0x0807060504030201, 0x100F0E0D0C0B0A09)
    assert counters[-2:] == (0, 0)


def test_what_was_not_kept_of_a_vcpu_is_nothing_and_the_rest_is_as_it_was() -> None:
    view = View.of(OLDEST.value("homes"), VcpuHead)
    head = VcpuHead(*range(1, 11))
    data = view.pack(head)
    assert len(data) == 1064
    assert view.unpack(data) == head._replace(overlooked=0)


def test_what_was_not_kept_of_a_record_is_not_shown() -> None:
    views = Views(OLDEST)
    assert views.fault_record.unpack(bytes(80)).nested == NOT_SHOWN_8
    assert views.exit_record.unpack(bytes(96)).nested == NOT_SHOWN_8


@pytest.mark.parametrize("digest", LAYOUTS)
def test_a_weight_is_read_that_had_another_name(digest: str) -> None:
    layout = LAYOUTS[digest]
    fields = layout.value("fault_records")
    data = bytearray(fields.size)
    data[fields.numbers["stands_for"].offset] = 7
    assert Views(layout).fault_record.unpack(bytes(data)).weight == 7
