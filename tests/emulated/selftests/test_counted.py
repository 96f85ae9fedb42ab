# SPDX-License-Identifier: Apache-2.0
"""How a run of a selftest is judged: any difference between the kernel and the product is found and named."""

from collections import Counter
from pathlib import Path

import pytest

from tests.emulated.archive import ArchiveError
from tests.emulated.document import with_selftests
from tests.emulated.kernels import Kernel
from tests.emulated.selftests.counted import Counted, Failure, by_kernel, differences
from tests.emulated.selftests.matrix import ROWS, programs_of
from tests.emulated.selftests.programs import reporting_failures
from tests.emulated.selftests.results import Result
from tests.emulated.selftests.stand import Outcome, why_not
from tests.emulated.selftests.witness import read_counts

HISTOGRAM = """\
# event histogram
#
# trigger info: hist:keys=level:vals=hitcount:sort=hitcount:size=2048 if pfn >= 9223372036854775808 [active]
#

{ level:          1 } hitcount:          4

Totals:
    Hits: 4
    Entries: 1
    Dropped: 0

# event histogram
#
# trigger info: hist:keys=level:vals=hitcount:sort=hitcount:size=2048 if pfn < 9223372036854775808 [active]
#

{ level:          2 } hitcount:         12
{ level:          1 } hitcount:        301

Totals:
    Hits: 313
    Entries: 2
    Dropped: 0
"""
"""Of kvm_mmu_spte_requested with two triggers, in the words of Linux 6.18."""


def _counted() -> Counted:
    return Counted(
        words=Counter({0x1_0000_0006: 5}),
        vcpus=Counter({0: 2, 1: 3}),
        exits=Counter({(2, 0): 4, (39, 14): 1}),
        outcomes=Counter({"mapped_4k": 5}),
        failures=Counter({Failure(1, 39, 14, 0x4000_0000, 4096, 8): 1}),
    )


def test_the_same_counts_differ_in_nothing() -> None:
    assert differences(_counted(), _counted()) == []


@pytest.mark.parametrize(
    ("what", "key"),
    [
        ("words", 0x1_0000_0006),
        ("vcpus", 1),
        ("exits", (39, 14)),
        ("outcomes", "mapped_4k"),
        ("failures", Failure(1, 39, 14, 0x4000_0000, 4096, 8)),
    ],
)
@pytest.mark.parametrize("by", [-1, 1])
def test_one_too_few_or_too_many_of_anything_is_named(what: str, key: object, by: int) -> None:
    shown = _counted()
    getattr(shown, what)[key] += by
    (difference,) = differences(_counted(), shown)
    assert difference.startswith(f"{what}: the kernel has ")


def test_vcpus_are_not_compared_where_the_kernel_does_not_tell_them() -> None:
    kernel = _counted()
    kernel.vcpus.clear()
    assert differences(kernel, _counted()) == []


def test_mappings_ahead_of_the_guest_are_the_ones_that_the_kernel_has_beyond_the_outcomes() -> None:
    kernel, shown = _counted(), _counted()
    kernel.outcomes["mapped_4k"] += 7
    shown.prefetched = 7
    assert differences(kernel, shown) == []
    shown.prefetched = 6
    assert len(differences(kernel, shown)) == 1


def test_failed_runs_that_were_not_recorded_are_those_that_the_host_lost() -> None:
    kernel, shown = _counted(), _counted()
    kernel.failures[Failure(0, 0, 14, None, None, None)] += 353
    shown.unrecorded = 353
    assert differences(kernel, shown) == []
    shown.unrecorded = 352
    assert len(differences(kernel, shown)) == 1


@pytest.mark.parametrize(
    ("status", "recorded", "unrecorded", "is_equal"),
    [
        (None, 3, 0, True),  # recorded, and not written
        (None, 2, 1, True),  # neither, or another was not recorded
        (None, 1, 2, True),
        (None, 2, 0, False),
        (None, 1, 1, False),
        (None, 4, 0, False),
        (0, 3, 0, False),  # who ends in order has written all
        (0, 2, 0, True),
    ],
)
def test_a_program_that_was_killed_may_not_have_written_its_last_failure(
    status: int | None, recorded: int, unrecorded: int, is_equal: bool
) -> None:
    kernel = by_kernel(
        {
            "counts": {"kvm_userspace_exit": [({"reason": 0, "errno": -14}, 3)]},
            "status": status,
            "results": {},
            "failures": ["0 0 14 0 0 0"] * 2,
        }
    )
    shown = Counted(exits=Counter({(0, 14): 3}), unrecorded=unrecorded)
    shown.failures[Failure(0, 0, 14, None, None, None)] = recorded
    assert (differences(kernel, shown) == []) == is_equal


