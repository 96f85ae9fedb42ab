// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asks the kernel, when user space runs one of these programs
 * (BPF_PROG_TEST_RUN), about VMs that are counted. They are attached to
 * nothing and cost guests nothing. Each takes numbers as a tracepoint's
 * arguments and answers in a map (collector/probe/looks.py).
 *
 * A VM may end at any time, and its memory be used by something else. So each
 * answer is used only if the VM at the address was the same one before and
 * after it was read (is_the_vm()). What is read meanwhile may be anything, but
 * reading never fails for the kernel.
 *
 * How many memslots an answer has is kept in the answer, where the verifier
 * takes it for unknown: it then follows the loop once, not every number of
 * memslots that each round may have begun with.
 */
#include "event.h"
#include "kernel.bpf.h"

BPF_F_TABLE("array", u32, struct vcpu_counts, slots, SLOTS,
	    BPF_F_MMAPABLE); /* the counting set's */

static __always_inline int is_the_vm(struct vm_key *vm)
{
	return vm->kvm && instance_of(debugfs_dentry(vm->kvm)) == vm->instance;
}

#ifdef HAVE_PF_TAKEN
#define MOST_VCPUS 128

struct looked_vcpu {
	struct vm_key vm; /* kvm is 0 where there is no such vCPU */
	u64 vcpu;
	u64 seen; /* our count of its faults, read before the others */
	u64 pf_taken;
	u64 pf_fixed;
	u64 pf_emulate;
	u64 pf_spurious;
	u64 pf_fast;
	u64 pf_mmio;
};

struct asked_places {
	u32 places[MOST_VCPUS];
};
struct looked_vcpus {
	struct looked_vcpu vcpus[MOST_VCPUS];
};
BPF_ARRAY(vcpu_question, struct asked_places, 1);
BPF_ARRAY(vcpu_answer, struct looked_vcpus, 1);

/* A vCPU lives as long as its VM: if the VM is there afterwards, so was the vCPU. */
static __always_inline void look_at(struct vcpu_counts *state, struct looked_vcpu *found)
{
	u64 vcpu = state->vcpu, kvm = 0;

	found->vm = state->vm;
	found->vcpu = vcpu;
	found->seen = state->seen;
	READ(found->pf_taken, vcpu, kvm_vcpu, stat.pf_taken);
	READ(found->pf_fixed, vcpu, kvm_vcpu, stat.pf_fixed);
	READ(found->pf_emulate, vcpu, kvm_vcpu, stat.pf_emulate);
	READ(found->pf_spurious, vcpu, kvm_vcpu, stat.pf_spurious);
	READ(found->pf_fast, vcpu, kvm_vcpu, stat.pf_fast);
	READ(found->pf_mmio, vcpu, kvm_vcpu, stat.pf_mmio_spte_created);
	READ(kvm, vcpu, kvm_vcpu, kvm);
	if (kvm != found->vm.kvm || !is_the_vm(&found->vm))
		found->vm.kvm = 0;
}

/* KVM's counts of the vCPUs in args[0] slots. */
int look_vcpus(struct bpf_raw_tracepoint_args *ctx)
{
	struct asked_places *question;
	struct looked_vcpus *answer;
	u32 asked = ctx->args[0], zero = 0;

	question = vcpu_question.lookup(&zero);
	answer = vcpu_answer.lookup(&zero);
	if (!question || !answer)
		return 0;
	for (u32 number = 0; number < MOST_VCPUS; number++) {
		u32 place = question->places[number];
		struct vcpu_counts *state = slots.lookup(&place);

		if (number >= asked)
			break;
		answer->vcpus[number].vm.kvm = 0;
		if (state && state->tid && state->vcpu)
			look_at(state, &answer->vcpus[number]);
	}
	return 0;
}
#endif

#define MOST_VMS       64
#define ADDRESS_SPACES (sizeof(((struct kvm *)0)->memslots) / sizeof(u64))

struct looked_vm {
	u64 mm;
	u64 generation; /* of all address spaces together; it changes with the memslots */
	u64 pages_4k;
	u64 pages_2m;
	u64 pages_1g;
	u64 splits;
	u32 address_spaces;
	u32 pad;
	u64 invalidate_seq; /* or NOT_SHOWN */
	u32 is_invalidating;
	u32 is_there;
};

struct asked_vms {
	struct vm_key vms[MOST_VMS];
};
struct looked_vms {
	struct looked_vm vms[MOST_VMS];
};
BPF_ARRAY(vm_question, struct asked_vms, 1);
BPF_ARRAY(vm_answer, struct looked_vms, 1);

static __always_inline u64 memslots_of(u64 kvm, u32 address_space)
{
	u64 memslots = 0;

	bpf_probe_read_kernel(&memslots, sizeof(memslots),
			      (void *)(kvm + __builtin_offsetof(struct kvm, memslots) +
				       sizeof(u64) * address_space));
	return memslots;
}

