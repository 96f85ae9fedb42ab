/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The structures that BPF and user space share. User space reads fields by
 * name (collector/probe/layout.py) at the offsets that the compiler chose
 * (compiled.py), so a field may be added anywhere. A field whose meaning
 * changes needs a new name. A field or map that is only renamed needs a row in
 * renamed.py, for sets that an earlier version pinned.
 *
 * What the values in them mean is written down in layout.py alone; source.py
 * defines it for the compiler: FORMAT_*, the formats of a hardware word;
 * RECORD_*, what of a VM is recorded; NOT_SHOWN*.
 */

/*
 * One VM. The kernel may reuse the address of a struct kvm; the inode number
 * of the VM's debugfs directory distinguishes the two VMs (0 on kernels
 * without debugfs).
 */
struct vm_key {
	u64 kvm;
	u64 instance;
};

struct vm_record {
	u64 first_monotonic_ns; /* when it first faulted or left KVM_RUN */
	u64 start_boottime_ns;	/* of the VMM's process */
	u64 last_record_ns;	/* monotonic; of the newest that a sample took */
	u32 tgid;
	u32 pad;
	char comm[16];
	char stats_name[32]; /* "<creator tid>-<vm fd>", the debugfs directory */
};

/* Only ever grow. The names are those of faultmodel.record.COUNTERS. */
struct fault_counters {
	u64 faults;
	u64 mapped_4k;
	u64 mapped_2m;
	u64 mapped_1g;
	u64 fast;
	u64 spurious;
	u64 mmio;
	u64 private;
	u64 no_memslot;
	u64 dirty_logging;
	u64 prefetched;
	u64 nested;
	u64 context_unknown;
};

/* The faults of one vCPU with one word. */
struct syndrome {
	u64 word;
	u32 format;
	u32 used;
	struct fault_counters counters;
};

/* The exits to user space of one vCPU with one reason; unused while count is 0. */
struct exit_reason {
	u32 reason;
	u32 errno; /* positive; 0 where KVM_RUN succeeded */
	u64 count;
};

#define KVM_COUNT_UNKNOWN (~0ULL)

#define SYNDROMES	  8
#define EXIT_REASONS	  6

/*
 * All counts of one vCPU. The first words that a vCPU faults with are counted
 * in place; further words and exit reasons are in the maps fault_counts and
 * exit_counts. A word is always counted in the same place.
 *
 * seen = the sum of the syndromes' faults + in_map + uncounted, but for the
 * instant in which a program is between two of its additions.
 */
