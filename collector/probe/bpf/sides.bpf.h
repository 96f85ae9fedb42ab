/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two programs for each event, on kernels where BPF programs can be preempted
 * (preemption.bpf.c finds out whether they can).
 *
 * raw side    A program on the raw tracepoint. If it is preempted, the kernel
 *             skips it for all other threads of that CPU until it continues
 *             (kernel/trace/bpf_trace.c, __bpf_trace_run(), 7.3).
 * perf side   A program on a perf event of the same tracepoint, which runs with
 *             preemption off (include/trace/perf.h). The kernel skips it only
 *             while a bpf() system call is preempted at a map on that CPU
 *             (bpf_disable_instrumentation()).
 *
 * The perf side is attached first, so it runs first, and counts the event from
 * the event's record. The raw side runs next, in the same thread. It adds what
 * only its arguments show, and counts the event if the perf side was skipped.
 * An event is missed only if both sides were skipped. So the missed events are
 * the runs of the perf side that the kernel skipped, less raw_side_only.
 *
 * What the raw side has still to add is "owed". If the raw side is skipped, the
 * thread's next event counts what is owed, without the raw side's part.
 */

/* A number for each tracepoint, from 1: the place of its count in struct raw_side_only. */
#define EVENT(tracepoint) (__builtin_offsetof(struct raw_side_only, tracepoint) / sizeof(u64) + 1)
#define EVENT_NONE	  0

#ifdef PREEMPTIBLE
/* What the raw side has still to add: one of these plus an outcome, OUTCOME_* in count.bpf.h. The
 * outcome does not count if the page was mapped ahead of the guest. */
#define OWES_NOTHING 0
#define OWES_OUTCOME 32 /* the outcome and the context of the newest fault */
#define OWES_FAULT   64 /* also the fault itself: only the raw side has its word */

static __always_inline void count_owed(struct vcpu_counts *state)
{
	struct fault_counters *counters;
	u32 owed = state->owed;

	if (owed == OWES_NOTHING)
		return;
	state->owed = OWES_NOTHING;
	if (owed >= OWES_FAULT) {
		counters = counters_of(state, FORMAT_NONE, 0);
		count_fault(state, counters);
	} else {
		state->pending = 0;
		counters = counters_of(state, state->format, state->word);
		note_outcome(state, owed % OWES_OUTCOME);
	}
	if (counters) {
		end_fault(state, counters, owed % OWES_OUTCOME);
		counters->context_unknown++;
	}
	if (owed >= OWES_FAULT)
		end_unseen_stall(state, owed % OWES_OUTCOME);
}

/*
 * Return the state in which the perf side counts this kind of event; NULL if
 * there is none, which is counted as lost. For vcpu_id see find_state().
 */
static __always_inline struct vcpu_counts *perf_state(u32 kind, u32 vcpu_id)
{
	struct vcpu_counts *state = find_state(0, vcpu_id, kind);

	if (!state)
		return NULL;
	count_owed(state);
	state->perf_event = kind;
	return state;
}

static __always_inline int was_counted_by_perf(struct vcpu_counts *state, u32 tid, u32 kind)
{
	return state && state->tid == tid && state->perf_event == kind;
}

/* Return the state in which the perf side has counted this event; NULL if it has not. */
static __always_inline struct vcpu_counts *perf_counted(u32 kind)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct vcpu_counts *state = slot_of(tid, 0);
	struct overflow_thread *thread;

	if (!was_counted_by_perf(state, tid, kind))
		state = slot_of(tid, 1);
	if (!was_counted_by_perf(state, tid, kind)) {
		thread = overflow_threads.lookup(&tid);
		state = thread ? overflow.lookup(&thread->key) : NULL;
		if (!was_counted_by_perf(state, 0, kind))
			return NULL;
	}
	state->perf_event = EVENT_NONE;
	return state;
}

/* Whether the perf side saw this event and could not attribute it to a vCPU. */
static __always_inline int was_unattributed(u32 kind)
{
	u32 tid = bpf_get_current_pid_tgid();
	u32 *of = unattributed.lookup(&tid);
	int is_this_event = of && *of == kind;

	if (of)
		unattributed.delete(&tid);
	return is_this_event;
}

/*
 * Return the state in which the raw side counts an event that the perf side has
 * not counted: the perf side was skipped, or could not attribute it. Some
 * tracepoints pass the vCPU as an argument that their record does not have.
 */
static __always_inline struct vcpu_counts *raw_state(u32 kind, u64 vcpu)
{
	struct vcpu_counts *state = find_state(vcpu, ANY_VCPU, EVENT_NONE);
	u32 index = 0;
	struct raw_side_only *numbers = raw_side_only.lookup(&index);
	int is_lost = was_unattributed(kind);

	if (!state)
		return NULL;
	if (is_lost)
		TAKE_BACK_LOST(unattributed);
	else if (numbers)
		__sync_fetch_and_add((u64 *)numbers + kind - 1, 1);
	count_owed(state);
	return state;
}
#else
static __always_inline struct vcpu_counts *perf_counted(u32 kind)
{
	return NULL;
}

static __always_inline struct vcpu_counts *raw_state(u32 kind, u64 vcpu)
{
	return find_state(vcpu, ANY_VCPU, kind);
}
#endif
