/*
 * What crosses from BPF to user space. collector/probe/layout.py mirrors every
 * structure and checks the sizes asserted here; change both or neither.
 */

/* The format of a hardware word; names as in faultmodel/arch. */
#define FORMAT_NONE	0
#define FORMAT_EPT	1
#define FORMAT_NPF	2
#define FORMAT_PFERR	3
#define FORMAT_ESR_EL2	4

/*
 * One struct kvm. The kernel uses an address again once a VM is gone; the
 * inode number of the VM's debugfs directory tells the two apart (0 where the
 * kernel has no debugfs).
 */
struct vm_key {
	u64 kvm;
	u64 instance;
};

struct vm_record {
	u64 first_monotonic_ns;	/* when it first faulted or left KVM_RUN */
	u64 start_boottime_ns;	/* of the VMM's process */
	u32 tgid;
	u32 creator_tid;	/* the thread that made the VM */
	char comm[16];
	char stats_name[32];	/* "<creator tid>-<vm fd>", the debugfs directory */
};

struct fault_key {
	struct vm_key vm;
	u64 word;
	u32 vcpu;
	u32 format;
};

/* Only ever grow. The order is that of faultmodel.record.COUNTERS. */
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
};

struct exit_key {
	struct vm_key vm;
	u32 vcpu;
	u32 reason;
	u32 errno;		/* positive; 0 where KVM_RUN succeeded */
	u32 pad;
};

/* One memory-fault or bare error exit. */
struct exit_record {
	struct vm_key vm;
	u64 monotonic_ns;
	u64 flags;		/* flags, gpa, size: of kvm_run.memory_fault, only for reason 39 */
	u64 gpa;
	u64 size;
	u64 word;		/* of the fault that led here; format FORMAT_NONE where none was shown */
	u64 address;		/* GPA or GVA of that fault; FAR_EL2 on arm64 */
	u64 ipa;		/* arm64 */
	u64 pc;			/* 0 where it could not be had */
	u32 vcpu;
	u32 reason;
	u32 errno;
	u32 format;
};

/* Indexes of the array "lost". */
#define LOST_KEYS_FULL		0
#define LOST_UNATTRIBUTED	1
#define LOST_EXIT_RECORDS	2
#define LOST_KINDS		3

_Static_assert(sizeof(struct vm_record) == 72, "layout.py: VM_RECORD");
_Static_assert(sizeof(struct fault_key) == 32, "layout.py: FAULT_KEY");
_Static_assert(sizeof(struct fault_counters) == 88, "layout.py: FAULT_COUNTERS");
_Static_assert(sizeof(struct exit_key) == 32, "layout.py: EXIT_KEY");
_Static_assert(sizeof(struct exit_record) == 96, "layout.py: EXIT_RECORD");
