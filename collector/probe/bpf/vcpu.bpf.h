/*
 * Which vCPU the current thread runs.
 *
 * Tracepoints in the fault path pass no vCPU on most kernels. The thread is
 * inside ioctl(vcpu_fd, ...), KVM_RUN or one that maps memory ahead, so its
 * saved user registers hold the file descriptor, and the file's private_data
 * is the struct kvm_vcpu (virt/kvm/kvm_main.c, create_vcpu_fd()).
 */

/*
 * Kernel addresses are u64 here, and fields are read by their offset: BCC
 * rewrites dereferences and arguments of pointer type, and does so wrongly for
 * pointers that were themselves read explicitly. The compiler, too, may make
 * an access to a member of an address of known type, at a wrong offset: LLVM
 * 14 lays out structures with more than 128 bits of padding otherwise for BPF.
 */
#define READ(dst, pointer, type, field)            \
	bpf_probe_read_kernel(&(dst), sizeof(dst), \
			      (const void *)(pointer) + __builtin_offsetof(struct type, field))

/*
 * The same for what the tracepoint passed, or the current task, and what that
 * points to. Where the verifier knows its type (TYPED_ARGUMENTS), a load costs
 * a nanosecond, and 40 otherwise.
 */
#ifdef TYPED_ARGUMENTS
#define LOAD(dst, pointer, type, field)                                                        \
	((dst) = (typeof(dst))*(                                                               \
		 volatile typeof(((struct type *)0)->field) *)((void *)(pointer) +             \
							       __builtin_offsetof(struct type, \
										  field)))
#else
#define LOAD READ
#endif

struct ioctl_args {
	u64 number;
	u64 fd;
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
		return args->number == NR_IOCTL_COMPAT;
	}
	LOAD(args->fd, regs, pt_regs, di);
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

/* The current task; its type is hidden from the compiler, and known to the verifier. */
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
 * Who holds the vCPU's lock: the thread that is in an ioctl of it. The lower
 * bits are the lock's own (kernel/locking/mutex.c, rtmutex_common.h).
 */
#if defined(HAVE_MUTEX_OWNER)
#define VCPU_LOCK_OWNER mutex.owner
#elif defined(HAVE_RT_MUTEX)
#define VCPU_LOCK_OWNER mutex.rtmutex.owner
#endif
#define LOCK_BITS 7ULL

/*
 * Whether the current thread is in an ioctl of this vCPU. Another thread may
 * have put another file under its number since the ioctl began: another vCPU's,
 * or one of another kind. KVM lets a vCPU be used only in its VM's own address
 * space, which no other kind of file's private data will point to.
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

/* Which vCPU of which VM it is; on every kernel so far these two are close to one another. */
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

/* The vCPU that the current thread is running. Returns 0 where it runs none. */
static __always_inline int find_vcpu(u64 task, struct running *running)
{
	struct ioctl_args args = {};
	u64 files = 0, fdt = 0, fds = 0, file = 0;
	u32 max_fds = 0;

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

/* Whether KVM tries a fault of this VM's again before the guest goes on (arch/x86/kvm/vmx/tdx.c,
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

/* The VM's debugfs directory, or 0 where the kernel has none. */
static __always_inline u64 debugfs_dentry(u64 kvm)
{
	u64 dentry = 0;

	READ(dentry, kvm, kvm, debugfs_dentry);
	/* An error pointer where debugfs is off. */
	return dentry < (u64)-4095 ? dentry : 0;
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

/* What tells this VM from others that were at its address. */
static __always_inline u64 instance_of(u64 dentry)
{
	u64 inode = 0, number = 0;

	if (!dentry)
		return 0;
	READ(inode, dentry, dentry, d_inode);
	READ(number, inode, inode, i_ino);
	return number;
}

/* Note a VM if it is new. Returns 0 where there is no room: nothing may be counted that user space
 * cannot name. */
static __always_inline int note_vm(u64 task, struct vm_key *key, u64 dentry)
{
	if (vms.lookup(key))
		return 1;
	register_vm(task, key, dentry);
	return vms.lookup(key) != NULL;
}
