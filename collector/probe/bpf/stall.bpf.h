/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long faults stall their vCPUs.
 *
 *   begin_stall()    a fault has begun; or may have: the guest's page tables are walked
 *   note_outcome()   KVM does something about it, maybe not for the last time
 *   fall_asleep()    the thread goes to sleep meanwhile, and wake_up() runs again
 *   end_stall()      the fault has ended: it is counted in a histogram
 *   drop_stall()     it was none: KVM walked the tables for itself
 *
 * Where kvm_entry fires, a fault ends there, with what was noted last. Elsewhere
 * the event that shows its outcome ends it.
 *
 * The collector may shed the program on kvm_entry (collector/sampling/hooks.py).
 * Then a fault stays open until the vCPU's next fault, or exit to user space. By
 * then the guest may have gone on long ago: it has if KVM counts more exits from
 * it than when the fault began. Such a fault is counted with what was noted last,
 * and lasted until that. Where nothing was, or the time was not taken, it is one
 * that was not timed. So each fault is counted once, whether its entry is seen or
 * not, also if the program is detached or attached in between.
 *
 * Every fault that ends is counted. Its time is taken only while its vCPU has
 * some left to take (timed_left, which user space renews with each reading),
 * then of one fault in TIMED_ONE_IN: to read the clock costs more than all the
 * rest. A fault in which the thread sleeps is timed always, from when it falls
 * asleep if not before.
 */

#ifdef WITH_STALLS
static __always_inline struct vcpu_stalls *overflow_stalls(struct vcpu_counts *state)
{
	struct vcpu_key key = {.vm = state->vm, .vcpu = state->vcpu_id};
	struct vcpu_stalls *stalls = stall_overflow.lookup(&key), *zero;
	u32 index = 0;

	if (stalls)
		return stalls;
	zero = blank_stalls.lookup(&index);
	if (!zero)
		return NULL;
	NOTE_USED(stall_overflow);
	stall_overflow.insert(&key, zero);
	return stall_overflow.lookup(&key);
}

/* Return where a vCPU's stalls are counted; NULL if there is no room. */
static __always_inline struct vcpu_stalls *stalls_of(struct vcpu_counts *state)
{
	u32 place = state->place;
	struct vcpu_stalls *stalls =
		state->tid ? stall_slots.lookup(&place) : overflow_stalls(state);

	if (stalls && !stalls->used) {
		stalls->vm = state->vm;
		stalls->vcpu_id = state->vcpu_id;
		stalls->tid = state->tid;
		stalls->used = 1;
	}
	return stalls;
}

/*
 * How long ago this was. bpf_ktime_get_ns() goes back by a little now and then,
 * on another CPU or as NTP adjusts it (ktime_get_mono_fast_ns(),
 * kernel/time/timekeeping.c): then it was now.
 */
static __always_inline u64 elapsed_ns(u64 since_ns, u64 now_ns)
{
	return now_ns > since_ns ? now_ns - since_ns : 0;
}

/* word, address: as the event has them. */
static __always_inline void begin_stall_anew(struct vcpu_counts *state, u64 address, u64 word)
{
	u32 untimed;

	state->walk_address = address;
	state->walk_word = word;
	state->is_open = 1;
	state->slept_ns = 0;
	state->begun_ns = 0;
	untimed = state->untimed + 1;
	if (!state->timed_left && untimed < TIMED_ONE_IN) {
		state->untimed = untimed;
		return;
	}
	if (state->timed_left)
		state->timed_left--;
	else
		state->untimed = 0;
	state->begun_ns = bpf_ktime_get_ns();
}

/* The same, unless KVM tries again: the guest stands still since the first try. */
static __always_inline void begin_stall(struct vcpu_counts *state, u64 address, u64 word)
{
	if (!state->is_open || !is_same_page(state->walk_address, address))
		begin_stall_anew(state, address, word);
}

#ifdef WITH_SCHED_SWITCH
/* The thread leaves its CPU within a fault, and not because another is to run there. stack: the
 * kernel's id, or negative. */
static __always_inline void fall_asleep(struct vcpu_counts *state, s32 stack)
{
	u64 now_ns = bpf_ktime_get_ns();

	state->stack = stack < 0 ? NO_STACK : stack;
	state->asleep_since_ns = now_ns;
	state->asleep = ASLEEP_IN_FAULT;
	state->pressed = press(state, STALLED, now_ns);
}

/* The same within none. */
static __always_inline void fall_idle(struct vcpu_counts *state)
{
	u64 now_ns = bpf_ktime_get_ns();

	state->asleep_since_ns = now_ns;
	state->asleep = ASLEEP_IDLE;
	state->pressed = press(state, IDLE, now_ns);
}

