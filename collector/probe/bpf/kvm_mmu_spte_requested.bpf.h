/* SPDX-License-Identifier: GPL-2.0-only */
/* kvmmmu:kvm_mmu_spte_requested, x86: the fault is about to be mapped. */

/* The VMM or KVM maps the page ahead of the guest: no guest fault. */
static __always_inline void count_prefetch(struct vcpu_counts *state, u64 fault)
{
	struct fault_counters *counters;
	u32 word_place = state->word_place;
	u64 word = 0;

	LOAD(word, fault, kvm_page_fault, error_code);
	counters = counters_of(state, FORMAT_PFERR, word);
	/* That of the fault under way, if there is one. */
	state->word_place = word_place;
	if (counters)
		counters->prefetched++;
	else
		COUNT_LOST(keys_full);
	leave_prefetch(state);
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

#if defined(WITH_KVM_MMU_PAGETABLE_WALK) && defined(TYPED_ARGUMENTS) && !defined(PREEMPTIBLE)
#define COUNTS_AT_ONCE
/*
 * Count a fault as nearly all are: the thread has not slept in it, its word is
 * that of the fault before, its page is mapped, there is nothing to record or to
 * note of it, and one took as long before. Returns 0, and has done nothing, where
 * that is not so. It counts what the rest of this file counts of such a fault;
 * why apart: running_in_first_slot(). All conditions are one number, with one
 * branch: the compiler puts what comes after a branch far away.
 *
 * is_timed: a constant. Most are not timed, and their code is no longer than it
 * has to be; the others have a piece of their own.
 */
static __always_inline int count_at_once(u64 fault, int is_timed)
{
	struct vcpu_counts *state = running_in_first_slot();
	u32 index = 0, flags = 0, bucket = UNTIMED << 2, kind, zero;
	u64 word = 0, pfn = 0, slot = 0, ns = 0, other;
	u32 *current = active_generation.lookup(&index);
	u16 *number = orders_number.lookup(&index);
	struct vcpu_stalls *stalls;
	struct syndrome *syndrome;
	struct stall_cell *cell;
	bool prefetch = 0, is_private = 0;
	u8 level = 0;

	if (!state || !current || !number)
		return 0;
	index = state->place;
	stalls = stall_slots.lookup(&index);
	index = state->word_place;
	LOAD(slot, fault, kvm_page_fault, slot);
	if (!stalls || index >= SYNDROMES_IN_PLACE || !slot)
		return 0;
	other = state->begun_ns;
	if (is_timed) {
		if (!other)
			return 0;
		ns = elapsed_ns(other, bpf_ktime_get_ns());
		other = state->slept_ns;
		bucket = opaque_bucket_of(stalls, ns);
		ns = *(volatile u64 *)&stalls->opaque_ns;
	}
	syndrome = &state->syndromes[index];
	kind = kind_of(bucket, OUTCOME_MAPPED_4K, 0, index);
	cell = &stalls->cells[first_cell(kind, index)];
	if (is_timed && cell->kind != kind)
		cell = &stalls->cells[(first_cell(kind, index) + 1) & (STALL_CELLS - 1)];
	LOAD(word, fault, kvm_page_fault, error_code);
	LOAD(prefetch, fault, kvm_page_fault, prefetch);
	LOAD(pfn, fault, kvm_page_fault, pfn);
	LOAD(level, fault, kvm_page_fault, goal_level);
	LOAD(flags, slot, kvm_memory_slot, flags);
#ifdef HAVE_IS_PRIVATE
	LOAD(is_private, fault, kvm_page_fault, is_private);
#endif
	/* counts_as_before(), not is_counted_before(), not is_considered() */
	other |= (*current ^ state->generation) | state->pending | (*number ^ state->orders);
	other |= (u64)((s64)(state->next_record - state->seen - 2) >> 63);
	other |= (state->is_open ^ 1) | state->retries;
	other |= (syndrome->word ^ word) | (syndrome->format ^ FORMAT_PFERR) | (cell->kind ^ kind);
	other |= (level ^ OUTCOME_MAPPED_4K) | (pfn & PFN_ERROR_OR_NOSLOT) | prefetch | is_private;
	other |= flags & KVM_MEM_LOG_DIRTY_PAGES;
	asm volatile("%0 = 0" : "=r"(zero));
	if (other != zero)
		return 0;
	syndrome->counters.faults++;
	syndrome->counters.mapped_4k++;
	/* Last: see count_fault() and end_stall(). */
	state->seen++;
	state->is_open = 0;
	cell->quarters[bucket & 3]++;
	cell->running_ns += ns;
	if (is_timed && ns > stalls->longest_ns) {
		stalls->longest_ns = ns;
		stalls->longest_kind = kind;
	}
	stalls->ended++;
	return 1;
}
#endif

PROBE(kvm_mmu_spte_requested)
{
	u64 fault = ctx->args[0], word = 0, pfn = 0;
	struct vcpu_counts *state = perf_counted(EVENT(kvm_mmu_spte_requested));
	struct fault_counters *counters;
	bool prefetch = 0;
	u32 outcome = OUTCOME_MMIO;
	u8 level = 0;
	int counted;

#ifdef COUNTS_AT_ONCE
	if (count_at_once(fault, 0) || count_at_once(fault, 1))
		return 0;
#endif
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
	if (!(pfn & PFN_ERROR_OR_NOSLOT)) {
		LOAD(level, fault, kvm_page_fault, goal_level);
		outcome = level;
	}
	if (is_another_try(state, counted, outcome))
		return 0;
	if (!counted && is_considered(state))
		record_mmu_fault(state, fault, level);
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
