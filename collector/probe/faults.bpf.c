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

/* include/uapi/linux/kvm.h; macros are not in BTF. */
#define KVM_EXIT_MEMORY_FAULT 39
#define KVM_MEM_LOG_DIRTY_PAGES 1
#define EFAULT 14
#define EHWPOISON 133

/* plan.py names the tracepoints to attach; loader.py attaches on_<tracepoint> to each. */
#define PROBE(tracepoint) int on_##tracepoint(struct bpf_raw_tracepoint_args *ctx)

static __always_inline struct fault_counters *counters_of(struct thread *thread, u32 format, u64 word)
{
	struct fault_key key = {
		.vm = thread->vm,
		.word = word,
		.vcpu = thread->vcpu_id,
		.format = format,
	};
	struct fault_counters *counters = fault_counts.lookup(&key);

	if (!counters) {
		struct fault_counters zero = {};

		fault_counts.insert(&key, &zero);
		counters = fault_counts.lookup(&key);
		if (!counters)
			count_lost(LOST_KEYS_FULL);
	}
	return counters;
}

#ifdef WITH_KVM_GUEST_FAULT
/* arm64: vcpu_pc, hsr (ESR_EL2), hxfar (FAR_EL2), ipa. Passes no vCPU. */
PROBE(kvm_guest_fault)
{
	struct thread *thread = current_thread(0);
	struct fault_counters *counters;

	if (!thread)
		return 0;
	thread->pc = ctx->args[0];
	thread->word = ctx->args[1];
	thread->address = ctx->args[2];
	thread->ipa = ctx->args[3];
	thread->format = FORMAT_ESR_EL2;
	thread->pending = 1;
	counters = counters_of(thread, FORMAT_ESR_EL2, ctx->args[1]);
	if (counters)
		counters->faults++;
	return 0;
}
#endif

#ifdef WITH_KVM_PAGE_FAULT
/* x86: vcpu, address, error code; before 6.1 without the vCPU. */
PROBE(kvm_page_fault)
{
#ifdef HAVE_KVM_PAGE_FAULT_VCPU
	struct thread *thread = current_thread(ctx->args[0]);
	u64 address = ctx->args[1], word = ctx->args[2];
#else
	struct thread *thread = current_thread(0);
	u64 address = ctx->args[0], word = (u32)ctx->args[1];
#endif
	struct fault_counters *counters;
	int zero = 0;
	u32 *seen = page_fault_seen.lookup(&zero);

	if (seen && !*seen)
		*seen = 1;
	if (!thread)
		return 0;
	thread->word = word;
	thread->address = address;
	thread->format = PAGE_FAULT_FORMAT;
	thread->pending = 1;
	counters = counters_of(thread, PAGE_FAULT_FORMAT, word);
	if (counters)
		counters->faults++;
	return 0;
}
#endif

#if defined(WITH_KVM_MMU_SPTE_REQUESTED) || defined(WITH_FAST_PAGE_FAULT) || defined(WITH_HANDLE_MMIO_PAGE_FAULT)
/*
 * The counters to which a kvmmmu event's outcome belongs: those of the
 * kvm_page_fault before it, or, where this flavour has none, of the fault that
 * the event itself describes, which is counted here.
 */
static __always_inline struct fault_counters *outcome_counters(struct thread *thread, u32 format, u64 word)
{
	int zero = 0;
	u32 *seen = page_fault_seen.lookup(&zero);
	struct fault_counters *counters;

	if (seen && *seen) {
		if (!thread->pending)
			return NULL;
		thread->pending = 0;
		return counters_of(thread, thread->format, thread->word);
	}
	counters = counters_of(thread, format, word);
	if (counters)
		counters->faults++;
	return counters;
}
#endif