/* Whether this program has been attached since the thread fell asleep. */
static __always_inline int is_seen_since(u64 since_ns)
{
	u32 index = 0;
	u64 *attached_ns = switches_since_ns.lookup(&index);

	return !attached_ns || since_ns >= *attached_ns;
}

static __always_inline void wake_up(struct vcpu_counts *state)
{
	u64 now_ns = bpf_ktime_get_ns(), since_ns = state->asleep_since_ns;

	if (!is_seen_since(since_ns)) {
		state->asleep = 0;
		return;
	}
	if (state->pressed)
		press(state, state->asleep == ASLEEP_IN_FAULT ? -STALLED : -IDLE, now_ns);
	if (state->asleep == ASLEEP_IN_FAULT) {
		u64 slept_ns = elapsed_ns(since_ns, now_ns);

		count_wait(state, slept_ns);
		state->slept_ns += slept_ns;
		if (!state->begun_ns)
			state->begun_ns = since_ns;
	}
	state->asleep = 0;
}
#endif

static __always_inline void drop_stall(struct vcpu_counts *state)
{
	state->is_open = 0;
}

/* When the fault under way has ended: now, unless the guest has gone on unseen. */
static __always_inline u64 end_of_stall(struct vcpu_counts *state)
{
#ifdef WITH_KVM_ENTRY
	if (state->noted_ns)
		return state->noted_ns;
#endif
	return bpf_ktime_get_ns();
}

#define OCTAVE_SHIFT  10
#define NESTED_SHIFT  9
#define OUTCOME_SHIFT 4
#define IS_USED	      (1U << 31)
#define UNTIMED	      0 /* octave -2: see bucket_of() */

/* Return the cell of this kind in the map; NULL if the map is full. */
static __always_inline struct stall_cell *cell_in_map(struct vcpu_counts *state, u32 kind, u64 word,
						      u32 format)
{
	struct stall_key key = {};
	struct stall_cell *cell;

	key.vm = state->vm;
	key.word = word;
	key.vcpu = state->vcpu_id;
	key.format = format;
	key.kind = kind;
	cell = stall_counts.lookup(&key);
	if (!cell) {
		struct stall_cell zero = {};

		NOTE_USED(stall_counts);
		stall_counts.insert(&key, &zero);
		cell = stall_counts.lookup(&key);
	}
	return cell;
}

/* Return the kind of a cell; bucket as bucket_of() returns it. */
static __always_inline u32 kind_of(u32 bucket, u32 outcome, u32 is_nested, u32 place)
{
	return IS_USED | (bucket >> 2) << OCTAVE_SHIFT | is_nested << NESTED_SHIFT |
	       outcome << OUTCOME_SHIFT | place;
}

/* Return bucket_of(), and leave the time in opaque_ns. The verifier does not know what is in
 * memory, and so checks what follows once, not for each bucket and each outcome. */
static __always_inline u32 opaque_bucket_of(struct vcpu_stalls *stalls, u64 ns)
{
	*(volatile u64 *)&stalls->opaque_ns = ns;
	*(volatile u32 *)&stalls->opaque = bucket_of(ns);
	return *(volatile u32 *)&stalls->opaque;
}

#define TRIES 4

/* Return the index of the cell at which a search for this kind begins. */
static __always_inline u32 first_cell(u32 kind, u32 place)
{
	return ((kind >> OCTAVE_SHIFT) + 3 * (kind >> OUTCOME_SHIFT) + 5 * place) &
	       (STALL_CELLS - 1);
}

/* Return the cell of this kind in place, which is claimed if need be; NULL if there is none. */
static __always_inline struct stall_cell *cell_in_place(struct vcpu_stalls *stalls, u32 kind,
							u32 place)
{
	u32 start = first_cell(kind, place), index;
	struct stall_cell *cell;
	int i;

	if (place == IN_MAP)
		return NULL;
#pragma unroll
	for (i = 0; i < TRIES; i++) {
		index = (start + i) & (STALL_CELLS - 1);
		cell = &stalls->cells[index];
		if (cell->kind == kind)
			return cell;
		if (!cell->kind) {
			cell->kind = kind;
			return cell;
		}
	}
	return NULL;
}

/*
 * Count a fault that has ended.
 *
 * outcome  OUTCOME_*.
 * word     the one that counters_of() was called with last.
 */
