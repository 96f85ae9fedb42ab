# SPDX-License-Identifier: Apache-2.0
"""What a vCPU waits for by its stack: the rules, and that the kernel has the functions that they name."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from collector.counting.wait_classes import CLASSES, OF_OTHER_SERIES, classify
from faultmodel.waits import WaitsFor

_INNER = ("__schedule", "schedule")
_OUTER = (
    "__get_user_pages",
    "get_user_pages_unlocked",
    "hva_to_pfn",
    "kvm_mmu_faultin_pfn",
    "kvm_arch_vcpu_ioctl_run",
)
_SYMBOLS = Path("/proc/kallsyms")


def stack(*functions: str) -> Sequence[str]:
    """Return the stack of a vCPU that sleeps in these, the innermost first."""
    return (*_INNER, *functions, *_OUTER)


@pytest.mark.parametrize(
    ("functions", "waits_for"),
    [
        (("handle_userfault", "do_anonymous_page"), WaitsFor.USERFAULTFD),
        (("io_schedule", "folio_wait_bit_common", "do_swap_page"), WaitsFor.SWAP),
        (("folio_wait_bit_common", "filemap_fault", "__do_fault"), WaitsFor.FILE),
        (
            ("reclaim_throttle", "shrink_node", "try_to_free_pages", "__alloc_pages_slowpath"),
            WaitsFor.RECLAIM,
        ),
        (
            ("reclaim_throttle", "shrink_node", "try_to_free_mem_cgroup_pages", "try_charge_memcg"),
            WaitsFor.MEMCG,
        ),
        (("folio_wait_writeback", "shrink_node", "try_to_free_mem_cgroup_pages"), WaitsFor.MEMCG),
        (("compact_zone", "try_to_compact_pages", "__alloc_pages_slowpath"), WaitsFor.COMPACTION),
        (("migrate_misplaced_folio", "do_numa_page"), WaitsFor.NUMA),
        (("rwsem_down_read_slowpath", "kvm_gmem_get_pfn"), WaitsFor.GUEST_MEMFD),
        (("reclaim_throttle", "try_to_free_pages", "kvm_gmem_get_pfn"), WaitsFor.RECLAIM),
        (("__split_huge_pmd", "split_huge_pmd_address"), WaitsFor.HUGE_PAGE),
        (("rwsem_down_read_slowpath", "down_read", "filemap_fault"), WaitsFor.LOCK),
        (("msleep", "something_new"), WaitsFor.OTHER),
        (("migration_entry_wait", "do_swap_page"), WaitsFor.OTHER),
        ((), WaitsFor.OTHER),
    ],
)
def test_a_stack_has_its_class(functions: tuple[str, ...], waits_for: WaitsFor) -> None:
    assert classify(stack(*functions))[0] is waits_for


def test_a_lock_is_named_by_the_function_that_waits_for_it() -> None:
    assert classify(stack("schedule_preempt_disabled", "__mutex_lock.constprop.0", "mutex_lock")) == (
        WaitsFor.LOCK,
        "__mutex_lock",
    )


def test_of_others_the_functions_are_kept_the_innermost_first() -> None:
    found, detail = classify(
        ["bpf_prog_1234_on_sched_switch", "__traceiter_sched_switch", *stack("msleep", "new.isra.0")]
    )
    assert found is WaitsFor.OTHER
    assert detail.startswith("msleep < new < __get_user_pages")
    assert len(classify([f"function_{number}" for number in range(64)])[1]) <= 256


def test_nothing_is_known_of_no_stack() -> None:
    assert classify([]) == (WaitsFor.OTHER, "")


def test_every_class_has_functions_that_no_other_has() -> None:
    assert CLASSES.keys() == set(WaitsFor) - {WaitsFor.OTHER}
    functions = [name for names in CLASSES.values() for name in names]
    assert len(functions) == len(set(functions))
    assert set(functions) >= OF_OTHER_SERIES


def test_this_kernel_has_the_functions_that_the_rules_name() -> None:
    """One that was renamed is found here, and not by a vCPU whose wait nobody names."""
    lines = _SYMBOLS.read_text().splitlines()
    names = {re.sub(r"\.(isra|constprop|part|cold).*", "", line.split()[2]) for line in lines}
    assert "schedule" in names
    for waits_for, functions in CLASSES.items():
        needed = functions - OF_OTHER_SERIES
        assert needed <= names, (waits_for, sorted(needed - names))
        assert needed, waits_for
