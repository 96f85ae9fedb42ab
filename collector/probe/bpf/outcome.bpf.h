/*
 * How a fault ended, x86. Where kvm_page_fault fires it has counted the fault,
 * and a kvmmmu event of the same thread is its outcome. On flavours where it
 * never fires (PVM) the kvmmmu event is all that shows the fault, and counts it.
 */

/*
 * Where KVM tries several times within one fault, each try tells an outcome: the
 * last one counts, and that it was the last shows with the vCPU's next event.
 */
static __always_inline void count_held(struct vcpu_counts *state)
{
#ifdef WITH_TDX
	struct fault_counters *counters;
	int in_map = 0;

	if (!state->held)
		return;
	counters = counters_of(state, state->format, state->word, &in_map);
	if (counters)
		count_outcome(counters, state->held - 1);
	state->held = 0;
#endif
}

#ifdef WITH_OUTCOMES
/* Whether kvm_page_fault counts the faults: else a kvmmmu event is all that tells of one, and
 * counts it. */
static __always_inline int is_counted_before(void)
{
	u32 index = 0;
	u32 *seen = page_fault_seen.lookup(&index);

	return seen && *seen;
}

/* Whether the newest fault has an outcome already, from an earlier try; then this is its outcome
 * now. */
static __always_inline int is_another_try(struct vcpu_counts *state, int counted, u32 outcome)
{
#ifdef WITH_TDX
	if (counted && !state->pending && state->held) {
		state->held = outcome + 1;
		return 1;
	}
#endif
	return 0;
}

/*
 * The counters to which a kvmmmu event's outcome belongs: those of the fault
 * that was counted before, or else of the event's own word, counted here.
 */
static __always_inline struct fault_counters *outcome_counters(struct vcpu_counts *state,
							       int counted, u32 format, u64 word)
{
	struct fault_counters *counters;
	int in_map = 0;

	if (counted) {
		if (!state->pending)
			return NULL;
		state->pending = 0;
		format = state->format;
		word = state->word;
	}
	counters = counters_of(state, format, word, &in_map);
	if (!counted)
		count_fault(state, counters, in_map);
	return counters;
}

#ifdef HAVE_KVM_PAGE_FAULT_STRUCT
#ifdef PREEMPTIBLE
/* On the perf side: the outcome is owed until the raw side has added what it alone shows. */
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

/* Whether the perf side left nothing of the event to the raw side; what it left is the raw side's
 * from here on. */
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
