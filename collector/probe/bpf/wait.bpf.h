/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What vCPUs wait for while they are asleep in faults, and pressure: how long a
 * VM, or the host, stood still in part or as a whole.
 *
 * A wait is counted by the kernel stack in which the thread fell asleep.
 *
 * The state of a VM is one number: how many vCPUs are stalled (asleep in a
 * fault), how many are idle (asleep otherwise), and how many there are. Each
 * change is one atomic addition. It returns the state before, and so whoever
 * makes a change knows which states it has begun and ended, whatever others do
 * meanwhile. The time is added then: total = ended - begun, and the time now
 * while it lasts.
 */

#ifdef WITH_SCHED_SWITCH
#define STATE_BITS 21
#define STATE_MASK ((1ULL << STATE_BITS) - 1)
#define STALLED	   (1ULL << 2 * STATE_BITS)
#define IDLE	   (1ULL << STATE_BITS)

static __always_inline int is_some(u64 state)
{
	return state >> 2 * STATE_BITS != 0;
}

static __always_inline int is_full(u64 state)
{
	u64 stalled = state >> 2 * STATE_BITS, idle = state >> STATE_BITS & STATE_MASK;

	return stalled && stalled + idle >= (state & STATE_MASK);
}

/* Return the entry of a VM, or of the host (a vm_key of zeros); NULL if there is no room. */
static __always_inline struct pressure *pressure_of(struct vm_key *vm)
{
	struct pressure *found = pressures.lookup(vm), zero = {};

	if (found)
		return found;
	NOTE_USED(pressures);
	pressures.insert(vm, &zero);
	return pressures.lookup(vm);
}

static __always_inline void change_state(struct pressure *of, u64 delta, u64 now_ns)
{
	u64 before = __sync_fetch_and_add(&of->state, delta), after = before + delta;

	if (is_some(after) && !is_some(before))
		__sync_fetch_and_add(&of->some_begun_ns, now_ns);
	if (!is_some(after) && is_some(before))
		__sync_fetch_and_add(&of->some_ended_ns, now_ns);
	if (is_full(after) && !is_full(before))
		__sync_fetch_and_add(&of->full_begun_ns, now_ns);
	if (!is_full(after) && is_full(before))
		__sync_fetch_and_add(&of->full_ended_ns, now_ns);
}

/* Return how many of a number are not in the state yet. They are in it from now on. */
static __always_inline u64 take_new(u64 *in_state, u64 number)
{
	u64 before = *(volatile u64 *)in_state;

	if (number <= before)
		return 0;
	return __sync_val_compare_and_swap(in_state, before, number) == before ? number - before
									       : 0;
}

/* Change the states of a vCPU's VM and of the host. Returns whether there was room for them. */
static __always_inline int press(struct vcpu_counts *state, u64 delta, u64 now_ns)
{
	struct vm_key all = {};
	struct pressure *of_vm = pressure_of(&state->vm), *of_host = pressure_of(&all);
	u64 added = 0, *gone;
	u32 index = 0, vcpus = 0;

	if (!of_vm || !of_host)
		return 0;
	READ(vcpus, state->vm.kvm, kvm, online_vcpus.counter);
	added = take_new(&of_vm->number, vcpus);
	change_state(of_vm, delta + added, now_ns);
	gone = gone_vcpus.lookup(&index);
	change_state(of_host, delta + added - (gone ? take_new(&of_host->number, *gone) : 0),
		     now_ns);
	return 1;
}

static __always_inline void count_wait(struct vcpu_counts *state, u64 ns)
{
	struct wait_key key = {};
	struct wait *found;

	key.vm = state->vm;
	key.stack = state->stack;
	found = wait_counts.lookup(&key);
	if (!found) {
		struct wait zero = {};

		NOTE_USED(wait_counts);
		wait_counts.insert(&key, &zero);
		found = wait_counts.lookup(&key);
	}
	if (!found) {
		COUNT_LOST(waits_full);
		return;
	}
	__sync_fetch_and_add(&found->sleeps, 1);
	__sync_fetch_and_add(&found->ns, ns);
}

/*
 * Whether KVM has the vCPU sleep since its guest halted: in no fault, also where
 * KVM walked the guest's page tables before. Where a page has yet to be read for
 * the guest, KVM has it sleep as if it had halted.
 */
static __always_inline int is_halted(struct vcpu_counts *state)
{
#if defined(HAVE_STAT_BLOCKING) && defined(ARCH_X86_64)
	u64 blocking = 0;
	u8 waits_for_page = 0;

	READ(blocking, state->vcpu, kvm_vcpu, stat.generic.blocking);
	READ(waits_for_page, state->vcpu, kvm_vcpu, arch.apf.halted);
	return blocking && !waits_for_page;
#else
	return 0;
#endif
}
#endif
