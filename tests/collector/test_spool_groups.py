# SPDX-License-Identifier: Apache-2.0
"""Batches of one reading count as a whole or not at all, whenever the process is killed."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from collector.spool.checkpoint import CheckpointFile
from collector.spool.queue import Spool
from tests.collector.spooling import BLOCK, disk_that_takes, drain, files, parcels
from tests.product import TOP


def test_what_is_committed_is_the_number_of_the_last_batch(tmp_path: Path) -> None:
    noted: list[int] = []
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1", b"2"), checkpoint=b"a", commit=noted.append)
        spool.put_group(parcels(b"3"), checkpoint=b"b", commit=noted.append)
        assert noted == [2, 3]
        assert spool.last_number == 3


def test_nothing_is_to_be_finished_after_an_ordered_end(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1", b"2"), checkpoint=b"a")
    with Spool(tmp_path) as spool:
        assert spool.resume(2) is None
        assert drain(spool) == [b"1", b"2"]


def test_a_group_whose_cut_was_not_noted_gives_it_back(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1"), checkpoint=b"a")
        spool.put_group(parcels(b"2", b"3"), checkpoint=b"b")
    with Spool(tmp_path) as spool:
        assert spool.resume(1) == (3, b"b")
        assert drain(spool) == [b"1", b"2", b"3"]


def test_a_group_that_lacks_its_end_is_deleted(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1"), checkpoint=b"a")
        spool.put_group(parcels(b"2", b"3"), checkpoint=b"b")
    files(tmp_path)[-1].unlink()
    with Spool(tmp_path) as spool:
        assert spool.resume(1) is None
        assert drain(spool) == [b"1"]
        # It will be counted again: nothing is lost.
        assert spool.dropped_batches == 0


def test_a_group_whose_end_is_damaged_is_not_sent(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1", b"2"), checkpoint=b"a")
    damaged = files(tmp_path)[-1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with Spool(tmp_path) as spool:
        assert spool.resume(0) is None
        assert drain(spool) == []
        # What the damaged one had is not known; the rest will be counted again.
        assert spool.dropped_batches == 1


@pytest.mark.parametrize("damaged", [0, 1, None])
def test_a_report_in_a_group_that_is_counted_again_is_made_anew(tmp_path: Path, damaged: int | None) -> None:
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        for batch in (b"1", b"2", b"3"):
            spool.put(batch)
        drain(spool)
        spool.put_group(parcels(b"4", b"one was lost"), reporting=1, checkpoint=b"a")
    if damaged is None:
        (tmp_path / "cut").write_bytes(b"")
    else:
        (tmp_path / "cut").unlink()
        os.truncate(files(tmp_path)[damaged], 10)
    for _ in range(2):
        with Spool(tmp_path) as spool:
            assert spool.resume(3) is None
            assert drain(spool) == []
            assert spool.dropped_batches == (1 if damaged is None else 2)


def test_a_group_whose_cut_is_not_whole_is_deleted(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1"), checkpoint=b"a")
        spool.put_group(parcels(b"2", b"3"), checkpoint=b"b")
    checkpoint = tmp_path / "cut"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    with Spool(tmp_path) as spool:
        assert spool.resume(1) is None
        assert drain(spool) == [b"1"]
        assert spool.dropped_batches == 0


def test_a_group_whose_cut_the_disk_did_not_take_is_deleted(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1"), checkpoint=b"a")
        with disk_that_takes(2000):
            spool.put_group(parcels(b"2"), checkpoint=b"b" * 3000)
    with Spool(tmp_path) as spool:
        assert spool.resume(1) is None
        assert drain(spool) == [b"1"]


def test_damage_to_any_byte_of_a_cut_is_noticed(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1"), checkpoint=b"here")
        whole = (tmp_path / "cut").read_bytes()
        for position in range(len(whole)):
            damaged = bytearray(whole)
            damaged[position] ^= 0x10
            (tmp_path / "cut").write_bytes(damaged)
            assert _cut_in(tmp_path) is None


def _cut_in(directory: Path) -> tuple[int, bytes] | None:
    with contextlib.closing(CheckpointFile(directory / "cut")) as file:
        return file.read()


def test_a_smaller_cut_replaces_a_larger_one(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1"), checkpoint=b"a" * 10_000)
        spool.put_group(parcels(b"2"), checkpoint=b"b")
    with Spool(tmp_path) as spool:
        assert spool.resume(1) == (2, b"b")


def test_batches_that_wait_take_no_room_for_their_cuts(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        for _ in range(3):
            spool.put_group(parcels(b"1"), checkpoint=b"a" * 10 * BLOCK)
        assert spool.backlog_bytes == 3 * BLOCK


def test_batches_without_a_cut_hide_none_that_was_not_noted(tmp_path: Path) -> None:
    # A successor that had to wait for the host said so, before it could take over.
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1", b"2"), checkpoint=b"a")
        spool.put(b"waiting")
    with Spool(tmp_path) as spool:
        assert spool.resume(0) == (2, b"a")
        assert drain(spool) == [b"1", b"2", b"waiting"]


def test_batches_without_a_cut_are_nothing_to_finish(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1"), checkpoint=b"a")
        spool.put(b"waiting")
        spool.put(b"waiting still")
    with Spool(tmp_path) as spool:
        assert spool.resume(1) is None
        assert drain(spool) == [b"1", b"waiting", b"waiting still"]


def test_a_number_that_was_noted_is_not_given_again(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put_group(parcels(b"1", b"2"), checkpoint=b"a")
        drain(spool)
    with Spool(tmp_path) as spool:
        spool.resume(2)
        spool.put_group(parcels(b"3"), checkpoint=b"b")
        assert spool.last_number == 3


def test_dropping_the_beginning_of_a_group_leaves_its_cut(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        spool.put_group(parcels(b"1", b"2", b"3"), checkpoint=b"a")
        assert spool.dropped_batches == 1
    with Spool(tmp_path) as spool:
        assert spool.resume(0) == (3, b"a")
        assert drain(spool) == [b"2", b"3"]


def test_a_commit_that_fails_leaves_what_is_stored(tmp_path: Path) -> None:
    def refuse(_number: int) -> None:
        raise RuntimeError

    with Spool(tmp_path) as spool:
        with pytest.raises(RuntimeError):
            spool.put_group(parcels(b"1"), checkpoint=b"a", commit=refuse)
        assert spool.resume(0) == (1, b"a")
        assert drain(spool) == [b"1"]


# Every file that is opened, renamed or removed is announced to audit hooks: a step at which to be killed.
PUT_AND_BE_KILLED = """
import os, signal, sys
from pathlib import Path
from collector.spool.queue import Spool
from tests.collector.spooling import parcels

