# SPDX-License-Identifier: Apache-2.0
"""``kvmfaults-collector detach`` where there is nothing to remove, or nobody may."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from collector.settings import pins_file, spool_directory
from collector.spool.queue import Spool
from tests.product import TOP


def _detach(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "collector", "detach", *map(str, arguments)]
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("more", [(), ("--all",)], ids=["its own", "all"])
def test_where_nothing_was_left_nothing_is_removed(tmp_path: Path, more: tuple[str, ...]) -> None:
    done = _detach("--data-dir", tmp_path, "--bpffs", tmp_path, *more)
    assert (done.returncode, done.stdout) == (0, "removed 0 sets of programs and maps\n")


def test_what_a_running_collector_needs_is_not_removed(tmp_path: Path) -> None:
    with Spool(spool_directory(tmp_path)):
        done = _detach("--data-dir", tmp_path, "--bpffs", tmp_path)
    assert done.returncode == 1
    assert "a collector is running: stop it, that also detaches" in done.stderr
    assert f"process {os.getpid()}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_that_is_none_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = _detach("--data-dir", tmp_path / "file")
    assert done.returncode == 1
    assert done.stderr == (
        f"kvmfaults-collector: cannot remove {tmp_path / 'file' / 'pins'}: Not a directory\n"
    )


def test_a_damaged_name_is_no_name(tmp_path: Path) -> None:
    pins_file(tmp_path).write_bytes(b"\xff\x00")
    done = _detach("--data-dir", tmp_path, "--bpffs", tmp_path)
    assert (done.returncode, done.stdout) == (0, "removed 0 sets of programs and maps\n")
