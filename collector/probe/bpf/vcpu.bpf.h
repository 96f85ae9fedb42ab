/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which vCPU the current thread runs.
 *
 * On most kernels the tracepoints in the fault path pass no vCPU. But the
 * thread is inside ioctl(vcpu_fd, ...): KVM_RUN, or one that maps memory ahead.
 * So it has the vCPU's preempt notifier. Where it leaves the ioctl it has not any
 * more, but its saved user registers hold the file descriptor, and the file's
 * private_data is the struct kvm_vcpu (virt/kvm/kvm_main.c, create_vcpu_fd()).
 */

struct ioctl_args {
	u64 number;
	u64 fd;
	u64 command;
};

#if defined(ARCH_X86_64)
#define NR_IOCTL	16
#define NR_IOCTL_COMPAT 54
#define USER32_CS	0x23
static __always_inline int read_ioctl_args(u64 regs, struct ioctl_args *args)
{
	u64 cs = 0;

	LOAD(cs, regs, pt_regs, cs);
	LOAD(args->number, regs, pt_regs, orig_ax);
	if ((cs & 0xffff) == USER32_CS) {
		LOAD(args->fd, regs, pt_regs, bx);
		LOAD(args->command, regs, pt_regs, cx);
		return args->number == NR_IOCTL_COMPAT;
	}
	LOAD(args->fd, regs, pt_regs, di);
	LOAD(args->command, regs, pt_regs, si);
	return args->number == NR_IOCTL;
}
#elif defined(ARCH_AARCH64)
#define NR_IOCTL 29
static __always_inline int read_ioctl_args(u64 regs, struct ioctl_args *args)
{
	s32 number = -1;

	LOAD(number, regs, pt_regs, syscallno);
	LOAD(args->fd, regs, pt_regs, orig_x0);
	return number == NR_IOCTL;
}
#endif

/* Return the current task, as a number to the compiler and with its type to the verifier. */
static __always_inline u64 current_task(void)
{
	u64 task = (u64)bpf_get_current_task_btf();

	asm volatile("" : "+r"(task));
	return task;
}

struct running {
	u64 vcpu; /* struct kvm_vcpu * */
	u64 kvm;  /* struct kvm * */
	u32 vcpu_id;
	u32 pad;
};

/*
 * The thread inside an ioctl of a vCPU owns the vCPU's mutex. The owner's lower
 * bits are flags of the lock (kernel/locking/mutex.c, rtmutex_common.h).
 */
#if defined(HAVE_MUTEX_OWNER)
#define VCPU_LOCK_OWNER mutex.owner
#elif defined(HAVE_RT_MUTEX)
#define VCPU_LOCK_OWNER mutex.rtmutex.owner
#endif
#define LOCK_BITS 7ULL

/*
 * Whether the current thread is inside an ioctl of this vCPU. Another thread
 * may have replaced the file behind the descriptor since the ioctl began, by
 * another vCPU or by a file of another kind. KVM allows a vCPU's ioctls only in
 * its VM's address space, so a file of another kind fails the comparison of
 * address spaces.
 */
static __always_inline int is_in_ioctl_of(u64 task, u64 vcpu, u64 kvm)
{
	u64 vm_mm = 0, task_mm = 0;

#ifdef VCPU_LOCK_OWNER
	u64 owner = 0;

	READ(owner, vcpu, kvm_vcpu, VCPU_LOCK_OWNER);
	if ((owner & ~LOCK_BITS) != task)
		return 0;
#endif
	READ(vm_mm, kvm, kvm, mm);
	LOAD(task_mm, task, task_struct, mm);
	return vm_mm && vm_mm == task_mm;
}

#define VCPU_ID_END	(__builtin_offsetof(struct kvm_vcpu, vcpu_id) + sizeof(u32))
#define VCPU_HEAD_BYTES 64

/* Read the vCPU's VM and number. On all kernels so far the two fields are close together, so one
 * read is enough. */
