/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kvm:kvm_entry, x86: vcpu; arm64: the guest's program counter. The guest goes
 * on: what fault it had has ended. Raised with interrupts off, so its program is
 * neither preempted nor skipped: it has no perf side.
 *
 * Most entries are after no fault, and there are up to a million a second on a
 * host. So nothing is looked up for them but the thread's slot.
 */

/* Return the state of the vCPU that this thread runs, where it is not in the thread's first slot.
 */
static __always_inline struct vcpu_counts *running_elsewhere(void)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct vcpu_counts *state = slot_of(tid, 1);
	struct used *maps;

	if (is_running(state, tid, 0, ANY_VCPU))
		return state;
	maps = what_is_used();
	return maps && maps->overflow ? overflow_state(tid) : NULL;
}

PROBE(kvm_entry)
{
	struct vcpu_counts *state = running_in_first_slot();
	u64 exits = 0;

	if (!state)
		state = running_elsewhere();
	if (!state || !state->is_open)
		return 0;
#ifdef ARCH_X86_64
	/* Before the vCPU is compared: then the compiler takes one address for the other, of which
	 * the verifier knows no type. */
	LOAD(exits, ctx->args[0], kvm_vcpu, stat.exits);
#else
	exits = exits_of(state->vcpu);
#endif
	if (!is_counting()) {
		drop_stall(state);
		return 0;
	}
#ifdef ARCH_X86_64
	/* The exit of the vCPU that ran before was missed. */
	if (state->vcpu != ctx->args[0]) {
		drop_stall(state);
		return 0;
	}
#endif
#ifdef PREEMPTIBLE
	count_owed(state);
#endif
	end_open_stall(state, exits);
	state->entry_unseen = 0;
	return 0;
}
