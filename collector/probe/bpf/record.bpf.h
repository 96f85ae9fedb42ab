/* SPDX-License-Identifier: GPL-2.0-only */
/* Records of single guest faults. next_record is the value of seen at which a record is next
 * considered, so a fault that is not recorded costs two comparisons. */

/* The most that next_record advances: how many faults may pass before a vCPU adapts to another rate
 * of faults. */
#define LONGEST_GAP 4096

#ifdef ARCH_X86_64
#ifdef HAVE_VCPU_REGS_RIP
#define RIP	arch.regs[VCPU_REGS_RIP]
#define RIP_BIT VCPU_REGS_RIP
#else
#define RIP	arch.rip
#define RIP_BIT VCPU_REG_RIP
#endif
#define RIP_OFFSET   __builtin_offsetof(struct kvm_vcpu, RIP)
#define AVAIL_OFFSET __builtin_offsetof(struct kvm_vcpu, arch.regs_avail)

static __always_inline u64 guest_pc(struct vcpu_counts *state)
{
	struct {
		u64 rip;
		u32 available;
		u32 pad;
	} regs = {};
	u64 vcpu = state->vcpu;

#ifdef HAVE_GUEST_STATE_PROTECTED
	bool is_protected = 0;

	/* SEV-ES, SNP, TDX: KVM does not know the guest's RIP; the field is 0 or old. */
	READ(is_protected, vcpu, kvm_vcpu, arch.guest_state_protected);
	if (is_protected)
		return NOT_SHOWN;
#endif
	/* The two fields are adjacent on every kernel so far: one helper call reads both. */
	if (AVAIL_OFFSET == RIP_OFFSET + 8) {
		bpf_probe_read_kernel(&regs, 12, (const void *)(vcpu + RIP_OFFSET));
	} else {
		READ(regs.rip, vcpu, kvm_vcpu, RIP);
		READ(regs.available, vcpu, kvm_vcpu, arch.regs_avail);
	}
	/* VMX reads RIP from the VMCS only when asked; it is stale until then. */
	return regs.available & (1U << RIP_BIT) ? regs.rip : NOT_SHOWN;
}
#else
static __always_inline u64 guest_pc(struct vcpu_counts *state)
{
	return state->pending ? state->pc : NOT_SHOWN;
}
#endif

/* Whether the fault that is about to be counted may have to be recorded. For most faults this is
 * all that recording costs. */
static __always_inline int is_considered(struct vcpu_counts *state)
{
	u32 index = 0;
	u16 *number = orders_number.lookup(&index);

	return state->seen + 1 >= state->next_record || (number && *number != state->orders);
}

/* Claim the VM's next sampled record for this thread; only one of the VM's threads succeeds. */
static __always_inline int claim_sample(struct vm_record *vm, u64 newest_ns, u64 now_ns)
{
	return __sync_val_compare_and_swap(&vm->last_record_ns, newest_ns, now_ns) == newest_ns;
}

/* Whether this fault is to be recorded, and when the next is considered. */
static __always_inline int is_due(struct vcpu_counts *state, u64 now_ns)
{
	u32 index = 0;
	struct record_order *order, *own;
	u16 *number = orders_number.lookup(&index);
	struct vm_record *vm;
	u64 newest_ns, passed_ns;
	u32 gap;

	/* Read before the orders: user space writes it after them, so no change is missed. */
	if (number)
		state->orders = *number;
	order = record_default.lookup(&index);
	if (order && order->others) {
		own = record_orders.lookup(&state->vm);
		if (own)
			order = own;
	}
	if (!order || order->level == RECORD_NONE) {
		state->next_record = state->seen + 1 + LONGEST_GAP;
		return 0;
	}
	if (order->level == RECORD_ALL) {
		state->next_record = state->seen + 2;
		return 1;
	}
	vm = vms.lookup(&state->vm);
	if (!vm)
		return 0;
	newest_ns = *(volatile u64 *)&vm->last_record_ns;
	/* Another CPU may have recorded since this one took the time. */
	passed_ns = now_ns > newest_ns ? now_ns - newest_ns : 0;
	gap = state->gap ? state->gap : 1;
	/* The vCPUs of a VM share its records, so each should check more often than it records. */
	if (passed_ns < order->spacing_ns / 4)
		gap = gap < LONGEST_GAP ? gap * 2 : gap;
	else if (passed_ns > 2 * order->spacing_ns)
		gap = gap > 1 ? gap / 2 : 1;
	state->gap = gap;
	state->next_record = state->seen + 1 + gap;
	return passed_ns >= order->spacing_ns && claim_sample(vm, newest_ns, now_ns);
}

/* Whether to wake the reader. It reads at its own interval and is woken only after about a third of
 * the ring was written. */
static __always_inline u64 wakeup(void)
{
	u32 index = 0;
	u64 *written = written_since_wakeup.lookup(&index);

	if (!written)
		return BPF_RB_NO_WAKEUP;
	__sync_fetch_and_add(written, 1);
	if (*written < WAKEUP_RECORDS)
		return BPF_RB_NO_WAKEUP;
	*written = 0;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline void record_fault(struct vcpu_counts *state, struct fault_record *record)
{
	u64 now_ns = bpf_ktime_get_ns();

	if (!is_due(state, now_ns))
		return;
	record->vm = state->vm;
	record->vcpu = state->vcpu_id;
	record->monotonic_ns = now_ns;
	record->pc = guest_pc(state);
	record->weight = state->seen + 1 - state->last_record_seen;
	if (fault_records.ringbuf_output(record, sizeof(*record), wakeup())) {
		state->dropped++;
		return;
	}
	state->recorded++;
	state->last_record_seen = state->seen + 1;
}