def test_a_program_that_was_killed_has_written_all_but_the_last_of_each_vcpu() -> None:
    kernel = by_kernel(
        {
            "counts": {"kvm_userspace_exit": [({"reason": 0, "errno": -14}, 4)]},
            "status": None,
            "results": {},
            "failures": ["0 0 14 0 0 0"] * 2,
        }
    )
    shown = Counted(exits=Counter({(0, 14): 4}))
    shown.failures[Failure(0, 0, 14, None, None, None)] = 4
    assert len(differences(kernel, shown)) == 1


def test_of_several_histograms_of_an_event_each_is_read_by_itself(tmp_path: Path) -> None:
    (tmp_path / "hist").write_text(HISTOGRAM)
    assert read_counts(tmp_path, "hist:keys=level if pfn < 9223372036854775808") == [
        ({"level": 2}, 12),
        ({"level": 1}, 301),
    ]
    assert read_counts(tmp_path, "hist:keys=level if pfn >= 9223372036854775808") == [({"level": 1}, 4)]


def test_a_histogram_that_overran_is_no_truth(tmp_path: Path) -> None:
    (tmp_path / "hist").write_text(HISTOGRAM.replace("Dropped: 0", "Dropped: 3"))
    with pytest.raises(AssertionError, match="overran"):
        read_counts(tmp_path, "hist:keys=level if pfn < 9223372036854775808")


def test_the_kernels_errnos_are_read_as_they_lie_in_memory() -> None:
    witnessed = {
        "counts": {
            "kvm_userspace_exit": [({"reason": 39, "errno": errno}, 1) for errno in (0, -14, 2**64 - 4)]
        },
        "status": 0,
        "results": {},
        "failures": ["1 39 14 40000000 1000 8", "0 0 14 ffff 1 1"],
    }
    counted = by_kernel(witnessed)
    assert counted.exits == {(39, 0): 1, (39, 14): 1, (39, 4): 1}
    # Without an annotated exit what lies in its fields is of another.
    assert counted.failures == {
        Failure(1, 39, 14, 0x4000_0000, 4096, 8): 1,
        Failure(0, 0, 14, None, None, None): 1,
    }


def _results(row_number: int, shown: Counted) -> list[Result]:
    row = ROWS[row_number]
    kernel = Kernel("7.3.4", Path("vmlinuz"), Path("modules"))
    outcome = Outcome(0, "", "", _counted(), shown, 1, True, {})
    return [Result(row, kernel, "svm", program, outcome) for program in programs_of(row)]


def test_the_document_has_each_run_that_was_equal() -> None:
    begin, end = "selftests: written by script/test-kernels --selftests", "end of selftests"
    empty = f"before\n<!-- {begin} -->\n<!-- {end} -->\nafter\n"
    one = with_selftests(empty, _results(0, _counted()))
    assert one.startswith("before\n")
    assert one.endswith("after\n")
    of_one, of_other = len(programs_of(ROWS[0])), len(programs_of(ROWS[2]))
    assert one.count(" | `") == of_one
    both = with_selftests(one, _results(2, _counted()))
    assert both.count(" | `") == of_one + of_other
    # Done again it is as it was; and what is different by then is there no more.
    assert with_selftests(both, _results(2, _counted())[1:]) == both
    assert with_selftests(both, _results(2, Counted())) == one
    assert with_selftests(both, _results(2, Counted())[:1]).count(" | `") == of_one + of_other - 1


HEADER = """\
static inline int vcpu_get(void)
{
	return 1;
}

static inline int __vcpu_run(struct kvm_vcpu *vcpu)
{
	return __vcpu_ioctl(vcpu, KVM_RUN, NULL);
}

void vcpu_run_complete_io(struct kvm_vcpu *vcpu);
"""


def test_the_programs_write_each_failure_whatever_a_source_in_the_folder_was_made_to_do_before() -> None:
    changed = reporting_failures(HEADER)
    assert "dprintf(3," in changed
    assert changed.startswith("static inline int vcpu_get(void)\n{\n\treturn 1;\n}\n")
    assert changed.endswith("\treturn failed;\n}\n\nvoid vcpu_run_complete_io(struct kvm_vcpu *vcpu);\n")
    earlier = changed.replace("dprintf(3,", "dprintf(4,").replace("int failed", "long failed")
    assert reporting_failures(earlier) == changed
    assert reporting_failures(changed) == changed


def test_a_source_that_is_another_is_refused() -> None:
    with pytest.raises(ArchiveError, match="__vcpu_run"):
        reporting_failures(HEADER.replace("__vcpu_run", "vcpu_run"))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Random seed: 0x1\n1..0 # SKIP - Requirement not met: X\n", "1..0 # SKIP - Requirement not met: X"),
        (
            "Random seed\n==== Test Assertion Failure ====\n  guest_memfd_test.c:97: ret == -1\n  pid=9\n",
            "guest_memfd_test.c:97: ret == -1",
        ),
        ("it ends\n", "it ends"),
        ("", "it does not say why"),
    ],
)
def test_why_a_kernel_cannot_run_a_program_is_what_the_program_says(said: str, why: str) -> None:
    assert why_not(said) == why
