# SPDX-License-Identifier: Apache-2.0
"""Which VMs lived, from one collector to the next."""

import os
import time
from pathlib import Path

import pytest

from collector.vms.file import LastRead, VmFile
from collector.vms.table import KernelVm

VM = KernelVm(kvm=2**64 - 4096, instance=77, pid=4242, start_boottime_ns=5, comm="qemu", stats_name="4242-9")


def test_what_was_kept_is_recalled(tmp_path: Path) -> None:
    VmFile(tmp_path / "vms.json", "boot-1").keep([VM])
    assert VmFile(tmp_path / "vms.json", "boot-1").load() == (VM,)


def test_vms_of_another_boot_are_not_recalled(tmp_path: Path) -> None:
    VmFile(tmp_path / "vms.json", "boot-1").keep([VM])
    assert VmFile(tmp_path / "vms.json", "boot-2").load() == ()


def test_the_first_collector_recalls_nobody(tmp_path: Path) -> None:
    assert VmFile(tmp_path / "vms.json", "boot-1").load() == ()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"boot_id":1,"vms":[]}', b'{"boot_id":"\xff","vms":[]}', bytes(range(256))],
)
def test_a_damaged_file_recalls_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vms.json").write_bytes(content)
    assert VmFile(tmp_path / "vms.json", "boot-1").load() == ()


def test_a_directory_that_is_gone_stops_nobody(tmp_path: Path) -> None:
    VmFile(tmp_path / "gone" / "vms.json", "boot-1").keep([VM])


def test_it_is_known_when_a_collector_looked_last(tmp_path: Path) -> None:
    path = tmp_path / "vms.json"
    assert VmFile(path, "boot-1").last_read() is None
    file = VmFile(path, "boot-1")
    file.keep([VM])
    os.utime(path, (1, 1))
    assert file.last_read() == LastRead(1_000_000_000)
    before_ns = time.time_ns()
    # The same VMs: what it says has not changed, only when it was said.
    file.keep([VM])
    last_read = VmFile(path, "boot-2").last_read()
    assert last_read is not None
    assert last_read.at_ns > before_ns - 1_000_000_000
    assert file.load() == (VM,)


def test_a_list_that_somebody_removed_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "vms.json"
    file = VmFile(path, "boot-1")
    file.keep([VM])
    path.unlink()
    file.keep([VM])
    assert VmFile(path, "boot-1").load() == (VM,)


def test_a_list_that_could_not_be_written_is_written_when_it_can_be_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "gone" / "vms.json"
    file = VmFile(path, "boot-1")
    file.keep([VM])
    file.keep([VM])
    assert len(caplog.messages) == 1
    path.parent.mkdir()
    file.keep([VM])
    assert VmFile(path, "boot-1").load() == (VM,)


@pytest.mark.parametrize("set_s", [7200, -7200])
def test_where_the_clock_was_set_it_is_known_when_a_collector_looked_by_the_new_one(
    tmp_path: Path, set_s: int
) -> None:
    path = tmp_path / "vms.json"
    VmFile(path, "boot-1", lambda: 0).keep([VM])
    os.utime(path, (10_000, 10_000))
    set_ns = set_s * 1_000_000_000
    assert VmFile(path, "boot-1", lambda: set_ns).last_read() == LastRead(10_000_000_000_000 + set_ns, set_ns)
    # Time synchronisation sets it a little all the time.
    assert VmFile(path, "boot-1", lambda: 5_000_000).last_read() == LastRead(10_000_000_000_000)
    # Of another boot, that clock shows nothing.
    assert VmFile(path, "boot-2", lambda: set_ns).last_read() == LastRead(10_000_000_000_000)


def test_a_clock_that_was_set_while_a_collector_looked_is_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "vms.json"
    offsets_ns = iter([0, 7_200_000_000_000])
    file = VmFile(path, "boot-1", lambda: next(offsets_ns))
    file.keep([VM])
    file.keep([VM])
    last_read = VmFile(path, "boot-1", lambda: 7_200_000_000_000).last_read()
    assert last_read is not None
    assert last_read.clock_set_ns == 0


def test_a_list_of_an_earlier_version_is_recalled(tmp_path: Path) -> None:
    path = tmp_path / "vms.json"
    path.write_bytes(b'{"boot_id":"boot-1","vms":[]}')
    os.utime(path, (10, 10))
    assert VmFile(path, "boot-1").last_read() == LastRead(10_000_000_000)
