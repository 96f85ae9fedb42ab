/* SPDX-License-Identifier: GPL-2.0-only */
/* kvmmmu:fast_page_fault, x86: vcpu, fault, sptep, old_spte, ret. KVM tries to resolve the fault
 * without the MMU lock, and takes the slow path if that fails. */

#ifdef PREEMPTIBLE
PERF_PROBE(fast_page_fault, trace_event_raw_fast_page_fault)
{
	struct vcpu_counts *state;
	int result = event->ret;

	if (result != RET_PF_FIXED && result != RET_PF_SPURIOUS)
		return 1;
	state = perf_state(EVENT(fast_page_fault), event->vcpu_id);
	if (state)
		owe_outcome(state, result == RET_PF_FIXED ? OUTCOME_FAST : OUTCOME_SPURIOUS);
	return 1;
}
#endif

PROBE(fast_page_fault)
{
	int result = (int)ctx->args[4];
	u64 fault = ctx->args[1], word = 0;
	struct fault_counters *counters;
	struct vcpu_counts *state;
	bool prefetch = 0;
	u32 outcome;
	int counted, owed_nothing;

	if (result != RET_PF_FIXED && result != RET_PF_SPURIOUS)
		return 0;
	state = perf_counted(EVENT(fast_page_fault));
	LOAD(prefetch, fault, kvm_page_fault, prefetch);
	owed_nothing = state && owes_nothing(state);
	if (prefetch) {
		if (state)
			leave_prefetch(state);
		return 0;
	}
	if (owed_nothing)
		return 0;
	if (!state)
		state = raw_state(EVENT(fast_page_fault), ctx->args[0]);
	if (!state)
		return 0;
	counted = is_counted_before();
	/* As in end_stall(): what follows is checked once, not for each outcome. */
	*(volatile u32 *)&state->opaque_outcome =
		result == RET_PF_FIXED ? OUTCOME_FAST : OUTCOME_SPURIOUS;
	outcome = *(volatile u32 *)&state->opaque_outcome;
	if (is_another_try(state, counted, outcome))
		return 0;
	LOAD(word, fault, kvm_page_fault, error_code);
	if (!counted && is_considered(state))
		record_mmu_fault(state, fault, 0);
	counters = outcome_counters(state, counted, FORMAT_PFERR, word);
	if (counters) {
		end_fault(state, counters, outcome);
		count_context(counters, fault);
	}
	if (counted)
		note_outcome(state, outcome);
	else
		end_stall(state, outcome, word, FORMAT_PFERR);
	return 0;
}
