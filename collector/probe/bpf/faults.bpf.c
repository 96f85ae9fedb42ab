/*
 * Counts guest faults and exits to user space, per VM, vCPU and syndrome.
 *
 * Compiled by BCC against the running kernel's own types. plan.py defines,
 * from what BTF shows, one WITH_* for each tracepoint to attach and the
 * HAVE_* of the shapes that differ between kernels; never from a version.
 *
 * Here is the raw side of each tracepoint, in perf.bpf.h the other one, for
 * kernels on which both are needed (looks.bpf.h).
 */
#include "event.h"
#include "maps.bpf.h"
#include "vcpu.bpf.h"
#include "state.bpf.h"
#include "count.bpf.h"
#include "record.bpf.h"
#include "exit.bpf.h"
#include "looks.bpf.h"
#include "told.bpf.h"
#include "context.bpf.h"
#include "perf.bpf.h"

/* plan.py names the tracepoints to attach; handles.py attaches on_<tracepoint> to each. */
#define PROBE(tracepoint) int on_##tracepoint(struct bpf_raw_tracepoint_args *ctx)

#ifdef WITH_KVM_GUEST_FAULT
/* arm64: vcpu_pc, hsr (ESR_EL2), hxfar (FAR_EL2), ipa. Passes no vCPU. */
PROBE(kvm_guest_fault)
{
	struct vcpu_counts *state;

	if (counted_before(LOOK_GUEST_FAULT))
		return 0;
	state = raw_state(LOOK_GUEST_FAULT, 0);
	if (state)
		tell_guest_fault(state, ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3]);
	return 0;
}
#endif

#ifdef WITH_KVM_PAGE_FAULT
/* x86: vcpu, address, error code; before 6.1 without the vCPU. */
PROBE(kvm_page_fault)
{
#ifdef HAVE_KVM_PAGE_FAULT_VCPU
	u64 vcpu = ctx->args[0], address = ctx->args[1], word = ctx->args[2];
#else
	u64 vcpu = 0, address = ctx->args[0], word = ctx->args[1];
#endif
	struct vcpu_counts *state;
	u8 nested = NOT_SHOWN_8;

#ifndef HAVE_WHOLE_WORD
	word = (u32)word;
#endif
	if (counted_before(LOOK_PAGE_FAULT))
		return 0;
	state = raw_state(LOOK_PAGE_FAULT, vcpu);
	note_page_fault();
	if (!state)
		return 0;
#if defined(HAVE_STAT_GUEST_MODE) && defined(HAVE_KVM_PAGE_FAULT_VCPU)
	LOAD(nested, vcpu, kvm_vcpu, stat.guest_mode);
#endif
	hold_against_kvm(state);
	tell_page_fault(state, address, word, nested);
	return 0;
}
#endif

#if defined(WITH_KVM_MMU_SPTE_REQUESTED) && defined(HAVE_KVM_PAGE_FAULT_STRUCT)
/* x86: the fault is about to be mapped. */
PROBE(kvm_mmu_spte_requested)
{
	u64 fault = ctx->args[0], word = 0, pfn = 0;
	struct vcpu_counts *state = counted_before(LOOK_SPTE_REQUESTED);
	struct fault_counters *counters;
	bool prefetch = 0;
	u8 level = 0;
	int told;

	LOAD(prefetch, fault, kvm_page_fault, prefetch);
	if (state && is_paid(state) && !prefetch)
		return 0;
	if (!state)
		state = raw_state(LOOK_SPTE_REQUESTED, 0);
	if (!state)
		return 0;
	if (prefetch) {
		count_prefetch(state, fault);
		return 0;
	}
	told = is_told_before();
	LOAD(word, fault, kvm_page_fault, error_code);
	LOAD(pfn, fault, kvm_page_fault, pfn);
	if (!(pfn & PFN_ERROR_OR_NOSLOT))
		LOAD(level, fault, kvm_page_fault, goal_level);
	if (is_another_try(state, told, level))
		return 0;
	if (!told && is_considered(state))
		record_mmu_fault(state, fault, level);
	counters = outcome_counters(state, told, FORMAT_PFERR, word);
	if (!counters)
		return 0;
	end_fault(state, counters, level);
	count_context(counters, fault);
	return 0;
}
#endif

#if defined(WITH_FAST_PAGE_FAULT) && defined(HAVE_KVM_PAGE_FAULT_STRUCT)
/* x86: vcpu, fault, sptep, old_spte, ret. Without the MMU lock; falls to the slow path unless
 * fixed. */
PROBE(fast_page_fault)
{
	int result = (int)ctx->args[4];
	u64 fault = ctx->args[1], word = 0;
	struct fault_counters *counters;
	struct vcpu_counts *state;
	bool prefetch = 0;
	u32 outcome;
	int told, paid;

	if (result != RET_PF_FIXED && result != RET_PF_SPURIOUS)
		return 0;
	state = counted_before(LOOK_FAST_PAGE_FAULT);
	LOAD(prefetch, fault, kvm_page_fault, prefetch);
	paid = state && is_paid(state);
	if (prefetch) {
		/* As in count_prefetch(). */
		if (state)
			leave(state);
		return 0;
	}
	if (paid)
		return 0;
	if (!state)
		state = raw_state(LOOK_FAST_PAGE_FAULT, ctx->args[0]);
	if (!state)
		return 0;
	told = is_told_before();
	outcome = result == RET_PF_FIXED ? OUTCOME_FAST : OUTCOME_SPURIOUS;
	if (is_another_try(state, told, outcome))
		return 0;
	LOAD(word, fault, kvm_page_fault, error_code);
	if (!told && is_considered(state))
		record_mmu_fault(state, fault, 0);
	counters = outcome_counters(state, told, FORMAT_PFERR, word);
	if (!counters)
		return 0;
	end_fault(state, counters, outcome);
	count_context(counters, fault);
	return 0;
}
#endif

#ifdef WITH_HANDLE_MMIO_PAGE_FAULT
/* x86: addr, gfn, access. A page that KVM has cached as MMIO; the word is not shown. */
PROBE(handle_mmio_page_fault)
{
	struct vcpu_counts *state;

	if (counted_before(LOOK_MMIO_PAGE_FAULT))
		return 0;
	state = raw_state(LOOK_MMIO_PAGE_FAULT, 0);
	if (state)
		tell_mmio(state, ctx->args[0], ctx->args[1]);
	return 0;
}
#endif

/* reason, errno (0 or negative). */
PROBE(kvm_userspace_exit)
{
	struct vcpu_counts *state;

	if (counted_before(LOOK_USERSPACE_EXIT))
		return 0;
	state = raw_state(LOOK_USERSPACE_EXIT, 0);
	if (state)
		tell_exit(state, (u32)ctx->args[0], (int)ctx->args[1]);
	return 0;
}
