/* SPDX-License-Identifier: GPL-2.0-only */
/* kvmmmu:kvm_mmu_spte_requested, x86: the fault is about to be mapped. */

/* The VMM or KVM maps the page ahead of the guest: no guest fault. */
static __always_inline void count_prefetch(struct vcpu_counts *state, u64 fault)
{
	struct fault_counters *counters;
	int in_map;
	u64 word = 0;

	LOAD(word, fault, kvm_page_fault, error_code);
	counters = counters_of(state, FORMAT_PFERR, word, &in_map);
	if (counters)
		counters->prefetched++;
	else
		COUNT_LOST(keys_full);
	/* A prefetch may happen outside KVM_RUN. The thread may then run another vCPU without a
	 * kvm_userspace_exit in between, so its vCPU is looked up again at the next event. */
	leave(state);
}

#ifdef PREEMPTIBLE
PERF_PROBE(kvm_mmu_spte_requested, trace_event_raw_kvm_mmu_spte_requested)
{
	struct vcpu_counts *state = perf_state(EVENT(kvm_mmu_spte_requested), ANY_VCPU);

	if (state)
		owe_outcome(state, event->pfn & PFN_ERROR_OR_NOSLOT ? OUTCOME_MMIO : event->level);
	return 1;
}
#endif

PROBE(kvm_mmu_spte_requested)
{
	u64 fault = ctx->args[0], word = 0, pfn = 0;
	struct vcpu_counts *state = perf_counted(EVENT(kvm_mmu_spte_requested));
	struct fault_counters *counters;
	bool prefetch = 0;
	u8 level = 0;
	int counted;

	LOAD(prefetch, fault, kvm_page_fault, prefetch);
	if (state && owes_nothing(state) && !prefetch)
		return 0;
	if (!state)
		state = raw_state(EVENT(kvm_mmu_spte_requested), 0);
	if (!state)
		return 0;
	if (prefetch) {
		count_prefetch(state, fault);
		return 0;
	}
	counted = is_counted_before();
	LOAD(word, fault, kvm_page_fault, error_code);
	LOAD(pfn, fault, kvm_page_fault, pfn);
	if (!(pfn & PFN_ERROR_OR_NOSLOT))
		LOAD(level, fault, kvm_page_fault, goal_level);
	if (is_another_try(state, counted, level))
		return 0;
	if (!counted && is_considered(state))
		record_mmu_fault(state, fault, level);
	counters = outcome_counters(state, counted, FORMAT_PFERR, word);
	if (!counters)
		return 0;
	end_fault(state, counters, level);
	count_context(counters, fault);
	return 0;
}
