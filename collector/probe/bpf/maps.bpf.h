/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps. Counters never decrease and are never reset: user space takes the
 * difference of two readings, so no increment is lost between a read and a
 * reset. A vCPU runs in one thread at a time and has counters of its own, so
 * plain increments are enough.
 *
 * Each vCPU thread owns a slot in the array slots. The tid gives the slot's
 * index, which costs 5 ns where a hash lookup costs 45. A vCPU without a slot
 * (both possible slots belong to other threads, or its thread runs several
 * vCPUs) is counted in the hash map overflow.
 */

/* The vCPU that a thread runs without a slot for it. */
struct overflow_thread {
	struct vcpu_key key;
	u32 running;
	u32 pad;
};

BPF_F_TABLE("array", u32, struct vcpu_counts, slots, SLOTS, BPF_F_MMAPABLE);
BPF_F_TABLE("hash", u32, u32, slot_owners, SLOTS, BPF_F_NO_PREALLOC); /* slot -> tid */
BPF_F_TABLE("hash", struct vcpu_key, struct vcpu_counts, overflow, MAX_OVERFLOW, BPF_F_NO_PREALLOC);
/* The LRU may evict an idle thread: enter() then finds its vCPU again. */
BPF_TABLE("lru_hash", u32, struct overflow_thread, overflow_threads, MAX_OVERFLOW_THREADS);
BPF_F_TABLE("hash", struct vm_key, struct vm_record, vms, MAX_VMS, BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct fault_key, struct fault_counters, fault_counts, MAX_KEYS,
	    BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct exit_key, u64, exit_counts, MAX_KEYS, BPF_F_NO_PREALLOC);
BPF_F_TABLE("array", u32, struct vcpu_stalls, stall_slots, SLOTS, BPF_F_MMAPABLE);
BPF_F_TABLE("hash", struct vcpu_key, struct vcpu_stalls, stall_overflow, MAX_OVERFLOW,
	    BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct stall_key, struct stall_cell, stall_counts, MAX_KEYS, BPF_F_NO_PREALLOC);
BPF_TABLE("stacktrace", u32, struct wait_stack, stacks, MAX_STACKS);
BPF_F_TABLE("hash", struct wait_key, struct wait, wait_counts, MAX_WAITS, BPF_F_NO_PREALLOC);
/* And of the host, under a key of zeros. */
BPF_F_TABLE("hash", struct vm_key, struct pressure, pressures, MAX_VMS + 1, BPF_F_NO_PREALLOC);
/* Written by user space: of VMs that have ended; and when sched_switch was attached anew. */
BPF_ARRAY(gone_vcpus, u64, 1);
BPF_ARRAY(switches_since_ns, u64, 1);
BPF_ARRAY(lost, struct lost, 1);
BPF_ARRAY(used, struct used, 1);
BPF_ARRAY(raw_side_only, struct raw_side_only, 1);
/* By thread, the EVENT() of its newest event, if the perf side could not attribute it. */
BPF_TABLE("lru_hash", u32, u32, unattributed, MAX_OVERFLOW_THREADS);
BPF_RINGBUF_OUTPUT(exit_records, EXIT_RING_PAGES);
BPF_RINGBUF_OUTPUT(fault_records, FAULT_RING_PAGES);
/* Never written. Their value types describe the rings' records to user space. */
BPF_ARRAY(exit_record_type, struct exit_record, 1);
BPF_ARRAY(fault_record_type, struct fault_record, 1);

BPF_ARRAY(written_since_wakeup, u64, 1);

/* Written by user space: what to record of all VMs, and exceptions for single VMs. */
BPF_ARRAY(record_default, struct record_order, 1);
BPF_ARRAY(orders_number, u16, 1); /* incremented after each change of these two */
BPF_F_TABLE("hash", struct vm_key, struct record_order, record_orders, MAX_VMS, BPF_F_NO_PREALLOC);

/*
 * Written by user space. A set of programs counts while active_generation
 * equals its own_generation, which is never 0. Otherwise its programs count
 * nothing, not even as lost. A set that takes over from another set shares that
 * set's active_generation, so a single write stops the old programs and starts
 * the new ones.
 */
BPF_ARRAY(active_generation, u32, 1);
BPF_ARRAY(own_generation, u32, 1);

/* 1 once kvm_page_fault has fired: then it counts the faults, and kvmmmu events the outcomes. */
BPF_ARRAY(page_fault_seen, u32, 1);

/*
 * Written and read by user space only. The *_checkpoint maps hold the counters
 * that the newest batch ends with. The next reading starts there, also when a
 * new collector process takes it.
 */
BPF_ARRAY(layout, struct layout_text, 1);
BPF_ARRAY(about, struct about, 1);
BPF_F_TABLE("hash", u32, struct vcpu_counts, slots_checkpoint, SLOTS, BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct vcpu_key, struct vcpu_counts, overflow_checkpoint, MAX_OVERFLOW,
	    BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct fault_key, struct fault_counters, fault_counts_checkpoint, MAX_KEYS,
	    BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct exit_key, u64, exit_counts_checkpoint, MAX_KEYS, BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", u32, struct vcpu_stalls, stall_slots_checkpoint, SLOTS, BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct vcpu_key, struct vcpu_stalls, stall_overflow_checkpoint, MAX_OVERFLOW,
	    BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct wait_key, struct wait, wait_counts_checkpoint, MAX_WAITS,
	    BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct vm_key, struct pressure, pressures_checkpoint, MAX_VMS + 1,
	    BPF_F_NO_PREALLOC);
BPF_F_TABLE("hash", struct stall_key, struct stall_cell, stall_counts_checkpoint, MAX_KEYS,
	    BPF_F_NO_PREALLOC);
BPF_ARRAY(lost_checkpoint, struct lost, 1);
/* Missed faults that batches have reported so far, by VM (reader.py). */
BPF_F_TABLE("hash", struct vm_key, u64, missed_faults_checkpoint, MAX_VMS, BPF_F_NO_PREALLOC);

/* All zeros, to initialise entries of the overflow maps: these are too large for the stack. */
BPF_ARRAY(blank, struct vcpu_counts, 1);
BPF_ARRAY(blank_stalls, struct vcpu_stalls, 1);

static __always_inline struct used *what_is_used(void)
{
	u32 index = 0;

	return used.lookup(&index);
}

/* Mark a map as not empty. Call it before inserting: a reader that sees the map unmarked misses
 * nothing by skipping it. */
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
/* Correct the count: the raw side has counted what the perf side had reported as lost. */
#define TAKE_BACK_LOST(kind) ADD_TO_LOST(kind, -1)
