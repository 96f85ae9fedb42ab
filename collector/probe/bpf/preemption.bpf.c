// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether programs on raw tracepoints can be preempted: a kernel that lets
 * them be keeps the thread on its CPU meanwhile (migrate_disable(), in
 * kernel/trace/bpf_trace.c, __bpf_trace_run()), one that does not has
 * preemption off already. Attached to an event that the loader brings about.
 */
BPF_ARRAY(preemption, u32, 1);

int on_task_newtask(struct bpf_raw_tracepoint_args *ctx)
{
	u64 task = bpf_get_current_task();
	u32 index = 0;
	u32 *answer = preemption.lookup(&index);
	unsigned short depth = 0;

	bpf_probe_read_kernel(
		&depth, sizeof(depth),
		(void *)(task + __builtin_offsetof(struct task_struct, migration_disabled)));
	if (answer)
		*answer = depth ? 2 : 1;
	return 0;
}
