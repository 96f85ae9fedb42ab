/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Outcomes of faults, arm64. No event of the kernel's says how a fault ended. But
 * within it, KVM emits some of these, each where it does one thing about it:
 *
 *   kvm:kvm_access_fault             it marks the page as used
 *   kvm:kvm_mmio                     it emulates the access, or has the VMM do so
 *   kvm:kvm_mmio_nisv                it cannot, since the hardware gave no syndrome
 *   kvm:kvm_inject_nested_exception  it hands the fault to the guest's own hypervisor
 *
 * Outside of faults they are nothing to us. kvm_mmio comes once more when the VMM
 * has read a device: in the next KVM_RUN, so within no fault.
 */

/* To note an outcome twice is to note it once: neither side has to know of the other. */
static __always_inline void note_within_fault(u32 outcome)
{
	struct vcpu_counts *state = running_state(bpf_get_current_pid_tgid(), 0, ANY_VCPU);

	if (state && state->is_open)
		note_outcome(state, outcome);
}

#define ON_RAW_SIDE(tracepoint, outcome)    \
	PROBE(tracepoint)                   \
	{                                   \
		note_within_fault(outcome); \
		return 0;                   \
	}

#ifdef PREEMPTIBLE
#define ON_PERF_SIDE(tracepoint, record, outcome) \
	PERF_PROBE(tracepoint, record)            \
	{                                         \
		note_within_fault(outcome);       \
		return 1;                         \
	}
#else
#define ON_PERF_SIDE(tracepoint, record, outcome)
#endif

#ifdef WITH_KVM_ACCESS_FAULT
ON_PERF_SIDE(kvm_access_fault, trace_event_raw_kvm_access_fault, OUTCOME_ACCESS_FLAG)
ON_RAW_SIDE(kvm_access_fault, OUTCOME_ACCESS_FLAG)
#endif
#ifdef WITH_KVM_MMIO
ON_PERF_SIDE(kvm_mmio, trace_event_raw_kvm_mmio, OUTCOME_MMIO)
ON_RAW_SIDE(kvm_mmio, OUTCOME_MMIO)
#endif
#ifdef WITH_KVM_MMIO_NISV
ON_PERF_SIDE(kvm_mmio_nisv, trace_event_raw_kvm_mmio_nisv, OUTCOME_NISV)
ON_RAW_SIDE(kvm_mmio_nisv, OUTCOME_NISV)
#endif
#ifdef WITH_KVM_INJECT_NESTED_EXCEPTION
ON_PERF_SIDE(kvm_inject_nested_exception, trace_event_raw_kvm_inject_nested_exception,
	     OUTCOME_REFLECTED)
ON_RAW_SIDE(kvm_inject_nested_exception, OUTCOME_REFLECTED)
#endif
