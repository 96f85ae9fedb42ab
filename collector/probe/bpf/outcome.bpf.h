/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Outcomes of faults, x86. Where KVM emits kvm_page_fault, that event counts
 * the fault and the next kvmmmu event of the same thread is its outcome. Some
 * flavours of KVM (PVM) never emit it; there the kvmmmu event counts the fault.
 */

/*
 * Count the outcome that end_fault() holds. KVM may try several times within
 * one fault of a TDX guest, and each try emits an outcome. Only the last one
 * counts, and the vCPU's next event shows that it was the last.
 */
static __always_inline void count_held(struct vcpu_counts *state)
{
#ifdef WITH_TDX
	struct fault_counters *counters;

	if (!state->held)
		return;
	counters = counters_of(state, state->format, state->word);
	if (counters)
		count_outcome(counters, state->held - 1);
	state->held = 0;
#endif
}

#ifdef WITH_OUTCOMES
/* Whether kvm_page_fault has counted the fault; else the kvmmmu event counts it. */
static __always_inline int is_counted_before(void)
{
	u32 index = 0;
	u32 *seen = page_fault_seen.lookup(&index);

	return seen && *seen;
}

/* Whether this outcome replaces that of an earlier try at the same fault. */
static __always_inline int is_another_try(struct vcpu_counts *state, int counted, u32 outcome)
{
#ifdef WITH_TDX
	if (counted && !state->pending && state->held) {
		state->held = outcome + 1;
		note_outcome(state, outcome);
		return 1;
	}
#endif
	return 0;
}

/*
 * Return the counters for a kvmmmu event's outcome: those of the fault that
 * kvm_page_fault counted, or those of the event's own word, where this function
 * counts the fault. NULL if the fault has an outcome already.
 */
static __always_inline struct fault_counters *outcome_counters(struct vcpu_counts *state,
							       int counted, u32 format, u64 word)
{
	struct fault_counters *counters;

	if (counted) {
		if (!state->pending)
			return NULL;
		state->pending = 0;
		format = state->format;
		word = state->word;
	}
	counters = counters_of(state, format, word);
	if (!counted)
		count_fault(state, counters);
	return counters;
}

/*
 * The page was mapped ahead of the guest. That may happen outside KVM_RUN: the
 * thread may then run another vCPU without a kvm_userspace_exit in between, so
 * its vCPU is looked up again at the next event.
 */
static __always_inline void leave_prefetch(struct vcpu_counts *state)
{
#ifdef WITH_KVM_ENTRY
	/* No fault is open outside KVM_RUN: the guest goes on with this one afterwards. */
	if (state->is_open)
		return;
#endif
	drop_stall(state);
	leave(state);
}

#ifdef HAVE_KVM_PAGE_FAULT_STRUCT
#ifdef PREEMPTIBLE
/* On the perf side: leave the outcome to the raw side, which adds the fault's context to it. */
static __always_inline void owe_outcome(struct vcpu_counts *state, u32 outcome)
{
	int counted = is_counted_before();

	if (is_another_try(state, counted, outcome))
		return;
	if (!counted)
		state->owed = OWES_FAULT + outcome;
	else if (state->pending)
		state->owed = OWES_OUTCOME + outcome;
}
#endif

/* Take over what the perf side left to the raw side. Returns whether it left nothing. */
static __always_inline int owes_nothing(struct vcpu_counts *state)
{
#ifdef PREEMPTIBLE
	u16 owed = state->owed;

	state->owed = OWES_NOTHING;
	return owed == OWES_NOTHING;
#else
	return 1;
#endif
}
#endif
#endif
