/*
 * State kept in the kernel. The counts are per CPU and only grow; user space
 * takes the difference of two readings, so no update can fall between a read
 * and a reset. A key names its vCPU, and a vCPU runs in one thread at a time,
 * so a plain increment loses nothing even where tracepoints can be preempted.
 */

/* One thread inside KVM_RUN. Valid for one KVM_RUN: the next may run another vCPU. */
struct thread {
	struct vm_key vm;		/* first: loader.py finds an ended VM's threads by it */
	u64 vcpu;		/* struct kvm_vcpu * */
	u64 word;		/* of the newest fault, until it is seen to be resolved */
	u64 address;
	u64 ipa;
	u64 pc;
	u32 vcpu_id;
	u32 format;
	u32 running;
	u32 pending;		/* word holds a fault whose outcome is not known yet */
};

BPF_F_TABLE("hash", u32, struct thread, threads, MAX_THREADS, BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct vm_key, struct vm_record, vms, MAX_VMS, BPF_F_NO_PREALLOC);
BPF_F_TABLE("percpu_hash", struct fault_key, struct fault_counters, fault_counts, MAX_KEYS,
	    BPF_F_NO_PREALLOC);
BPF_F_TABLE("percpu_hash", struct exit_key, u64, exit_counts, MAX_KEYS, BPF_F_NO_PREALLOC);
BPF_PERCPU_ARRAY(lost, u64, LOST_KINDS);
BPF_RINGBUF_OUTPUT(exit_records, EXIT_RING_PAGES);

/* Set once kvm_page_fault has fired: from then on it is what counts a fault. */
BPF_ARRAY(page_fault_seen, u32, 1);

static __always_inline void count_lost(int kind)
{
	u64 *value = lost.lookup(&kind);

	if (value)
		__sync_fetch_and_add(value, 1);
}
