/* SPDX-License-Identifier: GPL-2.0-only */
/* kvm:kvm_userspace_exit: reason, errno (0 or negative). Every exit to user space is counted; exits
 * with EFAULT or EHWPOISON are also recorded. */

/* include/uapi/linux/kvm.h, and errno.h of include/uapi/asm-generic; macros are not in BTF. */
#define KVM_EXIT_MMIO	      6
#define KVM_EXIT_MEMORY_FAULT 39
#define EINTR		      4
#define EFAULT		      14
#define EHWPOISON	      133

static __always_inline void record_exit(struct vcpu_counts *state, u32 reason, u32 errno)
{
	struct exit_record record = {};
	u64 vcpu = state->vcpu, run = 0;

	record.vm = state->vm;
	record.vcpu = state->vcpu_id;
	record.monotonic_ns = bpf_ktime_get_ns();
	record.reason = reason;
	record.errno = errno;
	record.pc = guest_pc(state);
	record.nested = NOT_SHOWN_8;
	record.slot = NOT_SHOWN_32;
	record.memfd_bytes = NOT_SHOWN;
	note_memslot(vcpu, &record);
	if (state->pending) {
		record.nested = state->nested;
		record.word = state->word;
		record.address = state->address;
		record.ipa = state->ipa;
		record.format = state->format;
	}
#ifdef HAVE_MEMORY_FAULT
	/* The union in kvm_run holds memory_fault only with this reason. */
	if (reason == KVM_EXIT_MEMORY_FAULT) {
		READ(run, vcpu, kvm_vcpu, run);
		READ(record.flags, run, kvm_run, memory_fault.flags);
		READ(record.gpa, run, kvm_run, memory_fault.gpa);
		READ(record.size, run, kvm_run, memory_fault.size);
	}
#endif
	/* Wakes the reader if it has read all before: the VMM may soon end, and is to be looked at.
	 */
	if (exit_records.ringbuf_output(&record, sizeof(record), 0))
		COUNT_LOST(exit_records);
}

static __always_inline void count_exit(struct vcpu_counts *state, u32 reason, u32 errno)
{
	struct exit_reason *place;
	struct exit_key key = {};
	u64 *count;
	int i;

#pragma unroll
	for (i = 0; i < EXIT_REASONS_IN_PLACE; i++) {
		place = &state->exits[i];
		if (!place->count) {
			place->reason = reason;
			place->errno = errno;
			place->count = 1;
			return;
		}
		if (place->reason == reason && place->errno == errno) {
			place->count++;
			return;
		}
	}
	key.vm = state->vm;
	key.vcpu = state->vcpu_id;
	key.reason = reason;
	key.errno = errno;
	count = exit_counts.lookup(&key);
	if (!count) {
		u64 zero = 0;

		NOTE_USED(exit_counts);
		exit_counts.insert(&key, &zero);
		count = exit_counts.lookup(&key);
	}
	if (count)
		*count += 1;
	else
		COUNT_LOST(keys_full);
}

#ifdef WITH_KVM_MMU_PAGETABLE_WALK
/*
 * KVM_RUN fails over a fault that no event has counted, since it was never
 * mapped: count it now. The walk's error code lacks the bit RSVD and the upper half.
 */
static __always_inline void count_failed_fault(struct vcpu_counts *state)
{
	struct fault_counters *counters;

	if (!state->is_open || is_counted_before())
		return;
	state->word = state->walk_word;
	state->address = state->walk_address;
	state->format = FORMAT_PFERR;
	state->nested = NOT_SHOWN_8;
	state->pending = 1;
	if (is_considered(state)) {
		struct fault_record record = {
			.word = state->word,
			.address = state->address,
			.frame = NOT_SHOWN,
			.format = FORMAT_PFERR,
			.memslot = NOT_SHOWN_32,
			.private = NOT_SHOWN_8,
			.nested = NOT_SHOWN_8,
		};

		record_fault(state, &record);
	}
	counters = counters_of(state, FORMAT_PFERR, state->word);
	count_fault(state, counters);
	end_stall(state, OUTCOME_EXIT, state->word, FORMAT_PFERR);
}
#endif

#ifdef WITH_KVM_ENTRY
/* The fault under way ends here, since the guest does not go on. Whatever KVM has done about it, it
 * has failed if memory is why KVM_RUN does; and where it did nothing, if KVM_RUN fails at all. One
 * from which the guest has gone on unseen did not end in this exit. */
static __always_inline void end_at_exit(struct vcpu_counts *state, u32 reason, u32 errno)
{
	u64 exits = state->is_open ? exits_of(state->vcpu) : state->kvm_exits;
	u32 outcome = state->noted;

	if (errno == EFAULT || errno == EHWPOISON)
		outcome = OUTCOME_EXIT;
	else if (errno && errno != EINTR && was_resumed(state))
		outcome = OUTCOME_EXIT;
	else if (!errno && reason == KVM_EXIT_MMIO)
		outcome = OUTCOME_MMIO;
	if (exits == state->kvm_exits)
		state->noted = outcome;
	end_open_stall(state, exits);
	/* User space has done something: the next fault is no other try. */
	state->noted = errno ? outcome : OUTCOME_UNKNOWN;
}
#else
static __always_inline void end_at_exit(struct vcpu_counts *state, u32 reason, u32 errno)
{
}
#endif

/* result: 0 or negative. In the vCPU's thread, after vcpu_put(). */
static __always_inline void see_exit(struct vcpu_counts *state, u32 reason, int result)
{
	u32 errno = result < 0 ? -result : 0;

	end_at_exit(state, reason, errno);
	count_held(state);
	count_exit(state, reason, errno);
	if (errno == EFAULT || errno == EHWPOISON) {
#ifdef WITH_KVM_MMU_PAGETABLE_WALK
		count_failed_fault(state);
#endif
		record_exit(state, reason, errno);
	}
	drop_stall(state);
	leave(state);
}

#ifndef PREEMPTIBLE
/* See an exit that is no error, with the reason that the vCPU left with first. Returns 0, and has
 * done nothing, if it is another. Why apart: running_in_first_slot(). */
static __always_inline int see_exit_at_once(u32 reason, int result)
{
	struct vcpu_counts *state = running_in_first_slot();
	struct exit_reason *first;

	if (!state || result < 0 || !counts_as_before(state) || state->held)
		return 0;
#ifdef WITH_KVM_ENTRY
	if (state->is_open)
		return 0;
#endif
	first = &state->exits[0];
	if (first->reason != reason || first->errno || !first->count)
		return 0;
	first->count++;
	drop_stall(state);
	note_outcome(state, OUTCOME_UNKNOWN);
	state->running = 0;
	state->pending = 0;
	return 1;
}
#endif

#ifdef PREEMPTIBLE
PERF_PROBE(kvm_userspace_exit, trace_event_raw_kvm_userspace_exit)
{
	struct vcpu_counts *state = perf_state(EVENT(kvm_userspace_exit), ANY_VCPU);

	if (state)
		see_exit(state, event->reason, event->errno);
	return 1;
}
#endif

PROBE(kvm_userspace_exit)
{
	struct vcpu_counts *state;

#ifndef PREEMPTIBLE
	if (see_exit_at_once((u32)ctx->args[0], (int)ctx->args[1]))
		return 0;
#endif
	if (perf_counted(EVENT(kvm_userspace_exit)))
		return 0;
	state = raw_state(EVENT(kvm_userspace_exit), 0);
	if (state)
		see_exit(state, (u32)ctx->args[0], (int)ctx->args[1]);
	return 0;
}