/* How often the host has taken back memory of a VM, and whether it is doing so. */
static __always_inline void look_at_invalidations(u64 kvm, struct looked_vm *found)
{
	found->invalidate_seq = NOT_SHOWN;
	found->is_invalidating = 0;
#ifdef HAVE_INVALIDATE_SEQ
	typeof(((struct kvm *)0)->mmu_invalidate_in_progress) under_way = 0;

	READ(found->invalidate_seq, kvm, kvm, mmu_invalidate_seq);
	READ(under_way, kvm, kvm, mmu_invalidate_in_progress);
	found->is_invalidating = under_way != 0;
#endif
}

/* The state of args[0] VMs. */
int look_vms(struct bpf_raw_tracepoint_args *ctx)
{
	struct asked_vms *question;
	struct looked_vms *answer;
	u32 asked = ctx->args[0], zero = 0;

	question = vm_question.lookup(&zero);
	answer = vm_answer.lookup(&zero);
	if (!question || !answer)
		return 0;
	for (u32 number = 0; number < MOST_VMS; number++) {
		struct looked_vm *found = &answer->vms[number];
		struct vm_key vm = question->vms[number];

		if (number >= asked)
			break;
		found->is_there = 0;
		if (!is_the_vm(&vm))
			continue;
		READ(found->mm, vm.kvm, kvm, mm);
		found->address_spaces = ADDRESS_SPACES;
		look_at_invalidations(vm.kvm, found);
		found->generation = 0;
		for (u32 space = 0; space < ADDRESS_SPACES; space++) {
			u64 generation = 0;

			READ(generation, memslots_of(vm.kvm, space), kvm_memslots, generation);
			found->generation += generation;
		}
#ifdef HAVE_PAGE_STATS
		READ(found->pages_4k, vm.kvm, kvm, stat.pages_4k);
		READ(found->pages_2m, vm.kvm, kvm, stat.pages_2m);
		READ(found->pages_1g, vm.kvm, kvm, stat.pages_1g);
		READ(found->splits, vm.kvm, kvm, stat.nx_lpage_splits);
#endif
		found->is_there = is_the_vm(&vm);
	}
	return 0;
}

#ifdef HAVE_MEMSLOT_HASH
#define MOST_MEMSLOTS 128
#define STEPS_A_RUN   256
#define BUCKETS	      (sizeof(((struct kvm_memslots *)0)->id_hash) / sizeof(struct hlist_head))

struct looked_memslot {
	u64 base_gfn;
	u64 npages;
	u64 userspace_addr;
	u32 flags;
	u16 id;
	u16 address_space;
};

struct looked_memslots {
	u64 generation;
	u64 node; /* of the memslot to go on with; 0: the next bucket's first */
	u32 bucket;
	u32 count;
	u32 is_there;
	u32 is_whole;
	struct looked_memslot memslots[MOST_MEMSLOTS];
};
BPF_ARRAY(memslots_answer, struct looked_memslots, 1);

static __always_inline void look_at_memslot(u64 memslot, struct looked_memslot *found)
{
	READ(found->base_gfn, memslot, kvm_memory_slot, base_gfn);
	READ(found->npages, memslot, kvm_memory_slot, npages);
	READ(found->userspace_addr, memslot, kvm_memory_slot, userspace_addr);
	READ(found->flags, memslot, kvm_memory_slot, flags);
	READ(found->id, memslot, kvm_memory_slot, id);
}

/*
 * A VM's memslots: args are the VM's key, the address space, and 1 to begin, 0
 * to go on where the last run ended. The list is one of a moment if the
 * generation stayed the same in all runs.
 */
int look_memslots(struct bpf_raw_tracepoint_args *ctx)
{
	struct vm_key vm = {.kvm = ctx->args[0], .instance = ctx->args[1]};
	u32 space = ctx->args[2], is_first = ctx->args[3], zero = 0, index = 0;
	struct looked_memslots *answer = memslots_answer.lookup(&zero);
	u64 memslots;

	if (!answer)
		return 0;
	answer->is_there = 0;
	answer->count = 0;
	answer->is_whole = 0;
	if (space >= ADDRESS_SPACES || !is_the_vm(&vm))
		return 0;
	if (is_first) {
		answer->bucket = 0;
		answer->node = 0;
	}
	memslots = memslots_of(vm.kvm, space);
	READ(answer->generation, memslots, kvm_memslots, generation);
	READ(index, memslots, kvm_memslots, node_idx);
	index &= 1;
	for (u32 step = 0; step < STEPS_A_RUN; step++) {
		u64 node = answer->node;
		u32 bucket = answer->bucket, count = answer->count;

		if (node) {
			u64 memslot = node - __builtin_offsetof(struct kvm_memory_slot, id_node) -
				      index * sizeof(struct hlist_node);

			if (count >= MOST_MEMSLOTS)
				break;
			answer->memslots[count].address_space = space;
			look_at_memslot(memslot, &answer->memslots[count]);
			answer->count = count + 1;
			READ(answer->node, node, hlist_node, next);
		} else if (bucket < BUCKETS) {
			bpf_probe_read_kernel(
				&answer->node, sizeof(answer->node),
				(void *)(memslots +
					 __builtin_offsetof(struct kvm_memslots, id_hash) +
					 sizeof(struct hlist_head) * bucket));
			answer->bucket = bucket + 1;
		} else {
			answer->is_whole = 1;
			break;
		}
	}
	answer->is_there = is_the_vm(&vm);
	return 0;
}
#endif
