/* SPDX-License-Identifier: GPL-2.0-only */
/* Buckets of time, four to each octave, as in faultmodel/stalls.py. */

#define QUARTER_NS   250 /* of a microsecond */
#define FIRST_OCTAVE 1	 /* octave -1: here each is 2 more */
#define LAST_OCTAVE  33

/* ns / 250, without a division where the number has 32 bits. */
static __always_inline u64 quarters_in(u64 ns)
{
	return ns >> 32 ? ns / QUARTER_NS : ns * 274877907 >> 36;
}

/*
 * Return the octave, plus 2, and the quarter of it in the lowest two bits: what
 * faultmodel/stalls.py has as bucket_of().
 */
static __always_inline u32 bucket_of(u64 ns)
{
	u64 quarters = quarters_in(ns), rest = quarters;
	u32 shift = 0;

	if (quarters < 4)
		return FIRST_OCTAVE << 2 | quarters;
#define HALVE(bits)                \
	if (rest >> (bits) >= 4) { \
		rest >>= (bits);   \
		shift += (bits);   \
	}
	HALVE(32)
	HALVE(16)
	HALVE(8)
	HALVE(4)
	HALVE(2)
	HALVE(1)
#undef HALVE
	if (shift + 2 > LAST_OCTAVE)
		return LAST_OCTAVE << 2 | 3;
	return (shift + 2) << 2 | (rest & 3);
}
