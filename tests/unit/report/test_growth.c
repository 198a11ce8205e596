/* SPDX-License-Identifier: BSD-2-Clause */
/* How fast something grows: what is taken for growth, and what is not. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/base.h"
#include "report/growth.h"

#define MIB ((size_t)1 << 20)
#define START_NS (1000 * NSEC_PER_SEC)

static struct growth growth;

/* A sample for each, four seconds apart. */
static void see(const size_t *mib, size_t count)
{
	memset(&growth, 0, sizeof growth);
	for (size_t i = 0; i < count; i++)
		growth_note(&growth, START_NS + i * GROWTH_APART_NS, mib[i] * MIB);
}

#define SEE(...) \
	see((const size_t[]){__VA_ARGS__}, sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t))

Test(growth, a_line)
{
	SEE(10, 14, 18, 22);
	cr_expect_eq(growth_rate(&growth), MIB);
	SEE(10, 11, 12, 13, 14, 15);
	cr_expect_eq(growth_rate(&growth), MIB / 4);
}

Test(growth, nearly_a_line)
{
	SEE(10, 16, 17, 23, 25, 31);
	cr_expect_gt(growth_rate(&growth), MIB * 9 / 10);
	cr_expect_lt(growth_rate(&growth), MIB * 11 / 10);
}

Test(growth, too_few)
{
	SEE(10, 14, 18);
	cr_expect_eq(growth_rate(&growth), 0);
	memset(&growth, 0, sizeof growth);
	cr_expect_eq(growth_rate(&growth), 0);
}

/* A cache at its watermark, or a heap that is collected. */
Test(growth, up_and_down)
{
	SEE(10, 30, 10, 30, 10, 30, 10, 30);
	cr_expect_eq(growth_rate(&growth), 0);
	SEE(10, 15, 20, 25, 10, 15, 20, 25);
	cr_expect_eq(growth_rate(&growth), 0);
}

Test(growth, down_or_not_at_all)
{
	SEE(40, 36, 32, 28, 24);
	cr_expect_eq(growth_rate(&growth), 0);
	SEE(40, 40, 40, 40, 40);
	cr_expect_eq(growth_rate(&growth), 0);
}

/* What was long ago is forgotten: sixteen samples are kept. */
Test(growth, the_last_minute_counts)
{
	memset(&growth, 0, sizeof growth);
	for (size_t i = 0; i < 100; i++)
		growth_note(&growth, START_NS + i * GROWTH_APART_NS,
		            (i < 60 ? 0 : i - 60) * 8 * MIB);
	cr_expect_eq(growth_rate(&growth), 2 * MIB);
}

Test(growth, samples_are_apart)
{
	memset(&growth, 0, sizeof growth);
	for (size_t i = 0; i < 1000; i++)
		growth_note(&growth, START_NS + i * NSEC_PER_MSEC, i * MIB);
	cr_expect_eq(growth_rate(&growth), 0, "one second is no minute");
}

/* It was stopped, and is as a new process. */
Test(growth, a_gap)
{
	SEE(10, 14, 18, 22);
	growth_note(&growth, START_NS + 32 * NSEC_PER_SEC, 42 * MIB);
	cr_expect_eq(growth_rate(&growth), 0);
}

Test(growth, the_largest)
{
	const size_t step = (size_t)16 << 40;

	memset(&growth, 0, sizeof growth);
	for (size_t i = 0; i < GROWTH_SAMPLES; i++)
		growth_note(&growth, START_NS + i * GROWTH_APART_NS, i * step);
	cr_expect_eq(growth_rate(&growth), step / 4);
}
