/* SPDX-License-Identifier: BSD-2-Clause */
/* The list by itself; test_registry_walk.c has what happens to it while callbacks run. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/base.h"
#include "reclaim/registry.h"
#include "support.h"

TestSuite(registry, .init = support_init, .timeout = WATCHDOG_SECONDS);

static size_t nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return 0;
}

/* The names in the order of calling, with a blank behind each. */
static const char *order(bool is_background)
{
	static char names[1024];
	const struct registry_walk walk = {.newest_handle = registry_newest(),
	                                   .is_background = is_background};
	const struct registry_outcome outcome = {.claimed_bytes = 0};
	struct registry_call call = {.entry = NULL};

	names[0] = '\0';
	while (registry_begin_call(&call, &walk)) {
		strcat(names, call.name);
		strcat(names, " ");
		registry_end_call(&call, &outcome);
	}
	registry_end_walk(&call);
	return names;
}

static oomreclaim_handle add(const char *name, int priority, unsigned flags)
{
	oomreclaim_handle handle = 0;

	cr_assert_eq(oomreclaim_register(name, priority, flags, nothing, NULL, &handle), 0);
	return handle;
}

Test(registry, empty)
{
	unsigned total = 99;

	cr_expect_str_eq(order(false), "");
	cr_expect_eq(registry_lines(NULL, 0, &total), 0);
	cr_expect_eq(total, 0);
}

Test(registry, highest_priority_first)
{
	add("low", -5, 0);
	add("high", 5, 0);
	add("lowest", INT_MIN, 0);
	add("middle", OOMRECLAIM_PRIORITY_DEFAULT, 0);
	add("highest", INT_MAX, 0);
	cr_expect_str_eq(order(false), "highest high middle low lowest ");
}

Test(registry, equal_priorities_in_order_of_registration)
{
	oomreclaim_handle first = add("a", 1, 0);

	add("b", 1, 0);
	add("c", 1, 0);
	add("z", 2, 0);
	add("d", 1, 0);
	cr_expect_str_eq(order(false), "z a b c d ");
	oomreclaim_unregister(first);
	add("a", 1, 0);
	cr_expect_str_eq(order(false), "z b c d a ");
}

Test(registry, flags_choose_the_context)
{
	add("either", 0, 0);
	add("direct", 0, OOMRECLAIM_CALLBACK_DIRECT);
	add("background", 0, OOMRECLAIM_CALLBACK_BACKGROUND);
	cr_expect_str_eq(order(false), "either direct ");
	cr_expect_str_eq(order(true), "either background ");
}

static const struct {
	const char *what;
	const char *name;
	oomreclaim_callback *function;
	unsigned flags;
	int error;
} refusals[] = {
	{"no name", NULL, nothing, 0, EINVAL},
	{"an empty name", "", nothing, 0, EINVAL},
	{"no function", "name", NULL, 0, EINVAL},
	{"an unknown flag", "name", nothing, 8, EINVAL},
	{"all flags", "name", nothing, ~0U, EINVAL},
	{"never", "name", nothing, OOMRECLAIM_CALLBACK_DIRECT | OOMRECLAIM_CALLBACK_BACKGROUND,
         EINVAL},
	{"32 bytes", "12345678901234567890123456789012", nothing, 0, ENAMETOOLONG},
};

Test(registry, refusals)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		oomreclaim_handle handle = 4711;
		unsigned total;

		errno = ERRNO_UNTOUCHED;
		cr_expect_eq(oomreclaim_register(refusals[i].name, 0, refusals[i].flags,
		                                 refusals[i].function, NULL, &handle),
		             refusals[i].error, "%s", refusals[i].what);
		cr_expect_eq(handle, 4711, "%s: handle changed", refusals[i].what);
		cr_expect_eq(errno, ERRNO_UNTOUCHED, "%s: errno", refusals[i].what);
		registry_lines(NULL, 0, &total);
		cr_expect_eq(total, 0, "%s: registered", refusals[i].what);
	}
}

Test(registry, the_longest_name)
{
	add("1234567890123456789012345678901", 0, 0);
	cr_expect_str_eq(order(false), "1234567890123456789012345678901 ");
}

Test(registry, the_name_is_copied)
{
	char name[] = "before";

	add(name, 0, 0);
	strcpy(name, "behind");
	cr_expect_str_eq(order(false), "before ");
}

Test(registry, the_handle_may_be_left_out)
{
	cr_expect_eq(oomreclaim_register("name", 0, 0, nothing, NULL, NULL), 0);
	cr_expect_str_eq(order(false), "name ");
}

