"""``kvmfaults-collector record``: asks for a VM's faults, or says in a line what is wrong."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collector.record_requests import Request, Requests
from collector.settings import requests_file
from tests.product import TOP


def _record(*arguments: str | bytes) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "collector", "record", *map(os.fsdecode, arguments)]
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)


def _asked(data_dir: Path, now_ns: int) -> list[Request]:
    return list(Requests(requests_file(data_dir)).active(now_ns))


def test_a_vm_is_asked_for_until_the_time_is_over(tmp_path: Path) -> None:
    before_ns = time.time_ns()
    done = _record("guest", "--for", "90", "--data-dir", str(tmp_path))
    after_ns = time.time_ns()
    assert (done.returncode, done.stdout) == (0, "every fault of guest is recorded for 90 s\n")
    (request,) = _asked(tmp_path, before_ns)
    assert request.vm == "guest"
    assert before_ns <= request.until_ns - 90 * 10**9 <= after_ns


def test_zero_seconds_end_it(tmp_path: Path) -> None:
    _record("guest", "--data-dir", str(tmp_path))
    _record("guest", "--for", "0", "--data-dir", str(tmp_path))
    assert _asked(tmp_path, time.time_ns()) == []


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
        (("guest", "--data-dir", "/no/such"), 1, "cannot write to /no/such: No such file or directory"),
    ],
    ids=["no name", "not UTF-8", "no number", "nan", "negative", "too long", "a file", "nowhere"],
)
def test_what_is_wrong_is_said_in_a_line(
    tmp_path: Path, arguments: tuple[str | bytes, ...], code: int, message: str
) -> None:
    done = _record("--data-dir", str(tmp_path), *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
