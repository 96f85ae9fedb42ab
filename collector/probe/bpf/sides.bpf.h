/*
 * Two looks at each event, where programs can be preempted (preemption.py
 * finds out whether they can).
 *
 * A program on a raw tracepoint that can be preempted is skipped for every
 * other thread of its CPU until it goes on (kernel/trace/bpf_trace.c,
 * __bpf_trace_run(), 7.3). One on the perf side of the same tracepoint, by a
 * perf event, runs with preemption off (include/trace/perf.h); it is skipped
 * only while a bpf() system call was preempted on that CPU at a map
 * (bpf_disable_instrumentation()). So each event has both. The perf side is
 * attached first, hence runs first: it counts what the event's record tells.
 * The raw side runs next, in the same thread: it adds what its arguments alone
 * show, and counts the event where the perf side was skipped. An event is
 * missed only where both were; the kernel's counts of skipped runs and
 * raw_side_only tell how many.
 *
 * What the raw side is expected to add is owed until it has run. The thread's
 * next event settles a debt that was not owed_nothing.
 */

/* A number for each tracepoint: from where it has its count in struct raw_side_only. */
#define EVENT(tracepoint) (__builtin_offsetof(struct raw_side_only, tracepoint) / sizeof(u64) + 1)
#define EVENT_NONE	  0

#ifdef PREEMPTIBLE
/* Plus an outcome, OUTCOME_* in count.bpf.h, which counts only if the page was not mapped ahead of
 * the guest. */
#define OWES_NOTHING 0
#define OWES_OUTCOME 16 /* the outcome and the context of the newest fault */
#define OWES_FAULT   32 /* the fault as well, since the raw side alone has its word */

static __always_inline void count_owed(struct vcpu_counts *state)
{
	struct fault_counters *counters;
	u32 owed = state->owed;
	int in_map = 0;

	if (owed == OWES_NOTHING)
		return;
	state->owed = OWES_NOTHING;
	if (owed >= OWES_FAULT) {
		counters = counters_of(state, FORMAT_NONE, 0, &in_map);
		count_fault(state, counters, in_map);
	} else {
		state->pending = 0;
		counters = counters_of(state, state->format, state->word, &in_map);
	}
	if (!counters)
		return;
	end_fault(state, counters, owed % OWES_OUTCOME);
	counters->context_unknown++;
}

/*
 * The perf side's kind: where the event is counted, or NULL, which is counted
 * as lost. vcpu_id as find_state() has it.
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

/* The raw side's kind at an event that the perf side has counted; NULL where it has not. */
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

/* Whether the perf side has run for this event, and could not attribute it. */
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
 * Where the raw side counts what the perf side was skipped for, or could not
 * attribute: some tracepoints pass the vCPU, which their record does not have.
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
