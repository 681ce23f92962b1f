/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Claims: something that only one may have, taken without compare-and-swap, which needs 5.12.
 *
 * Whoever reads 1 after adding 1 is alone; the others subtract theirs again, and a later one may succeed. This is right on every
 * architecture, between CPUs as well as between a program and an interrupt that runs it again on the same CPU (up to 6.0): all accesses
 * are to one variable, and every CPU sees the values of one variable in the same order.
 */
#ifndef EBHOST_CLAIM_H
#define EBHOST_CLAIM_H

#include "bpf.h"

/* Adds a claim; returns whether it is the only one besides `others`. */
static __always_inline bool claim_alone(u64 *claims, u64 others)
{
	__sync_fetch_and_add(claims, 1);
	if (READ_ONCE(*claims) == others + 1)
		return true;
	__sync_fetch_and_add(claims, -1);
	return false;
}

#endif
