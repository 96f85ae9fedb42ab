/*
 * Counts guest faults and exits to user space, per VM, vCPU and syndrome.
 *
 * Compiled by BCC against the running kernel's own types. plan.py defines,
 * from what BTF shows, one WITH_* for each tracepoint to attach and the
 * HAVE_* of the shapes that differ between kernels; never from a version.
 *
 * Where kvm_page_fault (x86) fires it is the fault; what kvmmmu events say
 * after it in the same thread is that fault's outcome. On flavours where it
 * never fires (PVM) the kvmmmu events are the fault, and count it.
 */
#include "event.h"
#include "maps.bpf.h"
#include "vcpu.bpf.h"
#include "state.bpf.h"
#include "count.bpf.h"
#include "record.bpf.h"
#include "exit.bpf.h"

/* include/uapi/linux/kvm.h; macros are not in BTF. */
#define KVM_MEM_LOG_DIRTY_PAGES 1
#define EFAULT 14
#define EHWPOISON 133

/* plan.py names the tracepoints to attach; loader.py attaches on_<tracepoint> to each. */
#define PROBE(tracepoint) int on_##tracepoint(struct bpf_raw_tracepoint_args *ctx)

#ifdef WITH_KVM_GUEST_FAULT
/* arm64: vcpu_pc, hsr (ESR_EL2), hxfar (FAR_EL2), ipa. Passes no vCPU. */
PROBE(kvm_guest_fault)
{
	struct vcpu_counts *state = current_state(0);
	int spilled = 0;

	if (!state)
		return 0;
	state->pc = ctx->args[0];
	state->word = ctx->args[1];
	state->address = ctx->args[2];
	state->ipa = ctx->args[3];
	state->format = FORMAT_ESR_EL2;
	state->pending = 1;
	if (is_considered(state)) {
		struct fault_record record = {
			.word = ctx->args[1],
			.address = ctx->args[2],
			.frame = ctx->args[3],
			.format = FORMAT_ESR_EL2,
			.memslot = NOT_SHOWN_32,
			.private = NOT_SHOWN_8,
		};

		record_fault(state, &record);
	}
	count_fault(state, counters_of(state, FORMAT_ESR_EL2, ctx->args[1], &spilled), spilled);
	return 0;
}
#endif

#ifdef WITH_KVM_PAGE_FAULT
/* x86: vcpu, address, error code; before 6.1 without the vCPU. */
PROBE(kvm_page_fault)
{
#ifdef HAVE_KVM_PAGE_FAULT_VCPU
	struct vcpu_counts *state = current_state(ctx->args[0]);
	u64 address = ctx->args[1], word = ctx->args[2];
#else
	struct vcpu_counts *state = current_state(0);
	u64 address = ctx->args[0], word = (u32)ctx->args[1];
#endif
	u32 index = 0;
	u32 *seen = page_fault_seen.lookup(&index);
	int spilled = 0;

	if (seen && !*seen)
		*seen = 1;
	if (!state)
		return 0;
	state->word = word;
	state->address = address;
	state->format = PAGE_FAULT_FORMAT;
	state->pending = 1;
	if (is_considered(state)) {
		struct fault_record record = {
			.word = word,
			.address = address,
			.frame = NOT_SHOWN,
			.format = PAGE_FAULT_FORMAT,
			.memslot = NOT_SHOWN_32,
			.private = NOT_SHOWN_8,
		};

		record_fault(state, &record);
	}
	count_fault(state, counters_of(state, PAGE_FAULT_FORMAT, word, &spilled), spilled);
	return 0;
}
#endif

#if defined(WITH_KVM_MMU_SPTE_REQUESTED) || defined(WITH_FAST_PAGE_FAULT) || defined(WITH_HANDLE_MMIO_PAGE_FAULT)
/* Whether kvm_page_fault counts the faults: else a kvmmmu event is all that tells of one, and counts it. */
static __always_inline int is_told_before(void)
{
	u32 index = 0;
	u32 *seen = page_fault_seen.lookup(&index);

	return seen && *seen;
}

/*
 * The counters to which a kvmmmu event's outcome belongs: those of the fault
 * that was told before, or else of the event's own word, counted here.
 */
static __always_inline struct fault_counters *outcome_counters(struct vcpu_counts *state, int told, u32 format,
							       u64 word)
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

#ifdef HAVE_KVM_PAGE_FAULT_STRUCT
static __always_inline void count_context(struct fault_counters *counters, u64 fault)
{
	u64 slot = 0;
	u32 flags = 0;

#ifdef HAVE_IS_PRIVATE
	bool is_private = 0;

	LOAD(is_private, fault, kvm_page_fault, is_private);
	if (is_private)
		counters->private++;
#endif
	LOAD(slot, fault, kvm_page_fault, slot);
	if (!slot) {
		counters->no_memslot++;
		return;
	}
	LOAD(flags, slot, kvm_memory_slot, flags);
	if (flags & KVM_MEM_LOG_DIRTY_PAGES)
		counters->dirty_logging++;
}

