# SPDX-License-Identifier: Apache-2.0
"""The benchmark of readers says what it cannot compare with."""

import subprocess
import sys

from tests.product import TOP


def test_a_commit_without_the_benchmark_is_refused_by_name() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.readers", "--before", "no-such-commit"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "--before no-such-commit: no such commit, or it has no bench/readers.py\n"
