# SPDX-License-Identifier: Apache-2.0
"""A test run says how many real guests ran, and fails where it should have run them and did not."""

import subprocess
import sys

import pytest

from tests.product import TOP

# A file with tests of both kinds, all of them short.
FILE = "tests/collector/test_uevents.py"
GUEST = f"{FILE}::test_a_real_vm_is_announced_and_its_end_too"


def _pytest(*arguments: str) -> tuple[int, str]:
    """Run the tests as a user does; return the exit status and the line about guests."""
    done = subprocess.run(
        # Without a plugin of other tests, which takes a second to import.
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:schemathesis", "-q", *arguments],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("real-guest tests:")]
    return done.returncode, line


def test_a_run_without_guests_by_choice_passes() -> None:
    status, line = _pytest("-m", "not kernel", FILE)
    assert (status, line) == (0, "real-guest tests: 0 of 0 ran on this machine's KVM")


@pytest.mark.kernel
def test_a_run_counts_the_guests_that_were_selected() -> None:
    status, line = _pytest("--require-guests", GUEST)
    assert (status, line) == (0, "real-guest tests: 1 of 1 ran on this machine's KVM")


@pytest.mark.kernel
def test_a_run_that_has_to_run_guests_and_runs_none_fails() -> None:
    status, line = _pytest("--require-guests", "-m", "not kernel", FILE)
    assert (status, line) == (1, "real-guest tests: 0 of 0 ran on this machine's KVM")