#ifdef HAVE_KVM_PAGE_FAULT_STRUCT
static __always_inline void count_context(struct fault_counters *counters, struct kvm_page_fault *fault)
{
	u32 slot_flags = 0;

#ifdef HAVE_IS_PRIVATE
	if (fault->is_private)
		counters->private++;
#endif
	if (!fault->slot) {
		counters->no_memslot++;
		return;
	}
	READ(slot_flags, (u64)fault->slot, kvm_memory_slot, flags);
	if (slot_flags & KVM_MEM_LOG_DIRTY_PAGES)
		counters->dirty_logging++;
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

/* x86: the fault is about to be mapped. */
PROBE(kvm_mmu_spte_requested)
{
	struct thread *thread;
	struct fault_counters *counters;
	struct kvm_page_fault fault = {};

	bpf_probe_read_kernel((void *)&fault, sizeof(fault), (void *)ctx->args[0]);
	thread = current_thread(0);
	if (!thread)
		return 0;
	if (fault.prefetch) {
		/* Asked for by the VMM or KVM ahead of the guest: no guest fault. */
		counters = counters_of(thread, FORMAT_PFERR, fault.error_code);
		if (counters)
			counters->prefetched++;
		/* Not always within KVM_RUN, whose end alone would tell that the thread may change its vCPU. */
		thread->running = 0;
		return 0;
	}
	counters = outcome_counters(thread, FORMAT_PFERR, fault.error_code);
	if (!counters)
		return 0;
	if (fault.pfn & PFN_ERROR_OR_NOSLOT)
		counters->mmio++;
	else
		count_level(counters, fault.goal_level);
	count_context(counters, &fault);
	return 0;
}
#endif

#if defined(WITH_FAST_PAGE_FAULT) && defined(HAVE_KVM_PAGE_FAULT_STRUCT)
/* x86: vcpu, fault, sptep, old_spte, ret. Without the MMU lock; falls to the slow path unless fixed. */
PROBE(fast_page_fault)
{
	int outcome = (int)ctx->args[4];
	struct thread *thread;
	struct fault_counters *counters;
	struct kvm_page_fault fault = {};

	if (outcome != RET_PF_FIXED && outcome != RET_PF_SPURIOUS)
		return 0;
	bpf_probe_read_kernel((void *)&fault, sizeof(fault), (void *)ctx->args[1]);
	if (fault.prefetch)
		return 0;
	thread = current_thread(ctx->args[0]);
	if (!thread)
		return 0;
	counters = outcome_counters(thread, FORMAT_PFERR, fault.error_code);
	if (!counters)
		return 0;
	if (outcome == RET_PF_FIXED)
		counters->fast++;
	else
		counters->spurious++;
	count_context(counters, &fault);
	return 0;
}
#endif

#ifdef WITH_HANDLE_MMIO_PAGE_FAULT
/* x86: addr, gfn, access. A page that KVM has cached as MMIO; the word is not shown. */
PROBE(handle_mmio_page_fault)
{
	struct thread *thread = current_thread(0);
	struct fault_counters *counters;

	if (!thread)
		return 0;
	counters = outcome_counters(thread, FORMAT_NONE, 0);
	if (counters)
		counters->mmio++;
	return 0;
}
#endif

#ifdef ARCH_X86_64
static __always_inline u64 guest_pc(struct thread *thread)
{
	u64 vcpu = thread->vcpu;
	u32 available = 0;
	u64 rip = 0;

	/* VMX reads RIP from the VMCS only when asked; it is stale until then. */
	READ(available, vcpu, kvm_vcpu, arch.regs_avail);
	if (!(available & (1U << VCPU_REGS_RIP)))
		return 0;
	READ(rip, vcpu, kvm_vcpu, arch.regs[VCPU_REGS_RIP]);
	return rip;
}
#else
static __always_inline u64 guest_pc(struct thread *thread)
{
	return thread->pending ? thread->pc : 0;
}
#endif

static __always_inline void record_exit(struct thread *thread, u32 reason, u32 errno)
{
	struct exit_record record = {};
	u64 vcpu = thread->vcpu, run = 0;

	record.vm = thread->vm;
	record.vcpu = thread->vcpu_id;
	record.monotonic_ns = bpf_ktime_get_ns();
	record.reason = reason;
	record.errno = errno;
	record.pc = guest_pc(thread);
	if (thread->pending) {
		record.word = thread->word;
		record.address = thread->address;
		record.ipa = thread->ipa;
		record.format = thread->format;
	}
#ifdef HAVE_MEMORY_FAULT
	/* Only then is the union in kvm_run this structure. */
	if (reason == KVM_EXIT_MEMORY_FAULT) {
		READ(run, vcpu, kvm_vcpu, run);
		READ(record.flags, run, kvm_run, memory_fault.flags);
		READ(record.gpa, run, kvm_run, memory_fault.gpa);
		READ(record.size, run, kvm_run, memory_fault.size);
	}
#endif
	if (exit_records.ringbuf_output(&record, sizeof(record), BPF_RB_NO_WAKEUP))
		count_lost(LOST_EXIT_RECORDS);
}

/* reason, errno (0 or negative). In the vCPU's thread, after vcpu_put(). */
PROBE(kvm_userspace_exit)
{
	struct thread *thread = current_thread(0);
	struct exit_key key = {};
	int result = (int)ctx->args[1];
	u64 *count;

	if (!thread)
		return 0;
	key.vm = thread->vm;
	key.vcpu = thread->vcpu_id;
	key.reason = (u32)ctx->args[0];
	key.errno = result < 0 ? -result : 0;
	count = exit_counts.lookup(&key);
	if (!count) {
		u64 zero = 0;

		exit_counts.insert(&key, &zero);
		count = exit_counts.lookup(&key);
	}
	if (count)
		*count += 1;
	else
		count_lost(LOST_KEYS_FULL);
	if (key.errno == EFAULT || key.errno == EHWPOISON)
		record_exit(thread, key.reason, key.errno);
	thread->running = 0;
	thread->pending = 0;
	return 0;
}
