/* The perf side of each tracepoint: see looks.bpf.h. What the event's record has is in its BTF,
 * trace_event_raw_*. */

#ifdef PREEMPTIBLE
/*
 * Returns 1: 0 would keep the event from others that listen to it. The record's
 * name is written out, for needed_types.py to find.
 */
#define PERF_PROBE(tracepoint, record) int perf_##tracepoint(struct record *event)

#ifdef WITH_KVM_GUEST_FAULT
PERF_PROBE(kvm_guest_fault, trace_event_raw_kvm_guest_fault)
{
	struct vcpu_counts *state = first_look(LOOK_GUEST_FAULT, ANY_VCPU);

	if (state)
		tell_guest_fault(state, event->vcpu_pc, event->hsr, event->hxfar, event->ipa);
	return 1;
}
#endif

#ifdef WITH_KVM_PAGE_FAULT
PERF_PROBE(kvm_page_fault, trace_event_raw_kvm_page_fault)
{
	struct vcpu_counts *state = first_look(LOOK_PAGE_FAULT, event->vcpu_id);
	u64 nested = NOT_SHOWN_8;

	note_page_fault();
	if (!state)
		return 1;
#ifdef HAVE_STAT_GUEST_MODE
	READ(nested, state->vcpu, kvm_vcpu, stat.guest_mode);
#endif
	hold_against_kvm(state);
	tell_page_fault(state, event->fault_address, event->error_code, nested);
	return 1;
}
#endif

#if defined(WITH_OUTCOMES) && defined(HAVE_KVM_PAGE_FAULT_STRUCT)
static __always_inline void tell_outcome(struct vcpu_counts *state, u32 outcome)
{
	int told = is_told_before();

	if (is_another_try(state, told, outcome))
		return;
	if (!told)
		state->owed = OWES_FAULT + outcome;
	else if (state->pending)
		state->owed = OWES_OUTCOME + outcome;
}
#endif

#if defined(WITH_KVM_MMU_SPTE_REQUESTED) && defined(HAVE_KVM_PAGE_FAULT_STRUCT)
PERF_PROBE(kvm_mmu_spte_requested, trace_event_raw_kvm_mmu_spte_requested)
{
	struct vcpu_counts *state = first_look(LOOK_SPTE_REQUESTED, ANY_VCPU);

	if (state)
		tell_outcome(state, event->pfn & PFN_ERROR_OR_NOSLOT ? OUTCOME_MMIO : event->level);
	return 1;
}
#endif

#if defined(WITH_FAST_PAGE_FAULT) && defined(HAVE_KVM_PAGE_FAULT_STRUCT)
PERF_PROBE(fast_page_fault, trace_event_raw_fast_page_fault)
{
	struct vcpu_counts *state;
	int result = event->ret;

	if (result != RET_PF_FIXED && result != RET_PF_SPURIOUS)
		return 1;
	state = first_look(LOOK_FAST_PAGE_FAULT, event->vcpu_id);
	if (state)
		tell_outcome(state, result == RET_PF_FIXED ? OUTCOME_FAST : OUTCOME_SPURIOUS);
	return 1;
}
#endif

#ifdef WITH_HANDLE_MMIO_PAGE_FAULT
PERF_PROBE(handle_mmio_page_fault, trace_event_raw_handle_mmio_page_fault)
{
	struct vcpu_counts *state = first_look(LOOK_MMIO_PAGE_FAULT, ANY_VCPU);

	if (state)
		tell_mmio(state, event->addr, event->gfn);
	return 1;
}
#endif

PERF_PROBE(kvm_userspace_exit, trace_event_raw_kvm_userspace_exit)
{
	struct vcpu_counts *state = first_look(LOOK_USERSPACE_EXIT, ANY_VCPU);

	if (state)
		tell_exit(state, event->reason, event->errno);
	return 1;
}
#endif
