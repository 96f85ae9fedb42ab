# SPDX-License-Identifier: Apache-2.0
"""script/server, from where everything is installed: both processes side by side."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.product import START_S, TOP, wait_for

CAPTURE = TOP / "tests/pipeline/captures/x86_64-6.18.15-hostprot.trace.txt.xz"
WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


class Supervised:
    """script/server running."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log
        address = wait_for(self._address, START_S, "the address is printed")
        self.url = address.rstrip("/")

    def _address(self) -> str | None:
        found = re.search(r"dashboard at (\S+)", self.log.read_text())
        return found[1] if found else None

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON of a path; status 0 while nothing answers."""
        try:
            with urlopen(self.url + path, timeout=5) as response:
                return response.status, json.load(response)
        except HTTPError as exc:
            return exc.code, json.load(exc)
        except OSError:
            return 0, None

    def end(self) -> None:
        """Send SIGTERM, and wait for the end."""
        self.process.terminate()
        self.process.wait(START_S)

    def server_pid(self) -> int:
        """The server's process."""
        listing = subprocess.run(
            ["ps", "--ppid", str(self.process.pid), "-o", "pid=,args="],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return next(int(line.split()[0]) for line in listing.splitlines() if " backend serve " in line)


def _command(directory: Path, *options: str, prefix: tuple[str, ...] = ()) -> list[str]:
    supervise = str(TOP / "script" / "supervise.py")
    return [*prefix, sys.executable, supervise, "--data-dir", str(directory), *options]


@contextmanager
def _supervised(directory: Path, *options: str, prefix: tuple[str, ...] = ()) -> Iterator[Supervised]:
    log = directory / "output"
    with log.open("w") as output:
        process = subprocess.Popen(
            _command(directory, *options, prefix=prefix),
            cwd=TOP,
            env={
                **os.environ,
                "PYTHONPATH": str(TOP),
                # Others that count on this machine are no matter of this test.
                "KVMFAULTS_LOCK_FILE": str(directory / "machine.lock"),
            },
            stdout=output,
            stderr=output,
            text=True,
        )
    try:
        yield Supervised(process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(20)


def test_a_recording_can_be_tried_without_kvm_or_bpf(tmp_path: Path) -> None:
    with _supervised(
        tmp_path, "--port", "0", "--import", str(CAPTURE), prefix=WITHOUT_CAPABILITIES
    ) as running:
        vms = wait_for(
            lambda: running.get("/api/v1/vms")[1]["items"] or None, START_S, "the recording's VM is shown"
        )
        assert [(vm["name"], vm["pid"], vm["faults"]) for vm in vms] == [("kt", 423, 99)]
        assert vms[0]["host"] == f"import/{CAPTURE.name.partition('.trace')[0]}"
        assert running.get("/readyz")[0] == 200


def test_no_token_is_made_for_an_address_that_asks_for_none(tmp_path: Path) -> None:
    with _supervised(tmp_path, "--port", "0", "--host", "127.0.0.2", "--no-collector") as running:
        assert running.get("/api/v1/vms")[0] == 200
        assert "sign in" not in running.log.read_text()
    assert not (tmp_path / "read.token").exists()


def test_sigterm_ends_everything_in_order(tmp_path: Path) -> None:
    with _supervised(tmp_path, "--port", "0", "--no-collector") as running:
        running.end()
        assert running.process.returncode == 0
        assert running.get("/healthz")[0] == 0


def test_a_server_that_is_killed_is_started_again_at_the_same_address(tmp_path: Path) -> None:
    with _supervised(tmp_path, "--port", "0", "--no-collector") as running:
        first = running.server_pid()
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: running.get("/healthz")[0] == 0 or None, START_S, "the server is gone")
        wait_for(lambda: running.get("/healthz")[0] == 200 or None, START_S, "the server is back")
        assert running.server_pid() != first


def test_a_missing_capability_is_said_and_the_database_still_served(tmp_path: Path) -> None:
    with _supervised(tmp_path, "--port", "0", prefix=WITHOUT_CAPABILITIES) as running:

        def reason() -> str | None:
            status, body = running.get("/readyz")
            detail = body["detail"] if status == 503 else ""
            return detail if "waiting" in detail and "CAP_BPF" in detail else None

        wait_for(reason, 120, "the missing capability is reported")
        assert "CAP_BPF" in running.log.read_text()
        status, listed = running.get("/api/v1/vms")
        assert (status, listed["items"]) == (200, [])


def test_the_database_is_not_in_the_servers_command_line(tmp_path: Path) -> None:
    with _supervised(tmp_path, "--port", "0", "--no-collector") as running:
        command = Path(f"/proc/{running.server_pid()}/cmdline").read_text()
        assert "sqlite" not in command
        files = [tmp_path / "kvmfaults.db", tmp_path / "lock", *tmp_path.glob("ingest*.token")]
        assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_a_directory_of_another_user_is_refused_before_anything_in_it_is_run(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    said = _fails([str(TOP / "script" / "server"), "--data-dir", str(tmp_path), "--no-collector"])
    assert re.search(rf"{tmp_path} belongs to user \S+: chown it, or give another --data-dir", said)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    said = _fails([str(TOP / "script" / "server"), "--data-dir", str(tmp_path), "--no-collector"])
    assert f"others can write to {tmp_path}" in said


def test_a_machine_that_was_renamed_is_a_host_of_its_own(tmp_path: Path) -> None:
    for name in ("old-name", "new-name"):
        renamed = ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name)
        if subprocess.run([*renamed, "true"], check=False).returncode != 0:
            pytest.skip("making a UTS namespace takes root")
        with _supervised(tmp_path, "--port", "0", "--no-collector", prefix=renamed) as running:
            assert running.get("/healthz")[0] == 200


def _fails(command: list[str]) -> str:
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    done = subprocess.run(
        command, cwd=TOP, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = _fails(_command(tmp_path, "--port", port, "--no-collector"))
    assert f"cannot listen on 127.0.0.1 port {port}" in said


def test_a_data_directory_is_used_by_one_at_a_time(tmp_path: Path) -> None:
    with _supervised(tmp_path, "--port", "0", "--no-collector"):
        assert "already running" in _fails(_command(tmp_path, "--port", "0", "--no-collector"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--port", "70000"), "--port 70000 is not a port"),
        (("--interval", "5"), "--interval 5: 0.05 to 1 seconds"),
        (("--interval", "soon"), "--interval soon: 0.05 to 1 seconds"),
        (("--import", "no-such-file"), "no file no-such-file"),
        (("--import", str(CAPTURE), "--demo"), "give one of them"),
        (("--database", "mysql://x"), "mysql"),
    ],
)
def test_a_wrong_option_is_said_in_a_line(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    assert message in _fails(_command(tmp_path, *options))
