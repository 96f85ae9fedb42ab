/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sched:sched_switch: preempt, prev, next, prev_state. Shows when a vCPU's thread
 * goes to sleep, within a fault or not, and when it runs again. Raised with interrupts
 * off, so its program is neither preempted nor skipped: it has no perf side.
 *
 * A task that runs no vCPU has no preempt notifiers (loaded_vcpu()). So all other
 * switches of the host cost two loads.
 *
 * The collector may shed this program: it detaches it, so that switches cost
 * nothing, and attaches it again later (collector/sampling/hooks.py). What it
 * alone keeps does not change meanwhile, and is wrong from then on: vCPUs that
 * were asleep stay so, in their slots and in the states of pressures. So before
 * it is attached again, and no sooner than seconds after, when no run of it is
 * left, user space notes the time in switches_since_ns and removes the pressures
 * (probes.py, restore()). A sleep that began before that time is none: it is not
 * counted where the thread wakes up, nor shown as outstanding. A vCPU that
 * sleeps through all of that counts as one that runs, until it falls asleep anew.
 */

/* Return the state of the vCPU that a thread runs; NULL if it is not known yet. */
static __always_inline struct vcpu_counts *state_of(u64 task, u64 vcpu)
{
	u32 tid = 0;

	if (!is_counting())
		return NULL;
	LOAD(tid, task, task_struct, pid);
	return running_state(tid, vcpu, ANY_VCPU);
}

/* Whether the fault under way has not ended, also where kvm_entry is shed (stall.bpf.h). */
static __always_inline int is_in_fault(struct vcpu_counts *state)
{
	if (!state->is_open || is_halted(state))
		return 0;
#ifdef WITH_KVM_ENTRY
	return !state->noted_ns && exits_of(state->vcpu) == state->kvm_exits;
#else
	return 1;
#endif
}

PROBE(sched_switch)
{
	u64 prev = ctx->args[1], next = ctx->args[2], vcpu = loaded_vcpu(prev);
	struct vcpu_counts *state;

	/* A preempted thread wants to run. */
	if (vcpu && !(u8)ctx->args[0] && (u32)ctx->args[3]) {
		state = state_of(prev, vcpu);
		if (state) {
			if (is_in_fault(state))
				fall_asleep(state, stacks.get_stackid(ctx, 0));
			else
				fall_idle(state);
		}
	}
	vcpu = loaded_vcpu(next);
	if (vcpu) {
		state = state_of(next, vcpu);
		if (state && state->asleep)
			wake_up(state);
	}
	return 0;
}
