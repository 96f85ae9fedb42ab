# SPDX-License-Identifier: Apache-2.0
"""``kvmfaults-collector record``: asks for a VM's faults, or says in a line what is wrong."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.commands import record_follow
from collector.commands.record_follow import Signals, follow
from collector.commands.record_report import report
from collector.probe.layout import RecordLevel, VmKey
from collector.sampling.governor import Governor
from collector.sampling.policy import SamplingPolicy
from collector.sampling.requests import NS_PER_S, Answer, Granted, RecordRequest, RecordRequests
from collector.sampling.server_requests import ServerRequests
from collector.settings import requests_file, spool_directory
from collector.spool.queue import Spool
from faultmodel.record import Cost, LedgerEntry
from faultmodel.sections import Content
from tests.batches import ledger_entry, make_vm
from tests.product import TOP, wait_for


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


def _entry(recorded: int) -> LedgerEntry:
    return ledger_entry(f"{6:016x}", seen=7, recorded=recorded)


def _spent() -> Governor:
    """A governor that holds back everything."""
    governor = Governor(0.01)
    for _ in range(100):
        governor.judge(10**9, 10**9, RecordLevel.ALL)
    return governor


@contextmanager
def _answering(data_dir: Path, *, governor: Governor | None = None, recorded: int = 7) -> Iterator[None]:
    """A collector that reads, every now and then, what is asked for.

    :param recorded: how many of seven faults of "guest", in each reading
    """
    policy = SamplingPolicy(
        _Programs(),
        RecordLevel.SAMPLE,
        10,
        governor or Governor(0),
        RecordRequests(requests_file(data_dir)),
        ServerRequests(),
    )
    ended = threading.Event()

    def read() -> None:
        while not ended.wait(0.05):
            now_ns = time.time_ns()
            cost = Cost(from_ns=now_ns - 10**9, to_ns=now_ns, cpu_ns=7_000_000, resident_bytes=1)
            policy.adjust(VMS, Content(ledger=[_entry(recorded)]), cost, now_ns, 0)

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


def _asked(data_dir: Path, now_ns: int) -> list[RecordRequest]:
    return list(RecordRequests(requests_file(data_dir)).active(now_ns))


PROMISED = (
    "every fault of guest (id 0000000000000006, process 1006) is recorded for 1 s, as long as the budget"
    " allows\n"
)


def test_it_waits_until_the_time_is_over_and_says_that_every_fault_was_recorded(collector_dir: Path) -> None:
    began_ns = time.time_ns()
    done = _record("guest", "--for", "1", "--data-dir", str(collector_dir))
    assert time.time_ns() - began_ns >= 10**9
    promised, summary = done.stdout.splitlines(keepends=True)
    assert (done.returncode, promised) == (0, PROMISED)
    faults = re.fullmatch(
        r"every fault of guest was recorded: (\d+) faults in [\d.]+ s, [\d:]{8} to [\d:]{8} UTC\n", summary
    )
    assert faults is not None
    assert int(faults[1]) % 7 == 0
    assert _asked(collector_dir, time.time_ns()) == []


def test_without_waiting_a_vm_is_asked_for_until_the_time_is_over(collector_dir: Path) -> None:
    before_ns = time.time_ns()
    done = _record("guest", "--for", "90", "--no-wait", "--data-dir", str(collector_dir))
    after_ns = time.time_ns()
    assert (done.returncode, done.stdout) == (0, PROMISED.replace("1 s", "90 s"))
    (request,) = _asked(collector_dir, before_ns)
    assert request.vm == "guest"
    assert before_ns <= request.until_ns - 90 * 10**9 <= after_ns


def test_where_not_every_fault_was_recorded_the_status_says_so_and_how_many(tmp_path: Path) -> None:
    with _answering(tmp_path, recorded=2):
        done = _record("guest", "--for", "1", "--data-dir", str(tmp_path))
    assert done.returncode == 3
    promised, summary, left_out = done.stdout.splitlines(keepends=True)
    assert promised == PROMISED
    assert re.match(r"not every fault of guest was recorded: \d+ of \d+ faults in .* \(1 of 3.5\)\n", summary)
    assert re.match(r"  left out: \d+ faults; recorded was every fault for", left_out)


def test_a_vm_without_a_fault_has_lost_none(collector_dir: Path) -> None:
    done = _record("web", "--for", "1", "--data-dir", str(collector_dir))
    assert done.returncode == 0
    assert "web took no fault in" in done.stdout


def _start(collector_dir: Path, vm: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "collector", "record", vm, "--for", "600", "--data-dir"]
    started = subprocess.Popen(
        [*command, str(collector_dir)], cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert started.stdout.readline().startswith("every fault of")
    return started


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_what_was_recorded_is_said(collector_dir: Path, number: int) -> None:
    started = _start(collector_dir, "guest")
    # Until the first whole reading there is nothing to report.
    requests = RecordRequests(requests_file(collector_dir))
    (request,) = _asked(collector_dir, time.time_ns())
    wait_for(lambda: getattr(requests.answer_to(request), "seen", 0) or None, 60, "a whole reading")
    started.send_signal(number)
    summary, errors = started.communicate(timeout=60)
    assert (started.returncode, errors) == (0, "")
    assert summary.startswith("every fault of guest was recorded: ")
    assert _asked(collector_dir, time.time_ns()) == []


@contextmanager
def _saying(data_dir: Path, since_ns: int, *, reports_the_end: bool = True) -> Iterator[RecordRequests]:
    """A collector that grants what is asked for, and has taken whole readings since a time, 0 for none."""
    server = RecordRequests(requests_file(data_dir))
    ended = threading.Event()

    def answer(request: RecordRequest, *, is_over: bool) -> Answer:
        return Answer(
            request,
            granted=(Granted("0" * 16, request.vm, 1),),
            level=RecordLevel.ALL,
            since_ns=since_ns,
            to_ns=time.time_ns() if since_ns else 0,
            seen=5 if since_ns else 0,
            recorded=5 if since_ns else 0,
            is_over=is_over,
        )

    def serve() -> None:
        known: set[RecordRequest] = set()
        while not ended.wait(0.02):
            active = set(server.active(time.time_ns()))
            known |= active
            server.answer([answer(it, is_over=reports_the_end and it not in active) for it in known])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with Spool(spool_directory(data_dir)):
            yield RecordRequests(requests_file(data_dir))
    finally:
        ended.set()
        thread.join()


def test_a_recording_is_whole_where_its_time_had_begun_before_the_first_look(tmp_path: Path) -> None:
    with _saying(tmp_path, time.time_ns()):
        done = _record("guest", "--for", "1", "--data-dir", str(tmp_path))
    assert "cut short" not in done.stdout
    assert done.returncode == 0


def test_a_collector_that_takes_no_reading_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_follow, "ANSWER_S", 0.3)
    with _saying(tmp_path, 0) as requests:
        request = RecordRequest("guest", time.time_ns() + 600 * 10**9)
        requests.add(request, time.time_ns())
        first = wait_for(lambda: requests.answer_to(request), 60, "an answer")
        _, cut_short = follow(requests, request, first, 600, Signals(), lambda: True)
    assert "took no whole reading" in cut_short
    assert _asked(tmp_path, time.time_ns()) == []


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with _saying(tmp_path, time.time_ns(), reports_the_end=False):
        started = _start(tmp_path, "guest")
        started.send_signal(signal.SIGINT)
        wait_for(lambda: _asked(tmp_path, time.time_ns()) == [] or None, 60, "it is taken back")
        started.send_signal(signal.SIGINT)
        summary, errors = started.communicate(timeout=60)
    assert (started.returncode, errors) == (3, "")
    assert "cut short: interrupted again" in summary


def test_an_end_before_an_answer_takes_it_back_and_claims_no_more_than_is_known(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "collector", "record", "guest", "--for", "600", "--data-dir"]
    with Spool(spool_directory(tmp_path)):
        started = subprocess.Popen([*command, str(tmp_path)], cwd=TOP, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: _asked(tmp_path, time.time_ns()) or None, 60, "it is asked for")
        started.send_signal(signal.SIGINT)
        _, errors = started.communicate(timeout=60)
    assert started.returncode == 1
    assert "is taken back; whether anything of it was recorded until then is not known" in errors
    assert _asked(tmp_path, time.time_ns()) == []


def test_another_command_that_ends_it_makes_it_less_than_was_asked_for(collector_dir: Path) -> None:
    started = _start(collector_dir, "guest")
    done = _record("guest", "--for", "0", "--data-dir", str(collector_dir))
    assert (done.returncode, done.stdout) == (0, "no more than a sample of guest is recorded from now on\n")
    summary, _ = started.communicate(timeout=60)
    assert started.returncode == 3
    assert "cut short: another command ended it" in summary
    assert _asked(collector_dir, time.time_ns()) == []


def test_a_collector_that_ends_makes_it_less_than_was_asked_for(tmp_path: Path) -> None:
    with _answering(tmp_path):
        started = _start(tmp_path, "guest")
    summary, _ = started.communicate(timeout=60)
    assert started.returncode == 3
    assert "cut short: the collector ended" in summary


def test_what_was_not_asked_for_cannot_be_ended(collector_dir: Path) -> None:
    _record("guest", "--no-wait", "--data-dir", str(collector_dir))
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


@pytest.mark.parametrize("waiting", [["--no-wait"], ["--for", "1"]], ids=["at once", "in the end"])
def test_what_the_budget_does_not_allow_is_not_promised(tmp_path: Path, waiting: list[str]) -> None:
    with _answering(tmp_path, governor=_spent(), recorded=0):
        done = _record("guest", *waiting, "--data-dir", str(tmp_path))
    assert done.returncode == 3
    promised, *lines = done.stdout.splitlines()
    assert promised == (
        "of guest (id 0000000000000006, process 1006) not every fault is recorded now, but none: the"
        " collector was above its budget (100% of a core used, 1% granted); once it has used less than half"
        " of it for a while, it records more again"
    )
    assert [line.partition(":")[0] for line in lines] == (
        [] if waiting == ["--no-wait"] else ["not every fault of guest was recorded", "  left out"]
    )


def test_that_a_sample_had_every_fault_is_said_beside_what_was_promised() -> None:
    sampled = Answer(
        RecordRequest("guest", 0),
        since_ns=NS_PER_S,
        to_ns=9 * NS_PER_S,
        level_ns=(0, 6 * NS_PER_S, 2 * NS_PER_S),
        seen=3,
        recorded=3,
    )
    assert report(sampled, "guest") == (
        "every fault of guest was recorded: 3 faults in 8 s, 00:00:01 to 00:00:09 UTC; for 6 s of it by a"
        " sample, which had them all\n"
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
    command = [sys.executable, "-m", "collector", "record", "--no-wait", "--data-dir", str(collector_dir)]
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
