/* SPDX-License-Identifier: GPL-2.0-only */
/* kvm:kvm_guest_fault, arm64: vcpu_pc, hsr (ESR_EL2), hxfar (FAR_EL2), ipa. Every guest fault;
 * passes no vCPU. The fault lasts until the guest goes on (kvm_entry.bpf.h). */

/* Whether the vCPU runs an L2 guest: then it uses another stage 2 than the VM's own
 * (arch/arm64/kvm/nested.c, kvm_vcpu_load_hw_mmu()). */
static __always_inline u8 is_nested(struct vcpu_counts *state)
{
#ifdef HAVE_NESTED_MMUS
	u64 mmu = 0;

	READ(mmu, state->vcpu, kvm_vcpu, arch.hw_mmu);
	return mmu != state->vm.kvm + __builtin_offsetof(struct kvm, arch.mmu);
#else
	return 0;
#endif
}

static __always_inline void see_guest_fault(struct vcpu_counts *state, u64 pc, u64 esr, u64 far,
					    u64 ipa)
{
	int is_same = state->word == esr && state->ipa == ipa && state->pc == pc;
	struct fault_counters *counters;
	u64 exits = exits_of(state->vcpu);

	end_open_stall(state, exits);
	state->pc = pc;
	state->word = esr;
	state->address = far;
	state->ipa = ipa;
	state->format = FORMAT_ESR_EL2;
	state->nested = is_nested(state);
	state->pending = 1;
	if (is_considered(state)) {
		struct fault_record record = {
			.word = esr,
			.address = far,
			.frame = ipa,
			.format = FORMAT_ESR_EL2,
			.memslot = NOT_SHOWN_32,
			.private = NOT_SHOWN_8,
			.nested = state->nested,
		};

		record_fault(state, &record);
	}
	counters = counters_of(state, FORMAT_ESR_EL2, esr);
	if (counters && state->nested)
		counters->nested++;
	count_fault(state, counters);
	begin_next_stall(state, is_same, exits);
}

#ifdef PREEMPTIBLE
PERF_PROBE(kvm_guest_fault, trace_event_raw_kvm_guest_fault)
{
	struct vcpu_counts *state = perf_state(EVENT(kvm_guest_fault), ANY_VCPU);

	if (state)
		see_guest_fault(state, event->vcpu_pc, event->hsr, event->hxfar, event->ipa);
	return 1;
}
#endif

PROBE(kvm_guest_fault)
{
	struct vcpu_counts *state;

	if (perf_counted(EVENT(kvm_guest_fault)))
		return 0;
	state = raw_state(EVENT(kvm_guest_fault), 0);
	if (state)
		see_guest_fault(state, ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3]);
	return 0;
}
