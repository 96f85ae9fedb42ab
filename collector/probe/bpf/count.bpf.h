/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counting a fault. The first SYNDROMES words of a vCPU are counted in place,
 * in its own state; further words in the map fault_counts.
 */

#define IN_MAP 15 /* in place of an index of syndromes: the word is counted in a map */

/* Return the counters of this vCPU's faults with this word; NULL if the map is full. word_place
 * becomes the word's index in syndromes, or IN_MAP. */
static __always_inline struct fault_counters *counters_of(struct vcpu_counts *state, u32 format,
							  u64 word)
{
	struct fault_key key = {};
	struct fault_counters *counters;
	struct syndrome *syndrome;
	u32 i;

#pragma unroll
	for (i = 0; i < SYNDROMES_IN_PLACE; i++) {
		syndrome = &state->syndromes[i];
		state->word_place = i;
		if (!syndrome->used) {
			syndrome->word = word;
			syndrome->format = format;
			syndrome->used = 1;
			return &syndrome->counters;
		}
		if (syndrome->word == word && syndrome->format == format)
			return &syndrome->counters;
	}
	state->word_place = IN_MAP;
	key.vm = state->vm;
	key.word = word;
	key.vcpu = state->vcpu_id;
	key.format = format;
	counters = fault_counts.lookup(&key);
	if (!counters) {
		struct fault_counters zero = {};

		NOTE_USED(fault_counts);
		fault_counts.insert(&key, &zero);
		counters = fault_counts.lookup(&key);
	}
	return counters;
}

/* Add a guest fault to what counters_of() returned. */
static __always_inline void count_fault(struct vcpu_counts *state, struct fault_counters *counters)
{
	if (!counters) {
		state->uncounted++;
		COUNT_LOST(keys_full);
	} else {
		counters->faults++;
		if (state->word_place == IN_MAP)
			state->in_map++;
	}
	/* Last, and after the fault's record: user space may read in between. It then finds more
	 * recorded than seen, and keeps the record for its next reading. */
	state->seen++;
}

/* Count how a fault ended, OUTCOME_*. KVM maps at these three levels only, by their numbers
 * PG_LEVEL_* (arch/x86/include/asm/pgtable_types.h). */
static __always_inline void count_outcome(struct fault_counters *counters, u32 outcome)
{
	if (outcome == OUTCOME_MAPPED_4K)
		counters->mapped_4k++;
	else if (outcome == OUTCOME_MAPPED_2M)
		counters->mapped_2m++;
	else if (outcome == OUTCOME_MAPPED_1G)
		counters->mapped_1g++;
	else if (outcome == OUTCOME_FAST)
		counters->fast++;
	else if (outcome == OUTCOME_SPURIOUS)
		counters->spurious++;
	else if (outcome == OUTCOME_MMIO)
		counters->mmio++;
}

/* Count how the newest fault ended, or hold that until it is sure that KVM does not try again
 * (outcome.bpf.h). */
static __always_inline void end_fault(struct vcpu_counts *state, struct fault_counters *counters,
				      u32 outcome)
{
#ifdef WITH_TDX
	if (state->retries) {
		state->held = outcome + 1;
		return;
	}
#endif
	count_outcome(counters, outcome);
}
