# SPDX-License-Identifier: Apache-2.0
"""A recording as batches: times, identity, losses, sizes, and files that are hardly any."""

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.trace import recording as module
from collector.trace.errors import TraceError
from collector.trace.source import Source
from collector.trace.survey import survey
from faultmodel import wire
from faultmodel.record import Span
from tests.collector.trace.recording import END_NS, batch, event, prepare, write

NS = 1_000_000_000
TELLING = st.sampled_from([b"99999999999999999999", b"-1", b"0x", b"\n", b": ", b"(-)", b"[LOST 9 EVENTS]"])
HEADER = "# tracer: nop\n#\n# entries-in-buffer/entries-written: {}/{}   #P:2\n#\n"


def fault(word: int = 0x9305_0047, *, at: float = 1.0, task: str = "kt-100") -> str:
    text = f"kvm_guest_fault: ipa 0x485cb000, hsr {word:#x}, hxfar 0x485cb000, pc 0x00000040001058"
    return event(text, at=at, task=task)


DAMAGED = (
    HEADER.format(4, 4),
    event("kvm_exit: vcpu 0 reason npf rip 0x1033 info1 0x6 info2 0x8 intr_info 0x0 error_code 0x0"),
    event("kvm_page_fault: vcpu 0 rip 0x1033 address 0x8 error_code 0x6", tgid="(     90) "),
    event("kvm_mmu_spte_requested: gfn 8000 pfn 1d09 level 1"),
    event("kvm_userspace_exit: reason error (14)"),
    fault(),
    "  CPU 0/KVM  1200/1234  [003]  1.000000:  kvmmmu:kvm_mmu_spte_requested: gfn 8000 pfn 1d09 level 1\n",
    "CPU 0/KV-1234    3d..1.     1.000000: kvm_userspace_exit:   reason 0x27 (39)\n",
)


