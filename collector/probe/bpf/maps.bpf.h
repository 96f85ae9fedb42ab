/*
 * State kept in the kernel. Everything counted only grows; user space takes
 * the difference of two readings, so no update can fall between a read and a
 * reset. A vCPU runs in one thread at a time, and all of its counts are its
 * own, so a plain increment loses nothing.
 *
 * A thread's state lies in an array, its home, at a place that its tid gives:
 * where a hash lookup costs about 45 ns, this costs 5. What has no home (two
 * places taken, or a thread that runs several vCPUs) is in the map vcpus.
 */

/* The vCPU that a thread without a home for it is running. */
struct overflow_thread {
	struct vcpu_key key;
	u32 running;
	u32 pad;
};

BPF_F_TABLE("array", u32, struct vcpu_counts, slots, SLOTS, BPF_F_MMAPABLE);
BPF_F_TABLE("hash", u32, u32, slot_owners, SLOTS, BPF_F_NO_PREALLOC); /* home -> tid */
BPF_F_TABLE("hash", struct vcpu_key, struct vcpu_counts, overflow, MAX_OVERFLOW, BPF_F_NO_PREALLOC);
/* Who has not been seen for long may be forgotten: it is found out anew. */
BPF_TABLE("lru_hash", u32, struct overflow_thread, overflow_threads, MAX_OVERFLOW_THREADS);
BPF_F_TABLE("hash", struct vm_key, struct vm_record, vms, MAX_VMS, BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct fault_key, struct fault_counters, fault_counts, MAX_KEYS,
	    BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct exit_key, u64, exit_counts, MAX_KEYS, BPF_F_NO_PREALLOC);
BPF_ARRAY(lost, struct lost, 1);
BPF_ARRAY(used, struct used, 1);
BPF_ARRAY(raw_side_only, struct raw_side_only, 1);
/* Threads whose newest event the perf side could not attribute, and its EVENT(). */
BPF_TABLE("lru_hash", u32, u32, unattributed, MAX_OVERFLOW_THREADS);
BPF_RINGBUF_OUTPUT(exit_records, EXIT_RING_PAGES);
BPF_RINGBUF_OUTPUT(fault_records, FAULT_RING_PAGES);
/* Never written: they show what the rings' records are, which a ring's own type does not. */
BPF_ARRAY(exit_record_type, struct exit_record, 1);
BPF_ARRAY(fault_record_type, struct fault_record, 1);

BPF_ARRAY(written_since_wakeup, u64, 1);

/* Written by user space: what to record of every VM, and of some VMs instead. */
BPF_ARRAY(record_default, struct record_order, 1);
BPF_ARRAY(orders_number, u16, 1); /* another with every change of these */
BPF_F_TABLE("hash", struct vm_key, struct record_order, record_orders, MAX_VMS, BPF_F_NO_PREALLOC);

/*
 * Written by user space. A set counts while the turn is its own, which is
 * never 0; otherwise nothing is counted, nor lost. A set that takes over from
 * another has the other's turn, so one store ends the one and begins the next.
 */
BPF_ARRAY(active_generation, u32, 1);
BPF_ARRAY(own_generation, u32, 1);

/* Set once kvm_page_fault has fired: from then on it is what counts a fault. */
BPF_ARRAY(page_fault_seen, u32, 1);

/*
 * Written and read by user space alone. The *_checkpoint maps hold the counters at
 * which the newest batch was cut, so that whoever reads next goes on from
 * there, be it another process.
 */
BPF_ARRAY(layout, struct layout_text, 1);
BPF_ARRAY(about, struct about, 1);
BPF_F_TABLE("hash", u32, struct vcpu_counts, slots_checkpoint, SLOTS, BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct vcpu_key, struct vcpu_counts, overflow_checkpoint, MAX_OVERFLOW,
	    BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct fault_key, struct fault_counters, fault_counts_checkpoint, MAX_KEYS,
	    BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct exit_key, u64, exit_counts_checkpoint, MAX_KEYS, BPF_F_NO_PREALLOC);
BPF_ARRAY(lost_checkpoint, struct lost, 1);
/* Faults that no program saw and the newest batches have all the same, by KVM's own count
 * (reader.py). */
BPF_F_TABLE("hash", struct vm_key, u64, missed_faults_checkpoint, MAX_VMS, BPF_F_NO_PREALLOC);

/* All zero: a state is too large for the stack. */
BPF_ARRAY(blank, struct vcpu_counts, 1);

static __always_inline struct used *what_is_used(void)
{
	u32 index = 0;

	return used.lookup(&index);
}

/* Before something is put into a map: whoever finds it unused has missed nothing. */
#define NOTE_USED(map)                              \
	do {                                        \
		struct used *maps = what_is_used(); \
                                                    \
		if (maps && !maps->map)             \
			maps->map = 1;              \
	} while (0)

static __always_inline struct lost *what_was_lost(void)
{
	u32 index = 0;

	return lost.lookup(&index);
}

#define ADD_TO_LOST(kind, number)                                   \
	do {                                                        \
		struct lost *kinds = what_was_lost();               \
                                                                    \
		if (kinds)                                          \
			__sync_fetch_and_add(&kinds->kind, number); \
	} while (0)

#define COUNT_LOST(kind) ADD_TO_LOST(kind, 1)
/* What was counted as lost has been found after all. */
#define TAKE_BACK_LOST(kind) ADD_TO_LOST(kind, -1)
