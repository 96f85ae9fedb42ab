# SPDX-License-Identifier: Apache-2.0
"""A real server process, as an operator starts it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
FIRST_LINE = "kvmfaults: dashboard at "


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without settings of a server, and with these."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("KVMFAULTS_")}
    return {**own, "PYTHONPATH": str(TOP), **variables}


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run kvmfaults-server to its end."""
    return subprocess.run(
        [sys.executable, "-m", "backend", *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def serving(
    *arguments: str,
    wrapper: Sequence[str] = (),
    program: Sequence[str] = ("-m", "backend", "serve", "--port", "0"),
    **variables: str,
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start kvmfaults-server serve on a free port; yield the process and its URL once it answers.

    :param wrapper: what starts it
    :param program: what Python is started with, before the arguments
    """
    process = subprocess.Popen(
        [*wrapper, sys.executable, *program, *arguments],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith(FIRST_LINE):
                # It may be running: what it has to say does not end by itself.
                process.kill()
                pytest.fail(line + process.stdout.read())
            yield process, line.removeprefix(FIRST_LINE).strip()
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
