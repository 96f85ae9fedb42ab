# SPDX-License-Identifier: Apache-2.0
"""The demonstration: each guest prints what it did, and all of them end when asked to."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.programme import PROGRAMME, Case
from tests.demo.command import command, report_of, run
from tests.demo.tracefs import Witness

_DEADLINE_SECONDS = 60.0


@pytest.fixture
def demonstration() -> Iterator[subprocess.Popen[str]]:
    """The whole demonstration, with every guest running."""
    process = subprocess.Popen(command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    names = [case.vmm for case in PROGRAMME]
    _wait_until(lambda: [_name(child) for child in _children(process.pid)] == names)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.kernel
@pytest.mark.parametrize("case", [case for case in PROGRAMME if case.is_exact], ids=lambda case: case.name)
def test_each_case_tells_what_the_kernel_saw(case: Case) -> None:
    with Witness() as witness:
        shown = run("--case", case.name, "--duration", "1.5", "--truth")
        truths = [report_of(line) for line in shown.stdout.splitlines()]
        assert [truth.vmm for truth in truths] == [case.vmm] * len(case.roles)
        assert witness.mapped().total() == sum(truth.faults for truth in truths)
        assert witness.failed_runs() == sum(len(truth.exits) for truth in truths)


@pytest.mark.kernel
def test_huge_pages_are_mapped_at_level_2() -> None:
    with Witness() as witness:
        truth = report_of(run("--case", "huge-pages", "--duration", "1.5", "--truth").stdout)
        assert witness.mapped()[2] == truth.vcpus[0]["write"] > 0


@pytest.mark.kernel
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_guests(demonstration: subprocess.Popen[str], number: signal.Signals) -> None:
    children = _children(demonstration.pid)
    demonstration.send_signal(number)
    assert demonstration.wait(_DEADLINE_SECONDS) == 0
    assert not any(_is_running(child) for child in children)


@pytest.mark.kernel
def test_guests_end_when_the_demonstration_is_killed(demonstration: subprocess.Popen[str]) -> None:
    children = _children(demonstration.pid)
    demonstration.kill()
    _wait_until(lambda: not any(_is_running(child) for child in children))


@pytest.mark.kernel
def test_without_kvm_one_line_says_what_is_missing() -> None:
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev && exec "$@"', "sh", *command()]
    shown = subprocess.run(hidden, capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == 1
    assert shown.stderr == "demo: no /dev/kvm: KVM is not loaded, or this machine has none\n"


def test_a_case_that_does_not_exist_is_named() -> None:
    shown = run("--case", "nope")
    assert shown.returncode == 1
    assert shown.stderr.startswith("demo: no case 'nope'; there are first-touch,")


def test_the_list_has_every_case_with_a_sentence() -> None:
    lines = run("--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [case.name for case in PROGRAMME]
    assert all(line.endswith(".") for line in lines)


def test_names_fit_a_process() -> None:
    assert max(len(case.vmm.encode()) for case in PROGRAMME) <= 15


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["pgrep", "--parent", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in listed.stdout.split()]


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)
