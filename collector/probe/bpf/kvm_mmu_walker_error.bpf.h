/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kvmmmu:kvm_mmu_walker_error, x86: pferr. The guest's own page tables do not
 * allow the access: it is no fault of KVM's memory but the guest's to handle,
 * which may take it long. What it then touches again begins anew.
 */

static __always_inline void see_walker_error(void)
{
	struct vcpu_counts *state = running_state(bpf_get_current_pid_tgid(), 0, ANY_VCPU);

	if (state)
		drop_stall(state);
}

#ifdef PREEMPTIBLE
PERF_PROBE(kvm_mmu_walker_error, trace_event_raw_kvm_mmu_walker_error)
{
	see_walker_error();
	return 1;
}
#endif

PROBE(kvm_mmu_walker_error)
{
	see_walker_error();
	return 0;
}
