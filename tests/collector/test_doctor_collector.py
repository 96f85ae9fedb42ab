# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of the collector itself: who counts, and what the server does not take."""

import fcntl
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from backend.query.findings import Code
from collector.commands.checks_server import server_finding
from collector.counting.host_lock import Holder, HostLock
from collector.counting.pins import Pins
from collector.settings import spool_directory
from collector.ship.shipper import Shipper
from collector.ship.uplink import Uplink
from collector.spool.aside import Reason
from collector.spool.queue import Spool
from collector.spool.state import HostFinding
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


def _noticed(directory: Path, *receipts: bytes) -> dict[str, str]:
    """What the doctor says of the server once batches got these receipts."""
    with serve(*[Reply(body=receipt) for receipt in receipts]) as server:
        with Spool(spool_directory(directory)) as spool:
            shipper = Shipper(spool, Uplink(server.url))
            shipper.start()
            for number in range(len(receipts)):
                spool.put(str(number).encode())
            assert shipper.flush(20)
        assert len(server.bodies(len(receipts))) == len(receipts)
    return _doctor(directory)["server"]


def _receipt(*findings: Mapping[str, object]) -> bytes:
    return json.dumps({"applied": True, "findings": findings}).encode()


def test_what_the_server_noticed_is_found(tmp_path: Path) -> None:
    finding = {"code": "two_names", "hosts": ["a", "b"], "is_current": True, "detail": ""}
    server = _noticed(tmp_path, b'{"applied":true}', _receipt(finding))
    assert server["state"] == "lacking"
    assert "under two names at once (a, b)" in server["found"]
    assert server["remedy"] == "stop one of its collectors"


def test_what_no_longer_goes_on_is_found_with_its_time(tmp_path: Path) -> None:
    finding = {"code": "renamed", "hosts": ["a", "b"], "is_current": False, "last": "2026-11-22T21:00:29Z"}
    server = _noticed(tmp_path, _receipt(finding))
    assert server["state"] == "ok"
    assert "another name than before (a, b)" in server["found"]
    assert "(last 2026-11-22T21:00:29Z)" in server["found"]


def test_where_the_server_notices_nothing_more_the_doctor_says_so(tmp_path: Path) -> None:
    server = _noticed(tmp_path, _receipt({"code": "two_machines"}), b'{"applied":true}')
    assert (server["state"], server["found"]) == ("ok", "it noticed nothing wrong with this host")


@pytest.mark.parametrize(
    "findings", [b'"x"', b"[1]", b'[{"code":1}]', b'[{"code":"\\u001b[31m later","detail":"{hosts}"}]']
)
def test_no_finding_costs_a_receipt(tmp_path: Path, findings: bytes) -> None:
    server = _noticed(tmp_path, b'{"applied":true,"findings":' + findings + b"}")
    assert server["state"] == "ok"
    assert server["found"].isprintable()


def test_each_finding_about_a_host_has_its_words() -> None:
    of_no_host = {Code.SERVER_CLOCK, Code.SERVER_CLOCK_AHEAD, Code.JOB_FAILED}
    # Who never delivered has no receipt; a guest's UUID is not what is wrong with how a host is traced.
    of_no_receipt = {Code.NEVER_DELIVERED, Code.DUPLICATE_GUEST}
    for code in set(Code) - of_no_host - of_no_receipt:
        found = server_finding((HostFinding(code=code.value, seconds=7.0, detail="why"),)).found
        assert found != f"it noticed: {code} why"


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
