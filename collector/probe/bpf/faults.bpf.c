// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts guest faults and exits to user space, per VM, vCPU and syndrome.
 *
 * Compiled by BCC against the running kernel's own types. plan.py defines,
 * from what BTF shows, one WITH_* for each tracepoint to attach and the
 * HAVE_* of the shapes that differ between kernels; never from a version.
 *
 * Each tracepoint has a file of its own: what its event means, and a program for
 * each of its sides. The perf side is compiled only for kernels that need both
 * (sides.bpf.h). Those that show how faults end on arm64 share one. To add a
 * tracepoint: docs/adding-a-count.md.
 */
#include "event.h"
#include "kernel.bpf.h"
#include "maps.bpf.h"
#include "vcpu.bpf.h"
#include "state.bpf.h"
#include "count.bpf.h"
#include "record.bpf.h"
#include "buckets.bpf.h"
#include "wait.bpf.h"
#include "repeat.bpf.h"
#include "stall.bpf.h"
#include "sides.bpf.h"
#include "outcome.bpf.h"
#include "context.bpf.h"
#include "memslot.bpf.h"

/* The raw side: plan.py names the tracepoints to attach; handles.py attaches on_<tracepoint> to
 * each. */
#define PROBE(tracepoint) int on_##tracepoint(struct bpf_raw_tracepoint_args *ctx)

/*
 * The perf side reads the event's record, whose type is trace_event_raw_* in
 * BTF. The type's name is written out for needed_types.py to find. The program
 * returns 1, since 0 would hide the event from other listeners.
 */
#define PERF_PROBE(tracepoint, record) int perf_##tracepoint(struct record *event)

#ifdef WITH_KVM_GUEST_FAULT
#include "kvm_guest_fault.bpf.h"
#endif
#ifdef WITH_KVM_MMU_PAGETABLE_WALK
#include "kvm_mmu_pagetable_walk.bpf.h"
#endif
#ifdef WITH_KVM_MMU_WALKER_ERROR
#include "kvm_mmu_walker_error.bpf.h"
#endif
#ifdef WITH_SCHED_SWITCH
#include "sched_switch.bpf.h"
#endif
#ifdef WITH_KVM_PAGE_FAULT
#include "kvm_page_fault.bpf.h"
#endif
#if defined(WITH_KVM_MMU_SPTE_REQUESTED) && defined(HAVE_KVM_PAGE_FAULT_STRUCT)
#include "kvm_mmu_spte_requested.bpf.h"
#endif
#if defined(WITH_FAST_PAGE_FAULT) && defined(HAVE_KVM_PAGE_FAULT_STRUCT)
#include "fast_page_fault.bpf.h"
#endif
#ifdef WITH_HANDLE_MMIO_PAGE_FAULT
#include "handle_mmio_page_fault.bpf.h"
#endif
#include "kvm_userspace_exit.bpf.h"
#ifdef WITH_KVM_ENTRY
#include "kvm_entry.bpf.h"
#ifdef ARCH_AARCH64
#include "outcome_arm64.bpf.h"
#endif
#endif
