// SPDX-License-Identifier: GPL-2.0-only
/*
 * What waits for a userfaultfd, and who holds it (collector/probe/userfaultfds.py).
 *
 *   look_userfaultfd()   the threads that wait for one, run by user space
 *   iterate_task_file()  the processes that hold some, read by user space
 *   on_sched_switch()    attached only while vCPUs are known to wait: whether the
 *                        userfaultfd was closed when one of them ran again
 *
 * A thread that touches a missing page waits in one of two queues: of requests
 * that nobody has read yet, or of those that somebody has read and not
 * answered. A thread that waits keeps its userfaultfd from being freed, so what
 * that says when the thread runs again is still true.
 *
 * The queues may change while they are read: each entry is read without a
 * lock, and what it says is used only where it is of a vCPU that is asleep in a
 * fault, or of an address in its VM's memory.
 */
#include "kernel.bpf.h"

#define MOST_WAITING 64
#define MOST_HELD    16

struct waiting_thread {
	u64 address; /* in its process */
	u64 kvm;     /* 0 where it runs no vCPU */
	u64 instance;
	u32 vcpu;
	u32 is_read; /* whether the request was read */
};

struct waiting_threads {
	u64 mm;
	u64 head; /* of the queue that is read, and the next of its entries */
	u64 node;
	u32 count;
	u32 is_released;
	struct waiting_thread threads[MOST_WAITING];
};
BPF_ARRAY(waiting, struct waiting_threads, 1);

struct asked_userfaultfds {
	u64 contexts[MOST_HELD];
};
BPF_ARRAY(holders_question, struct asked_userfaultfds, 1);

struct holder {
	u64 context;
	u32 tgid;
	u32 is_stopped;
};

/* A pointer as a number to the compiler, with its type to the verifier. */
#define TYPED(pointer)                           \
	({                                       \
		u64 number = (u64)(pointer);     \
		asm volatile("" : "+r"(number)); \
		number;                          \
	})

#define PENDING(context) \
	((context) + __builtin_offsetof(struct userfaultfd_ctx, fault_pending_wqh.head))
#define READ_ONES(context) ((context) + __builtin_offsetof(struct userfaultfd_ctx, fault_wqh.head))

static __always_inline void look_at_thread(u64 node, struct waiting_thread *found)
{
	u64 entry = node - __builtin_offsetof(struct userfaultfd_wait_queue, wq.entry);
	u64 task = 0, notifier = 0, vcpu = 0;
	u32 id = 0;

	READ(found->address, entry, userfaultfd_wait_queue, msg.arg.pagefault.address);
	READ(task, entry, userfaultfd_wait_queue, wq.private);
	found->kvm = 0;
	found->instance = 0;
	/* See sched_switch.bpf.h. */
	READ(notifier, task, task_struct, preempt_notifiers.first);
	if (!notifier)
		return;
	vcpu = notifier - __builtin_offsetof(struct kvm_vcpu, preempt_notifier.link);
	READ(id, vcpu, kvm_vcpu, vcpu_id);
	found->vcpu = id;
	READ(found->kvm, vcpu, kvm_vcpu, kvm);
	if (found->kvm)
		found->instance = instance_of(debugfs_dentry(found->kvm));
}

static __always_inline void begin_queue(struct waiting_threads *answer, u64 head)
{
	answer->head = head;
	answer->node = 0;
	bpf_probe_read_kernel(&answer->node, sizeof(answer->node), (void *)head);
}

/* Read both queues. How far it is is kept in the answer, where the verifier takes it for unknown.
 */
static __always_inline void look_at_queues(u64 context, struct waiting_threads *answer)
{
	bool is_released = 0;

	READ(answer->mm, context, userfaultfd_ctx, mm);
	READ(is_released, context, userfaultfd_ctx, released);
	answer->is_released = is_released;
	answer->count = 0;
	begin_queue(answer, PENDING(context));
	for (u32 step = 0; step < MOST_WAITING + 2; step++) {
		u64 node = answer->node;
		u32 count = answer->count;

		if (!node || count >= MOST_WAITING)
			break;
		if (node == answer->head) {
			if (node == READ_ONES(context))
				break;
			begin_queue(answer, READ_ONES(context));
			continue;
		}
		answer->threads[count].is_read = answer->head == READ_ONES(context);
		look_at_thread(node, &answer->threads[count]);
		answer->count = count + 1;
		bpf_probe_read_kernel(&answer->node, sizeof(answer->node), (void *)node);
	}
}

/* The threads that wait for the userfaultfd args[0]. */
int look_userfaultfd(struct bpf_raw_tracepoint_args *ctx)
{
	u32 zero = 0;
	struct waiting_threads *answer = waiting.lookup(&zero);

	if (answer)
		look_at_queues(ctx->args[0], answer);
	return 0;
}

#define MOST_WATCHED 1024
#define RAN_RELEASED 1
#define RAN	     2

/* A thread that was seen to wait. */
struct watched_thread {
	u64 context;
	u64 mm;
	u32 ran; /* 0: it has not; RAN_RELEASED: when the userfaultfd was closed, or RAN */
	u32 pad;
};
BPF_TABLE("hash", u32, struct watched_thread, watched_threads, MOST_WATCHED);

/* sched:sched_switch: preempt, prev, next. See sched_switch.bpf.h. */
int on_sched_switch(struct bpf_raw_tracepoint_args *ctx)
{
	u64 next = ctx->args[2], notifier = 0, mm = 0;
	struct watched_thread *watched;
	bool is_released = 0;
	u32 tid = 0;

	LOAD(notifier, next, task_struct, preempt_notifiers.first);
	if (!notifier)
		return 0;
	LOAD(tid, next, task_struct, pid);
	watched = watched_threads.lookup(&tid);
	/* Once it has run it keeps nothing. */
	if (!watched || watched->ran)
		return 0;
	READ(is_released, watched->context, userfaultfd_ctx, released);
	READ(mm, watched->context, userfaultfd_ctx, mm);
	watched->ran = is_released && mm == watched->mm ? RAN_RELEASED : RAN;
	return 0;
}

/* include/linux/sched.h: __TASK_STOPPED, __TASK_TRACED. */
#define STOPPED 0xc

int iterate_task_file(struct bpf_iter__task_file *ctx)
{
	u64 meta = TYPED(ctx->meta), task = TYPED(ctx->task), file = TYPED(ctx->file), seq = 0;
	struct asked_userfaultfds *asked;
	struct holder holder = {};
	u32 zero = 0, state = 0, tgid = 0;

	asked = holders_question.lookup(&zero);
	if (!task || !file || !asked)
		return 0;
	LOAD(holder.context, file, file, private_data);
	if (!holder.context)
		return 0;
	for (u32 number = 0; number < MOST_HELD; number++) {
		if (asked->contexts[number] != holder.context)
			continue;
		LOAD(tgid, task, task_struct, tgid);
		LOAD(state, task, task_struct, __state);
		holder.tgid = tgid;
		holder.is_stopped = (state & STOPPED) != 0;
		LOAD(seq, meta, bpf_iter_meta, seq);
		bpf_seq_write((struct seq_file *)seq, &holder, sizeof(holder));
		break;
	}
	return 0;
}
