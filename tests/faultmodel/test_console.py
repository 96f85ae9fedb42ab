# SPDX-License-Identifier: Apache-2.0
"""How commands end where nobody reads what they say, and whose the files are that they make."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
MANY_LINES = (
    "import sys; from faultmodel import console; sys.exit(console.run(lambda: print('x\\n' * 10**6) or 0))"
)


def run(arguments: list[str], output: str) -> tuple[int, str]:
    """Run with standard output gone (``closed pipe``) or to a file; return its exit status and complaint."""
    if output == "closed pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open(output, os.O_WRONLY)
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=TOP,
            env=ENVIRONMENT,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "backend", "decode", "x86_64", "0x200000006"],
        ["-m", "backend", "--help"],
        ["-m", "backend", "--version"],
        ["-m", "backend", "token", "create", "--help"],
        ["-m", "collector", "import", "--help"],
        ["-m", "collector", "doctor", "--no-attach"],
        ["-m", "collector", "doctor", "--json", "--no-attach"],
        ["-m", "demo", "--list"],
        ["script/supervise.py", "--help"],
        ["-c", MANY_LINES],
    ],
    ids=" ".join,
)
def test_a_broken_pipe_ends_a_command_quietly(arguments: list[str]) -> None:
    assert run(arguments, "closed pipe") == (141, "")


def test_output_that_finds_the_disk_full_is_a_failure_and_says_so() -> None:
    code, said = run(["-m", "backend", "decode", "x86_64", "0x200000006"], "/dev/full")
    assert (code, said) == (1, "output cannot be written: No space left on device\n")


def test_a_broken_pipe_of_another_kind_is_not_hidden() -> None:
    broken = (
        "import os, sys; from faultmodel import console; r, w = os.pipe(); os.close(r)\n"
        "sys.exit(console.run(lambda: os.write(w, b'x')))"
    )
    code, said = run(["-c", broken], os.devnull)
    assert code == 1
    assert said.endswith("BrokenPipeError: [Errno 32] Broken pipe\n")


def test_files_of_a_command_are_its_users_alone(tmp_path: Path) -> None:
    os.umask(0o022)
    url = f"sqlite:///{tmp_path / 'k.db'}"
    done = subprocess.run(
        [sys.executable, "-m", "backend", "migrate", "--database", url], cwd=TOP, check=False
    )
    assert done.returncode == 0
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {"k.db": "0o600"}
