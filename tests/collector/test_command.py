"""kvmfaults-collector's options: what cannot work is said before anything starts."""

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
        ("--host=", "argument --host: must have 1 to 256 characters"),
        ("--host=" + 257 * "x", "argument --host: must have 1 to 256 characters"),
        ("--server=ftp://x", "'ftp://x' is not a URL like https://host:port"),
        ("--ca-file=/no/such/file", "certificate file /no/such/file cannot be used"),
        ("--data-dir=/dev/null/x", "spool directory /dev/null/x/spool cannot be used"),
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
