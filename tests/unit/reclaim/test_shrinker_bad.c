/* SPDX-License-Identifier: BSD-2-Clause */
/* Shrinkers that are refused, change while they are walked, or lie. */
#include <string.h>
#include <sys/mman.h>

#include "reclaim/registry.h"
#include "shrinkers.h"

TestSuite(shrinker_bad, .init = support_init, .timeout = WATCHDOG_SECONDS);

/* ---- Refusals ---- */

static const struct {
	const char *what;
	struct oomreclaim_shrinker shrinker;
	int error;
} refusals[] = {
	{"no name", {NULL, 0, 0, cache_count, cache_scan, NULL, 2, 0}, EINVAL},
	{"an empty name", {"", 0, 0, cache_count, cache_scan, NULL, 2, 0}, EINVAL},
	{"no count", {"name", 0, 0, NULL, cache_scan, NULL, 2, 0}, EINVAL},
	{"no scan", {"name", 0, 0, cache_count, NULL, NULL, 2, 0}, EINVAL},
	{"cost 0", {"name", 0, 0, cache_count, cache_scan, NULL, 0, 0}, EINVAL},
	{"cost 1001", {"name", 0, 0, cache_count, cache_scan, NULL, 1001, 0}, EINVAL},
	{"an unknown flag", {"name", 0, 4, cache_count, cache_scan, NULL, 2, 0}, EINVAL},
	{"all flags", {"name", 0, 3, cache_count, cache_scan, NULL, 2, 0}, EINVAL},
	{"32 bytes",
         {"12345678901234567890123456789012", 0, 0, cache_count, cache_scan, NULL, 2, 0},
         ENAMETOOLONG},
};

Test(shrinker_bad, refusals)
{
	oomreclaim_handle handle = 4711;

	errno = ERRNO_UNTOUCHED;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		cr_expect_eq(oomreclaim_shrinker_register(&refusals[i].shrinker,
		                                          sizeof refusals[i].shrinker, &handle),
		             refusals[i].error, "%s", refusals[i].what);
	cr_expect_eq(oomreclaim_shrinker_register(NULL, sizeof good, &handle), EINVAL);
	cr_expect_eq(oomreclaim_shrinker_register(&good, sizeof good - 1, &handle), EINVAL);
	cr_expect_eq(handle, 4711);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(registered(), 0);
}

Test(shrinker_bad, a_longer_struct)
{
	struct {
		struct oomreclaim_shrinker known;
		uint64_t unknown;
	} longer = {.known = good};

	cr_expect_eq(oomreclaim_shrinker_register(&longer.known, sizeof longer, NULL), 0);
	longer.unknown = (uint64_t)1 << 63;
	cr_expect_eq(oomreclaim_shrinker_register(&longer.known, sizeof longer, NULL), E2BIG);
	cr_expect_eq(registered(), 1);
}

/* A size that is no struct's is not believed: nothing is read behind a page. */
Test(shrinker_bad, a_size_that_is_none)
{
	enum { PAGE = 4096 };
	char *pages = mmap(NULL, (size_t)2 * PAGE, PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct oomreclaim_shrinker *last = (void *)pages;

	cr_assert_neq(pages, MAP_FAILED);
	cr_assert_eq(mprotect(pages + PAGE, PAGE, PROT_NONE), 0);
	*last = good;
	cr_expect_eq(oomreclaim_shrinker_register(last, SIZE_MAX, NULL), E2BIG);
	cr_expect_eq(oomreclaim_shrinker_register(last, PAGE + 1, NULL), E2BIG);
	cr_expect_eq(registered(), 0);
	cr_expect_eq(oomreclaim_shrinker_register(last, PAGE, NULL), 0);
	cr_expect_eq(registered(), 1);
}

Test(shrinker_bad, the_struct_is_copied)
{
	struct cache a = {.bytes = MIB};
	struct oomreclaim_shrinker shrinker = good;

	shrinker.arg = &a;
	cr_assert_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL), 0);
	memset(&shrinker, 0x55, sizeof shrinker);
	cr_expect_eq(want(MIB).claimed_bytes, MIB);
}

/* ---- Counts ---- */

static size_t count_wrong(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return SIZE_MAX - 1;
}

