/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/growth.h"

#include "base/base.h"

__extension__ typedef __int128 wide;

/* One that comes so much later than it should says that the process was stopped, or that nobody
   looked: what was before says nothing any more. */
#define GAP_NS (4 * GROWTH_APART_NS)

void growth_note(struct growth *growth, uint64_t now, size_t bytes)
{
	unsigned last = (growth->count - 1) % GROWTH_SAMPLES;

	if (growth->count > 0 && now - growth->sample[last].time_ns < GROWTH_APART_NS)
		return;
	if (growth->count > 0 && now - growth->sample[last].time_ns > GAP_NS)
		growth->count = 0;
	growth->sample[growth->count % GROWTH_SAMPLES].time_ns = now;
	growth->sample[growth->count % GROWTH_SAMPLES].bytes = bytes;
	growth->count++;
	/* It is a place as well as a number. */
	if (growth->count == 2 * GROWTH_SAMPLES)
		growth->count = GROWTH_SAMPLES;
}

struct point {
	int64_t ms, units;
};

/* Both from the first sample on. */
static struct point point_of(const struct growth *growth, int i, unsigned shift)
{
	return (struct point){
		.ms = (int64_t)(growth->sample[i].time_ns - growth->sample[0].time_ns) /
	              (int64_t)NSEC_PER_MSEC,
		.units = (int64_t)(growth->sample[i].bytes >> shift) -
	                 (int64_t)(growth->sample[0].bytes >> shift),
	};
}

/* In units of so many bytes that 2^30 of them are above all sizes: then products of sums of squares
   have less than 128 bits. */
static unsigned shift_for(const struct growth *growth, int n)
{
	size_t all = 0;
	unsigned shift = 0;

	for (int i = 0; i < n; i++)
		all |= growth->sample[i].bytes;
	while (all >> shift >= (size_t)1 << 30)
		shift++;
	return shift;
}

/* No floating point: the page is filled by threads that fail, and one of those may be in a signal
   handler of a program whose rounding is its own. */
uint64_t growth_rate(const struct growth *growth)
{
	int n = growth->count < GROWTH_SAMPLES ? (int)growth->count : GROWTH_SAMPLES;
	unsigned shift = shift_for(growth, n);
	wide t = 0, u = 0, tt = 0, tu = 0, uu = 0;

	if (n < GROWTH_SAMPLES_LEAST)
		return 0;
	for (int i = 0; i < n; i++) {
		struct point point = point_of(growth, i, shift);

		t += point.ms;
		u += point.units;
		tt += (wide)point.ms * point.ms;
		tu += (wide)point.ms * point.units;
		uu += (wide)point.units * point.units;
	}
	/* n times the sums of squares about the means. */
	tt = n * tt - t * t;
	tu = n * tu - t * u;
	uu = n * uu - u * u;
	/* The line has to account for three quarters of what there is: its r squared. */
	if (tu <= 0 || tt <= 0 || 4 * tu * tu < 3 * tt * uu)
		return 0;
	return (uint64_t)((tu << shift) * 1000 / tt);
}
