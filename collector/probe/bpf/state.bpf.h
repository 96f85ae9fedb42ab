/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finding the state in which the current thread's vCPU is counted.
 *
 * A tracepoint shows which thread runs, but often not which vCPU. A tid maps to
 * two indexes of the array slots. The thread claims the first free one by an
 * insert into the map slot_owners, which succeeds for one thread only, and owns
 * the slot until user space frees it after the VM's end.
 *
 *   inside KVM_RUN      the thread's slot is "running": it is the state. No
 *                       hash lookup, no walk through the file table.
 *   entering KVM_RUN    enter() finds the vCPU through the ioctl's file, then
 *                       its slot, or claims one. leave() ends this state.
 *   no slot             both slots belong to other threads, or the thread's
 *                       slot belongs to another of its vCPUs: the vCPU is
 *                       counted in the map overflow, and overflow_threads has
 *                       the vCPU that the thread runs.
 */

static __always_inline struct vcpu_counts *slot_of(u32 tid, u32 way)
{
	u32 place = (tid ^ way) & (SLOTS - 1);

	return slots.lookup(&place);
}

static __always_inline void assign(struct vcpu_counts *state, struct vcpu_key *key, u32 tid,
				   u32 place)
{
	state->place = place;
	state->vm = key->vm;
	state->vcpu_id = key->vcpu;
	state->timed_left = TIMED_PER_READING;
	state->tid = tid;
}

static __always_inline int is_of(struct vcpu_counts *state, struct vcpu_key *key)
{
	return state->vcpu_id == key->vcpu && state->vm.kvm == key->vm.kvm &&
	       state->vm.instance == key->vm.instance;
}

static __always_inline int is_assigned(struct vcpu_counts *state, u32 tid, struct vcpu_key *key)
{
	return state && state->tid == tid && is_of(state, key);
}

/* Claim one of the thread's two slots if it is free. Returns whether this thread has it. */
static __always_inline int claim_place(struct vcpu_counts *state, struct vcpu_key *key, u32 tid,
				       u32 way)
{
	u32 place = (tid ^ way) & (SLOTS - 1);

	if (!state || state->tid || slot_owners.insert(&place, &tid))
		return 0;
	assign(state, key, tid, place);
	return 1;
}

/* Return the thread's slot if this vCPU is counted in it. */
static __always_inline struct vcpu_counts *own_slot(u32 tid, struct vcpu_key *key)
{
	struct vcpu_counts *first = slot_of(tid, 0), *second = slot_of(tid, 1);

	if (is_assigned(first, tid, key))
		return first;
	return is_assigned(second, tid, key) ? second : NULL;
}

static __always_inline struct vcpu_counts *claim_slot(u32 tid, struct vcpu_key *key)
{
	struct vcpu_counts *first = slot_of(tid, 0), *second = slot_of(tid, 1), *state = NULL;

	/* A thread owns one slot only, since is_running() finds it by the tid alone. */
	if ((first && first->tid == tid) || (second && second->tid == tid))
		return NULL;
	if (claim_place(first, key, tid, 0))
		state = first;
	else if (claim_place(second, key, tid, 1))
		state = second;
	return state;
}

static __always_inline struct vcpu_counts *enter_overflow(u32 tid, struct vcpu_key *key)
{
	struct overflow_thread thread = {.key = *key, .running = 1};
	struct vcpu_counts *state = overflow.lookup(key), *zero;
	u32 index = 0;

	if (!state) {
		zero = blank.lookup(&index);
		if (!zero)
			return NULL;
		NOTE_USED(overflow);
		overflow.insert(key, zero);
		state = overflow.lookup(key);
		if (!state)
			return NULL;
		assign(state, key, 0, 0);
	}
	overflow_threads.update(&tid, &thread);
	return overflow_threads.lookup(&tid) ? state : NULL;
}

/* Return the state of a vCPU that has no slot of this thread yet. NULL if there is no room. */
static __always_inline struct vcpu_counts *enter_new(u64 task, u32 tid, struct vcpu_key *key,
						     u64 dentry)
{
	struct vcpu_counts *state;

	if (!note_vm(task, &key->vm, dentry))
		return NULL;
	state = claim_slot(tid, key);
	return state ? state : enter_overflow(tid, key);
}

