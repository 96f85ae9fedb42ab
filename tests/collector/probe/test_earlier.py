# SPDX-License-Identifier: Apache-2.0
"""What is read of maps that an earlier version laid out, which lack fields and maps of this one."""

import msgspec
import pytest

from collector.counting.differences import differences
from collector.probe import compiled
from collector.probe.compiled import Field, Structure
from collector.probe.layout import CONCERNS, COUNTS, MEANINGS, NOT_SHOWN_8, RECORDS, VcpuHead
from collector.probe.view import View
from collector.probe.views import RecordViews, Views
from faultmodel.kinds import LossKind
from tests.collector.counting import NOTHING
from tests.collector.layouts import COMPILED, EARLIER

LAYOUTS = {path.stem: compiled.decode(path.read_bytes()) for path in EARLIER.iterdir()}
OLDEST = LAYOUTS["1715d92b533c28d0341ea9f184555711"]


@pytest.mark.parametrize("digest", LAYOUTS)
def test_every_earlier_version_has_what_is_read(digest: str) -> None:
    layout = LAYOUTS[digest]
    Views(layout)
    meanings = {name: one.meaning for name, one in layout.concerns.items()}
    # They did not take the time of faults.
    assert meanings == {name: MEANINGS[name] for name in (COUNTS, RECORDS)}
    for name in meanings:
        maps = CONCERNS[name]
        assert set(maps) - set(layout.concerns[name].maps) <= {"raw_side_only", "missed_faults_checkpoint"}


def test_a_counter_that_was_not_kept_adds_nothing() -> None:
    values = bytes(range(1, 89))
    counters = Views(OLDEST).fault_counters.unpack(values)
    assert counters[:2] == (0x0807060504030201, 0x100F0E0D0C0B0A09)
    assert counters[-2:] == (0, 0)


def test_what_was_not_kept_of_a_vcpu_is_nothing_and_the_rest_is_as_it_was() -> None:
    view = View.of(OLDEST.value("slots"), VcpuHead)
    head = VcpuHead(*range(1, 11))
    data = view.pack(head)
    assert len(data) == 1064
    assert view.unpack(data) == head._replace(missed_faults=0)


def test_what_was_not_kept_of_a_record_is_not_shown() -> None:
    views = RecordViews(OLDEST)
    assert views.fault_record.unpack(bytes(80)).nested == NOT_SHOWN_8
    assert views.exit_record.unpack(bytes(96)).nested == NOT_SHOWN_8


@pytest.mark.parametrize("digest", LAYOUTS)
def test_a_weight_is_read_that_had_another_name(digest: str) -> None:
    layout = LAYOUTS[digest]
    fields = layout.value("fault_records")
    data = bytearray(fields.size)
    data[fields.fields["stands_for"].offset] = 7
    assert RecordViews(layout).fault_record.unpack(bytes(data)).weight == 7


def test_numbers_that_lie_in_an_entry_each_are_read_by_their_names() -> None:
    table = {index.to_bytes(4, "little"): (index + 7).to_bytes(8, "little") for index in range(3)}
    view = Views(OLDEST).lost
    assert view.unpack(table) == {"keys_full": 7, "unattributed": 8, "exit_records": 9}
    added = {"keys_full": 7, "unattributed": 11, "exit_records": 9}
    assert view.pack(added, over=table) == {**table, bytes([1, 0, 0, 0]): (11).to_bytes(8, "little")}


def test_what_was_lost_in_a_way_that_this_version_has_no_name_for_is_another_loss() -> None:
    lost = Structure(16, {"keys_full": Field(0, "Q"), "later": Field(8, "Q")})
    layout = msgspec.structs.replace(COMPILED, types={**COMPILED.types, "lost": lost})
    view = Views(layout).lost
    now = {**NOTHING, "lost": view.pack({"keys_full": 3, "later": 4}, over={bytes(4): bytes(16)})}
    found = differences(now, NOTHING, Views(layout))
    assert found.lost == {LossKind.KEYS_FULL: 3, LossKind.OTHER: 4}
    assert differences(now, {**NOTHING, **found.changed}, Views(layout)).lost == {}
