// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds out whether programs on raw tracepoints can be preempted. A kernel on
 * which they can be calls migrate_disable() around them
 * (kernel/trace/bpf_trace.c, __bpf_trace_run()), so migration_disabled is not 0
 * in the program. Other kernels disable preemption instead. The loader attaches
 * this program and starts a thread, which fires the tracepoint.
 *
 * The answer: 0 not known, 1 they cannot be preempted, 2 they can.
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