struct vcpu_counts {
	struct vm_key vm;
	u64 vcpu; /* struct kvm_vcpu * */
	u32 tid;  /* owner of this slot; 0: free, or a vCPU in the map overflow */
	u32 vcpu_id;
	u32 running;	/* the thread is inside KVM_RUN with this vCPU */
	u32 pending;	/* the outcome of the newest fault is not known yet */
	u32 place;	/* index of this slot; of no use to a vCPU in the map overflow */
	u32 word_place; /* of the word that was counted last: its index in syndromes, or IN_MAP */
	u64 seen;
	u16 gap;    /* by how much next_record advances */
	u16 orders; /* the orders_number that next_record was computed for */
	/* The fault under way, where events show that one begins (stall.bpf.h): beside what each
	 * fault reads, so that no further line of the cache is needed. Of an entry into the guest
	 * all that is read lies before this. */
	u16 is_open;
	u16 noted;	     /* OUTCOME_* of it so far; of the newest fault, once that has ended */
	u64 next_record;     /* the value of seen at which a record is next considered */
	u64 begun_ns;	     /* 0: not timed so far */
	u64 slept_ns;	     /* within it, until the thread last woke up */
	u64 asleep_since_ns; /* while it is asleep */
	u64 walk_address;
	u64 earlier_address; /* of the newest fault at another page (repeat.bpf.h) */
	u32 repeats;	     /* how many in turn were at one of these two pages */
	u32 walk_word;
	u32 timed_left;	  /* how many more faults are timed before the next reading */
	u32 untimed;	  /* since the last that was timed */
	u32 format;	  /* of the newest fault */
	u32 entry_unseen; /* whether the guest last went on from a fault unseen: see
			     end_open_stall() */
	u64 kvm_exits;	  /* KVM's count of the guest's exits, when the fault under way began */
	u64 noted_ns;	  /* when noted was, of the fault under way; 0: not known */
	u32 generation;	  /* own_generation when the thread entered KVM_RUN: counts_as_before() */
	u32 pad;
	u64 word;
	u64 address;
	u64 ipa;
	u64 pc;
	u64 in_map;    /* faults counted in fault_counts */
	u64 uncounted; /* faults that found fault_counts full */
	u64 recorded;
	u64 dropped;	      /* records that found the ring buffer full */
	u64 last_record_seen; /* seen, at the newest record */
	u8 nested;	/* whether the newest fault was taken while L2 ran: 0, 1, or NOT_SHOWN_8 */
	u8 retries;	/* whether KVM may try several times within one fault */
	u16 held;	/* with retries: 1 + the latest outcome of the newest fault; 0: none */
	u16 perf_event; /* the newest event that the perf side has counted: EVENT() in sides.bpf.h
			 */
	u16 owed;	/* what the raw side has still to add to that event: OWES_* */
	u64 kvm_count;	/* KVM's own count of faults, at the newest one; or KVM_COUNT_UNKNOWN */
	u64 missed_faults;  /* faults in KVM's count that neither side saw */
	u32 asleep;	    /* 0: its thread is not; else ASLEEP_*: see switches_since_ns */
	s32 stack;	    /* in which it fell asleep last within a fault; or NO_STACK */
	u32 opaque_outcome; /* of the fault that is being counted: see fast_page_fault.bpf.h */
	u32 pressed;	    /* while asleep: whether it is in the state of its VM */
	/* Of the faults in repeats, from the REPEATS_READ_ONE_IN-th on: see repeat.bpf.h. */
	u64 repeats_since_ns;
	u64 repeats_unmapped; /* with nothing mapped since the fault before */
	u64 repeats_address;
	u64 repeats_pc; /* or NOT_SHOWN */
	u64 repeats_word;
	u32 repeats_format;
	u32 pad2;
	struct syndrome syndromes[SYNDROMES];
	struct exit_reason exits[EXIT_REASONS];
};

/* Faults of one vCPU that ended with one outcome, by how long they stalled it. */
struct stall_cell {
	/* 0: unused. From the lowest bits on: the place of the word in syndromes, or IN_MAP (4
	 * bits), OUTCOME_* (5), nested (1), the octave plus 2 (6). */
	u32 kind;
	u32 pad;
	u64 quarters[4]; /* faults in each quarter of the octave */
	u64 running_ns;
	u64 blocked_ns;
};

#define STALL_CELLS 16

/*
 * The stalls of one vCPU, at the same place as its counts. A vCPU without a slot
 * has them in the map stall_overflow.
 *
 * ended = the sum of the cells' quarters + in_map + uncounted, but for the
 * instant in which a program is between two of its additions.
 */
struct vcpu_stalls {
	struct vm_key vm;
	u32 vcpu_id;
	u32 tid;
	u32 used;   /* whether the fields are of this vCPU */
	u32 opaque; /* to the verifier: of the fault that is being counted, see end_stall() */
	u64 ended;
	u64 in_map;	/* counted in stall_counts */
	u64 longest_ns; /* since user space has set it to 0; and the cell that it is counted in */
	u64 uncounted;	/* found stall_counts full */
	u64 opaque_ns;
	u32 longest_kind;
	u32 pad[11]; /* each cell is a line of the cache */
	struct stall_cell cells[STALL_CELLS];
};

struct stall_key {
	struct vm_key vm;
	u64 word;
	u32 vcpu;
	u32 format;
	u32 kind; /* of struct stall_cell, with IN_MAP as its place */
	u32 pad;
};

#define ASLEEP_IN_FAULT 1
#define ASLEEP_IDLE	2
#define NO_STACK	(-1)
#define STACK_FRAMES	64

/* A kernel stack: return addresses, the innermost first. */
struct wait_stack {
	u64 addresses[STACK_FRAMES];
};

struct wait_key {
	struct vm_key vm;
	s32 stack; /* its id, or NO_STACK */
	u32 pad;
};

/* Sleeps of a VM's vCPUs within faults. Only ever grow. */
struct wait {
	u64 sleeps;
	u64 ns;
};

/* How long a VM, or the host, has stood still: see wait.bpf.h. Times are sums of moments. */
struct pressure {
	u64 state;
	u64 number; /* of vCPUs: of the VM, that are in state; of the host: those of gone_vcpus that
		      are not any more */
	u64 some_begun_ns;
	u64 some_ended_ns;
	u64 full_begun_ns;
	u64 full_ended_ns;
};

