/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast something grows, by what was seen of it in the last minute: the slope of a straight line
 * through these samples, if they lie on one more or less. A heap that is reclaimed again and again
 * goes up and down and does not grow.
 */
#ifndef OOM_GROWTH_H
#define OOM_GROWTH_H

#include <stddef.h>
#include <stdint.h>

#define GROWTH_SAMPLES 16
#define GROWTH_APART_NS (4ULL * 1000000000)
/* With fewer there is no saying. */
#define GROWTH_SAMPLES_LEAST 4

struct growth {
	struct {
		uint64_t time_ns;
		size_t bytes;
	} sample[GROWTH_SAMPLES];
	unsigned count; /* of all samples that there ever were */
};

/* A sample, if the last one is long enough ago. */
void growth_note(struct growth *growth, uint64_t now_ns, size_t bytes);

/* Bytes in a second; 0 where it does not grow steadily, or has not been seen for long enough. */
uint64_t growth_rate(const struct growth *growth);

#endif
