# SPDX-License-Identifier: Apache-2.0
"""The spool as a queue: in order, bounded, and what it drops is counted and reported once."""

import os
import stat
import threading
from pathlib import Path

import pytest

from collector.errors import SpoolError, SpoolLockedError
from collector.spool.queue import Spool
from tests.collector.spooling import BLOCK, drain, files


def test_batches_come_out_as_they_went_in(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        assert all(spool.put(batch) for batch in (b"1", b"", b"\x00\xff" * 9000))
        assert drain(spool) == [b"1", b"", b"\x00\xff" * 9000]
        assert spool.oldest() is None


def test_a_batch_stays_until_it_is_removed(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put(b"1")
        spool.put(b"2")
        first = spool.oldest()
        assert first is not None
        assert spool.oldest() == first
        spool.remove(first.number)
        assert drain(spool) == [b"2"]


def test_removing_twice_removes_no_other(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put(b"1")
        first = spool.oldest()
        assert first is not None
        spool.remove(first.number)
        spool.put(b"2")
        spool.remove(first.number)
        assert drain(spool) == [b"2"]


def test_batches_of_earlier_runs_come_first(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put(b"1")
        spool.put(b"2")
    with Spool(tmp_path) as spool:
        spool.put(b"3")
    with Spool(tmp_path) as spool:
        assert drain(spool) == [b"1", b"2", b"3"]


def test_the_backlog_is_known_after_a_restart(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put(b"x" * 5000)
        spool.put(b"y")
    with Spool(tmp_path) as spool:
        assert (spool.backlog_batches, spool.backlog_bytes) == (2, 3 * BLOCK)


def test_only_the_owner_can_look_in(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool") as spool:
        spool.put(b"1")
        modes = [
            stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "spool", *files(tmp_path / "spool"))
        ]
    assert modes == [0o700, 0o600]


def test_two_collectors_cannot_share_a_directory(tmp_path: Path) -> None:
    with (
        Spool(tmp_path),
        pytest.raises(SpoolLockedError, match=rf"another collector \(process {os.getpid()}\)"),
    ):
        Spool(tmp_path)


def test_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="file/spool cannot be used: Not a directory"):
        Spool(tmp_path / "file" / "spool")


def test_closing_twice_does_no_harm(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.close()
    spool.close()


def test_a_full_spool_drops_the_oldest_and_counts(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=3 * BLOCK) as spool:
        for batch in (b"1", b"2", b"3", b"4", b"5"):
            spool.put(batch)
        assert spool.dropped_batches == 2
        assert drain(spool) == [b"3", b"4", b"5"]


def test_a_full_spool_keeps_the_batch_that_is_being_sent(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        spool.put(b"1")
        spool.oldest()
        spool.put(b"2")
        spool.put(b"3")
        assert spool.dropped_batches == 1
        assert drain(spool) == [b"1", b"3"]


def test_a_batch_larger_than_the_spool_is_dropped_and_counted(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        assert not spool.put(b"x" * 3 * BLOCK)
        assert spool.dropped_batches == 1


def test_drops_are_remembered_across_restarts(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=BLOCK) as spool:
        spool.put(b"1")
        spool.put(b"2")
    with Spool(tmp_path, max_bytes=BLOCK) as spool:
        assert spool.dropped_batches == 1
        spool.put(b"3")
        assert spool.dropped_batches == 2


def test_reported_drops_are_counted_no_more(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        for batch in (b"1", b"2", b"3"):
            spool.put(batch)
        spool.put(b"one was lost", reporting=1)
        assert spool.dropped_batches == 1  # putting it took the room of "2"
    with Spool(tmp_path) as spool:
        assert spool.dropped_batches == 1


def test_drops_are_reported_anew_when_the_report_is_dropped(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=BLOCK) as spool:
        spool.put(b"1")
        spool.put(b"2")
        spool.put(b"report", reporting=1)
        spool.put(b"3")
        assert spool.dropped_batches == 3


def test_drops_are_not_forgotten_when_the_report_cannot_be_stored(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=BLOCK) as spool:
        spool.put(b"1")
        spool.put(b"2")
        assert not spool.put(b"x" * 2 * BLOCK, reporting=1)
        assert spool.dropped_batches == 3  # 1, 2 and the report itself


def test_a_number_is_not_given_again_after_its_batch_was_dropped(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=BLOCK) as spool:
        spool.put(b"old")
        assert not spool.put(b"x" * 2 * BLOCK)
        assert drain(spool) == []
    with Spool(tmp_path) as spool:
        spool.put(b"good")
    with Spool(tmp_path) as spool:
        assert drain(spool) == [b"good"]


def test_waiting_ends_when_a_batch_comes(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        waiter = threading.Thread(target=spool.wait)
        waiter.start()
        spool.put(b"1")
        waiter.join(timeout=10)
        assert not waiter.is_alive()


def test_a_wake_up_before_the_wait_is_not_missed(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.wake()
        spool.wait()


def test_it_is_known_how_many_were_dropped_since_it_was_opened(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        for _ in range(5):
            spool.put(b"x")
        assert spool.dropped_since_open == 3
        # Reported or not.
        spool.put(b"x", reporting=spool.dropped_batches)
        assert spool.dropped_since_open == 4
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        assert spool.dropped_since_open == 0
