# SPDX-License-Identifier: Apache-2.0
"""What is put aside keeps its room, its reason and its turn; nothing of it is lost but for want of room."""

from pathlib import Path

import pytest

from collector.spool import file as spool_file
from collector.spool.aside import Reason, ask_for, found_aside
from collector.spool.entry import Parcel
from collector.spool.file import SpoolFile
from collector.spool.queue import Spool
from tests.collector.spooling import BLOCK, disk_that_takes, drain, files, parcels

REASON = Reason("409 another's VM", "identity_conflict")


def _put_aside(spool: Spool, *numbers: int) -> None:
    for number in numbers:
        spool.put_aside(number, REASON)


def test_what_is_put_aside_is_neither_waiting_nor_dropped(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1", b"2", b"3"))
        _put_aside(spool, 2)
        assert drain(spool) == [b"1", b"3"]
        assert (spool.dropped_batches, spool.backlog_bytes) == (0, BLOCK)
        kept = spool.again(2)
        assert kept is not None
        assert kept.batch == b"2"


def test_it_is_remembered_with_its_reason_across_restarts(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1", b"2"))
        _put_aside(spool, 1)
        since = spool.aside[1].since_ns
    with Spool(tmp_path) as spool:
        assert spool.aside == {1: Reason(REASON.detail, REASON.code, since_ns=since)}
        assert since > 0
        spool.put_aside(1, Reason("413", "too_large"))
        assert spool.aside[1] == Reason("413", "too_large", since_ns=since)


def test_where_its_reason_is_lost_it_is_kept_all_the_same(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put(b"1")
        _put_aside(spool, 1)
    for path in (tmp_path / "aside").glob("*.json"):
        path.write_bytes(b"{")
    with Spool(tmp_path) as spool:
        assert [reason.detail for reason in spool.aside.values()] == ["it is not known why any more"]


def test_what_the_server_takes_at_last_is_gone(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put(b"1")
        _put_aside(spool, 1)
        spool.remove(1)
        assert (spool.aside, spool.backlog_bytes) == ({}, 0)
    assert list((tmp_path / "aside").iterdir()) == []


def test_what_is_brought_back_has_its_turn_again(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1", b"2", b"3"))
        _put_aside(spool, 3, 1, 2)
        assert list(spool.aside) == [1, 2, 3]
        spool.put(b"4")
        spool.bring_back(2)
        spool.bring_back(1)
    with Spool(tmp_path) as spool:
        assert drain(spool) == [b"1", b"2", b"4"]
        assert list(spool.aside) == [3]


def test_what_is_asked_for_is_brought_back_once(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1", b"2"))
        _put_aside(spool, 1, 2)
    ask_for(tmp_path, 1)
    ask_for(tmp_path, 77)
    with Spool(tmp_path) as spool:
        assert spool.bring_back_asked() == [1]
        _put_aside(spool, 1)
        assert spool.bring_back_asked() == []


def test_both_stay_within_the_spools_bytes_and_what_was_put_aside_goes_first(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=3 * BLOCK) as spool:
        for number in (1, 2, 3):
            spool.put_group([Parcel(b"%d" % number, b"words of %d" % number)])
        _put_aside(spool, 2, 3)
        spool.put(b"4")
        assert (list(spool.aside), spool.dropped_batches) == ([3], 1)
        assert spool.pending_notices == {2: b"words of 2"}
        spool.put_group(parcels(b"5", b"6"))
        assert (list(spool.aside), spool.dropped_batches) == ([], 3)
        assert drain(spool) == [b"4", b"5", b"6"]
    assert len(files(tmp_path / "aside")) == 0


def test_many_that_are_put_aside_are_all_kept(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        for number in range(1, 51):
            spool.put(b"%d" % number)
            spool.put_aside(number, Reason("400 not a batch", "damaged"))
        assert (len(spool.aside), spool.dropped_batches) == (50, 0)


@pytest.mark.parametrize(
    "reason",
    [Reason("400", "damaged"), Reason("it counts for host 'h1'", host="h1")],
    ids=["damaged", "host"],
)
def test_drop_notices_that_the_server_could_not_use_are_not_sent(tmp_path: Path, reason: Reason) -> None:
    with Spool(tmp_path, max_bytes=BLOCK) as spool:
        spool.put_group([Parcel(b"1", b"words")])
        spool.put_aside(1, reason)
        spool.put(b"2")
        assert (spool.dropped_batches, spool.pending_notices) == (1, {})


def test_a_drop_that_was_stopped_before_the_file_was_gone_counts_once(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=BLOCK) as spool:
        spool.put(b"1")
        _put_aside(spool, 1)
        (path,) = files(tmp_path / "aside")
        content = path.read_bytes()
        spool.put(b"2")
    path.write_bytes(content)
    with Spool(tmp_path) as spool:
        assert (spool.aside, spool.dropped_batches) == ({}, 1)


def test_a_number_of_what_is_put_aside_is_not_given_again(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put(b"1")
        _put_aside(spool, 1)
    with Spool(tmp_path) as spool:
        spool.put(b"2")
        assert drain(spool) == [b"2"]
        assert list(spool.aside) == [1]


def test_a_report_that_is_put_aside_and_dropped_is_made_anew(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        spool.put_group(parcels(b"1", b"2", b"3"))
        drain(spool)
        spool.put(b"one was lost", reporting=1)
        assert spool.dropped_batches == 0
        _put_aside(spool, 4)
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        spool.put_group(parcels(b"5", b"6"))
        assert spool.dropped_batches == 2


def test_what_is_held_in_memory_can_be_put_aside(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        with disk_that_takes(2000):
            spool.put(b"x" * 3000)
        _put_aside(spool, 1)
    with Spool(tmp_path) as spool:
        assert [reason.code for reason in spool.aside.values()] == ["identity_conflict"]


def test_what_an_earlier_version_refused_is_kept_and_not_counted_again(tmp_path: Path) -> None:
    (tmp_path / "rejected").mkdir()
    name = f"{7:020d}+1-2.batch"
    (tmp_path / "rejected" / name).write_bytes(spool_file.encode(SpoolFile(b"old")))
    with Spool(tmp_path, max_bytes=BLOCK) as spool:
        ((number, _, reason),) = found_aside(tmp_path)
        assert (number, reason.is_counted) == (7, True)
        spool.put(b"new")
        assert (spool.aside, spool.dropped_batches) == ({}, 0)
    assert not (tmp_path / "rejected").exists()