static __always_inline void read_vcpu(struct running *running)
{
	if (VCPU_ID_END <= VCPU_HEAD_BYTES &&
	    __builtin_offsetof(struct kvm_vcpu, kvm) < VCPU_ID_END) {
		u64 head[VCPU_HEAD_BYTES / sizeof(u64)] = {};

		bpf_probe_read_kernel(head, VCPU_ID_END, (const void *)running->vcpu);
		running->kvm = *(u64 *)((void *)head + __builtin_offsetof(struct kvm_vcpu, kvm));
		running->vcpu_id = *(u32 *)((void *)head + VCPU_ID_END - sizeof(u32));
	} else {
		READ(running->kvm, running->vcpu, kvm_vcpu, kvm);
		READ(running->vcpu_id, running->vcpu, kvm_vcpu, vcpu_id);
	}
}

/* struct kvm_vcpu, given its preempt notifier in a task's list. */
#define VCPU_OF(notifier) ((notifier) - __builtin_offsetof(struct kvm_vcpu, preempt_notifier.link))

/*
 * Return the vCPU whose ioctl a task is inside, from vcpu_load() to vcpu_put();
 * 0 if there is none. Nobody but KVM has preempt notifiers, and the first is that
 * vCPU's, whatever file is behind the descriptor by now.
 */
static __always_inline u64 loaded_vcpu(u64 task)
{
	u64 notifier = 0;

	LOAD(notifier, task, task_struct, preempt_notifiers.first);
	return notifier ? VCPU_OF(notifier) : 0;
}

/* Find the vCPU that the current thread runs. Returns 0 if it runs none. */
static __always_inline int find_vcpu(u64 task, struct running *running)
{
	struct ioctl_args args = {};
	u64 files = 0, fdt = 0, fds = 0, file = 0;
	u32 max_fds = 0;

	running->vcpu = loaded_vcpu(task);
	if (running->vcpu) {
		read_vcpu(running);
		return 1;
	}
	if (!read_ioctl_args(bpf_task_pt_regs((struct task_struct *)task), &args))
		return 0;
	LOAD(files, task, task_struct, files);
	LOAD(fdt, files, files_struct, fdt);
	LOAD(max_fds, fdt, fdtable, max_fds);
	if ((u32)args.fd >= max_fds)
		return 0;
	LOAD(fds, fdt, fdtable, fd);
	bpf_probe_read_kernel(&file, sizeof(file), (void *)(fds + 8 * (u32)args.fd));
	READ(running->vcpu, file, file, private_data);
	read_vcpu(running);
	return is_in_ioctl_of(task, running->vcpu, running->kvm);
}

/* include/uapi/asm/kvm.h, KVM_X86_TDX_VM; macros are not in BTF. */
#define TDX_VM 5

/* Whether KVM may retry a fault of this VM before the guest continues (arch/x86/kvm/vmx/tdx.c,
 * tdx_handle_ept_violation()). */
static __always_inline u8 retries_within(u64 kvm)
{
#ifdef WITH_TDX
	typeof(((struct kvm *)0)->arch.vm_type) type = 0;

	READ(type, kvm, kvm, arch.vm_type);
	return type == TDX_VM;
#else
	return 0;
#endif
}

static __always_inline void register_vm(u64 task, struct vm_key *key, u64 dentry)
{
	struct vm_record record = {};
	u64 leader = 0, name = 0;

	record.first_monotonic_ns = bpf_ktime_get_ns();
	record.tgid = bpf_get_current_pid_tgid() >> 32;
	LOAD(leader, task, task_struct, group_leader);
	LOAD(record.start_boottime_ns, leader, task_struct, start_boottime);
	READ(record.comm, leader, task_struct, comm);
	if (dentry) {
		READ(name, dentry, dentry, d_name.name);
		bpf_probe_read_kernel_str(record.stats_name, sizeof(record.stats_name),
					  (void *)name);
	}
	vms.insert(key, &record);
}

/* Insert a VM into the map vms if it is new. Returns 0 if the map is full: user space could not
 * name a VM that is not in it, so nothing of it is counted. */
static __always_inline int note_vm(u64 task, struct vm_key *key, u64 dentry)
{
	if (vms.lookup(key))
		return 1;
	register_vm(task, key, dentry);
	return vms.lookup(key) != NULL;
}