static __always_inline void end_stall(struct vcpu_counts *state, u32 outcome, u64 word, u32 format)
{
	struct vcpu_stalls *stalls = stalls_of(state);
	u64 ns = 0, slept_ns = 0;
	struct stall_cell *cell;
	u32 place = state->word_place, bucket = UNTIMED << 2, kind;

	if (!stalls) {
		drop_stall(state);
		COUNT_LOST(stalls_full);
		return;
	}
	if (state->is_open && state->begun_ns) {
		ns = elapsed_ns(state->begun_ns, end_of_stall(state));
		slept_ns = state->slept_ns;
		if (slept_ns > ns)
			slept_ns = ns;
		bucket = opaque_bucket_of(stalls, ns);
		ns = *(volatile u64 *)&stalls->opaque_ns;
	}
	state->is_open = 0;
	*(volatile u32 *)&stalls->opaque = kind_of(bucket, outcome, state->nested == 1, place);
	kind = *(volatile u32 *)&stalls->opaque;
	cell = cell_in_place(stalls, kind, place);
	if (!cell) {
		cell = cell_in_map(state, kind | IN_MAP, word, format);
		if (!cell) {
			COUNT_LOST(stalls_full);
			stalls->uncounted++;
			stalls->ended++;
			return;
		}
		stalls->in_map++;
	}
	cell->quarters[bucket & 3]++;
	if (ns) {
		cell->running_ns += ns - slept_ns;
		cell->blocked_ns += slept_ns;
		if (ns > stalls->longest_ns) {
			stalls->longest_ns = ns;
			stalls->longest_kind = kind;
		}
	}
	/* Last: see vcpu_stalls in event.h. */
	stalls->ended++;
}

/* Count a fault whose end was not seen when it was, so that how long it took is not known. Its word
 * is not known either. */
static __always_inline void end_unseen_stall(struct vcpu_counts *state, u32 outcome)
{
	struct vcpu_stalls *stalls = stalls_of(state);
	u32 kind = IS_USED | UNTIMED << OCTAVE_SHIFT | outcome << OUTCOME_SHIFT | IN_MAP;
	struct stall_cell *cell;

	drop_stall(state);
	if (!stalls) {
		COUNT_LOST(stalls_full);
		return;
	}
	cell = cell_in_map(state, kind, 0, FORMAT_NONE);
	if (cell) {
		cell->quarters[0]++;
		stalls->in_map++;
	} else {
		COUNT_LOST(stalls_full);
		stalls->uncounted++;
	}
	stalls->ended++;
}
#else
static __always_inline void drop_stall(struct vcpu_counts *state)
{
}

static __always_inline void end_stall(struct vcpu_counts *state, u32 outcome, u64 word, u32 format)
{
}

static __always_inline void end_unseen_stall(struct vcpu_counts *state, u32 outcome)
{
}
#endif

#ifdef WITH_KVM_ENTRY
/* Return KVM's own count of how often a vCPU has left its guest. */
static __always_inline u64 exits_of(u64 vcpu)
{
	u64 exits = 0;

	READ(exits, vcpu, kvm_vcpu, stat.exits);
	return exits;
}

static __always_inline void note_outcome(struct vcpu_counts *state, u32 outcome)
{
	state->noted = outcome;
	if (state->entry_unseen && state->is_open && state->begun_ns)
		state->noted_ns = bpf_ktime_get_ns();
}

/* Whether nothing was done about the newest fault, as far as events show. */
static __always_inline int was_resumed(struct vcpu_counts *state)
{
	return state->noted == OUTCOME_RESUMED || state->noted == OUTCOME_RETRIED;
}

/*
 * Count the fault under way, if there is one. Its word is that which was counted last.
 *
 * exits  as exits_of(), now.
 */
static __always_inline void end_open_stall(struct vcpu_counts *state, u64 exits)
{
	if (!state->is_open)
		return;
	if (exits == state->kvm_exits) {
		state->noted_ns = 0;
	} else {
		state->entry_unseen = 1;
		if (!state->noted_ns)
			state->begun_ns = 0;
	}
	end_stall(state, state->noted, state->word, state->format);
}

/*
 * The next fault begins. is_same: as the newest one did. If then nothing was done
 * about that one, as far as events show, this is another try. exits: as exits_of().
 */
static __always_inline void begin_next_stall(struct vcpu_counts *state, int is_same, u64 exits)
{
	int is_unmapped = was_resumed(state);

	note_page(state, state->walk_address, state->address, state->word, state->format,
		  is_unmapped);
	state->noted = is_same && is_unmapped ? OUTCOME_RETRIED : OUTCOME_RESUMED;
	state->kvm_exits = exits;
	state->noted_ns = 0;
	begin_stall(state, state->address, state->word);
}
#else
static __always_inline u64 exits_of(u64 vcpu)
{
	return 0;
}

static __always_inline void note_outcome(struct vcpu_counts *state, u32 outcome)
{
}

static __always_inline int was_resumed(struct vcpu_counts *state)
{
	return 0;
}

static __always_inline void end_open_stall(struct vcpu_counts *state, u64 exits)
{
}

static __always_inline void begin_next_stall(struct vcpu_counts *state, int is_same, u64 exits)
{
}
#endif
