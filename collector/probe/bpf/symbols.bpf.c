// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes the names of kernel addresses, a line for each, for whoever reads the
 * iterator (collector/probe/symbols.py). /proc/kallsyms shows them to fewer.
 */
#include "kernel.bpf.h"

#define MOST_SYMBOLS 64

struct asked_symbols {
	u64 addresses[MOST_SYMBOLS];
};
BPF_ARRAY(symbol_question, struct asked_symbols, 1);

/* A pointer as a number to the compiler, with its type to the verifier. */
#define TYPED(pointer)                           \
	({                                       \
		u64 number = (u64)(pointer);     \
		asm volatile("" : "+r"(number)); \
		number;                          \
	})

int iterate_task(struct bpf_iter__task *ctx)
{
	u64 meta = TYPED(ctx->meta), task = TYPED(ctx->task), seq = 0, address;
	struct asked_symbols *asked;
	char line[] = "%ps\n";
	u32 zero = 0;
	int i;

	asked = symbol_question.lookup(&zero);
	if (!task || !asked)
		return 0;
	LOAD(seq, meta, bpf_iter_meta, seq);
	for (i = 0; i < MOST_SYMBOLS; i++) {
		address = asked->addresses[i];
		if (!address)
			break;
		bpf_seq_printf((struct seq_file *)seq, line, sizeof(line), &address,
			       sizeof(address));
	}
	return 0;
}
