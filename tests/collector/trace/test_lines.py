# SPDX-License-Identifier: Apache-2.0
"""Every shape in which ftrace, trace-cmd and perf print a line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.trace.lines import Entries, Line, LostEvents, Unreadable, read


def one(text: str | None) -> object:
    items = list(read([text]))
    return items[0] if items else None


@pytest.mark.parametrize(
    ("text", "task", "tid", "tgid"),
    [
        ("              kt-345     [000] .....     5.538882: kvm_x: a=1", "kt", 345, None),
        ("              kt-345     [000] d..1      5.538882: kvm_x: a=1", "kt", 345, None),
        ("              kt-345     [000]     5.538882: kvm_x: a=1", "kt", 345, None),
        ("              kt-345   (    300) [000] d..1.     5.538882: kvm_x: a=1", "kt", 345, 300),
        ("              kt-345   (-------) [000] d..1.     5.538882: kvm_x: a=1", "kt", 345, None),
        ("       CPU 0/KVM-1234567 [127] dNZff     5.538882: kvm_x: a=1", "CPU 0/KVM", 1234567, None),
        ("kvm-nx-lpage-re-229     [000] .....     5.538882: kvm_x: a=1", "kvm-nx-lpage-re", 229, None),
        ("          <idle>-0       [000] d.h2.     5.538882: kvm_x: a=1", "<idle>", 0, None),
        ("           <...>-77      [000] d.h2.     5.538882: kvm_x: a=1", "<...>", 77, None),
        ("           a-1 [-2]-77   [000] d.h2.     5.538882: kvm_x: a=1", "a-1 [-2]", 77, None),
    ],
    ids=[
        "five flags",
        "four flags",
        "no flags",
        "tgid",
        "tgid unknown",
        "QEMU",
        "dashes",
        "idle",
        "...",
        "odd",
    ],
)
def test_a_line_is_read_whatever_columns_it_has(text: str, task: str, tid: int, tgid: int | None) -> None:
    assert one(text) == Line(1, task, tid, tgid, 5_538_882_000, "kvm_x", "a=1")


@pytest.mark.parametrize(
    ("text", "task", "tid", "tgid"),
    [
        ("              kt-336   [000]     5.538882: kvm_x:                a=1", "kt", 336, None),
        ("       CPU 0/KVM-12345 [000] .N.1. 5.538882: kvm_x:                a=1", "CPU 0/KVM", 12345, None),
        ("CPU 0/KV-3619    0...1.     5.538882: kvm_x:                a=1", "CPU 0/KV", 3619, None),
        ("fc_vcpu -3619   12d.h1.     5.538882000: kvm_x: a=1", "fc_vcpu ", 3619, None),
        ("inst:              kt-336   [000]     5.538882: kvm_x: a=1", "kt", 336, None),
        (" night.dat:     kt-336   [000]     5.538882: kvm_x: a=1", "kt", 336, None),
        ("a.dat: kt-336   [000]     5.538882: kvm_x: a=1", "kt", 336, None),
        ("              kt-336   [000]     5.538882: (+170)   kvm_x: a=1", "kt", 336, None),
        ("    kworker/0:1-336   [000]     5.538882: kvm_x: a=1", "kworker/0:1", 336, None),
    ],
    ids=["plain", "flags", "latency", "cut", "instance", "file", "short", "differences", "colon"],
)
def test_trace_cmd_s_lines_are_read(text: str, task: str, tid: int, tgid: int | None) -> None:
    assert one(text) == Line(1, task, tid, tgid, 5_538_882_000, "kvm_x", "a=1")


@pytest.mark.parametrize(
    ("text", "task", "tid", "tgid"),
    [
        ("              kt   336 [000]     5.538882:          kvm:kvm_x: a=1", "kt", 336, None),
        ("              kt   336 [000]     5.538882000:       kvm:kvm_x: a=1", "kt", 336, None),
        ("       CPU 0/KVM  1200/1234  [003]     5.538882: kvm:kvm_x: a=1", "CPU 0/KVM", 1234, 1200),
        ("          a 12 7   336 [000]     5.538882: kvm:kvm_x: a=1", "a 12 7", 336, None),
        ("          vcpu 3 3619 5.538882: kvm:kvm_x: a=1", "vcpu 3", 3619, None),
        ("  336 [000]     5.538882: kvm:kvm_x: a=1", "", 336, None),
        ("  336     5.538882: kvm:kvm_x: a=1", "", 336, None),
        ("   300/336       5.538882: kvm:kvm_x: a=1", "", 336, 300),
        ("      kt   336 [000] GK    5.538882:          1 kvm:kvm_x:                 a=1", "kt", 336, None),
        ("      kt   336 [000]     5.538882: kvm:kvm_x/call-graph=no/: a=1", "kt", 336, None),
    ],
    ids=[
        "default",
        "ns",
        "pid",
        "digits in the name",
        "no CPU",
        "no name",
        "least",
        "no name, pid",
        "misc, period and flags",
        "options",
    ],
)
def test_perf_s_lines_are_read(text: str, task: str, tid: int, tgid: int | None) -> None:
    assert one(text) == Line(1, task, tid, tgid, 5_538_882_000, "kvm_x", "a=1")


def test_a_file_may_have_lines_of_several_shapes() -> None:
    items = list(
        read(
            [
                " kt-345 [000] d..1. 5.538882: kvm_x: a=1",
                "    kt   346 [000]     5.538882: kvm:kvm_x: a=1",
                " kt-347 [000] d..1. 5.538882: kvm_x: a=1",
                "CPU 0/KV-348    0...1.     5.538882: kvm_x: a=1",
            ]
        )
    )
    assert [item.tid for item in items if isinstance(item, Line)] == [345, 346, 347, 348]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("CPU:1 [123 EVENTS DROPPED]", 123),
        ("CPU:1 [EVENTS DROPPED]", 1),
        (" top.dat: CPU:1 [123 EVENTS DROPPED]", 123),
        ("  demo  2897 [001] 12589.254395: PERF_RECORD_LOST lost 123", 123),
    ],
)
def test_events_that_a_tool_says_were_lost_are_counted(text: str, count: int) -> None:
    assert one(text) == LostEvents(count)


def test_a_time_may_have_nanoseconds() -> None:
    line = one(" kt-345 [000] d..1. 123456.123456789: kvm_x: a=1")
    assert isinstance(line, Line)
    assert line.monotonic_ns == 123_456_123_456_789


def test_a_traced_function_is_a_line_without_an_event() -> None:
    line = one(" kt-345 [000] d..1.     5.538882: kvm_mmu_page_fault <-npf_interception")
    assert isinstance(line, Line)
    assert line.event == ""


def test_what_is_written_to_the_marker_is_an_event() -> None:
    line = one(" kt-345 [000] .....     5.538882: tracing_mark_write: kt phase=a begin: now")
    assert isinstance(line, Line)
    assert (line.event, line.text) == ("tracing_mark_write", "kt phase=a begin: now")


def test_events_lost_are_counted() -> None:
    assert one("CPU:0 [LOST 123 EVENTS]") == LostEvents(123)


def test_the_header_says_how_many_events_there_were() -> None:
    assert one("# entries-in-buffer/entries-written: 545163/1644155   #P:2") == Entries(545_163, 1_644_155)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "# tracer: nop",
        "#           TASK-PID    TGID     CPU#  |||||  TIMESTAMP  FUNCTION",
        " => kvm_arch_vcpu_ioctl_run",
        "##### CPU 1 buffer started ####",
        "=> kvm_arch_vcpu_ioctl_run (ffffffff812af692)",
        "cpus=8",
        "version = 6",
        "CPU 3 is empty",
        " top.dat: cpus=2",
        "\tffffffff812deba3 kvm_mmu_page_fault+0x13 ([kernel.kallsyms])",
        "            7f2b5f0 std::vector<int>::at ([unknown])",
        "\tffffffff812deba3 kvm_mmu_page_fault",
        " kthreadd     0 [000]     0.000000: PERF_RECORD_FORK(14:14):(2:2)",
        " kthreadd     0 [000]     0.000000: PERF_RECORD_COMM: ksoftirqd/0:14/14",
    ],
)
def test_what_is_no_event_is_left_out(text: str) -> None:
    assert one(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "kt-345",
        "\ufffd\ufffd\x00\x01",
        " kt-345 [000] d..1. 5: kvm_x: a=1",
        " kt-345 [000] d..1. 123456789: kvm_x: a=1",
        " kt-99999999999 [000] d..1. 5.538882: kvm_x: a=1",
        " kt-345 [000] d..1. 99999999999.538882: kvm_x: a=1",
        " kt-345 d..1. 5.538882: kvm_x: a=1",
        "  kt   345 kvm:kvm_x: a=1",
        " 2897 kvm:kvm_userspace_exit: reason KVM_EXIT_IO (2)",
        "  kt   345 [000]     5.538882: a=1 b=2",
        "  kt-345   [000]12734503538824: kvm_x: a=1",
        "  kt   345 [000] kvm:kvm_x: a=1",
    ],
)
def test_what_no_tool_prints_is_unreadable(text: str) -> None:
    assert one(text) == Unreadable(1, text)


def test_a_line_that_is_cut_off_is_unreadable() -> None:
    assert isinstance(one(None), Unreadable)


def test_an_unreadable_line_has_its_number() -> None:
    assert list(read(["# tracer: nop", "", "garbage"])) == [Unreadable(3, "garbage")]


LINE = "  CPU 0/KVM  1200/1234  [003] d..1.  5.538882: (+1)  1 kvm:kvm_x:  a=1"


@given(st.lists(st.text() | st.text("0123456789 []():.-/#=>CPUEVNTSLO dkvm_x\t", max_size=60) | st.none()))
def test_any_text_is_read_and_no_line_goes_unnoticed(texts: list[str | None]) -> None:
    items = list(read(texts))
    assert len(items) <= len(texts)
    assert all(item.number <= len(texts) for item in items if isinstance(item, Line | Unreadable))


@given(st.data())
def test_a_damaged_line_is_an_event_or_named(data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(LINE)))
    # An arrow would make it a frame of a stack trace.
    inserted = data.draw(st.text(st.characters(exclude_characters="=>"), max_size=4))
    item = one(LINE[:at] + inserted + LINE[at + data.draw(st.integers(0, 9)) :])
    assert isinstance(item, Line | Unreadable)
