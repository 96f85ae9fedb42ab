/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Faults of a vCPU on the same page again and again, by which user space finds
 * livelocks (collector/counting/livelocks.py).
 *
 * An instruction may need two pages, its own and that of its operand, which
 * fault in turn. So a fault repeats if it is at one of the two pages that the
 * vCPU faulted on last. Whoever goes through memory never gets beyond two
 * comparisons and two stores for each fault, beside what the fault reads
 * anyway. The clock and the instruction are read at one in REPEATS_READ_ONE_IN
 * that repeat.
 */

#define PAGE_BITS	    12
#define REPEATS_READ_ONE_IN 16

static __always_inline int is_same_page(u64 one, u64 other)
{
	return (one ^ other) >> PAGE_BITS == 0;
}

/* Where the repeated faults began with another instruction, they begin anew. */
static __always_inline void compare_repeats(struct vcpu_counts *state, u64 address, u64 word,
					    u32 format)
{
	u64 pc = guest_pc(state);

	if (state->repeats > REPEATS_READ_ONE_IN && pc == state->repeats_pc)
		return;
	state->repeats_since_ns = bpf_ktime_get_ns();
#ifdef WITH_KVM_GUEST_FAULT
	/* address is FAR_EL2, guest-virtual. */
	address = state->ipa | (address & ((1 << PAGE_BITS) - 1));
#endif
	state->repeats_address = address;
	state->repeats_pc = pc;
	state->repeats_word = word;
	state->repeats_format = format;
	state->repeats_unmapped = 0;
	state->repeats = REPEATS_READ_ONE_IN;
}

/* Take note of a fault's page if it is a third one, as that of most faults is. Returns 0, and has
 * done nothing, if it is not. before: the address of the vCPU's fault before. */
static __always_inline int note_third_page(struct vcpu_counts *state, u64 before, u64 address)
{
	if (is_same_page(before, address) || is_same_page(state->earlier_address, address))
		return 0;
	state->earlier_address = before;
	state->repeats = 0;
	return 1;
}

static __always_inline void note_repeat(struct vcpu_counts *state, u64 before, u64 address,
					u32 is_unmapped)
{
	if (!is_same_page(before, address))
		state->earlier_address = before;
	state->repeats++;
	if (is_unmapped)
		state->repeats_unmapped++;
}

/* The same if it is one of the last two, and there is nothing to read for it. */
static __always_inline int note_page_again(struct vcpu_counts *state, u64 before, u64 address,
					   u32 is_unmapped)
{
	if ((state->repeats + 1) % REPEATS_READ_ONE_IN == 0 ||
	    (!is_same_page(before, address) && !is_same_page(state->earlier_address, address)))
		return 0;
	note_repeat(state, before, address, is_unmapped);
	return 1;
}

/*
 * Take note of the page of a fault, or of what may become one.
 *
 * before       the address of the vCPU's fault before.
 * is_unmapped  nothing was mapped since then.
 */
static __always_inline void note_page(struct vcpu_counts *state, u64 before, u64 address, u64 word,
				      u32 format, u32 is_unmapped)
{
	if (note_third_page(state, before, address))
		return;
	note_repeat(state, before, address, is_unmapped);
	if (state->repeats % REPEATS_READ_ONE_IN == 0)
		compare_repeats(state, address, word, format);
}
