# SPDX-License-Identifier: Apache-2.0
"""``kvmfaults-collector spool``, with a collector and without."""

import subprocess
import sys
from pathlib import Path

import pytest

from collector.settings import spool_directory
from collector.ship.shipper import Shipper
from collector.ship.uplink import Uplink
from collector.spool.aside import Reason
from collector.spool.queue import Spool
from faultmodel import wire
from tests.batches import fault_count, make_batch, make_host
from tests.collector.server import Reply, serve
from tests.product import TOP, wait_for

DAMAGED = Reply(
    400, {"content-type": "application/problem+json"}, b'{"code":"damaged","detail":"not a batch"}'
)


def _run(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "collector", "spool", *arguments]
    command += ["--data-dir", str(data_dir)] if arguments else []
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)


def _fill(data_dir: Path, *reasons: Reason) -> None:
    with Spool(spool_directory(data_dir)) as spool:
        for number, reason in enumerate(reasons, 1):
            batch = make_batch(number, host=make_host("h1"), fault_counts=[fault_count()])
            spool.put(wire.encode(batch))
            spool.put_aside(number, reason)
        spool.put(b"waits")


def test_what_is_put_aside_is_listed_with_its_reason(tmp_path: Path) -> None:
    _fill(tmp_path, Reason("413 Request Entity Too Large"), Reason("it counts for host 'h1'", host="h1"))
    done = _run(tmp_path, "list")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[:2] == ["1 batch to be sent", "2 batches put aside"]
    assert [line.split()[0] for line in lines[2:]] == ["1", "2"]
    assert [line.rpartition("Z  ")[2] for line in lines[2:]] == [
        "413 Request Entity Too Large",
        "it counts for host 'h1'",
    ]


def test_one_is_explained_with_what_to_do(tmp_path: Path) -> None:
    _fill(tmp_path, Reason("it counts for host 'h1'", host="h1"))
    said = _run(tmp_path, "explain", "1").stdout
    assert "host      h1\n" in said
    assert f"number 1, wire version {wire.VERSION}\n" in said
    assert "VMs       1\n" in said
    assert "covers    2027-01-15T08:00:01Z to 2027-01-15T08:00:02Z\n" in said
    assert "to do     run the collector with --host h1 and a token of that host, until this is sent\n" in said


@pytest.mark.parametrize("damage", [b"no batch", None], ids=["bytes that are no batch", "a damaged file"])
def test_one_that_cannot_be_read_is_explained_too(tmp_path: Path, damage: bytes | None) -> None:
    with Spool(spool_directory(tmp_path)) as spool:
        spool.put(damage or b"x")
        spool.put_aside(1, Reason("400 not a batch", "damaged"))
    if damage is None:
        for path in spool_directory(tmp_path).glob("aside/*.batch"):
            path.write_bytes(b"x")
    said = _run(tmp_path, "explain", "1")
    assert said.returncode == 0
    assert "are no batch" in said.stdout if damage else "its file is damaged" in said.stdout


def test_a_running_collector_sends_it_again(tmp_path: Path) -> None:
    with serve(DAMAGED) as server, Spool(spool_directory(tmp_path)) as spool:
        shipper = Shipper(spool, Uplink(server.url))
        shipper.start()
        spool.put(b"bad")
        wait_for(lambda: spool.aside or None, 20, "it is put aside")
        assert _run(tmp_path, "resend", "1").stdout == "1 batch will be sent again now\n"
        spool.put(b"good")
        assert sorted(server.bodies(3)) == [b"bad", b"bad", b"good"]
        assert shipper.flush(20)
        assert spool.aside == {}


def test_without_one_the_next_sends_it_again(tmp_path: Path) -> None:
    _fill(tmp_path, Reason("413"), Reason("413"))
    done = _run(tmp_path, "resend", "all")
    assert done.stdout == (
        "2 batches will be sent again by the next collector: none is running with this --data-dir\n"
    )
    with serve() as server, Spool(spool_directory(tmp_path)) as spool:
        shipper = Shipper(spool, Uplink(server.url))
        shipper.start()
        assert [len(body) > 10 for body in server.bodies(3)] == [True, True, False]
        assert shipper.flush(20)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("explain", "7"), 1, "no batch 7 is put aside; "),
        (("resend", "7"), 1, "no batch 7 is put aside"),
        (("resend", "some"), 2, "must be a number as spool list shows it"),
        (("explain", "-1"), 2, "argument NUMBER"),
        ((), 2, "the following arguments are required: ACTION"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    _fill(tmp_path, Reason("413"))
    done = _run(tmp_path, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_without_a_spool_is_said_to_be_none(tmp_path: Path) -> None:
    done = _run(tmp_path, "list")
    assert done.returncode == 1
    assert f"no collector has run with --data-dir {tmp_path}" in done.stderr


def test_where_nothing_is_put_aside_nothing_is_sent_again(tmp_path: Path) -> None:
    _fill(tmp_path)
    assert _run(tmp_path, "resend", "all").stdout == "no batch is put aside\n"
