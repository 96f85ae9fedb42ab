# SPDX-License-Identifier: Apache-2.0
"""kvmfaults-collector's options: what cannot work is said before anything starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.product import TOP


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--interval=5", "argument --interval: must be 0.05 to 1 seconds"),
        ("--interval=soon", "argument --interval: must be 0.05 to 1 seconds"),
        ("--interval=nan", "argument --interval: must be 0.05 to 1 seconds"),
        ("--spool-bytes=0", "argument --spool-bytes: must be a number of bytes"),
        ("--spool-bytes=-1", "argument --spool-bytes: must be a number of bytes"),
        ("--spool-bytes=much", "argument --spool-bytes: must be a number of bytes"),
        ("--records=some", "argument --records: must be none, sample, all"),
        ("--records-per-second=0", "argument --records-per-second: must be 1 to 1000000"),
        ("--budget=much", "argument --budget: must be 0 to 10000 percent of a core"),
        ("--budget=-1", "argument --budget: must be 0 to 10000 percent of a core"),
        ("--hook-budget=much", "argument --hook-budget: must be 0 to 10000 percent of a core"),
        ("--hook-budget=-1", "argument --hook-budget: must be 0 to 10000 percent of a core"),
        ("--host=", "argument --host: must have 1 to 256 characters"),
        ("--host=" + 257 * "x", "argument --host: must have 1 to 256 characters"),
        ("--server=ftp://x", "'ftp://x' is not a URL like https://host:port"),
        ("--ca-file=/no/such/file", "certificate file /no/such/file cannot be used"),
        ("--data-dir=/dev/null/x", "cannot use /dev/null/x: Not a directory; name another directory"),
    ],
)
def test_a_wrong_option_is_said_in_a_line(tmp_path: Path, option: str, message: str) -> None:
    token = tmp_path / "token"
    token.write_text("token\n")
    command = [sys.executable, "-m", "collector", "run", "--token-file", str(token)]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path), option],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RECORDS", "argument --records: must be none, sample, all"),
        ("RECORDS_PER_SECOND", "argument --records-per-second: must be 1 to 1000000"),
        ("BUDGET", "argument --budget: must be 0 to 10000 percent of a core"),
        ("HOOK_BUDGET", "argument --hook-budget: must be 0 to 10000 percent of a core"),
        ("INTERVAL", "argument --interval: must be 0.05 to 1 seconds"),
    ],
)
def test_a_wrong_value_in_the_environment_is_said_in_a_line(name: str, message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "collector", "run", "--token-file", "token"],
        cwd=TOP,
        env={**os.environ, f"KVMFAULTS_{name}": "anything"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
