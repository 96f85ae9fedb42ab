# SPDX-License-Identifier: Apache-2.0
"""What a vCPU waits for, by the kernel functions that it sleeps in.

One class after the other is looked for in the whole stack: reclaim on behalf of a memory cgroup is the
cgroup's, whoever calls whom, and a lock or a read of a file within any of the others is theirs.
"""

import re
from collections.abc import Mapping, Sequence

from faultmodel.record import TEXT_LENGTH
from faultmodel.text import cut
from faultmodel.waits import WaitsFor

CLASSES: Mapping[WaitsFor, frozenset[str]] = {
    WaitsFor.USERFAULTFD: frozenset({"handle_userfault"}),
    WaitsFor.MEMCG: frozenset(
        {
            *("try_to_free_mem_cgroup_pages", "try_charge_memcg", "mem_cgroup_oom_synchronize"),
            *("mem_cgroup_handle_over_high", "__mem_cgroup_handle_over_high", "try_charge"),
        }
    ),
    WaitsFor.COMPACTION: frozenset({"try_to_compact_pages", "__alloc_pages_direct_compact", "compact_zone"}),
    WaitsFor.RECLAIM: frozenset(
        {"try_to_free_pages", "shrink_node", "reclaim_throttle", "throttle_direct_reclaim", "out_of_memory"}
    ),
    WaitsFor.NUMA: frozenset(
        {
            *("migrate_misplaced_folio", "migrate_misplaced_page", "do_numa_page", "do_huge_pmd_numa_page"),
            "task_numa_work",
        }
    ),
    WaitsFor.HUGE_PAGE: frozenset(
        {
            *("__split_huge_pmd", "split_huge_page_to_list", "split_huge_page_to_list_to_order"),
            *("__folio_split", "collapse_huge_page", "kvm_mmu_try_split_huge_pages"),
        }
    ),
    WaitsFor.GUEST_MEMFD: frozenset(
        {"kvm_gmem_get_pfn", "kvm_gmem_fault", "kvm_gmem_fault_user_mapping", "kvm_gmem_populate"}
    ),
    WaitsFor.SWAP: frozenset(
        {
            *("do_swap_page", "swap_read_folio", "swap_readpage", "swapin_readahead", "shmem_swapin_folio"),
            "zswap_load",
        }
    ),
    WaitsFor.LOCK: frozenset(
        {
            *("rwsem_down_read_slowpath", "rwsem_down_write_slowpath", "__mutex_lock", "rt_mutex_slowlock"),
            *("__percpu_down_read", "percpu_rwsem_wait", "synchronize_srcu", "__synchronize_srcu"),
            *("__down_read", "__down_write", "rwbase_read_lock", "rt_mutex_schedule"),
        }
    ),
    WaitsFor.FILE: frozenset(
        {
            *("filemap_fault", "filemap_read_folio", "folio_wait_bit_common", "__folio_lock", "shmem_fault"),
            *("__folio_lock_or_retry", "folio_wait_writeback", "balance_dirty_pages", "__lock_page"),
            "wait_on_page_bit_common",
        }
    ),
}
"""By class, functions of which one is in the stack; in the order in which classes are looked for."""
OF_OTHER_SERIES = frozenset(
    {
        *("mem_cgroup_handle_over_high", "try_charge", "compact_zone", "do_numa_page"),
        *("migrate_misplaced_page", "split_huge_page_to_list", "swap_readpage", "kvm_gmem_fault"),
        *("kvm_gmem_populate", "__down_read", "__down_write", "rwbase_read_lock"),
        *("__lock_page", "wait_on_page_bit_common"),
    }
)
"""Functions that not every series of kernels has, or not every configuration."""

_MIGRATED = frozenset({"migration_entry_wait", "pmd_migration_entry_wait"})
"""Called where pages are faulted in from swap, and it is not known why somebody else moves the page."""
_SUFFIX = re.compile(r"\.(isra|constprop|part|cold|llvm)\b.*")
_OF_SLEEP = frozenset({"__schedule", "schedule", "schedule_preempt_disabled", "__traceiter_sched_switch"})
_OF_TRACING = re.compile(r"bpf_|__bpf_|trace_|__traceiter_|bpf_prog_")
_BETWEEN = " < "


def classify(frames: Sequence[str]) -> tuple[WaitsFor, str]:
    """Return what is waited for, and its detail: the lock's function, or the functions of ``OTHER``.

    :param frames: function names of a kernel stack, the innermost first; may be none
    """
    names = [_SUFFIX.sub("", frame) for frame in frames]
    found = frozenset(names)
    for waits_for, functions in CLASSES.items():
        if waits_for is WaitsFor.SWAP and found & _MIGRATED:
            break
        if here := found & functions:
            is_lock = waits_for is WaitsFor.LOCK
            return waits_for, next(name for name in names if name in here) if is_lock else ""
    inner = [name for name in names if name not in _OF_SLEEP and not _OF_TRACING.match(name)]
    return WaitsFor.OTHER, cut(_BETWEEN.join(inner), TEXT_LENGTH)
