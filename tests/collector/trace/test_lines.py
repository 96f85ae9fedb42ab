"""Every shape in which ftrace prints a line."""

import pytest

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
    ],
)
def test_what_ftrace_does_not_print_is_unreadable(text: str) -> None:
    assert one(text) == Unreadable(1, text)


def test_a_line_that_is_cut_off_is_unreadable() -> None:
    assert isinstance(one(None), Unreadable)


def test_an_unreadable_line_has_its_number() -> None:
    assert list(read(["# tracer: nop", "", "garbage"])) == [Unreadable(3, "garbage")]
