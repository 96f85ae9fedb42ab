# SPDX-License-Identifier: Apache-2.0
"""Recordings as people post them: cut by tools, sent through mail, made by other programs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.trace.errors import TraceError
from faultmodel.record import REASON_NOT_SHOWN, ExitKind, Vm
from tests.collector.trace.recording import batch, counters, event, exits, faults, prepare, write

CASES = Path(__file__).parent / "cases"
LINE_ENDS = CASES / "line-ends-crlf.trace.txt"


def case(name: str) -> Path:
    return CASES / f"{name}.trace.txt"


def vm_of(path: Path, **options: Any) -> Vm:
    (vm,) = batch(path, **options).vms
    return vm


def unreadable(path: Path, **options: Any) -> int:
    read = prepare(path, **options)
    list(read.batches())
    return read.report.unreadable_lines


@pytest.mark.parametrize("name", ["line-ends-crlf", "line-ends-trailing-blanks", "first-line-bom", "utf16"])
def test_a_text_is_read_whatever_ends_its_lines_and_encodes_it(name: str) -> None:
    path = case(name)
    assert counters(path) == {"faults": 2, "spurious": 2}
    assert unreadable(path) == 0
    assert sorted(fault.vcpu for fault in faults(path)) == [4, 7]
    assert vm_of(path).name == "qemu"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", " \n", "\t\r\n"])
def test_line_ends_and_encodings_go_together(tmp_path: Path, encoding: str, ends: str) -> None:
    text = LINE_ENDS.read_bytes().decode().replace("\r\n", ends)
    path = tmp_path / "trace.txt"
    path.write_bytes(text.encode(encoding))
    assert counters(path) == {"faults": 2, "spurious": 2}
    assert unreadable(path) == 0


@pytest.mark.parametrize("quote", ["> ", ">", "> > ", ">> ", ">\u00a0"])
def test_a_quoted_mail_is_read(tmp_path: Path, quote: str) -> None:
    lines = LINE_ENDS.read_text().splitlines()
    path = tmp_path / "trace.txt"
    path.write_text("".join(f"{quote}{line}\n" for line in lines))
    assert counters(path) == {"faults": 2, "spurious": 2}
    assert unreadable(path) == 0


def _coloured(text: str) -> bytes:
    """As ``grep --color=always kvm_`` writes it."""
    return text.replace("kvm_", "\x1b[01;31m\x1b[Kkvm_\x1b[m\x1b[K").encode()


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.replace("  ", "\u00a0 ").encode("latin-1"),
        lambda text: text.replace("  ", "\u00a0 ").encode("cp1252"),
        lambda text: text.expandtabs().replace(" " * 4, "\t").encode(),
        lambda text: text.replace(": ", ":\t").encode(),
        _coloured,
    ],
    ids=["latin-1", "cp1252", "tabs", "tabs behind names", "colours"],
)
def test_bytes_that_programs_put_in_place_of_blanks_and_round_words_are_no_matter(
    tmp_path: Path, written: Callable[[str], bytes]
) -> None:
    path = tmp_path / "trace.txt"
    text = LINE_ENDS.read_bytes().decode().replace("\r\n", "\n")
    path.write_bytes(written(text))
    assert counters(path) == {"faults": 2, "spurious": 2}
    assert unreadable(path) == 0
    assert vm_of(path).name == "qemu"


ARM_FAULT = event("kvm_guest_fault: ipa 0x485cb000, hsr 0x93050047, hxfar 0x485cb000, pc 0x00000040001058")
RISCV_FAULT = event("kvm_exit: SEPC:0x1, SCAUSE:0x15, STVAL:0x2, HTVAL:0x3, HTINST:0x0")


@pytest.mark.parametrize("line", [ARM_FAULT, RISCV_FAULT], ids=["arm64", "riscv64"])
@pytest.mark.parametrize("end", ["\r\n", "  \n"])
def test_line_ends_are_no_part_of_any_architecture_s_event(tmp_path: Path, line: str, end: str) -> None:
    path = tmp_path / "trace.txt"
    path.write_bytes(line.replace("\n", end).encode())
    assert counters(path) == {"faults": 1}


def test_what_grep_puts_between_its_findings_is_no_line_of_a_recording() -> None:
    path = case("grep-context-separator")
    assert unreadable(path) == 0
    assert counters(path)["faults"] == 5


@pytest.mark.parametrize("name", ["no-break-spaces", "thread-name-cut-at-blank-qemu"])
def test_blanks_that_a_program_changed_or_cut_at_are_no_matter(name: str) -> None:
    path = case(name)
    assert [(fault.format, fault.syndrome) for fault in faults(path)] == [
        ("ept", 0x683),
        ("ept", 0x683),
        ("npf", 0x2_0000_0006),
    ]
    assert unreadable(path) == 0
    assert (vm_of(path).name, vm_of(path).vmm) == ("qemu", "qemu")


def test_a_thread_of_firecracker_cut_at_its_blank_is_firecracker_s(tmp_path: Path) -> None:
    assert vm_of(write(tmp_path, ARM_FAULT.replace("kt-100", "fc_vcpu-100"))).vmm == "firecracker"


def test_a_word_that_the_event_cut_is_whole() -> None:
    path = case("npf-word-cut-to-32-bits")
    assert [(fault.format, fault.syndrome) for fault in faults(path)] == [("npf", 0x1_0000_0014)] * 2


def test_a_nested_guest_s_fault_is_counted_apart() -> None:
    (fault,) = faults(case("nested-l2-fault-vmx"))
    assert (fault.nested, fault.gpa, fault.l2_address) == (True, None, 0xFEBD_0000)


def test_perf_script_without_threads_is_read_by_cpu() -> None:
    path = case("perf-script-without-thread")
    (found,) = exits(path)
    assert (found.reason, found.errno, found.vcpu) == (8, 0, 0)
    vm = vm_of(path)
    assert (vm.name, vm.pid) == ("perf-script-without-thread.trace.txt", 0)
    assert "does not show threads" in batch(path).host.detail


def test_a_cpu_s_events_are_of_the_vcpu_that_it_ran_last(tmp_path: Path) -> None:
    head = "[001]   1.00000{}:  kvm:"
    lines = [
        head.format(0) + "kvm_exit: vcpu 0 reason EPT_VIOLATION rip 0x1 info1 0x181 info2 0x0\n",
        head.format(1) + "kvm_page_fault: vcpu 0 rip 0x1 address 0x1000 error_code 0x181\n",
        head.format(2) + "kvm_exit: vcpu 3 reason EPT_VIOLATION rip 0x1 info1 0x182 info2 0x0\n",
        head.format(3) + "kvm_page_fault: vcpu 3 rip 0x1 address 0x2000 error_code 0x182\n",
        head.format(4) + "kvm_userspace_exit: reason error (14)\n",
    ]
    path = write(tmp_path, *lines)
    assert [(fault.vcpu, fault.syndrome) for fault in faults(path)] == [(0, 0x181), (3, 0x182)]
    (found,) = exits(path)
    assert (found.vcpu, found.record.syndrome) == (3, 0x182)


def test_perf_trace_s_fields_and_texts_are_read() -> None:
    path = case("perf-trace")
    with pytest.raises(TraceError, match="--format"):
        prepare(path)
    found = faults(path, format="ept")
    assert [fault.address for fault in found] == [0x8_0000_0000_0000, 0x8_0000_0200_0000]
    assert [fault.syndrome for fault in found] == [0x181, 0x181]
    assert [fault.monotonic_ns for fault in found] == [12_481_879_000, 12_481_881_000]
    assert vm_of(path, format="ept").vmm == "qemu"


def test_perf_trace_has_reason_and_errno_of_an_exit(tmp_path: Path) -> None:
    head = "     {}.000 ( 0.010 ms): CPU 0/KVM/77 kvm:"
    lines = [
        head.format(1)
        + "kvm_exit(exit_reason: 48, guest_rip: 4096, isa: 1, info1: 386, info2: 0, vcpu_id: 2)\n",
        head.format(2)
        + "kvm_page_fault(vcpu_id: 2, guest_rip: 4096, fault_address: 16384, error_code: 386)\n",
        head.format(3) + "kvm_userspace_exit(reason: 39, errno: -14)\n",
        head.format(4) + "kvm_userspace_exit(reason: 0, errno: 4294967282)\n",
        head.format(5) + "kvm_userspace_exit(reason: 6)\n",
    ]
    path = write(tmp_path, *lines)
    (fault,) = faults(path)
    assert (fault.format, fault.syndrome, fault.vcpu, fault.rip) == ("ept", 386, 2, 4096)
    first, second, third = exits(path)
    assert (first.record.kind, first.record.address) == (ExitKind.MEMORY_FAULT, 0x4000)
    assert (second.record.kind, second.reason) == (ExitKind.BARE_ERROR, 0)
    assert (third.record, third.reason) == (None, 6)
    assert unreadable(path) == 0


def test_qemu_s_own_log_has_its_exits() -> None:
    path = case("qemu-trace-log")
    assert [(found.reason, found.vcpu, found.errno) for found in exits(path)] == [(2, 0, 0), (8, 0, 0)]
    (only,) = prepare(path).batches()
    assert (only.arch, vm_of(path).vmm, vm_of(path).pid) == ("x86_64", "qemu", 15268)


def test_memory_faults_alone_in_qemu_s_log_are_exits(tmp_path: Path) -> None:
    path = write(tmp_path, "9@1647341556.924606:kvm_memory_fault start 0x4000 size 0x1000 flags 0x8\n")
    (found,) = exits(path, arch="x86_64")
    assert (found.vcpu, found.record.kind, found.record.gpa) == (0, ExitKind.MEMORY_FAULT, 0x4000)


@pytest.mark.parametrize("shows_where", [True, False])
def test_a_memory_fault_in_qemu_s_log_is_one_exit(tmp_path: Path, shows_where: bool) -> None:
    lines = ["9@1647341556.924605:kvm_run_exit cpu_index 3, reason 39\n"]
    if shows_where:
        lines.append("9@1647341556.924606:kvm_memory_fault start 0x4000 size 0x1000 flags 0x8\n")
    lines.append("9@1647341556.924607:kvm_vcpu_ioctl cpu_index 3, type 0xae80, arg (nil)\n")
    (found,) = exits(write(tmp_path, *lines), arch="x86_64")
    record = found.record
    assert (record.kind, record.vcpu, record.reason, record.errno) == (ExitKind.MEMORY_FAULT, 3, 39, 14)
    assert (record.gpa, record.flags) == ((0x4000, 8) if shows_where else (None, None))


def test_qemu_s_log_without_times_is_refused_with_what_makes_them(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="-msg timestamp=on"):
        prepare(write(tmp_path, "kvm_run_exit cpu_index 0, reason 2\n"))


def test_a_failed_run_does_not_show_the_architecture(tmp_path: Path) -> None:
    path = write(tmp_path, event("kvm_userspace_exit: reason error (2)"))
    with pytest.raises(TraceError, match="--arch"):
        prepare(path)
    assert [found.reason for found in exits(path, arch="x86_64")] == [REASON_NOT_SHOWN]
