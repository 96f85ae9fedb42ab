# SPDX-License-Identifier: Apache-2.0
"""Commands that a message names work in the shell where they are read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from collector.batches import host as described
from collector.own_command import host_command, own_command
from faultmodel.kinds import CheckState
from faultmodel.record import Check
from tests.product import TOP


def test_a_command_works_whatever_the_path_has(tmp_path: Path) -> None:
    command = own_command("spool", "list", "--data-dir", tmp_path / "a b")
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=TOP, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False
    )
    assert done.returncode in (0, 1)
    assert b"a b" in done.stdout + done.stderr
    assert b"not found" not in done.stderr


def test_where_the_path_has_it_the_name_alone_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "kvmfaults-collector"
    program.touch(mode=0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    assert own_command("doctor") == f"{program} doctor"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert own_command("doctor") == "kvmfaults-collector doctor"


def test_what_only_the_host_can_do_is_said_so_in_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert host_command("modprobe kvm") == "on the host, outside of this container: modprobe kvm"


def test_a_collector_that_a_shell_in_a_container_started_is_no_containers_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    view = described.HostView("h", "b", "x86_64", tmp_path)
    collector = view.waiting(Check(name="x", state=CheckState.MISSING, found="x")).collector
    assert collector is not None
    # The parent is what runs the tests.
    assert os.getppid()
    assert not collector.in_container