Test(shrinker_bad, one_that_counts_too_much_does_not_keep_others_from_being_asked)
{
	struct cache a = {.bytes = 8 * MIB};
	unsigned scans = 0;

	add(count_wrong, give_nothing, &scans);
	cache_add(&a);
	cr_expect_eq(want(4 * MIB).claimed_bytes, 4 * MIB);
	cr_expect_eq(a.lost, 4 * MIB);
	cr_expect_leq(scans, 5);
}

/* Not for each batch of its part. */
Test(shrinker_bad, one_that_gives_nothing_is_asked_once_in_a_pass)
{
	struct oomreclaim_shrinker shrinker = good;
	unsigned scans = 0;

	shrinker.count = count_wrong;
	shrinker.scan = give_nothing;
	shrinker.batch = 64 * KIB;
	shrinker.arg = &scans;
	cr_assert_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL), 0);
	cr_expect_eq(want(MIB).claimed_bytes, 0);
	cr_expect_leq(scans, 5, "%u", scans);
}

static size_t count_stop(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	++*(unsigned *)arg;
	return OOMRECLAIM_STOP;
}

Test(shrinker_bad, one_that_can_not_count_now)
{
	struct oomreclaim_callback_stats stats;
	struct cache a = {.bytes = MIB};
	unsigned counts = 0;
	oomreclaim_handle handle = add(count_stop, give_nothing, &counts);

	cache_add(&a);
	cr_expect_eq(want(MIB).claimed_bytes, MIB);
	cr_expect_eq(counts, 1, "scan() is not called: %u", counts);
	cr_assert_eq(oomreclaim_callback_stats(handle, &stats, sizeof stats), 0);
	cr_expect_eq(stats.stops, 1);
	cr_expect_eq(stats.bytes_counted, 0);
	cr_expect_eq(stats.calls, 0);
}

/* The cache halves or doubles behind each count. */
static size_t count_and_fall(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;
	size_t bytes = cache_count(control, cache);

	cache->bytes = bytes / 2;
	return bytes;
}

static size_t count_and_rise(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;
	size_t bytes = cache_count(control, cache);

	cache->bytes = bytes * 2;
	return bytes;
}

Test(shrinker_bad, counts_that_fall_and_rise_meanwhile)
{
	struct cache falls = {.bytes = 64 * MIB}, rises = {.bytes = 64 * KIB};

	add(count_and_fall, cache_scan, &falls);
	add(count_and_rise, cache_scan, &rises);
	for (int i = 0; i < 8; i++)
		want(4 * MIB);
	cr_expect_eq(want(SIZE_MAX).has_timed_out, false);
	cr_expect_leq(falls.counts, 9 * 5);
	cr_expect_leq(rises.scans, 9 * 5);
}

static size_t scan_a_byte(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;

	(void)control;
	cache->scans++;
	fake_heap_freed(1);
	return 1;
}

/* That ends with what it counted, not after as many calls as there are bytes. */
Test(shrinker_bad, one_that_gives_a_byte_at_a_time)
{
	struct cache a = {.bytes = 64 * MIB};
	struct oomreclaim_shrinker shrinker = good;

	shrinker.scan = scan_a_byte;
	shrinker.batch = MIB;
	shrinker.arg = &a;
	cr_assert_eq(oomreclaim_shrinker_register(&shrinker, sizeof shrinker, NULL), 0);
	want(64 * MIB);
	cr_expect_leq(a.scans, 64 * 5);
}

/* ---- Lies ---- */

Test(shrinker_bad, one_that_claims_and_measures_nothing_is_asked_less)
{
	struct cache liar = {.bytes = 1024 * MIB, .is_elsewhere = true}, a = {.bytes = 1024 * MIB};
	struct registry_line lines[2];
	unsigned total;
	size_t before;

	cache_add(&liar);
	cache_add(&a);
	for (int i = 0; i < 4; i++)
		want(2 * MIB);
	registry_lines(lines, 2, &total);
	cr_expect_eq(lines[0].doubts, 4);
	cr_expect_eq(lines[1].doubts, 0);
	before = liar.lost;
	a.lost = 0;
	want(17 * MIB);
	cr_expect_geq(a.lost, 15 * MIB);
	cr_expect_leq(liar.lost - before, 2 * MIB);

	/* It is asked all the same where there is nothing else. */
	a.bytes = 0;
	cr_expect_eq(want(8 * MIB).claimed_bytes, 8 * MIB);
	liar.is_elsewhere = false;
	want(8 * MIB);
	registry_lines(lines, 2, &total);
	cr_expect_eq(lines[0].doubts, 0, "believed again");
}