def test_a_recording_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    only = batch(write(tmp_path, fault(at=1.25), fault(at=3.75)))
    assert only.covered == (Span(END_NS - 2_500_000_001, END_NS),)
    assert [(count.bucket_ms, count.faults) for count in only.fault_counts] == [
        (END_NS // 1_000_000 - 3000, 1),
        (END_NS // 1_000_000 - 1000, 1),
    ]


def test_events_out_of_order_lie_in_the_covered_time(tmp_path: Path) -> None:
    only = batch(write(tmp_path, fault(at=2.0), fault(at=1.0), fault(at=1.5)))
    assert only.covered == (Span(END_NS - NS - 1, END_NS),)


def test_the_host_is_one_of_its_own(tmp_path: Path) -> None:
    host = batch(write(tmp_path, fault()), host="lab-7").host
    assert (host.name, host.state, host.arch, host.detail) == (
        *("lab-7", "replay"),
        *("aarch64", "imported from trace.txt"),
    )


def test_the_same_content_is_the_same_stream_and_vm_whatever_file_it_is_in(tmp_path: Path) -> None:
    first = write(tmp_path, fault())
    second = tmp_path / "other.gz"
    second.write_bytes(gzip.compress(first.read_bytes()))
    one, two = batch(first), batch(second, end_ns=END_NS + NS)
    assert (one.stream, one.sequence, one.vms[0].id) == (two.stream, two.sequence, two.vms[0].id)


def test_another_content_or_host_is_another_stream_and_vm(tmp_path: Path) -> None:
    path = write(tmp_path, fault())
    one, two = batch(path), batch(path, below="another")
    three = batch(write(tmp_path, fault(), fault()))
    assert len({item.stream for item in (one, two, three)}) == 3
    assert len({item.vms[0].id for item in (one, two, three)}) == 3


def test_a_vm_lives_for_the_recording(tmp_path: Path) -> None:
    (vm,) = batch(write(tmp_path, fault(at=1.0), fault(at=3.0))).vms
    assert (vm.started_ns, vm.ended_ns) == (END_NS - 2 * NS - 1, END_NS)


def test_a_large_recording_is_cut_into_batches_that_fit(tmp_path: Path) -> None:
    path = write(tmp_path, *(fault(number, at=1 + number / 1e6) for number in range(20_000)))
    batches = list(prepare(path).batches())

    assert [item.sequence for item in batches] == [0, 1, 2, 3, 4]
    assert sum(count.faults for item in batches for count in item.fault_counts) == 20_000
    assert all(item.vms for item in batches)
    spans = [span for item in batches for span in item.covered]
    assert [span.to_ns for span in spans[:-1]] == [span.from_ns for span in spans[1:]]
    assert spans[-1].to_ns == END_NS


def test_the_largest_batch_is_far_below_the_limit(tmp_path: Path) -> None:
    exits = (
        event(
            "kvm_page_fault: vcpu 999999999 rip 0xffffffffffffffff address 0xffffffffffffffff "
            "error_code 0xffffffffffffffff",
            task=f"vm {number}-{number}",
        )
        + event("kvm_userspace_exit: reason error (14)", task=f"vm {number}-{number}")
        for number in range(900_000_000, 900_000_000 + module.BATCH_RECORDS)
    )
    for item in prepare(write(tmp_path, *exits), format="npf").batches():
        assert len(wire.encode(item)) < wire.MAX_BATCH_BYTES / 2


def test_events_that_were_overwritten_are_counted_once(tmp_path: Path) -> None:
    # 1000 recorded, 10 of them still there; of these 7 were overwritten while they were read.
    lost = "CPU:0 [LOST 7 EVENTS]\n"
    only = batch(write(tmp_path, HEADER.format(10, 1000), fault(), lost, fault(), fault()))
    assert [(loss.kind, loss.count) for loss in only.lost] == [("trace_events", 997)]


def test_a_pipe_s_lost_events_are_counted(tmp_path: Path) -> None:
    only = batch(write(tmp_path, fault(), "CPU:0 [LOST 7 EVENTS]\n", fault(), "CPU:1 [LOST 5 EVENTS]\n"))
    assert [(loss.kind, loss.count) for loss in only.lost] == [("trace_events", 12)]


def test_a_file_that_was_cut_lacks_events_and_its_last_line(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER.format(3, 3), fault(), fault(), fault())
    path.write_text(path.read_text()[:-8])
    read = prepare(path)
    (only,) = read.batches()
    assert {loss.kind: loss.count for loss in only.lost} == {"trace_lines": 1, "trace_events": 1}
    assert sum(count.faults for count in only.fault_counts) == 2
    assert [line.number for line in read.report.unreadable] == [7]


def test_garbage_between_events_is_counted_and_the_first_of_it_named(tmp_path: Path) -> None:
    path = write(tmp_path, fault())
    path.write_bytes(path.read_bytes() + b"\xff\x00\x80garbage\n" * 30 + path.read_bytes())
    read = prepare(path)
    (only,) = read.batches()
    assert {loss.kind: loss.count for loss in only.lost} == {"trace_lines": 30}
    assert [line.number for line in read.report.unreadable] == list(range(2, 22))
    assert sum(count.faults for count in only.fault_counts) == 2


def test_a_vcpu_that_kvm_cannot_have_is_a_line_that_cannot_be_read(tmp_path: Path) -> None:
    fault = "kvm_page_fault: vcpu {} rip 0x1033 address 0x8000 error_code 0x6"
    path = write(tmp_path, event(fault.format(16_383)), event(fault.format(16_384), task="kt-101"))
    read = prepare(path, format="npf")
    counts = [count for each in read.batches() for count in each.fault_counts]
    assert [(count.vcpu, count.faults) for count in counts] == [(16_383, 1)]
    assert [line.number for line in read.report.unreadable] == [2]


@pytest.mark.parametrize("content", [b"", b"# tracer: nop\n#\n", bytes(range(256)) * 1000, b"\x7fELF\n\n\n"])
def test_a_file_without_an_event_is_no_recording(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trace.txt"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=r"trace\.txt holds no event in the text form"):
        survey(Source(str(path), path))


def test_an_architecture_that_nothing_shows_must_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, event("kvm_userspace_exit: reason KVM_EXIT_MMIO (6)"))
    with pytest.raises(TraceError, match=r"shows its architecture; name it with --arch \(x86_64, aarch64"):
        prepare(path)
    assert [count.count for count in batch(path, arch="riscv64").exit_counts] == [1]


def test_a_recording_without_faults_still_covers_its_time(tmp_path: Path) -> None:
    only = batch(
        write(tmp_path, event("kvm_entry: PC: 0x40001058"), event("sched_x: a", at=2.0)), arch="aarch64"
    )
    assert (only.vms, only.fault_counts, only.exit_counts) == ((), (), ())
    assert only.covered == (Span(END_NS - NS - 1, END_NS),)


def test_a_recording_cannot_begin_before_1970(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="longer than the time from 1970"):
        prepare(write(tmp_path, fault(at=1.0), fault(at=100.0)), end_ns=50 * NS)


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_recording_is_read_as_far_as_it_can_be(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(b"".join(line.encode() for line in DAMAGED))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 60))] = data.draw(st.binary(max_size=8) | TELLING)
    path = tmp_path / "trace.txt"
    path.write_bytes(content)
    try:
        batches = list(prepare(path, format="npf", arch="x86_64").batches())
    except TraceError:
        return
    assert [wire.decode(wire.encode(item)) for item in batches] == batches


def test_every_fault_is_a_record_and_the_ledger_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, *(fault(number % 5, at=1 + number / 1e6) for number in range(20_000)))
    batches = [wire.decode(wire.encode(item)) for item in prepare(path).batches()]

    faults = [record for item in batches for record in item.faults]
    assert [record.monotonic_ns for record in faults] == [NS + 1000 * number for number in range(20_000)]
    assert {record.gpa for record in faults} == {0x485C_B000}
    entries = [entry for item in batches for entry in item.ledger]
    assert all(entry.recorded == entry.seen == entry.counted for entry in entries)
    assert entries[-1].seen_total == 20_000


def test_a_fault_s_record_has_what_its_mapping_shows(tmp_path: Path) -> None:
    (record,) = batch(
        write(
            tmp_path,
            event("kvm_page_fault: vcpu 0 rip 0x1033 address 0x7fff8123 error_code 0x6"),
            event("kvm_mmu_spte_requested: gfn 8012 pfn 1d09 level 2"),
        ),
        format="pferr",
    ).faults
    assert (record.address, record.gpa, record.level) == (0x7FFF_8123, 0x801_2000, 2)


def test_a_fault_whose_end_is_not_in_the_recording_is_there(tmp_path: Path) -> None:
    only = batch(write(tmp_path, *DAMAGED[1:3]), format="npf")
    assert [record.syndrome for record in only.faults] == [6]
    assert [count.faults for count in only.fault_counts] == [1]


def test_every_batch_can_be_read_back(tmp_path: Path) -> None:
    only = batch(write(tmp_path, fault(), event("kvm_userspace_exit: reason error (14)")))
    assert wire.decode(wire.encode(only)) == only
