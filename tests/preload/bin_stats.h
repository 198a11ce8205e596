/* SPDX-License-Identifier: BSD-2-Clause */
/* jemalloc's statistics of the bin for blocks of one size. */
#ifndef BIN_STATS_H
#define BIN_STATS_H

#include "check.h"
#include "je.h"

#define BINS_MAX 64

/* What all arenas have in common of a bin, a number of so many bytes. */
static inline uint64_t bin_read(const char *name, size_t index, size_t length)
{
	size_t mib[4], mib_length = 4, value = 0;

	CHECK(mallctlnametomib(name, mib, &mib_length) == 0);
	mib[2] = index;
	CHECK(mallctlbymib(mib, mib_length, &value, &length, NULL, 0) == 0);
	return value;
}

/* For blocks of so many bytes, over all arenas; what the thread's cache holds counts as in use. */
static inline uint64_t of_bin_cached(size_t bytes, const char *statistic)
{
	size_t mib[6], length = 6, size;
	uint64_t epoch = 1, sum;
	unsigned bins;

	CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)) == 0);
	JE_READ("arenas.nbins", &bins);
	CHECK(bins <= BINS_MAX);
	for (size_t i = 0; i < bins; i++) {
		if (bin_read("arenas.bin.0.size", i, sizeof(size_t)) != bytes)
			continue;
		CHECK(mallctlnametomib(statistic, mib, &length) == 0);
		mib[2] = 4096; /* MALLCTL_ARENAS_ALL */
		mib[4] = i;
		size = sizeof(sum);
		CHECK(mallctlbymib(mib, length, &sum, &size, NULL, 0) == 0);
		return sum;
	}
	check_failed(__FILE__, __LINE__, "there is such a bin");
}

/* The cache is empty by then. */
static inline uint64_t of_bin(size_t bytes, const char *statistic)
{
	CHECK(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
	return of_bin_cached(bytes, statistic);
}

#endif
