/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading the kernel's structures, and telling one VM from another. */

/*
 * Kernel addresses are u64 here, and fields are read by offset. BCC rewrites
 * dereferences and arguments of pointer type, which is wrong for pointers that
 * were themselves read explicitly. The compiler can use a wrong offset as well:
 * LLVM 14 lays out structures with more than 128 bits of padding differently
 * for BPF.
 */
#define READ(dst, pointer, type, field)            \
	bpf_probe_read_kernel(&(dst), sizeof(dst), \
			      (const void *)(pointer) + __builtin_offsetof(struct type, field))

/*
 * As READ, for the tracepoint's arguments, the current task, and what they
 * point to. If the verifier knows their types (TYPED_ARGUMENTS), a load costs
 * one nanosecond; else 40.
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

/* The VM's debugfs directory, or 0 where the kernel has none. */
static __always_inline u64 debugfs_dentry(u64 kvm)
{
	u64 dentry = 0;

	READ(dentry, kvm, kvm, debugfs_dentry);
	/* An error pointer where debugfs is off. */
	return dentry < (u64)-4095 ? dentry : 0;
}

/* Return a number that differs between VMs at the same kernel address. */
static __always_inline u64 instance_of(u64 dentry)
{
	u64 inode = 0, number = 0;

	if (!dentry)
		return 0;
	READ(inode, dentry, dentry, d_inode);
	READ(number, inode, inode, i_ino);
	return number;
}
