/* SPDX-License-Identifier: BSD-2-Clause */
/* Which mappings are made to fail. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "config/options.h"
#include "limits/fault.h"
#include "oomreclaim.h"
#include "support.h"

TestSuite(fault, .init = support_init, .timeout = WATCHDOG_SECONDS);

#define PAGE_BYTES 4096

static void set(struct oomreclaim_fault attributes)
{
	cr_assert_eq(oomreclaim_fault_set(&attributes, sizeof attributes), 0);
}

/* Of `mappings` mappings of `bytes` each, a bit for each that fails: at most 64. */
static uint64_t fails(unsigned mappings, size_t bytes)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < mappings; i++)
		bits |= (uint64_t)fault_should_fail(bytes) << i;
	return bits;
}

Test(fault, none_at_first)
{
	cr_expect_eq(fails(64, PAGE_BYTES), 0);
	cr_expect_eq(oomreclaim_fault_injected(), 0);
}

Test(fault, certain_without_end)
{
	set((struct oomreclaim_fault){.probability = 100, .times = -1});
	cr_expect_eq(fails(64, PAGE_BYTES), UINT64_MAX);
	cr_expect_eq(oomreclaim_fault_injected(), 64);
}

Test(fault, times)
{
	set((struct oomreclaim_fault){.probability = 100, .interval = 1, .times = 3});
	cr_expect_eq(fails(64, PAGE_BYTES), 7);
	set((struct oomreclaim_fault){.probability = 100, .times = 0});
	cr_expect_eq(fails(64, PAGE_BYTES), 0);
}

Test(fault, the_nth)
{
	for (uint64_t n = 1; n <= 64; n++) {
		set((struct oomreclaim_fault){.probability = 100, .interval = n, .times = 1});
		cr_expect_eq(fails(64, PAGE_BYTES), 1ULL << (n - 1));
	}
}

Test(fault, every_nth)
{
	set((struct oomreclaim_fault){.probability = 100, .interval = 4, .times = -1});
	cr_expect_eq(fails(16, PAGE_BYTES), 0x8888);
}

/* As in the kernel, the one that would use the last of it fails already. */
Test(fault, space)
{
	set((struct oomreclaim_fault){.probability = 100,
	                              .times = -1,
	                              .space = 3 * PAGE_BYTES + 1});
	cr_expect_eq(fails(8, PAGE_BYTES), 0xf8);
	set((struct oomreclaim_fault){.probability = 100, .times = -1, .space = 3 * PAGE_BYTES});
	cr_expect_eq(fails(8, PAGE_BYTES), 0xfc);
}

/* What lies in space is not counted. */
Test(fault, interval_after_space)
{
	set((struct oomreclaim_fault){.probability = 100,
	                              .interval = 2,
	                              .times = -1,
	                              .space = 3 * PAGE_BYTES + 1});
	cr_expect_eq(fails(8, PAGE_BYTES), 0x50);
}

Test(fault, smaller_than_min_bytes)
{
	set((struct oomreclaim_fault){.probability = 100,
	                              .interval = 2,
	                              .times = -1,
	                              .min_bytes = PAGE_BYTES + 1});
	cr_expect_eq(fails(8, PAGE_BYTES), 0);
	cr_expect_eq(fails(4, PAGE_BYTES + 1), 0xa, "the small ones were not counted");
}

Test(fault, chance)
{
	struct oomreclaim_fault attributes = {.probability = 25, .times = -1, .seed = 7};
	unsigned count = 0;
	uint64_t first;

	set(attributes);
	for (int i = 0; i < 10000; i++)
		count += fault_should_fail(PAGE_BYTES);
	/* The same numbers each time: no luck in it. */
	cr_expect(count > 2400 && count < 2600, "%u of 10000", count);
	set(attributes);
	first = fails(64, PAGE_BYTES);
	set(attributes);
	cr_expect_eq(fails(64, PAGE_BYTES), first);
	attributes.seed = 8;
	set(attributes);
	cr_expect_neq(fails(64, PAGE_BYTES), first);
}

static void *map_one(void *failed)
{
	*(bool *)failed = fault_should_fail(PAGE_BYTES);
	return NULL;
}

Test(fault, threads_that_ask_for_it)
{
	bool failed = true;
	pthread_t other;

	set((struct oomreclaim_fault){.probability = 100, .task_filter = true, .times = -1});
	cr_expect_eq(fails(2, PAGE_BYTES), 0);
	cr_expect_not(oomreclaim_fault_thread(true));
	cr_expect_eq(fails(2, PAGE_BYTES), 3);
	pthread_create(&other, NULL, map_one, &failed);
	pthread_join(other, NULL);
	cr_expect_not(failed);
	cr_expect(oomreclaim_fault_thread(false));
	cr_expect_eq(fails(2, PAGE_BYTES), 0);
}

Test(fault, off_again)
{
	set((struct oomreclaim_fault){.probability = 100, .times = -1});
	cr_expect_eq(oomreclaim_fault_set(NULL, 0), 0);
	cr_expect_eq(fails(8, PAGE_BYTES), 0);
}

Test(fault, bad_attributes_change_nothing)
{
	struct oomreclaim_fault bad = {.probability = 101};

	set((struct oomreclaim_fault){.probability = 100, .times = -1});
	cr_expect_eq(oomreclaim_fault_set(&bad, sizeof bad), EINVAL);
	bad = (struct oomreclaim_fault){.probability = 1, .times = -2};
	cr_expect_eq(oomreclaim_fault_set(&bad, sizeof bad), EINVAL);
	cr_expect_eq(fails(8, PAGE_BYTES), 0xff);
}

Test(fault, from_the_settings_once)
{
	options_apply("test", "fail_page:100/2/2", &options, NULL);
	fault_init();
	cr_expect_eq(fails(8, PAGE_BYTES), 0xa);
	/* The heap begins again after its first mapping failed. */
	fault_init();
	cr_expect_eq(fails(8, PAGE_BYTES), 0);
}

Test(fault, a_line_where_verbose)
{
	struct capture capture;

	set((struct oomreclaim_fault){.probability = 100, .times = 2});
	capture_begin(&capture);
	fault_should_fail(PAGE_BYTES);
	cr_expect_str_eq(capture_next(&capture), "");
	options.is_verbose = true;
	errno = ERRNO_UNTOUCHED;
	fault_should_fail(PAGE_BYTES);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_str_eq(capture_next(&capture),
	                 "oomreclaim: injected: a mapping of 4096 bytes fails\n");
	capture_end(&capture);
}