/* A fault that no kvm_page_fault told of. */
static __always_inline void record_mmu_fault(struct vcpu_counts *state, u64 fault, u8 level)
{
	struct fault_record record = {.format = FORMAT_PFERR, .memslot = NOT_SHOWN_32, .private = NOT_SHOWN_8};
	u64 slot = 0;
	short id = 0;

	record.level = level;
	LOAD(record.word, fault, kvm_page_fault, error_code);
	LOAD(record.address, fault, kvm_page_fault, addr);
	LOAD(record.frame, fault, kvm_page_fault, gfn);
#ifdef HAVE_IS_PRIVATE
	LOAD(record.private, fault, kvm_page_fault, is_private);
#endif
	LOAD(slot, fault, kvm_page_fault, slot);
	if (slot) {
		LOAD(id, slot, kvm_memory_slot, id);
		record.memslot = (u16)id;
	}
	record_fault(state, &record);
}
#endif

#if defined(WITH_KVM_MMU_SPTE_REQUESTED) && defined(HAVE_KVM_PAGE_FAULT_STRUCT)
#define PFN_ERROR_OR_NOSLOT 0xfff0000000000000ULL

static __always_inline void count_level(struct fault_counters *counters, u8 level)
{
	if (level == PG_LEVEL_4K)
		counters->mapped_4k++;
	else if (level == PG_LEVEL_2M)
		counters->mapped_2m++;
	else if (level == PG_LEVEL_1G)
		counters->mapped_1g++;
}

/* Asked for by the VMM or KVM ahead of the guest: no guest fault. */
static __always_inline void count_prefetch(struct vcpu_counts *state, u64 fault)
{
	struct fault_counters *counters;
	int spilled;
	u64 word = 0;

	LOAD(word, fault, kvm_page_fault, error_code);
	counters = counters_of(state, FORMAT_PFERR, word, &spilled);
	if (counters)
		counters->prefetched++;
	else
		count_lost(LOST_KEYS_FULL);
	/* Not always within KVM_RUN, whose end alone would tell that the thread may change its vCPU. */
	leave(state);
}

/* x86: the fault is about to be mapped. */
PROBE(kvm_mmu_spte_requested)
{
	u64 fault = ctx->args[0], word = 0, pfn = 0;
	struct vcpu_counts *state = current_state(0);
	struct fault_counters *counters;
	int told = is_told_before();
	bool prefetch = 0;
	u8 level = 0;

	if (!state)
		return 0;
	LOAD(prefetch, fault, kvm_page_fault, prefetch);
	if (prefetch) {
		count_prefetch(state, fault);
		return 0;
	}
	LOAD(word, fault, kvm_page_fault, error_code);
	LOAD(pfn, fault, kvm_page_fault, pfn);
	if (!(pfn & PFN_ERROR_OR_NOSLOT))
		LOAD(level, fault, kvm_page_fault, goal_level);
	if (!told && is_considered(state))
		record_mmu_fault(state, fault, level);
	counters = outcome_counters(state, told, FORMAT_PFERR, word);
	if (!counters)
		return 0;
	if (level)
		count_level(counters, level);
	else
		counters->mmio++;
	count_context(counters, fault);
	return 0;
}
#endif

#if defined(WITH_FAST_PAGE_FAULT) && defined(HAVE_KVM_PAGE_FAULT_STRUCT)
/* x86: vcpu, fault, sptep, old_spte, ret. Without the MMU lock; falls to the slow path unless fixed. */
PROBE(fast_page_fault)
{
	int outcome = (int)ctx->args[4];
	u64 fault = ctx->args[1], word = 0;
	struct fault_counters *counters;
	struct vcpu_counts *state;
	int told = is_told_before();
	bool prefetch = 0;

	if (outcome != RET_PF_FIXED && outcome != RET_PF_SPURIOUS)
		return 0;
	LOAD(prefetch, fault, kvm_page_fault, prefetch);
	if (prefetch)
		return 0;
	state = current_state(ctx->args[0]);
	if (!state)
		return 0;
	LOAD(word, fault, kvm_page_fault, error_code);
	if (!told && is_considered(state))
		record_mmu_fault(state, fault, 0);
	counters = outcome_counters(state, told, FORMAT_PFERR, word);
	if (!counters)
		return 0;
	if (outcome == RET_PF_FIXED)
		counters->fast++;
	else
		counters->spurious++;
	count_context(counters, fault);
	return 0;
}
#endif

#ifdef WITH_HANDLE_MMIO_PAGE_FAULT
/* x86: addr, gfn, access. A page that KVM has cached as MMIO; the word is not shown. */
PROBE(handle_mmio_page_fault)
{
	struct vcpu_counts *state = current_state(0);
	struct fault_counters *counters;
	int told = is_told_before();

	if (!state)
		return 0;
	if (!told && is_considered(state)) {
		struct fault_record record = {
			.address = ctx->args[0],
			.frame = ctx->args[1],
			.memslot = NOT_SHOWN_32,
			.private = NOT_SHOWN_8,
		};

		record_fault(state, &record);
	}
	counters = outcome_counters(state, told, FORMAT_NONE, 0);
	if (counters)
		counters->mmio++;
	return 0;
}
#endif

/* reason, errno (0 or negative). In the vCPU's thread, after vcpu_put(). */
PROBE(kvm_userspace_exit)
{
	struct vcpu_counts *state = current_state(0);
	u32 reason = (u32)ctx->args[0];
	int result = (int)ctx->args[1];
	u32 errno = result < 0 ? -result : 0;

	if (!state)
		return 0;
	count_exit(state, reason, errno);
	if (errno == EFAULT || errno == EHWPOISON)
		record_exit(state, reason, errno);
	leave(state);
	return 0;
}
