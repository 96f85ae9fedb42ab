# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of the collector itself: who counts, and what the server does not take."""

import fcntl
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from collector.counting.host_lock import Holder, HostLock
from collector.counting.pins import Pins
from collector.settings import spool_directory
from collector.ship.shipper import Shipper
from collector.ship.uplink import Uplink
from collector.spool.aside import Reason
from collector.spool.queue import Spool
from tests.collector.server import Reply, serve
from tests.product import TOP, wait_for


def _doctor(directory: Path) -> dict[str, dict[str, str]]:
    command = [sys.executable, "-m", "collector", "doctor", "--json", "--no-attach"]
    command += ["--data-dir", str(directory), "--bpffs", str(directory)]
    command += ["--lock-file", str(directory / "machine.lock")]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return {finding["name"]: finding for finding in json.loads(done.stdout)}


def _said(directory: Path, *options: str) -> tuple[int, str]:
    """The status, and the line that sums up."""
    command = [sys.executable, "-m", "collector", "doctor", "--no-attach", "--data-dir", str(directory)]
    command += ["--bpffs", str(directory), "--lock-file", str(directory / "machine.lock"), *options]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()[-1]


def test_the_last_line_and_the_status_say_the_same(tmp_path: Path) -> None:
    status, said = _said(tmp_path)
    assert said.startswith("nothing can be counted: " if status else "faults can be counted")
    # No BPF file system is there.
    assert "pins" in said or status


def test_a_data_directory_with_which_no_collector_starts_is_missing(tmp_path: Path) -> None:
    closed = tmp_path / "data"
    closed.mkdir()
    closed.chmod(0o777)
    status, said = _said(closed)
    assert "data" in said.partition("nothing can be counted: ")[2]
    assert status != 0


def test_where_nothing_ran_nothing_is_wanting(tmp_path: Path) -> None:
    findings = _doctor(tmp_path)
    assert findings["counting"]["found"] == "no collector counts just now"
    assert findings["left"]["state"] == "ok"
    assert findings["delivery"]["found"] == f"no collector has run with {tmp_path}"


def test_why_the_server_takes_nothing_is_found(tmp_path: Path) -> None:
    page = Reply(403, {"content-type": "text/html"}, b"<html>blocked</html>")
    with serve(*[page] * 50) as server, Spool(spool_directory(tmp_path)) as spool:
        shipper = Shipper(spool, Uplink(server.url))
        shipper.start()
        spool.put(b"1")
        file = spool.directory / "delivery.json"
        wait_for(lambda: file.exists() or None, 20, "the shipper notes it")
        shipper.flush(0)
        delivery = _doctor(tmp_path)["delivery"]
    assert delivery["state"] == "lacking"
    assert "403 Forbidden, not from a kvmfaults server" in delivery["found"]


def test_what_is_put_aside_is_found_with_each_reason(tmp_path: Path) -> None:
    with Spool(spool_directory(tmp_path)) as spool:
        for number, detail in enumerate(["413 too large", "413 too large", "409 another's"], 1):
            spool.put(b"x")
            spool.put_aside(number, Reason(detail))
    delivery = _doctor(tmp_path)["delivery"]
    assert delivery["found"] == "3 batches are put aside: 409 another's; 413 too large"
    _, _, command = delivery["remedy"].partition("what to do shows ")
    listed = subprocess.run(shlex.split(command), cwd=TOP, capture_output=True, text=True, check=False)
    assert listed.returncode == 0
    assert "409 another's" in listed.stdout


def test_who_counts_is_found(tmp_path: Path) -> None:
    me = Holder(os.getpid(), "h1", "/data")
    lock = HostLock(tmp_path / "machine.lock", Pins(tmp_path / "pins", tmp_path), me)
    assert lock.take() is None
    found = _doctor(tmp_path)["counting"]["found"]
    assert found == f"a collector counts: process {os.getpid()}, as host h1, with --data-dir /data"
    other = HostLock(tmp_path / "machine.lock", Pins(tmp_path / "other", tmp_path), Holder())
    assert other.take() == me
    lock.close()
    assert other.take() is None
    other.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_holder_that_does_not_say_who_it_is_is_one_all_the_same(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "machine.lock"
    path.write_bytes(content)
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        lock = HostLock(path, Pins(tmp_path / "pins", tmp_path), Holder())
        assert lock.take() == Holder()


def test_where_the_lock_cannot_be_made_a_collector_counts(tmp_path: Path) -> None:
    # As in a container with a read-only root.
    lock = HostLock(tmp_path / "none/machine.lock", Pins(tmp_path / "pins", tmp_path), Holder())
    assert lock.take() is None
