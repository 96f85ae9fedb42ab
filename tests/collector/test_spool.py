"""The spool's promises: order, nothing lost in silence or counted twice, whatever stops it or its disk."""

import contextlib
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector import spool_file
from collector.errors import SpoolError, SpoolLockedError
from collector.spool import Spool
from collector.spool_file import SpoolFile

BLOCK = 4096
BATCH = b"a batch of counts"


def drain(spool: Spool) -> list[bytes]:
    batches = []
    while (oldest := spool.oldest()) is not None:
        batches.append(oldest.batch)
        spool.remove(oldest.number)
    return batches


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.batch"))


@contextlib.contextmanager
def disk_that_takes(file_bytes: int) -> Iterator[None]:
    """Let writes beyond a file size fail, as a full disk does: Python ignores SIGXFSZ and sees EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


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


def test_a_rejected_batch_is_counted_and_kept_aside(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put(b"bad")
        spool.put(b"good")
        bad = spool.oldest()
        assert bad is not None
        spool.reject(bad.number)
        assert spool.dropped_batches == 1
        assert drain(spool) == [b"good"]
    (kept,) = files(tmp_path / "rejected")
    assert spool_file.decode(kept.read_bytes()) == SpoolFile(b"bad")


def test_of_many_rejected_batches_the_last_are_kept(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        for number in range(20):
            spool.put(b"%d" % number)
            oldest = spool.oldest()
            assert oldest is not None
            spool.reject(oldest.number)
        assert spool.dropped_batches == 20
    assert len(files(tmp_path / "rejected")) == 16
    assert files(tmp_path / "rejected")[-1].read_bytes().endswith(b"19")


def test_damage_to_any_byte_of_a_file_is_noticed() -> None:
    content = spool_file.encode(SpoolFile(BATCH, reporting=3, reported_total=9))
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


def test_a_number_is_not_given_again_after_its_batch_was_dropped(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.put(b"bad")
        bad = spool.oldest()
        assert bad is not None
        spool.reject(bad.number)
    with Spool(tmp_path) as spool:
        spool.put(b"good")
    with Spool(tmp_path) as spool:
        assert drain(spool) == [b"good"]


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


def test_a_file_system_without_room_costs_nothing_while_the_server_answers(tmp_path: Path) -> None:
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with Spool(small / "spool") as spool:
            for number in range(30):
                assert spool.put(b"%d" % (number % 10) * 5000)
            assert 0 < len(files(small / "spool")) < 30
            assert drain(spool) == [b"%d" % (number % 10) * 5000 for number in range(30)]
            assert spool.dropped_batches == 0
    finally:
        subprocess.run(["umount", small], check=True)


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


PUT_FOR_EVER = """
import itertools, sys
from pathlib import Path
from collector.spool import Spool

with Spool(Path(sys.argv[1]), max_bytes=int(sys.argv[2])) as spool:
    for number in itertools.count():
        spool.put(b"%d" % number)
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
def test_a_kill_while_dropping_loses_no_count(tmp_path: Path, puts: int) -> None:
    last = put_until_killed(tmp_path, 4 * BLOCK, puts)
    with Spool(tmp_path) as spool:
        left, dropped = drain(spool), spool.dropped_batches
    assert [int(batch) for batch in left] == list(range(dropped, dropped + len(left)))
    assert dropped + len(left) - (last + 1) in (0, 1)
