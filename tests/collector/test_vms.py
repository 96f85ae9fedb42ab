# SPDX-License-Identifier: Apache-2.0
"""VMs from sight to end: identity, names that settle, ends from the process and from KVM."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from collector.vms.identity.uevents import EventKind, KvmEvent
from collector.vms.table import KernelVm, VmTable, vm_id
from collector.vms.unseen_ends import UnseenEnd

BOOT = "9c5d5f0e-4b50-4a46-8f0c-4d7d2c3e3b7a"
PID = 5_000_001
SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


def write_process(
    proc: Path, command: str, *, pid: int = PID, start: int = 100, comm: str = "qemu-kvm"
) -> None:
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    (folder / "stat").write_text(f"{pid} ({comm}) S 1 " + "0 " * 17 + f"{start} 0 0\n")
    (folder / "cmdline").write_text(command.replace(" ", "\0") + "\0" if command else "")
    (folder / "cgroup").write_text("0::/\n")


def end_process(proc: Path, pid: int = PID) -> None:
    for path in (proc / str(pid)).iterdir():
        path.unlink()
    (proc / str(pid)).rmdir()


def kernel_vm(*, kvm: int = 0xFFFF1000, instance: int = 1, pid: int = PID, stats_name: str = "") -> KernelVm:
    return KernelVm(
        kvm=kvm, instance=instance, pid=pid, start_boottime_ns=SECOND, comm="CPU 0/KVM", stats_name=stats_name
    )


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    write_process(tmp_path, "qemu-kvm -name web")
    return tmp_path


@pytest.fixture
def table(proc: Path) -> VmTable:
    return VmTable(BOOT, lambda boottime_ns: NOW + boottime_ns, proc)


def created(stats_name: str) -> KvmEvent:
    return KvmEvent(EventKind.CREATED, stats_name)


def destroyed(stats_name: str) -> KvmEvent:
    return KvmEvent(EventKind.DESTROYED, stats_name)


def test_an_id_never_changes() -> None:
    assert vm_id(BOOT, 4711, 100, 0xFFFF888100000000, 17) == "4352378c28821201"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(vm_id("other boot", 4711, 100, 0xFFFF1000, 1), id="boot"),
        pytest.param(vm_id(BOOT, 4712, 100, 0xFFFF1000, 1), id="pid"),
        pytest.param(vm_id(BOOT, 4711, 101, 0xFFFF1000, 1), id="the pid used again"),
        pytest.param(vm_id(BOOT, 4711, 100, 0xFFFF2000, 1), id="another VM of the process"),
        pytest.param(vm_id(BOOT, 4711, 100, 0xFFFF1000, 2), id="a later VM at the same address"),
    ],
)
def test_another_vm_has_another_id(other: str) -> None:
    assert other != vm_id(BOOT, 4711, 100, 0xFFFF1000, 1)


def test_a_vm_is_described(table: VmTable) -> None:
    vm = table.see(kernel_vm(), NOW)
    assert (vm.name, vm.vmm, vm.pid, vm.command) == ("web", "qemu", PID, "qemu-kvm -name web")
    assert (vm.started_ns, vm.ended_ns) == (NOW + SECOND, None)


def test_two_vms_of_one_process_are_two(table: VmTable) -> None:
    first, second = table.see(kernel_vm(kvm=1), NOW), table.see(kernel_vm(kvm=2), NOW)
    assert first.id != second.id
    assert len(table) == 2


def test_a_name_that_comes_late_is_seen(table: VmTable, proc: Path) -> None:
    write_process(proc, "", comm="sh")
    assert table.see(kernel_vm(), NOW).name == "sh"
    write_process(proc, "qemu-kvm -name late")
    assert table.see(kernel_vm(), NOW + 2 * SECOND).name == "late"


def test_a_name_stays_once_it_has_settled(table: VmTable, proc: Path) -> None:
    table.see(kernel_vm(), NOW)
    write_process(proc, "qemu-kvm -name late")
    assert table.see(kernel_vm(), NOW + 11 * SECOND).name == "web"


def test_a_name_outlives_the_command_line_of_an_ending_process(table: VmTable, proc: Path) -> None:
    table.see(kernel_vm(), NOW)
    write_process(proc, "")
    assert table.see(kernel_vm(), NOW + 2 * SECOND).name == "web"


def test_a_pid_used_again_lends_its_name_to_nobody(table: VmTable, proc: Path) -> None:
    write_process(proc, "qemu-kvm -name other", start=200)
    assert table.see(kernel_vm(), NOW).name == "CPU 0/KVM"


def test_a_vm_whose_process_was_gone_before_it_was_seen_ends_at_once(table: VmTable) -> None:
    vm = table.see(kernel_vm(pid=PID + 1), NOW)
    assert [ended.id for ended in table.ended(NOW)] == [vm.id]


def test_a_vm_ends_with_its_process(table: VmTable, proc: Path) -> None:
    vm = table.see(kernel_vm(), NOW)
    assert table.ended(NOW) == ()
    end_process(proc)
    (ended,) = table.ended(NOW + 5 * SECOND)
    assert (ended.id, ended.name, ended.ended_ns) == (vm.id, "web", NOW + 5 * SECOND)
    assert len(table) == 0


def test_an_end_is_reported_once(table: VmTable, proc: Path) -> None:
    table.see(kernel_vm(), NOW)
    end_process(proc)
    table.ended(NOW)
    assert table.ended(NOW + SECOND) == ()


def test_all_vms_of_a_process_end_with_it(table: VmTable, proc: Path) -> None:
    vms = {table.see(kernel_vm(kvm=address), NOW).id for address in (1, 2, 3)}
    end_process(proc)
    assert {vm.id for vm in table.ended(NOW)} == vms


def test_a_pid_used_again_ends_the_vm_that_had_it(table: VmTable, proc: Path) -> None:
    table.see(kernel_vm(), NOW)
    write_process(proc, "qemu-kvm -name other", start=200)
    assert len(table.ended(NOW)) == 1


def test_a_real_process_that_ends_is_noticed() -> None:
    table = VmTable(BOOT, lambda boottime_ns: NOW, Path("/proc"))
    child = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        # It runs Python by now: before that, its command line may still be that of nobody.
        assert child.stdout is not None
        child.stdout.readline()
        stat = Path(f"/proc/{child.pid}/stat").read_text()
        start_ns = int(stat.rpartition(")")[2].split()[19]) * SECOND // os.sysconf("SC_CLK_TCK")
        seen = KernelVm(kvm=1, instance=1, pid=child.pid, start_boottime_ns=start_ns, comm="python3")
        assert "input()" in table.see(seen, NOW).command
        assert table.ended(NOW) == ()
        child.communicate(b"\n")
    assert len(table.ended(NOW)) == 1


def test_counts_that_come_after_the_end_find_the_vm_as_it_was(table: VmTable, proc: Path) -> None:
    table.see(kernel_vm(), NOW)
    end_process(proc)
    ended = table.ended(NOW)
    assert (table.see(kernel_vm(), NOW + SECOND),) == ended
    assert table.ended(NOW + SECOND) == ()


def test_kvm_reports_the_end_of_a_vm_whose_process_lives_on(table: VmTable) -> None:
    table.apply(created("7-5"), NOW)
    table.see(kernel_vm(kvm=1, stats_name="7-5"), NOW)
    staying = table.see(kernel_vm(kvm=2, stats_name="7-6"), NOW)
    table.apply(destroyed("7-5"), NOW + SECOND)
    (ended,) = table.ended(NOW + 2 * SECOND)
    assert (ended.ended_ns, len(table)) == (NOW + SECOND, 1)
    assert table.see(kernel_vm(kvm=2, stats_name="7-6"), NOW) == staying


def test_a_vm_that_ended_before_it_was_seen_is_described_with_its_end(table: VmTable) -> None:
    table.apply(created("7-5"), NOW)
    table.apply(destroyed("7-5"), NOW + SECOND)
    assert table.see(kernel_vm(stats_name="7-5"), NOW + 2 * SECOND).ended_ns == NOW + SECOND
    assert len(table.ended(NOW + 2 * SECOND)) == 1


def test_the_end_of_an_earlier_vm_of_the_same_name_is_not_a_later_ones(table: VmTable) -> None:
    table.apply(created("7-5"), NOW)
    table.apply(destroyed("7-5"), NOW)
    table.apply(created("7-5"), NOW)
    assert table.see(kernel_vm(stats_name="7-5"), NOW).ended_ns is None


def test_a_vm_ends_when_another_is_made_under_its_name(table: VmTable) -> None:
    table.see(kernel_vm(kvm=1, stats_name="7-5"), NOW)
    table.apply(created("7-5"), NOW + SECOND)
    assert len(table.ended(NOW + SECOND)) == 1


def test_a_vm_ends_when_another_is_seen_at_its_address(table: VmTable) -> None:
    first = table.see(kernel_vm(instance=1), NOW)
    second = table.see(kernel_vm(instance=2), NOW + SECOND)
    assert [vm.id for vm in table.ended(NOW + SECOND)] == [first.id]
    assert second.ended_ns is None


def test_of_two_vms_of_one_name_the_later_one_lives(table: VmTable) -> None:
    first = table.see(kernel_vm(kvm=1, instance=1, stats_name="7-5"), NOW)
    table.see(kernel_vm(kvm=2, instance=2, stats_name="7-5"), NOW)
    assert [vm.id for vm in table.ended(NOW)] == [first.id]


def test_lost_announcements_end_nothing(table: VmTable) -> None:
    table.apply(destroyed("7-5"), NOW)
    table.apply(KvmEvent(EventKind.LOST), NOW)
    assert table.see(kernel_vm(stats_name="7-5"), NOW).ended_ns is None


def test_an_announcement_without_a_name_ends_nothing(table: VmTable) -> None:
    table.see(kernel_vm(), NOW)
    table.apply(destroyed(""), NOW)
    table.apply(created(""), NOW)
    assert table.ended(NOW) == ()


def test_without_the_hosts_proc_vms_are_named_after_comm_and_live() -> None:
    table = VmTable(BOOT, lambda boottime_ns: NOW, None)
    assert table.see(kernel_vm(), NOW).name == "CPU 0/KVM"
    assert table.ended(NOW) == ()


def test_many_short_lived_vms_are_forgotten(table: VmTable) -> None:
    for instance in range(5000):
        table.see(kernel_vm(instance=instance), NOW)
    assert len(table) == 1
    assert len(table.ended(NOW)) == 4999


def test_two_vms_of_one_name_that_came_and_went_unseen_both_end() -> None:
    table = VmTable("boot", lambda boottime_ns: boottime_ns, None)
    for _ in range(2):
        table.apply(KvmEvent(EventKind.CREATED, "7-11"), NOW)
        table.apply(KvmEvent(EventKind.DESTROYED, "7-11"), NOW)
    for kvm in (0x1000, 0x2000):
        table.see(
            KernelVm(kvm=kvm, instance=kvm, pid=7, start_boottime_ns=0, comm="vmm", stats_name="7-11"), NOW
        )
    assert len(table.ended(NOW)) == 2
    assert len(table) == 0


def test_a_vm_that_ended_while_nobody_looked_is_reported_with_since_when(table: VmTable, proc: Path) -> None:
    table.begin_after_gap(NOW + 10 * SECOND, -SECOND)
    table.see(kernel_vm(), NOW + 90 * SECOND)
    end_process(proc)
    (ended,) = table.ended(NOW + 90 * SECOND)
    assert ended.ended_ns == NOW + 90 * SECOND
    assert table.unseen_ends == (UnseenEnd(ended, NOW + 10 * SECOND, -SECOND),)
    table.forget_unseen_ends()
    assert len(table.unseen_ends) == 0


def test_a_vm_cannot_have_ended_before_it_started(table: VmTable, proc: Path) -> None:
    table.begin_after_gap(NOW - 100 * SECOND)
    table.see(kernel_vm(), NOW + 90 * SECOND)
    end_process(proc)
    (ended,) = table.ended(NOW + 90 * SECOND)
    assert table.unseen_ends == (UnseenEnd(ended, ended.started_ns),)


def test_after_the_first_look_an_end_is_exact(table: VmTable, proc: Path) -> None:
    table.begin_after_gap(NOW)
    table.see(kernel_vm(), NOW + 90 * SECOND)
    assert table.ended(NOW + 90 * SECOND) == ()
    end_process(proc)
    assert len(table.ended(NOW + 91 * SECOND)) == 1
    assert table.unseen_ends == ()
