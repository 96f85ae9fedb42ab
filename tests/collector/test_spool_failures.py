# SPDX-License-Identifier: Apache-2.0
"""The spool where its disk or process fails: nothing is lost in silence, nothing counts twice."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.spool import file as spool_file
from collector.spool.disk import RESERVE_BYTES
from collector.spool.entry import Parcel
from collector.spool.file import SpoolFile
from collector.spool.queue import Spool
from tests.collector.spooling import BLOCK, disk_that_takes, drain, files, parcels

BATCH = b"a batch of counts"


def test_damage_to_any_byte_of_a_file_is_noticed() -> None:
    content = spool_file.encode(SpoolFile(BATCH, group_end=7, drop_notice=b"words"))
    damaged = (
        content[:position] + bytes([content[position] ^ bit]) + content[position + 1 :]
        for position in range(len(content))
        for bit in (0x01, 0x80, 0xFF)
    )
    assert [found for found in map(spool_file.decode, damaged) if found is not None] == []


def test_a_file_of_any_other_length_is_noticed() -> None:
    content = spool_file.encode(SpoolFile(BATCH))
    wrong = [content[:length] for length in range(len(content))] + [content + b"x"]
    assert [found for found in map(spool_file.decode, wrong) if found is not None] == []


@pytest.mark.parametrize("position", range(28 + len(BATCH)))
def test_a_damaged_file_is_skipped_and_counted(tmp_path: Path, position: int) -> None:
    with Spool(tmp_path) as spool:
        for batch in (b"before", BATCH, b"after"):
            spool.put(batch)
        damaged = bytearray(files(tmp_path)[1].read_bytes())
        damaged[position] ^= 0x10
        files(tmp_path)[1].write_bytes(damaged)
        assert drain(spool) == [b"before", b"after"]
        assert (spool.dropped_batches, spool.backlog_bytes) == (1, 0)


def test_what_a_damaged_batch_was_to_report_is_reported_anew(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        for batch in (b"1", b"2", b"3"):
            spool.put(batch)
        drain(spool)
        spool.put(b"one was lost", reporting=1)
    os.truncate(files(tmp_path)[0], 10)
    with Spool(tmp_path) as spool:
        assert drain(spool) == []
        assert spool.dropped_batches == 2


def test_a_file_that_somebody_deleted_is_skipped_and_counted(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put(b"1")
        spool.put(b"2")
        files(tmp_path)[0].unlink()
        assert drain(spool) == [b"2"]
        assert spool.dropped_batches == 1


def test_what_a_stopped_write_left_is_removed(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put(b"1")
    (tmp_path / "incoming.tmp").write_bytes(b"KFS1 half a bat")
    with Spool(tmp_path) as spool:
        assert not (tmp_path / "incoming.tmp").exists()
        assert drain(spool) == [b"1"]
        assert spool.dropped_batches == 0


def test_a_drop_that_was_stopped_before_the_file_was_gone_counts_once(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        spool.put(b"1")
        spool.put(b"2")
        first = files(tmp_path)[0]
        content = first.read_bytes()
        spool.put(b"3")
    first.write_bytes(content)
    with Spool(tmp_path) as spool:
        assert spool.dropped_batches == 1
        assert drain(spool) == [b"2", b"3"]


def test_a_report_that_was_stopped_before_the_ledger_knew_counts_once(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        for batch in (b"1", b"2", b"3"):
            spool.put(batch)
        drain(spool)
        before = (tmp_path / "ledger").read_bytes()
        spool.put(b"one was lost", reporting=1)
    (tmp_path / "ledger").write_bytes(before)
    with Spool(tmp_path) as spool:
        assert spool.dropped_batches == 0


def test_a_report_that_was_stopped_before_the_ledger_knew_and_is_damaged_is_made_anew(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=2 * BLOCK) as spool:
        for batch in (b"1", b"2", b"3"):
            spool.put(batch)
        drain(spool)
        before = (tmp_path / "ledger").read_bytes()
        spool.put(b"one was lost", reporting=1)
    (tmp_path / "ledger").write_bytes(before)
    os.truncate(files(tmp_path)[0], 10)
    with Spool(tmp_path) as spool:
        assert drain(spool) == []
        assert spool.dropped_batches == 2


@pytest.mark.parametrize("slot", [0, 512])
def test_a_ledger_write_that_was_cut_off_leaves_the_one_before(tmp_path: Path, slot: int) -> None:
    with Spool(tmp_path, max_bytes=BLOCK) as spool:
        for number in range(5):
            spool.put(b"%d" % number)
    with (tmp_path / "ledger").open("r+b") as ledger:
        ledger.seek(slot + 8)
        ledger.write(b"\xff" * 8)
    with Spool(tmp_path) as spool:
        # Four were dropped; the older slot knows of three.
        assert spool.dropped_batches == (4 if slot == 512 else 3)


def test_a_full_disk_costs_nothing_while_the_server_answers(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        with disk_that_takes(2000):
            for number in range(20):
                assert spool.put(b"%d" % number * 3000)
        assert files(tmp_path) == []
        assert drain(spool) == [b"%d" % number * 3000 for number in range(20)]
        assert spool.dropped_batches == 0


def test_a_process_out_of_file_descriptors_loses_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Spool(tmp_path) as spool:
        spool.put(b"1")
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                spool.oldest()
            assert spool.put(b"2")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert drain(spool) == [b"1", b"2"]
        assert spool.dropped_batches == 0


def test_what_is_held_in_memory_goes_to_disk_at_the_end_if_it_can(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put(b"1")
        with disk_that_takes(2000):
            spool.put(b"2" * 3000)
        spool.put(b"3")
    with Spool(tmp_path) as spool:
        assert drain(spool) == [b"1", b"2" * 3000, b"3"]


def test_what_the_disk_does_not_take_at_the_end_is_counted(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool, disk_that_takes(2000):
        spool.put(b"1" * 3000)
        spool.put(b"2" * 3000)
        spool.close()
    with Spool(tmp_path) as spool:
        assert (drain(spool), spool.dropped_batches) == ([], 2)


def test_memory_is_bounded_when_the_disk_stays_full(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool, disk_that_takes(2000):
        stored = [spool.put(b"x" * 4_000_000) for _ in range(6)]
        assert stored == [True, True, True, True, False, False]
        assert (spool.dropped_batches, spool.backlog_batches) == (2, 4)
        drain(spool)
        assert spool.put(b"x" * 4_000_000)


def test_drop_notices_that_the_disk_does_not_take_are_held_in_memory(tmp_path: Path) -> None:
    with Spool(tmp_path, max_bytes=BLOCK) as spool, disk_that_takes(0):
        spool.put_group([Parcel(b"1", drop_notice=b"drop notices")])
        spool.put_group(parcels(b"2"))
        assert spool.pending_notices == {1: b"drop notices"}


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of its own, of as many bytes as the test's parameter says."""
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    small = tmp_path / "small"
    small.mkdir()
    options = f"size={request.param}"
    mounted = subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", small], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield small
    subprocess.run(["umount", small], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on a disk; return the file that takes it all."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(BLOCK))
    return ballast


@pytest.mark.parametrize("small_disk", [1 << 16], indirect=True)
def test_a_file_system_without_room_costs_nothing_while_the_server_answers(small_disk: Path) -> None:
    with Spool(small_disk / "spool") as spool:
        for number in range(30):
            assert spool.put(b"%d" % (number % 10) * 5000)
        assert 0 < len(files(small_disk / "spool")) < 30
        assert drain(spool) == [b"%d" % (number % 10) * 5000 for number in range(30)]
        assert spool.dropped_batches == 0


@pytest.mark.parametrize("small_disk", [4 * RESERVE_BYTES], indirect=True)
def test_what_is_put_on_a_full_disk_survives_a_kill(small_disk: Path) -> None:
    with Spool(small_disk / "spool"):
        fill(small_disk)
    last = put_until_killed(small_disk / "spool", 1 << 24, 100)
    with Spool(small_disk / "spool") as spool:
        assert drain(spool)[: last + 1] == [b"%d" % number for number in range(last + 1)]


@pytest.mark.parametrize("small_disk", [4 * RESERVE_BYTES], indirect=True)
def test_the_reserve_is_taken_anew_when_there_is_room(small_disk: Path) -> None:
    reserve = small_disk / "spool/reserve"
    with Spool(small_disk / "spool") as spool:
        ballast = fill(small_disk)
        assert spool.put(bytes(RESERVE_BYTES // 2))
        assert reserve.stat().st_size < RESERVE_BYTES
        ballast.unlink()
        assert spool.put(b"2")
        assert reserve.stat().st_size == RESERVE_BYTES


PUT_FOR_EVER = """
import itertools, sys
from pathlib import Path
from collector.spool.entry import Parcel
from collector.spool.queue import Spool

with Spool(Path(sys.argv[1]), max_bytes=int(sys.argv[2])) as spool:
    for number in itertools.count():
        spool.put_group([Parcel(b"%d" % number, drop_notice=b"%d" % number)])
        print(number, flush=True)
"""


def put_until_killed(directory: Path, max_bytes: int, puts: int) -> int:
    """Put batches 0, 1, 2, ... in another process, kill it in the middle, return the last that was put."""
    command = [sys.executable, "-c", PUT_FOR_EVER, str(directory), str(max_bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(puts)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    return int(lines[-1])


@pytest.mark.parametrize("puts", [1, 7, 40, 120])
def test_what_was_put_survives_a_kill(tmp_path: Path, puts: int) -> None:
    last = put_until_killed(tmp_path, 1 << 20, puts)
    with Spool(tmp_path) as spool:
        found = drain(spool)
        # At most one more: stored, but killed before it could say so.
        assert found[: last + 1] == [b"%d" % number for number in range(last + 1)]
        assert len(found) - (last + 1) in (0, 1)
        assert spool.dropped_batches == 0


@pytest.mark.parametrize("puts", [6, 25, 60, 110])
def test_a_kill_while_dropping_loses_no_count_and_no_drop_notice(tmp_path: Path, puts: int) -> None:
    last = put_until_killed(tmp_path, 4 * BLOCK, puts)
    with Spool(tmp_path) as spool:
        left, dropped = drain(spool), spool.dropped_batches
        assert [int(words) for words in spool.pending_notices.values()] == list(range(dropped))
    assert [int(batch) for batch in left] == list(range(dropped, dropped + len(left)))
    assert dropped + len(left) - (last + 1) in (0, 1)