directory, left, is_armed = Path(sys.argv[1]), int(sys.argv[2]), False

def step(event, _arguments):
    global left
    if is_armed and event in ("open", "os.rename", "os.remove", "os.truncate"):
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

sys.addaudithook(step)

def commit(number):
    written = directory / "noted.new"
    written.write_text(str(number))
    written.rename(directory / "noted")

with Spool(directory) as spool:
    spool.put_group(parcels(b"1", b"2"), checkpoint=b"first", commit=commit)
    is_armed = True
    spool.put_group(parcels(b"3", b"4", b"5"), checkpoint=b"second", commit=commit)
    os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_group_counts_once_whenever_the_process_is_killed(tmp_path: Path) -> None:
    outcomes = set()
    for step in range(100):
        directory = tmp_path / str(step)
        command = [sys.executable, "-c", PUT_AND_BE_KILLED, str(directory), str(step)]
        done = subprocess.run(command, cwd=TOP, capture_output=True, check=False)
        outcome = _take_over(directory)
        outcomes.add(outcome)
        if done.returncode == -signal.SIGTERM:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert outcomes == {"again", "whole", "noted"}


def _take_over(directory: Path) -> str:
    """Do as the next collector does; return what it found of the second group."""
    noted = int((directory / "noted").read_text())
    with Spool(directory) as spool:
        unfinished = spool.resume(noted)
        outcome = "whole" if unfinished else "noted" if noted == 5 else "again"
        if outcome == "again":
            spool.put_group(parcels(b"3", b"4", b"5"), checkpoint=b"second")
        else:
            assert unfinished in (None, (5, b"second"))
        assert drain(spool) == [b"1", b"2", b"3", b"4", b"5"]
        assert spool.dropped_batches == 0
    return outcome
