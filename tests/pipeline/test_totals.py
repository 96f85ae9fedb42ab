# SPDX-License-Identifier: Apache-2.0
"""What comes out of the pipeline equals a plain count of the events in the text."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.contract.values import TimeRange
from backend.store.contract.vms import VmFilter
from backend.store.sql.migrate import migrate
from faultmodel import wire
from faultmodel.record import BUCKET_MS, ExitKind
from tests.pipeline import recordings

ALWAYS = TimeRange()
USERSPACE_EXIT = re.compile(r": kvm_userspace_exit: ")
ERROR_EXIT = re.compile(r": kvm_userspace_exit: reason error \((?:14|133)\)")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    migrate(url)
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.mark.parametrize("name", recordings.names())
def test_the_batches_hold_every_event_of_the_text(name: str) -> None:
    batches = [wire.decode(wire.encode(batch)) for batch in recordings.recording_of(name).batches()]
    text = recordings.text(name)

    assert sum(count.faults for batch in batches for count in batch.fault_counts) == recordings.fault_lines(
        name
    )
    exits = sum(count.count for batch in batches for count in batch.exit_counts)
    assert exits == len(USERSPACE_EXIT.findall(text))
    assert sum(len(batch.exits) for batch in batches) == len(ERROR_EXIT.findall(text))


@pytest.mark.parametrize("name", recordings.names())
def test_every_count_lies_in_the_covered_time(name: str) -> None:
    batches = list(recordings.recording_of(name).batches())
    from_ns, to_ns = batches[0].covered[0].from_ns, batches[-1].covered[-1].to_ns
    buckets = {count.bucket_ms for batch in batches for count in (*batch.fault_counts, *batch.exit_counts)}

    assert to_ns == recordings.END_NS
    assert min(buckets) > from_ns // 1_000_000 - BUCKET_MS
    assert max(buckets) < to_ns // 1_000_000


@pytest.mark.parametrize("name", recordings.names())
def test_no_line_of_a_recording_goes_unread(name: str) -> None:
    recording = recordings.recording_of(name)
    list(recording.batches())
    assert (recording.report.unreadable_lines, recording.report.unattributed) == (0, 0)


def test_the_store_has_the_totals_of_every_recording_and_a_second_time_changes_nothing(store: Store) -> None:
    for _ in range(2):
        for name in recordings.names():
            for batch in recordings.recording_of(name).batches():
                store.apply(batch, time.time_ns())

    texts = [recordings.text(name) for name in recordings.names()]
    vms = store.vms(VmFilter(), ALWAYS, limit=1000, after=None)
    assert len(vms) == len(texts)
    assert sum(vm.faults for vm in vms) == sum(map(recordings.fault_lines, recordings.names()))
    (livelock,) = store.livelocks([vm.id for vm in vms], ALWAYS)
    assert livelock.livelock.faults == recordings.fault_lines("arm64-6.18.15-gmem")
    exits = store.exits(None, ExitKind.UNCLASSIFIED_ERROR, ALWAYS, limit=1000, before=None)
    assert len(exits) == sum(len(ERROR_EXIT.findall(text)) for text in texts)
    assert {(vm.memory_fault_exits, vm.bare_error_exits) for vm in vms} == {(0, 0)}
