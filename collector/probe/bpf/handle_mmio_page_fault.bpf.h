/* SPDX-License-Identifier: GPL-2.0-only */
/* kvmmmu:handle_mmio_page_fault, x86: addr, gfn, access. KVM has cached the page as MMIO; the event
 * does not show the word. */

static __always_inline void see_mmio(struct vcpu_counts *state, u64 address, u64 frame)
{
	struct fault_counters *counters;
	int counted = is_counted_before();

	if (!counted && is_considered(state)) {
		struct fault_record record = {
			.address = address,
			.frame = frame,
			.memslot = NOT_SHOWN_32,
			.private = NOT_SHOWN_8,
			.nested = NOT_SHOWN_8,
		};

		record_fault(state, &record);
	}
	counters = outcome_counters(state, counted, FORMAT_NONE, 0);
	if (counters)
		counters->mmio++;
	if (counted)
		note_outcome(state, OUTCOME_MMIO);
	else
		end_stall(state, OUTCOME_MMIO, 0, FORMAT_NONE);
}

#ifdef PREEMPTIBLE
PERF_PROBE(handle_mmio_page_fault, trace_event_raw_handle_mmio_page_fault)
{
	struct vcpu_counts *state = perf_state(EVENT(handle_mmio_page_fault), ANY_VCPU);

	if (state)
		see_mmio(state, event->addr, event->gfn);
	return 1;
}
#endif

PROBE(handle_mmio_page_fault)
{
	struct vcpu_counts *state;

	if (perf_counted(EVENT(handle_mmio_page_fault)))
		return 0;
	state = raw_state(EVENT(handle_mmio_page_fault), 0);
	if (state)
		see_mmio(state, ctx->args[0], ctx->args[1]);
	return 0;
}
