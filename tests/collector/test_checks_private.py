# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of who can read or take what is the collector's."""

import os
from pathlib import Path

import pytest

from collector.commands.checks_private import examine_private
from collector.counting.checks import Cause, Finding
from collector.spool.queue import Spool
from faultmodel.kinds import CheckState as State

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")


def found(data_dir: Path, bpffs: Path, name: str) -> Finding:
    return next(finding for finding in examine_private(data_dir, bpffs) if finding.name == name)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A directory that a collector has used."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    with Spool(data / "spool"):
        pass
    return data


def test_a_directory_that_is_its_users_alone_is_well(data_dir: Path) -> None:
    assert found(data_dir, data_dir, "data").state is State.OK


def test_what_others_can_read_is_named_and_left_as_it_is(data_dir: Path) -> None:
    (data_dir / "vms.json").touch()
    (data_dir / "vms.json").chmod(0o644)
    (data_dir / "spool" / "lock").chmod(0o640)
    finding = found(data_dir, data_dir, "data")
    assert finding.state is State.LACKING
    assert finding.found == f"others can read {data_dir}/spool/lock and 1 more"
    assert "start the collector anew, which closes them" in finding.remedy
    assert (data_dir / "vms.json").stat().st_mode & 0o777 == 0o644


@as_root
def test_a_directory_that_would_be_refused_is_said_with_the_remedy(data_dir: Path) -> None:
    os.chown(data_dir, 65534, 65534)
    finding = found(data_dir, data_dir, "data")
    assert (finding.state, finding.cause) == (State.MISSING, Cause.DATA)
    assert finding.found.startswith(f"no collector starts with it: {data_dir} belongs to user ")
    assert finding.remedy.startswith("chown it if it is the collector's")


def test_a_directory_that_is_not_there_yet_is_well(tmp_path: Path) -> None:
    assert found(tmp_path / "none", tmp_path, "data").state is State.OK


@pytest.mark.parametrize(("mode", "state"), [(0o1777, State.LACKING), (0o700, State.OK), (0o755, State.OK)])
def test_a_bpf_file_system_that_others_can_write_to_is_named(data_dir: Path, mode: int, state: State) -> None:
    bpffs = data_dir.parent / "bpf"
    bpffs.mkdir()
    bpffs.chmod(mode)
    finding = found(data_dir, bpffs, "bpffs")
    assert finding.state is state
    assert (f"chmod 700 {bpffs}" in finding.remedy) == (state is State.LACKING)


@pytest.mark.parametrize(
    ("bpffs_mode", "folder_mode", "state"),
    [
        (0o1777, 0o700, State.OK),
        # Without the sticky bit others can rename it.
        (0o777, 0o700, State.LACKING),
        (0o1777, 0o777, State.LACKING),
    ],
)
def test_nothing_is_lost_where_the_folder_is_already_ones_own(
    data_dir: Path, bpffs_mode: int, folder_mode: int, state: State
) -> None:
    bpffs = data_dir.parent / "bpf"
    folder = bpffs / "kvmfaults"
    folder.mkdir(parents=True)
    folder.chmod(folder_mode)
    bpffs.chmod(bpffs_mode)
    assert found(data_dir, bpffs, "bpffs").state is state


def test_where_no_collector_runs_no_rights_are_reported(data_dir: Path) -> None:
    assert found(data_dir, data_dir, "rights").found == f"no collector runs with {data_dir}"


@as_root
def test_a_collector_that_holds_more_than_it_needs_is_named(data_dir: Path) -> None:
    # This process holds the lock as a collector would, and all of root's rights.
    with Spool(data_dir / "spool"):
        finding = found(data_dir, data_dir, "rights")
    assert finding.state is State.LACKING
    assert f"(process {os.getpid()}) holds " in finding.found
    assert finding.found.endswith(", and may get others")
