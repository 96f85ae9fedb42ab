/* SPDX-License-Identifier: GPL-2.0-only */
/* KVM's software context of a fault, read from struct kvm_page_fault. Only the raw side's arguments
 * have a pointer to it. */

/* include/uapi/linux/kvm.h; macros are not in BTF. */
#define KVM_MEM_LOG_DIRTY_PAGES 1

/* include/linux/kvm_host.h: KVM_PFN_ERR_MASK, KVM_PFN_NOSLOT. */
#define PFN_ERROR_OR_NOSLOT 0xfff0000000000000ULL

#ifdef HAVE_KVM_PAGE_FAULT_STRUCT
static __always_inline void count_context(struct fault_counters *counters, u64 fault)
{
	u64 slot = 0;
	u32 flags = 0;

#ifdef HAVE_IS_PRIVATE
	bool is_private = 0;

	LOAD(is_private, fault, kvm_page_fault, is_private);
	if (is_private)
		counters->private ++;
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

/* Record a fault that kvm_page_fault does not report (PVM). */
static __always_inline void record_mmu_fault(struct vcpu_counts *state, u64 fault, u8 level)
{
	struct fault_record record = {
		.format = FORMAT_PFERR,
		.memslot = NOT_SHOWN_32,
		.private = NOT_SHOWN_8,
		.nested = NOT_SHOWN_8,
	};
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