struct vcpu_key {
	struct vm_key vm;
	u32 vcpu;
	u32 pad;
};

struct fault_key {
	struct vm_key vm;
	u64 word;
	u32 vcpu;
	u32 format;
};

struct exit_key {
	struct vm_key vm;
	u32 vcpu;
	u32 reason;
	u32 errno;
	u32 pad;
};

/* One guest fault. */
struct fault_record {
	struct vm_key vm;
	u64 monotonic_ns;
	u64 word;
	u64 address; /* GPA or GVA; FAR_EL2 on arm64 */
	u64 frame;   /* x86: gfn, NOT_SHOWN where the tracepoint has none; arm64: IPA */
	u64 pc;	     /* NOT_SHOWN where it could not be had */
	u64 weight;  /* faults of this vCPU in its thread since the record before, this one
			    included */
	u32 vcpu;
	u32 format;
	u32 memslot; /* id, or NOT_SHOWN_32 */
	u8 level;    /* of the mapping; 0 where it is not known */
	u8 private;  /* 0, 1, or NOT_SHOWN_8 */
	u8 nested;   /* likewise */
	u8 pad;
};

/* One memory-fault or bare error exit. */
struct exit_record {
	struct vm_key vm;
	u64 monotonic_ns;
	u64 flags; /* flags, gpa, size: of kvm_run.memory_fault, only for reason 39 */
	u64 gpa;
	u64 size;
	u64 word;    /* of the fault that led here; format FORMAT_NONE where none was shown */
	u64 address; /* GPA or GVA of that fault; FAR_EL2 on arm64 */
	u64 ipa;     /* arm64 */
	u64 pc;	     /* NOT_SHOWN where it could not be had */
	/* Of the memslot that was looked up last; slot is NOT_SHOWN_32 where none is shown. */
	u64 slot_gfn;
	u64 slot_pages;
	u64 slot_address;
	u64 memfd_bytes; /* of its guest_memfd; NOT_SHOWN where none is open */
	u64 memfd_page;	 /* where in it the memslot begins */
	u32 slot;
	u32 slot_flags;
	u32 vcpu;
	u32 reason;
	u32 errno;
	u16 format;
	u8 nested; /* 0, 1, or NOT_SHOWN_8 */
	u8 pad;
	u32 pad2;
};

/* Which faults to record; set by user space. */
struct record_order {
	u64 spacing_ns; /* RECORD_SAMPLE: least time between two records of one VM */
	u32 level;
	u32 others; /* in record_default: whether record_orders has an entry */
};

/* The layout of the maps, as text (compiled.py), padded with zeros. */
struct layout_text {
	char text[16384];
};

/* Identity of this set of programs and maps, and its latest checkpoint. */
struct about {
	u8 counting[16];
	u8 fingerprint[16];
	u64 batch;		     /* number of the newest batch that has its counts */
	u64 checkpoint_monotonic_ns; /* when its counters were read */
	u64 checkpoint_utc_ns;
	u64 missed_runs;    /* their number at that time */
	u64 exits_position; /* positions in the rings up to which the batch has the records */
	u64 faults_position;
};

/* Which maps hold anything at all, by their names. A large map takes a millisecond to find empty.
 */
struct used {
	u32 fault_counts;
	u32 exit_counts;
	u32 overflow;
	u32 stall_counts;
	u32 stall_overflow;
	u32 wait_counts;
	u32 pressures;
};

/* Events that only the raw side of their tracepoint has seen (sides.bpf.h). */
struct raw_side_only {
	u64 kvm_guest_fault;
	u64 kvm_page_fault;
	u64 kvm_mmu_spte_requested;
	u64 fast_page_fault;
	u64 handle_mmio_page_fault;
	u64 kvm_userspace_exit;
	u64 kvm_mmu_pagetable_walk;
	u64 kvm_mmu_walker_error;
	u64 kvm_access_fault;
	u64 kvm_mmio;
	u64 kvm_mmio_nisv;
	u64 kvm_inject_nested_exception;
};

/* What was seen and not kept, by the names of faultmodel.kinds.LossKind. */
struct lost {
	u64 keys_full;
	u64 unattributed;
	u64 exit_records;
	u64 stalls_full;
	u64 waits_full;
};