Test(registry, handles_are_never_used_twice)
{
	enum { COUNT = 100 };
	oomreclaim_handle handles[COUNT];

	for (size_t i = 0; i < COUNT; i++) {
		handles[i] = add("same", 0, 0);
		cr_assert_neq(handles[i], 0);
		for (size_t j = 0; j < i; j++)
			cr_assert_neq(handles[i], handles[j]);
		/* Its memory may well serve for the next. */
		cr_assert_eq(oomreclaim_unregister(handles[i]), 0);
	}
}

Test(registry, unregister)
{
	oomreclaim_handle a = add("a", 3, 0), b = add("b", 2, 0), c = add("c", 1, 0);

	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(oomreclaim_unregister(b), 0);
	cr_expect_str_eq(order(false), "a c ");
	cr_expect_eq(oomreclaim_unregister(b), EINVAL, "twice");
	cr_expect_eq(oomreclaim_unregister(a), 0);
	cr_expect_eq(oomreclaim_unregister(c), 0);
	cr_expect_str_eq(order(false), "");
	cr_expect_eq(oomreclaim_unregister(0), EINVAL);
	cr_expect_eq(oomreclaim_unregister(c + 1), EINVAL, "not given out yet");
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}

/* ---- Counters ---- */

static void count_call(size_t claimed_bytes, size_t measured_bytes, uint64_t duration_ns)
{
	const struct registry_walk walk = {.newest_handle = registry_newest()};
	const struct registry_outcome outcome = {.claimed_bytes = claimed_bytes,
	                                         .measured_bytes = measured_bytes,
	                                         .duration_ns = duration_ns};
	struct registry_call call = {.entry = NULL};

	cr_assert(registry_begin_call(&call, &walk));
	registry_end_call(&call, &outcome);
	registry_end_walk(&call);
}

Test(registry, stats_are_sums_and_the_longest)
{
	oomreclaim_handle handle = add("name", 0, 0);
	struct oomreclaim_callback_stats stats;

	cr_assert_eq(oomreclaim_callback_stats(handle, &stats, sizeof stats), 0);
	cr_expect_eq(stats.calls, 0);
	count_call(1000, 10, 7);
	count_call(2000, 20, 9);
	count_call(0, 0, 8);
	cr_assert_eq(oomreclaim_callback_stats(handle, &stats, sizeof stats), 0);
	cr_expect_eq(stats.calls, 3);
	cr_expect_eq(stats.bytes_claimed, 3000);
	cr_expect_eq(stats.bytes_measured, 30);
	cr_expect_eq(stats.longest_ns, 9);
}

Test(registry, stats_of_a_shorter_struct)
{
	oomreclaim_handle handle = add("name", 0, 0);
	struct oomreclaim_callback_stats stats;

	memset(&stats, 0x55, sizeof stats);
	count_call(1000, 10, 7);
	cr_assert_eq(oomreclaim_callback_stats(handle, &stats, sizeof stats.calls), 0);
	cr_expect_eq(stats.calls, 1);
	cr_expect_eq(stats.bytes_claimed, 0x5555555555555555, "behind the end");
}

Test(registry, stats_of_a_longer_struct)
{
	struct {
		struct oomreclaim_callback_stats known;
		uint64_t unknown;
	} stats = {.unknown = 4711};
	oomreclaim_handle handle = add("name", 0, 0);

	count_call(1000, 10, 7);
	cr_assert_eq(oomreclaim_callback_stats(handle, &stats.known, sizeof stats), 0);
	cr_expect_eq(stats.known.longest_ns, 7);
	cr_expect_eq(stats.unknown, 4711);
}

Test(registry, stats_of_nobody)
{
	oomreclaim_handle handle = add("name", 0, 0);
	struct oomreclaim_callback_stats stats;

	cr_expect_eq(oomreclaim_callback_stats(handle, NULL, sizeof stats), EINVAL);
	cr_expect_eq(oomreclaim_callback_stats(handle + 1, &stats, sizeof stats), EINVAL);
	oomreclaim_unregister(handle);
	cr_expect_eq(oomreclaim_callback_stats(handle, &stats, sizeof stats), EINVAL);
}

Test(registry, lines_of_the_report)
{
	struct registry_line lines[2];
	unsigned total;

	add("third", 1, 0);
	add("first", 3, 0);
	add("second", 2, 0);
	count_call(5, 6, 7);
	cr_assert_eq(registry_lines(lines, ARRAY_SIZE(lines), &total), 2);
	cr_expect_eq(total, 3);
	cr_expect_str_eq(lines[0].name, "first");
	cr_expect_eq(lines[0].priority, 3);
	cr_expect_eq(lines[0].stats.calls, 1);
	cr_expect_eq(lines[0].stats.bytes_claimed, 5);
	cr_expect_str_eq(lines[1].name, "second");
	cr_expect_eq(lines[1].stats.calls, 0);
}
