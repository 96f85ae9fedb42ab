// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes a process's mappings, one after the other, for whoever reads the
 * iterator (collector/probe/mappings.py). It takes the lock of the address
 * space for reading, mapping by mapping, and touches no page.
 */
#include "kernel.bpf.h"

#define PATH_BYTES 512

struct mapping {
	u64 start;
	u64 end;
	u64 mm;
	u64 flags;
	u64 page_offset;
	u64 userfaultfd; /* whether one is registered; its address */
	u32 mode;	 /* of the file, 0 where there is none */
	u32 path_bytes;	 /* 0: no file, and no path follows */
	u32 page_shift;	 /* of the file's file system */
	u32 has_limit;	 /* whether its file system has one: the two below */
	u64 file_bytes;
	u64 limit_blocks;
	s64 used_blocks; /* less what CPUs have not added up yet */
	char path[PATH_BYTES];
};
BPF_ARRAY(mapping_written, struct mapping, 1);

#define HEAD_BYTES __builtin_offsetof(struct mapping, path)

/* A pointer as a number to the compiler, with its type to the verifier. */
#define TYPED(pointer)                           \
	({                                       \
		u64 number = (u64)(pointer);     \
		asm volatile("" : "+r"(number)); \
		number;                          \
	})

#define TMPFS_MAGIC 0x01021994

/* How full a tmpfs is that may hold only so much. */
static __always_inline void note_limit(u64 inode, struct mapping *mapping)
{
#ifdef HAVE_SHMEM_LIMIT
	u64 superblock = 0, magic = 0, info = 0, limit = 0;
	s64 used = 0;

	LOAD(superblock, inode, inode, i_sb);
	LOAD(magic, superblock, super_block, s_magic);
	if (magic != TMPFS_MAGIC)
		return;
	LOAD(info, superblock, super_block, s_fs_info);
	READ(limit, info, shmem_sb_info, max_blocks);
	READ(used, info, shmem_sb_info, used_blocks.count);
	mapping->has_limit = limit != 0;
	mapping->limit_blocks = limit;
	mapping->used_blocks = used;
#endif
}

int iterate_task_vma(struct bpf_iter__task_vma *ctx)
{
	u64 meta = TYPED(ctx->meta), vma = TYPED(ctx->vma), file = 0, seq = 0, inode = 0;
	u32 zero = 0;
	struct mapping *mapping = mapping_written.lookup(&zero);

	if (!vma || !mapping)
		return 0;
	LOAD(seq, meta, bpf_iter_meta, seq);
	LOAD(mapping->start, vma, vm_area_struct, vm_start);
	LOAD(mapping->end, vma, vm_area_struct, vm_end);
	LOAD(mapping->mm, vma, vm_area_struct, vm_mm);
	LOAD(mapping->flags, vma, vm_area_struct, vm_flags);
	LOAD(mapping->page_offset, vma, vm_area_struct, vm_pgoff);
	mapping->userfaultfd = 0;
#ifdef HAVE_USERFAULTFD
	LOAD(mapping->userfaultfd, vma, vm_area_struct, vm_userfaultfd_ctx.ctx);
#endif
	mapping->mode = 0;
	mapping->path_bytes = 0;
	mapping->page_shift = 0;
	mapping->has_limit = 0;
	mapping->file_bytes = 0;
	mapping->limit_blocks = 0;
	mapping->used_blocks = 0;
	LOAD(file, vma, vm_area_struct, vm_file);
	if (file) {
		u16 mode = 0;
		u8 shift = 0;
		u64 bytes = 0;
		long length;

		LOAD(inode, file, file, f_inode);
		LOAD(mode, inode, inode, i_mode);
		LOAD(shift, inode, inode, i_blkbits);
		mapping->mode = mode;
		mapping->page_shift = shift;
		LOAD(bytes, inode, inode, i_size);
		mapping->file_bytes = bytes;
		note_limit(inode, mapping);
		length = bpf_d_path((struct path *)(file + __builtin_offsetof(struct file, f_path)),
				    mapping->path, PATH_BYTES);
		/* A path that is too long is shown as none. */
		if (length <= 0)
			mapping->path[0] = 0;
		mapping->path_bytes = PATH_BYTES;
	}
	if (mapping->path_bytes)
		bpf_seq_write((struct seq_file *)seq, mapping, sizeof(*mapping));
	else
		bpf_seq_write((struct seq_file *)seq, mapping, HEAD_BYTES);
	return 0;
}
