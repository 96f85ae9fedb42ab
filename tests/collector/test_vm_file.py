"""Which VMs lived, from one collector to the next."""

import os
import time
from pathlib import Path

import pytest

from collector.vms.file import VmFile
from collector.vms.table import KernelVm

VM = KernelVm(kvm=2**64 - 4096, instance=77, pid=4242, start_boottime_ns=5, comm="qemu", stats_name="4242-9")


def test_what_was_kept_is_recalled(tmp_path: Path) -> None:
    VmFile(tmp_path / "vms.json", "boot-1").keep([VM])
    assert VmFile(tmp_path / "vms.json", "boot-1").recall() == (VM,)


def test_vms_of_another_boot_are_not_recalled(tmp_path: Path) -> None:
    VmFile(tmp_path / "vms.json", "boot-1").keep([VM])
    assert VmFile(tmp_path / "vms.json", "boot-2").recall() == ()


def test_the_first_collector_recalls_nobody(tmp_path: Path) -> None:
    assert VmFile(tmp_path / "vms.json", "boot-1").recall() == ()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"boot_id":1,"vms":[]}', b'{"boot_id":"\xff","vms":[]}', bytes(range(256))],
)
def test_a_damaged_file_recalls_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vms.json").write_bytes(content)
    assert VmFile(tmp_path / "vms.json", "boot-1").recall() == ()


def test_a_directory_that_is_gone_stops_nobody(tmp_path: Path) -> None:
    VmFile(tmp_path / "gone" / "vms.json", "boot-1").keep([VM])


def test_it_is_known_when_a_collector_looked_last(tmp_path: Path) -> None:
    path = tmp_path / "vms.json"
    assert VmFile(path, "boot-1").looked_ns() is None
    file = VmFile(path, "boot-1")
    file.keep([VM])
    os.utime(path, (1, 1))
    assert file.looked_ns() == 1_000_000_000
    before_ns = time.time_ns()
    # The same VMs: what it says has not changed, only when it was said.
    file.keep([VM])
    looked_ns = VmFile(path, "boot-2").looked_ns()
    assert looked_ns is not None
    assert looked_ns > before_ns - 1_000_000_000
    assert file.recall() == (VM,)


def test_a_list_that_somebody_removed_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "vms.json"
    file = VmFile(path, "boot-1")
    file.keep([VM])
    path.unlink()
    file.keep([VM])
    assert VmFile(path, "boot-1").recall() == (VM,)


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
    assert VmFile(path, "boot-1").recall() == (VM,)
