# SPDX-License-Identifier: Apache-2.0
"""The collector's directory is its own, and so is what it writes there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from collector import private_files
from collector.errors import DataDirectoryError
from collector.sampling.requests import RecordRequests
from collector.vms.file import VmFile
from collector.vms.table import KernelVm
from tests.product import TOP

NOBODY = 65534
VM = KernelVm(kvm=1, instance=2, pid=3, start_boottime_ns=4, comm="web")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o7777)


def test_a_directory_is_made_for_its_user_alone(tmp_path: Path) -> None:
    os.umask(0o022)
    private_files.check_data_directory(tmp_path / "data")
    assert mode(tmp_path / "data") == "0o700"


def test_a_directory_and_files_that_others_could_read_are_closed(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    files = [tmp_path / "vms.json", tmp_path / "pins", tmp_path / "spool" / "reserve"]
    for path in files:
        path.touch()
        path.chmod(0o644)
    other = tmp_path / "kvmfaults.html"
    other.touch()
    other.chmod(0o644)
    (tmp_path / "spool").chmod(0o755)
    tmp_path.chmod(0o755)
    private_files.check_data_directory(tmp_path)
    assert [mode(path) for path in (tmp_path, tmp_path / "spool", *files)] == [*["0o700"] * 2, *["0o600"] * 3]
    assert mode(other) == "0o644"


@pytest.mark.parametrize("bits", [0o770, 0o707, 0o1777])
def test_a_directory_that_others_can_write_to_is_refused(tmp_path: Path, bits: int) -> None:
    tmp_path.chmod(bits)
    with pytest.raises(DataDirectoryError, match=r"others can write to .*; look whether .* chmod 700"):
        private_files.check_data_directory(tmp_path)


@as_root
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    with pytest.raises(DataDirectoryError, match=r"belongs to user \S+, this is user root; chown it"):
        private_files.check_data_directory(tmp_path)


def test_what_is_wrong_with_the_cache_names_its_option(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(DataDirectoryError, match=r"name another directory with --cache-dir"):
        private_files.own_directory(tmp_path, "--cache-dir")


@as_root
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vms.json").touch()
    os.chown(tmp_path / "vms.json", NOBODY, NOBODY)
    with pytest.raises(
        DataDirectoryError, match=r"vms\.json belongs to user \S+, this is user root; remove it"
    ):
        private_files.check_data_directory(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "vms.json",
        "vms.json.new",
        "pins",
        "pins.given-up",
        "requests.json",
        "spool",
        "headers",
        "bytecode",
        "spool/lock",
    ],
)
def test_a_link_in_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    (data / name).parent.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.mkdir() if name in ("spool", "headers", "bytecode") else victim.touch()
    (data / name).symlink_to(victim)
    with pytest.raises(DataDirectoryError, match=f"{name} is a link, which is not followed; remove it"):
        private_files.check_data_directory(data)


def test_a_directory_that_is_reached_by_a_link_is_used(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    private_files.check_data_directory(tmp_path / "link")


def test_writing_goes_through_no_link(tmp_path: Path) -> None:
    os.umask(0o022)
    victim = tmp_path / "victim"
    victim.write_text("kept")
    for name in ("vms.json", "vms.json.new"):
        (tmp_path / name).symlink_to(victim)
    VmFile(tmp_path / "vms.json", "boot").keep([VM])
    assert victim.read_text() == "kept"
    assert VmFile(tmp_path / "vms.json", "boot").load() == (VM,)
    assert mode(tmp_path / "vms.json") == "0o600"


def test_reading_goes_through_no_link(tmp_path: Path) -> None:
    VmFile(tmp_path / "elsewhere", "boot").keep([VM])
    (tmp_path / "vms.json").symlink_to(tmp_path / "elsewhere")
    assert VmFile(tmp_path / "vms.json", "boot").load() == ()


@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
def test_requests_that_are_no_regular_file_are_not_waited_for(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "requests.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif os.geteuid() == 0:
        os.mknod(path, 0o20600, os.makedev(1, 5))
    else:
        pytest.skip("only root can make a device")
    requests = RecordRequests(path)
    assert [requests.active(0) for _ in range(3)] == [[], [], []]
    assert [record.message.split(" path=")[0] for record in caplog.records] == ["requests to record not read"]


@as_root
@pytest.mark.parametrize(
    "arguments",
    [["run", "--token-file", "/dev/null"], ["detach"], ["record", "web"], ["spool", "list"]],
    ids=lambda arguments: arguments[0],
)
def test_no_command_uses_another_users_directory(tmp_path: Path, arguments: list[str]) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    done = subprocess.run(
        [sys.executable, "-m", "collector", *arguments, "--data-dir", str(tmp_path)],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"kvmfaults-collector: {tmp_path} belongs to user ")
    assert list(tmp_path.iterdir()) == []
