/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kvmmmu:kvm_mmu_pagetable_walk, x86: addr, pferr. KVM walks the guest's page
 * tables, which shadow paging does first of all about a fault. It does so for
 * itself as well, to emulate an instruction. So a walk only may begin a fault:
 * whether it did, the thread's next event shows.
 *
 * Where kvm_page_fault turns out to fire, that begins a fault, and what begins here is never ended.
 */

#define KVM_RUN 0xae80 /* include/uapi/linux/kvm.h; macros are not in BTF */

/*
 * Return the state of the thread's vCPU; NULL if it is not inside KVM_RUN. Other
 * ioctls walk the tables too (KVM_TRANSLATE), and the thread may then run another
 * vCPU with no kvm_userspace_exit in between. Losses are counted with the event
 * that ends the fault.
 */
static __always_inline struct vcpu_counts *walked_state(void)
{
	u32 tid = bpf_get_current_pid_tgid();
	/* While this set does not count, no vCPU runs in it for long: what begins is not ended. */
	struct vcpu_counts *state = running_state(tid, 0, ANY_VCPU);
	struct ioctl_args args = {};

	if (state)
		return state;
	if (!is_counting() ||
	    !read_ioctl_args(bpf_task_pt_regs((struct task_struct *)current_task()), &args) ||
	    (u32)args.command != KVM_RUN)
		return NULL;
	return enter(tid, 0, EVENT_NONE);
}

/* As long as the walk before is open, it is not known to have mapped anything. */
static __always_inline void see_walk(struct vcpu_counts *state, u64 address, u64 word)
{
	note_page(state, state->walk_address, address, word, FORMAT_PFERR, state->is_open);
	begin_stall(state, address, word);
}

#ifndef PREEMPTIBLE
/* See a walk for a third page, as most are. Returns 0, and has done nothing, if it is another. Why
 * apart: running_in_first_slot(). */
static __always_inline int see_walk_at_once(u64 address, u64 word)
{
	struct vcpu_counts *state = running_in_first_slot();

	if (!state || !note_third_page(state, state->walk_address, address))
		return 0;
	begin_stall_anew(state, address, word);
	return 1;
}

/* The same of a walk for one of the last two pages: KVM walks for four, at least, to emulate an
 * instruction. In code of its own, as that for a third page is no longer than it has to be. */
static __always_inline int see_walk_again_at_once(u64 address, u64 word)
{
	struct vcpu_counts *state = running_in_first_slot();

	if (!state || !note_page_again(state, state->walk_address, address, state->is_open))
		return 0;
	begin_stall(state, address, word);
	return 1;
}
#endif

#ifdef PREEMPTIBLE
PERF_PROBE(kvm_mmu_pagetable_walk, trace_event_raw_kvm_mmu_pagetable_walk)
{
	struct vcpu_counts *state = walked_state();

	if (!state)
		return 1;
	count_owed(state);
	state->perf_event = EVENT(kvm_mmu_pagetable_walk);
	see_walk(state, event->addr, event->pferr);
	return 1;
}
#endif

PROBE(kvm_mmu_pagetable_walk)
{
	struct vcpu_counts *state;

#ifndef PREEMPTIBLE
	if (see_walk_at_once(ctx->args[0], (u32)ctx->args[1]))
		return 0;
	if (see_walk_again_at_once(ctx->args[0], (u32)ctx->args[1]))
		return 0;
#endif
	if (perf_counted(EVENT(kvm_mmu_pagetable_walk)))
		return 0;
	state = walked_state();
	if (!state)
		return 0;
#ifdef PREEMPTIBLE
	count_owed(state);
#endif
	see_walk(state, ctx->args[0], (u32)ctx->args[1]);
	return 0;
}
