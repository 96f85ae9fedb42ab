/* SPDX-License-Identifier: GPL-2.0-only */
/* The memslot that KVM looked up last for a vCPU. When KVM_RUN fails for a fault, it is the
 * fault's: with PVM, which shows no guest-physical address, this is all that says where in the
 * guest it was. */

#ifdef HAVE_LAST_USED_SLOT
/* In the vCPU's thread. Memslots that have changed since make it stale: then it is not shown. */
static __always_inline void note_memslot(u64 vcpu, struct exit_record *record)
{
	u64 slot = 0, generation = 0, kvm = 0, memslots = 0, now = 0;
	u16 number = 0;

	READ(slot, vcpu, kvm_vcpu, last_used_slot);
	READ(generation, vcpu, kvm_vcpu, last_used_slot_gen);
	READ(kvm, vcpu, kvm_vcpu, kvm);
	bpf_probe_read_kernel(&memslots, sizeof(memslots),
			      (void *)(kvm + __builtin_offsetof(struct kvm, memslots)));
	READ(now, memslots, kvm_memslots, generation);
	if (!slot || generation != now)
		return;
	READ(number, slot, kvm_memory_slot, id);
	READ(record->slot_gfn, slot, kvm_memory_slot, base_gfn);
	READ(record->slot_pages, slot, kvm_memory_slot, npages);
	READ(record->slot_address, slot, kvm_memory_slot, userspace_addr);
	READ(record->slot_flags, slot, kvm_memory_slot, flags);
	record->slot = number;
#ifdef HAVE_GUEST_MEMFD
	{
		u64 file = 0, inode = 0, page = 0;

		READ(file, slot, kvm_memory_slot, gmem.file);
		if (file) {
			READ(page, slot, kvm_memory_slot, gmem.pgoff);
			READ(inode, file, file, f_inode);
			READ(record->memfd_bytes, inode, inode, i_size);
			record->memfd_page = page;
		}
	}
#endif
}
#else
static __always_inline void note_memslot(u64 vcpu, struct exit_record *record)
{
}
#endif
