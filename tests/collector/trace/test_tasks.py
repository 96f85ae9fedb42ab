# SPDX-License-Identifier: Apache-2.0
"""Which VM and vCPU a thread is."""

from pathlib import Path

from tests.collector.trace.recording import batch, event, faults, write

ARM_FAULT = "kvm_guest_fault: ipa 0x485cb000, hsr 0x93050047, hxfar 0x485cb000, pc 0x00000040001058"
X86_FAULT = "kvm_page_fault: vcpu {} rip 0x1033 address 0x0000000008000000 error_code 0x100000006"


def test_threads_of_one_name_are_one_vm_named_so_with_the_lowest_id(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        event(ARM_FAULT, task="vmm-102"),
        event(ARM_FAULT, task="vmm-101"),
        event("kvm_unmap_hva_range: mmu notifier unmap range: 0x1 -- 0x2", task="vmm-100"),
        event("kvm_age_hva: 0x1", task="kswapd0-50"),
    )
    assert [(vm.name, vm.vmm, vm.pid) for vm in batch(path).vms] == [("vmm", "vmm", 100)]


def test_vcpus_without_a_number_are_numbered_in_the_order_of_their_threads(tmp_path: Path) -> None:
    path = write(tmp_path, event(ARM_FAULT, task="vmm-102"), event(ARM_FAULT, task="vmm-101"))
    assert [fault.vcpu for fault in faults(path)] == [1, 0]


def test_qemu_s_vcpu_threads_are_one_vm_and_bear_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, event(ARM_FAULT, task="CPU 3/KVM-205"), event(ARM_FAULT, task="CPU 1/KVM-203"))
    assert [fault.vcpu for fault in faults(path)] == [3, 1]
    assert [(vm.name, vm.vmm, vm.pid) for vm in batch(path).vms] == [("qemu", "qemu", 203)]


def test_qemu_s_vcpu_threads_are_known_where_their_names_are_cut_off(tmp_path: Path) -> None:
    line = "{:>8}-{}    1d..1.    1.000000: " + ARM_FAULT + "\n"
    path = write(tmp_path, line.format("CPU 12/K", 205), line.format("CPU 3/KV", 203))
    assert [fault.vcpu for fault in faults(path)] == [12, 3]
    assert [(vm.name, vm.vmm) for vm in batch(path).vms] == [("qemu", "qemu")]


def test_threads_that_perf_does_not_name_are_one_vm(tmp_path: Path) -> None:
    line = " {} [001] 1.000000: kvm:" + ARM_FAULT + "\n"
    path = write(tmp_path, line.format(102), line.format(101))
    assert [fault.vcpu for fault in faults(path)] == [1, 0]
    assert [(vm.name, vm.pid) for vm in batch(path).vms] == [("trace.txt", 101)]


def test_perf_s_process_keeps_vms_apart(tmp_path: Path) -> None:
    line = "CPU 0/KVM {:>5}/{:<5} [001] 1.000000: kvm:" + ARM_FAULT + "\n"
    path = write(tmp_path, line.format(200, 202), line.format(300, 302))
    assert [vm.pid for vm in batch(path).vms] == [200, 300]


def test_the_tgid_column_keeps_vms_apart_whose_threads_are_named_alike(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        event("sched_x: a", task="qemu-system-aar-200", tgid="(    200) "),
        event(ARM_FAULT, task="CPU 0/KVM-202", tgid="(    200) "),
        event(ARM_FAULT, task="CPU 1/KVM-203", tgid="(    200) "),
        event(ARM_FAULT, task="CPU 0/KVM-302", tgid="(    300) "),
    )
    vms = batch(path).vms
    assert [(vm.name, vm.vmm, vm.pid) for vm in vms] == [
        ("qemu-system-aar", "qemu", 200),
        ("qemu", "qemu", 300),
    ]
    assert len({vm.id for vm in vms}) == 2


def test_a_line_that_lacks_its_tgid_is_still_of_its_thread_s_process(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        event(ARM_FAULT, task="CPU 0/KVM-202", tgid="(    200) "),
        event(ARM_FAULT, task="CPU 0/KVM-202", tgid="(-------) "),
    )
    only = batch(path)
    assert [vm.pid for vm in only.vms] == [200]
    assert sum(count.faults for count in only.fault_counts) == 2


def test_x86_events_name_the_vcpu_whatever_the_thread_is(tmp_path: Path) -> None:
    path = write(
        tmp_path, event(X86_FAULT.format(7), task="vmm-101"), event(X86_FAULT.format(2), task="vmm-102")
    )
    assert [fault.vcpu for fault in faults(path, format="npf")] == [7, 2]


def test_an_exit_before_its_thread_s_first_fault_is_of_the_vcpu_shown_later(tmp_path: Path) -> None:
    path = write(tmp_path, event("kvm_userspace_exit: reason KVM_EXIT_IO (2)"), event(X86_FAULT.format(5)))
    assert [count.vcpu for count in batch(path, format="npf").exit_counts] == [5]


def test_an_exit_of_a_thread_whose_vcpu_nothing_shows_is_lost_and_counted(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        event(X86_FAULT.format(5), task="vmm-101"),
        event("kvm_userspace_exit: reason KVM_EXIT_IO (2)", task="vmm-102"),
    )
    only = batch(path, format="npf")
    assert only.exit_counts == ()
    assert [(loss.kind, loss.count) for loss in only.lost] == [("unattributed", 1)]


def test_a_name_that_cannot_be_shown_is_made_so(tmp_path: Path) -> None:
    path = write(tmp_path, event(ARM_FAULT, task="a\x00b\x1bc-101"))
    assert [vm.name for vm in batch(path).vms] == ["a\ufffdb\ufffdc"]
