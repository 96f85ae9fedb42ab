/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kvm:kvm_page_fault, x86: vcpu, address, error code; before 6.1 without the
 * vCPU. Where KVM emits it, it counts the fault, and the next kvmmmu event of
 * the same thread is that fault's outcome (outcome.bpf.h). The fault lasts until
 * the guest goes on (kvm_entry.bpf.h).
 */

/* Remember that this KVM emits kvm_page_fault: kvmmmu events are only outcomes from now on. */
static __always_inline void note_page_fault(void)
{
	u32 index = 0;
	u32 *seen = page_fault_seen.lookup(&index);

	if (seen && !*seen)
		*seen = 1;
}

/*
 * Compare with KVM's own count (pf_taken), and add the difference to
 * missed_faults. KVM raises its count after each kvm_page_fault unless the page
 * is known as MMIO (kvm_mmu_page_fault()), and also at other times (EPT
 * misconfigurations, TDX). So user space accepts at most as many missed faults
 * as program runs that the kernel reports as skipped.
 */
static __always_inline void compare_with_kvm(struct vcpu_counts *state)
{
#if defined(PREEMPTIBLE) && defined(HAVE_PF_TAKEN)
	u64 taken = 0;

	READ(taken, state->vcpu, kvm_vcpu, stat.pf_taken);
	if (state->kvm_count != KVM_COUNT_UNKNOWN && taken > state->kvm_count + 1)
		state->missed_faults += taken - state->kvm_count - 1;
	state->kvm_count = taken;
#endif
}

static __always_inline void see_page_fault(struct vcpu_counts *state, u64 address, u64 word,
					   u8 nested, u64 exits)
{
	int is_same = state->word == word && state->address == address;
	struct fault_counters *counters;

	end_open_stall(state, exits);
	count_held(state);
	state->word = word;
	state->address = address;
	state->format = PAGE_FAULT_FORMAT;
	state->nested = nested;
	state->pending = 1;
	if (is_considered(state)) {
		struct fault_record record = {
			.word = word,
			.address = address,
			.frame = NOT_SHOWN,
			.format = PAGE_FAULT_FORMAT,
			.memslot = NOT_SHOWN_32,
			.private = NOT_SHOWN_8,
			.nested = nested,
		};

		record_fault(state, &record);
	}
	counters = counters_of(state, PAGE_FAULT_FORMAT, word);
	if (counters && nested == 1)
		counters->nested++;
	count_fault(state, counters);
	begin_next_stall(state, is_same, exits);
}

#ifdef PREEMPTIBLE
PERF_PROBE(kvm_page_fault, trace_event_raw_kvm_page_fault)
{
	struct vcpu_counts *state = perf_state(EVENT(kvm_page_fault), event->vcpu_id);
	u64 nested = NOT_SHOWN_8;

	note_page_fault();
	if (!state)
		return 1;
#ifdef HAVE_STAT_GUEST_MODE
	READ(nested, state->vcpu, kvm_vcpu, stat.guest_mode);
#endif
	compare_with_kvm(state);
	see_page_fault(state, event->fault_address, event->error_code, nested,
		       exits_of(state->vcpu));
	return 1;
}
#endif

PROBE(kvm_page_fault)
{
#ifdef HAVE_KVM_PAGE_FAULT_VCPU
	u64 vcpu = ctx->args[0], address = ctx->args[1], word = ctx->args[2];
#else
	u64 vcpu = 0, address = ctx->args[0], word = ctx->args[1];
#endif
	struct vcpu_counts *state;
	u8 nested = NOT_SHOWN_8;
	u64 exits = 0;

#ifndef HAVE_WHOLE_WORD
	word = (u32)word;
#endif
	if (perf_counted(EVENT(kvm_page_fault)))
		return 0;
	state = raw_state(EVENT(kvm_page_fault), vcpu);
	note_page_fault();
	if (!state)
		return 0;
#if defined(HAVE_STAT_GUEST_MODE) && defined(HAVE_KVM_PAGE_FAULT_VCPU)
	LOAD(nested, vcpu, kvm_vcpu, stat.guest_mode);
#endif
#ifdef HAVE_KVM_PAGE_FAULT_VCPU
	LOAD(exits, vcpu, kvm_vcpu, stat.exits);
#else
	exits = exits_of(state->vcpu);
#endif
	compare_with_kvm(state);
	see_page_fault(state, address, word, nested, exits);
	return 0;
}
