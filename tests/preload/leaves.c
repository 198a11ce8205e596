/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of the heap's tree of addresses only what may have been written is charged: a page for each 2 MiB
 * of addresses, where a leaf of 2 MiB is for a GiB. Run with reserve:0 and thp:never, and for
 * x86_64 alone: the sizes differ elsewhere.
 */
#include <stdlib.h>
#include <string.h>

#include "charged.h"
#include "check.h"
#include "oomreclaim.h"

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define PAGE 4096
#define REGION (2 * MIB)
#define LARGE (256 * MIB)
#define SMALL (16 * MIB)

/* An extent of 4 GiB has its ends in two leaves. To cut it makes a leaf between these, and that
   leaf is charged as a whole. */
static void amid(void)
{
	void *large = malloc(4 * GIB), *small;
	size_t before;

	CHECK(large);
	free(large);
	/* Records are charged when the heap grows the next time. */
	free(malloc(SMALL));
	before = charged();
	large = malloc(GIB + GIB / 2);
	small = malloc(SMALL);
	CHECK(large && small);
	CHECK(charged() - before - GIB - GIB / 2 - SMALL >= 2 * MIB);
	free(small);
	free(large);
}

int main(int argc, char **argv)
{
	size_t before = charged(), after;
	void *large, *small;

	if (argc > 1 && !strcmp(argv[1], "amid")) {
		amid();
		return 0;
	}

	/* In huge pages a leaf is resident as a whole. */
	if (argc > 1 && !strcmp(argv[1], "whole")) {
		CHECK(before > 2 * MIB);
		return 0;
	}
	CHECK(before < 2 * MIB);
	large = malloc(LARGE);
	CHECK(large);
	/* Records are charged when the heap grows the next time. */
	small = malloc(SMALL);
	CHECK(small);
	after = charged() - before - LARGE - SMALL;
	CHECK(after >= LARGE / REGION * PAGE && after < LARGE / REGION * PAGE + MIB);
	free(small);
	free(large);
	/* What was mapped once counts no second time. */
	before = charged();
	large = malloc(LARGE);
	CHECK(large);
	small = malloc(SMALL);
	CHECK(small);
	after = charged() - before - LARGE - SMALL;
	CHECK(after < LARGE / REGION * PAGE / 2);
	free(small);
	free(large);
	return 0;
}