/* Find out which vCPU the thread runs, and return its state. For kind see find_state(). */
static __always_inline struct vcpu_counts *enter(u32 tid, u64 vcpu, u32 kind)
{
	u64 task = current_task();
	struct running running = {.vcpu = vcpu};
	struct vcpu_key key = {};
	struct vcpu_counts *state;
	u32 index = 0, *own;
	u64 dentry;

	if (vcpu) {
		read_vcpu(&running);
	} else if (!find_vcpu(task, &running)) {
		if (kind) {
			COUNT_LOST(unattributed);
#ifdef PREEMPTIBLE
			unattributed.update(&tid, &kind);
#endif
		}
		return NULL;
	}
	dentry = debugfs_dentry(running.kvm);
	key.vm.kvm = running.kvm;
	key.vm.instance = instance_of(dentry);
	key.vcpu = running.vcpu_id;
	/* A VM whose vCPU has a slot is in the map vms: user space frees both after the VM's end.
	 */
	state = own_slot(tid, &key);
	if (!state)
		state = enter_new(task, tid, &key, dentry);
	if (!state) {
		if (kind)
			COUNT_LOST(keys_full);
		return NULL;
	}
	/* Without debugfs, a VM at the address of an earlier one has the same key. Its vCPU is at
	 * another address, though. */
	state->vcpu = running.vcpu;
	state->running = 1;
	state->pending = 0;
	state->is_open = 0;
	state->kvm_count = KVM_COUNT_UNKNOWN;
	state->retries = retries_within(running.kvm);
	own = own_generation.lookup(&index);
	state->generation = own ? *own : 0;
	return state;
}

static __always_inline struct vcpu_counts *overflow_state(u32 tid)
{
	struct overflow_thread *thread = overflow_threads.lookup(&tid);

	return thread && thread->running ? overflow.lookup(&thread->key) : NULL;
}

#define ANY_VCPU (~0U)

static __always_inline int is_this(struct vcpu_counts *state, u64 vcpu, u32 vcpu_id)
{
	return (!vcpu || state->vcpu == vcpu) && (vcpu_id == ANY_VCPU || state->vcpu_id == vcpu_id);
}

static __always_inline int is_running(struct vcpu_counts *state, u32 tid, u64 vcpu, u32 vcpu_id)
{
	return state && state->tid == tid && state->running && is_this(state, vcpu, vcpu_id);
}

static __always_inline int is_counting(void)
{
	u32 index = 0;
	u32 *current = active_generation.lookup(&index), *own = own_generation.lookup(&index);

	return current && own && *own && *current == *own;
}

/* Whether this set counts as it did when the thread entered KVM_RUN: what is_counting() returns, by
 * one look less. No set has the number of another that is there. */
static __always_inline int counts_as_before(struct vcpu_counts *state)
{
	u32 index = 0;
	u32 *current = active_generation.lookup(&index);

	return current && *current == state->generation;
}

/*
 * Return the state of the vCPU that the current thread runs, if it is in the
 * thread's first slot: as it is for nearly every event. See find_state().
 *
 * A program that goes on from here by itself, and returns, has all that it needs
 * in one piece of code. The rest of it is so long that to fetch its lines into
 * the cache, from where the guest has driven them out, takes longer than to run
 * it: a walk took 240 ns, and so takes 75 (bench/README.md).
 */
static __always_inline struct vcpu_counts *running_in_first_slot(void)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct vcpu_counts *state = slot_of(tid, 0);

	return is_running(state, tid, 0, ANY_VCPU) ? state : NULL;
}

/* Return the state of the vCPU that a thread runs; NULL if none is known. See find_state(). */
static __always_inline struct vcpu_counts *running_state(u32 tid, u64 vcpu, u32 vcpu_id)
{
	struct vcpu_counts *state = slot_of(tid, 0);

	if (is_running(state, tid, vcpu, vcpu_id))
		return state;
	state = slot_of(tid, 1);
	if (is_running(state, tid, vcpu, vcpu_id))
		return state;
	state = overflow_state(tid);
	return state && state->running && is_this(state, vcpu, vcpu_id) ? state : NULL;
}

/*
 * Return the state in which the current thread's vCPU is counted. NULL if this
 * set does not count now, or if there is no vCPU or no room for it: then the
 * event is counted as lost, unless kind is EVENT_NONE.
 *
 * kind     the tracepoint: EVENT() in sides.bpf.h.
 * vcpu     the struct kvm_vcpu if the tracepoint passes it, else 0.
 * vcpu_id  its number if only that is known, else ANY_VCPU.
 *
 * A "running" state is used only if it is of that vCPU: the exit of the vCPU
 * that ran before may have been missed.
 */
static __always_inline struct vcpu_counts *find_state(u64 vcpu, u32 vcpu_id, u32 kind)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct vcpu_counts *state;

	if (!is_counting())
		return NULL;
	state = running_state(tid, vcpu, vcpu_id);
	return state ? state : enter(tid, vcpu, kind);
}

/* The thread has left KVM_RUN. Its next KVM_RUN may run another vCPU. */
static __always_inline void leave(struct vcpu_counts *state)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct overflow_thread *thread;

	state->running = 0;
	state->pending = 0;
	if (state->tid)
		return;
	thread = overflow_threads.lookup(&tid);
	if (thread)
		thread->running = 0;
}
