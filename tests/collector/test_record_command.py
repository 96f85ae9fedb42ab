"""``kvmfaults-collector record``: asks for a VM's faults, or says in a line what is wrong."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.record_requests import Request, Requests
from collector.settings import requests_file, spool_directory
from collector.spool import Spool
from tests.product import TOP


def _record(*arguments: str | bytes) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "collector", "record", *map(os.fsdecode, arguments)]
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)


@pytest.fixture
def collector_dir(tmp_path: Path) -> Iterator[Path]:
    """The directory of a collector that runs: one whose spool is in use."""
    with Spool(spool_directory(tmp_path)):
        yield tmp_path


def _asked(data_dir: Path, now_ns: int) -> list[Request]:
    return list(Requests(requests_file(data_dir)).active(now_ns))


def test_a_vm_is_asked_for_until_the_time_is_over(collector_dir: Path) -> None:
    before_ns = time.time_ns()
    done = _record("guest", "--for", "90", "--data-dir", str(collector_dir))
    after_ns = time.time_ns()
    assert done.returncode == 0
    assert done.stdout.startswith("asked for every fault of guest for 90 s;")
    (request,) = _asked(collector_dir, before_ns)
    assert request.vm == "guest"
    assert before_ns <= request.until_ns - 90 * 10**9 <= after_ns


def test_zero_seconds_end_it(collector_dir: Path) -> None:
    _record("guest", "--data-dir", str(collector_dir))
    _record("guest", "--for", "0", "--data-dir", str(collector_dir))
    assert _asked(collector_dir, time.time_ns()) == []


def test_where_no_collector_runs_nothing_is_promised(collector_dir: Path, tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    with Spool(spool_directory(ended)):
        pass
    for directory in (ended, tmp_path / "never"):
        done = _record("guest", "--data-dir", str(directory))
        assert (done.returncode, done.stdout) == (1, "")
        assert f"no collector is running with --data-dir {directory}: start it" in done.stderr
        assert _asked(directory, time.time_ns()) == []


def test_requests_that_are_made_at_once_are_all_kept(collector_dir: Path) -> None:
    command = [sys.executable, "-m", "collector", "record", "--data-dir", str(collector_dir)]
    at_once = [subprocess.Popen([*command, f"guest-{number}"], cwd=TOP) for number in range(6)]
    assert [process.wait() for process in at_once] == [0] * 6
    assert len(_asked(collector_dir, time.time_ns())) == 6


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("",), 2, "argument VM: must be a VM's name, UUID, id or process id"),
        ((b"\xff",), 2, "argument VM: must be a VM's name, UUID, id or process id"),
        (("guest", "--for", "soon"), 2, "argument --for: must be 0 to 86400 seconds"),
        (("guest", "--for", "nan"), 2, "argument --for: must be 0 to 86400 seconds"),
        (("guest", "--for=-1"), 2, "argument --for: must be 0 to 86400 seconds"),
        (("guest", "--for", "1e9"), 2, "argument --for: must be 0 to 86400 seconds"),
        (("guest", "--data-dir", "/dev/null"), 1, "cannot write to /dev/null: Not a directory"),
    ],
    ids=["no name", "not UTF-8", "no number", "nan", "negative", "too long", "a file"],
)
def test_what_is_wrong_is_said_in_a_line(
    tmp_path: Path, arguments: tuple[str | bytes, ...], code: int, message: str
) -> None:
    done = _record("--data-dir", str(tmp_path), *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
