/*
 * What is done with an event, whichever side of its tracepoint tells of it.
 *
 * Where kvm_page_fault (x86) fires it is the fault; what kvmmmu events say
 * after it in the same thread is that fault's outcome. On flavours where it
 * never fires (PVM) the kvmmmu events are the fault, and count it.
 */

/* include/uapi/linux/kvm.h; macros are not in BTF. */
#define EFAULT	  14
#define EHWPOISON 133

#ifdef WITH_KVM_GUEST_FAULT
/* arm64: the vCPU runs L2 while its stage 2 is another than the VM's own (arch/arm64/kvm/nested.c,
 * kvm_vcpu_load_hw_mmu()). */
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

static __always_inline void tell_guest_fault(struct vcpu_counts *state, u64 pc, u64 esr, u64 far,
					     u64 ipa)
{
	struct fault_counters *counters;
	int spilled = 0;

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
	counters = counters_of(state, FORMAT_ESR_EL2, esr, &spilled);
	if (counters && state->nested)
		counters->nested++;
	count_fault(state, counters, spilled);
}
#endif

/*
 * Where KVM tries several times within one fault, each try tells an outcome: the
 * last one counts, and that it was the last shows with the vCPU's next event.
 */
static __always_inline void settle_outcome(struct vcpu_counts *state)
{
#ifdef WITH_TDX
	struct fault_counters *counters;
	int spilled = 0;

	if (!state->held)
		return;
	counters = counters_of(state, state->format, state->word, &spilled);
	if (counters)
		count_outcome(counters, state->held - 1);
	state->held = 0;
#endif
}

#ifdef WITH_KVM_PAGE_FAULT
/* From here on kvm_page_fault is what counts a fault. */
static __always_inline void note_page_fault(void)
{
	u32 index = 0;
	u32 *seen = page_fault_seen.lookup(&index);

	if (seen && !*seen)
		*seen = 1;
}

/*
 * What is missing by KVM's own count, which it raises after each kvm_page_fault
 * unless the page is known as MMIO (kvm_mmu_page_fault()). It does so at other
 * times too (EPT misconfigurations, TDX): user space believes no more of it
 * than the kernel says to have skipped.
 */
static __always_inline void hold_against_kvm(struct vcpu_counts *state)
{
#if defined(PREEMPTIBLE) && defined(HAVE_PF_TAKEN)
	u64 taken = 0;

	READ(taken, state->vcpu, kvm_vcpu, stat.pf_taken);
	if (state->kvm_count != KVM_COUNT_UNKNOWN && taken > state->kvm_count + 1)
		state->overlooked += taken - state->kvm_count - 1;
	state->kvm_count = taken;
#endif
}

static __always_inline void tell_page_fault(struct vcpu_counts *state, u64 address, u64 word,
					    u8 nested)
{
	struct fault_counters *counters;
	int spilled = 0;

	settle_outcome(state);
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
	counters = counters_of(state, PAGE_FAULT_FORMAT, word, &spilled);
	if (counters && nested == 1)
		counters->nested++;
	count_fault(state, counters, spilled);
}
#endif

#ifdef WITH_OUTCOMES
/* Whether kvm_page_fault counts the faults: else a kvmmmu event is all that tells of one, and
 * counts it. */
static __always_inline int is_told_before(void)
{
	u32 index = 0;
	u32 *seen = page_fault_seen.lookup(&index);

	return seen && *seen;
}

/* Whether the newest fault has an outcome already, from an earlier try; then this is its outcome
 * now. */
static __always_inline int is_another_try(struct vcpu_counts *state, int told, u32 outcome)
{
#ifdef WITH_TDX
	if (told && !state->pending && state->held) {
		state->held = outcome + 1;
		return 1;
	}
#endif
	return 0;
}

/*
 * The counters to which a kvmmmu event's outcome belongs: those of the fault
 * that was told before, or else of the event's own word, counted here.
 */
static __always_inline struct fault_counters *outcome_counters(struct vcpu_counts *state, int told,
							       u32 format, u64 word)
{
	struct fault_counters *counters;
	int spilled = 0;

	if (told) {
		if (!state->pending)
			return NULL;
		state->pending = 0;
		format = state->format;
		word = state->word;
	}
	counters = counters_of(state, format, word, &spilled);
	if (!told)
		count_fault(state, counters, spilled);
	return counters;
}
#endif

#ifdef WITH_HANDLE_MMIO_PAGE_FAULT
/* A page that KVM has cached as MMIO; the word is not shown. */
static __always_inline void tell_mmio(struct vcpu_counts *state, u64 address, u64 frame)
{
	struct fault_counters *counters;
	int told = is_told_before();

	if (!told && is_considered(state)) {
		struct fault_record record = {
			.address = address,
			.frame = frame,
			.memslot = NOT_SHOWN_32,
			.private = NOT_SHOWN_8,
			.nested = NOT_SHOWN_8,
		};

		record_fault(state, &record);
	}
	counters = outcome_counters(state, told, FORMAT_NONE, 0);
	if (counters)
		counters->mmio++;
}
#endif

/* result: 0 or negative. In the vCPU's thread, after vcpu_put(). */
static __always_inline void tell_exit(struct vcpu_counts *state, u32 reason, int result)
{
	u32 errno = result < 0 ? -result : 0;

	settle_outcome(state);
	count_exit(state, reason, errno);
	if (errno == EFAULT || errno == EHWPOISON)
		record_exit(state, reason, errno);
	leave(state);
}
