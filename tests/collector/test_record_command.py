"""``kvmfaults-collector record``: asks for a VM's faults, or says in a line what is wrong."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.governor import Governor
from collector.probe.layout import RecordLevel, VmKey
from collector.record_requests import Request, Requests
from collector.recording import Recording
from collector.settings import requests_file, spool_directory
from collector.spool import Spool
from faultmodel.record import Cost
from tests.batches import make_vm
from tests.product import TOP


def _record(*arguments: str | bytes) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "collector", "record", *map(os.fsdecode, arguments)]
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)


class _Programs:
    """Take every order."""

    def record(self, level: RecordLevel, spacing_ns: int, of_vms: Mapping[VmKey, RecordLevel]) -> None:
        """Take it."""


VMS = {
    VmKey(number, 1): make_vm(f"{number:016x}", name=name, pid=1000 + number, uuid="")
    for number, name in enumerate([*(f"guest-{number}" for number in range(6)), "guest", "web"])
} | {VmKey(99, 1): make_vm(f"{99:016x}", name="gone", pid=1099, ended_ns=2**62)}


@contextmanager
def _answering(data_dir: Path, *, budget: float = 0.0) -> Iterator[None]:
    """A collector that reads, every now and then, what is asked for."""
    recording = Recording(
        _Programs(), RecordLevel.SAMPLE, 10, Governor(budget), Requests(requests_file(data_dir))
    )
    ended = threading.Event()

    def read() -> None:
        while not ended.wait(0.05):
            now_ns = time.time_ns()
            used_ns = 10**9 if budget else 0
            cost = Cost(from_ns=now_ns, to_ns=now_ns + 10**9, cpu_ns=used_ns, resident_bytes=1)
            recording.adjust(VMS, cost, now_ns)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        with Spool(spool_directory(data_dir)):
            yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def collector_dir(tmp_path: Path) -> Iterator[Path]:
    """The directory of a collector that runs: one whose spool is in use."""
    with _answering(tmp_path):
        yield tmp_path


def _asked(data_dir: Path, now_ns: int) -> list[Request]:
    return list(Requests(requests_file(data_dir)).active(now_ns))


def test_a_vm_is_asked_for_until_the_time_is_over(collector_dir: Path) -> None:
    before_ns = time.time_ns()
    done = _record("guest", "--for", "90", "--data-dir", str(collector_dir))
    after_ns = time.time_ns()
    assert done.returncode == 0
    assert done.stdout == (
        "every fault of guest (id 0000000000000006, process 1006) is recorded for 90 s, as long as the budget"
        " allows\n"
    )
    (request,) = _asked(collector_dir, before_ns)
    assert request.vm == "guest"
    assert before_ns <= request.until_ns - 90 * 10**9 <= after_ns


def test_zero_seconds_end_it(collector_dir: Path) -> None:
    _record("guest", "--data-dir", str(collector_dir))
    done = _record("guest", "--for", "0", "--data-dir", str(collector_dir))
    assert (done.returncode, done.stdout) == (0, "no more than a sample of guest is recorded from now on\n")
    assert _asked(collector_dir, time.time_ns()) == []


def test_what_was_not_asked_for_cannot_be_ended(collector_dir: Path) -> None:
    _record("guest", "--data-dir", str(collector_dir))
    done = _record("gest", "--for", "0", "--data-dir", str(collector_dir))
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing was asked for 'gest'; asked for is 'guest'" in done.stderr


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("gest-3", "; like it: 'guest-3', "),
        ("WEB", "; like it: 'web'\n"),
        ("nosuch", "process id\n"),
        ("gone", "process id\n"),
    ],
)
def test_a_vm_that_is_not_there_is_a_failure_that_names_those_like_it(
    collector_dir: Path, asked: str, near: str
) -> None:
    done = _record(asked, "--for", "5", "--data-dir", str(collector_dir))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"the collector knows no running VM {asked!r}, by name, UUID, id or process id" in done.stderr
    assert near in done.stderr
    assert _asked(collector_dir, time.time_ns()) == []


def test_what_the_budget_does_not_allow_is_not_promised(tmp_path: Path) -> None:
    with _answering(tmp_path, budget=0.01):
        # Until the governor has stepped down, more may be granted.
        said = [_record("web", "--data-dir", str(tmp_path)).stdout for _ in range(3)]
    assert (
        "of web (id 0000000000000007, process 1007) as many faults are recorded for 60 s as the budget"
        in said[-1]
    )


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
