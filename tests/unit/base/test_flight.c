/* SPDX-License-Identifier: BSD-2-Clause */
/* The flight recorder: what is in an event, and many threads at once. */
#include <criterion/criterion.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/flight.h"
#include "support.h"

static struct flight flight;

static void init(void)
{
	support_init();
	flight_begin(&flight);
}

TestSuite(flight, .init = init, .timeout = WATCHDOG_SECONDS);

Test(flight, nowhere)
{
	flight_begin(NULL);
	flight_note(FLIGHT_STEP, 1, 2, 3, NULL);
	flight_note_failure(1, NULL);
	cr_expect_eq(flight.count, 0);
}

Test(flight, what_is_in_it)
{
	const struct flight_event *event = &flight.event[0];

	errno = ERRNO_UNTOUCHED;
	flight_note(FLIGHT_CALLBACK_END, 7, 8, 9, "a name");
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(event->number, 1);
	cr_expect_eq(event->kind, FLIGHT_CALLBACK_END);
	cr_expect_eq(event->detail, 7);
	cr_expect_eq(event->bytes, 8);
	cr_expect_eq(event->more, 9);
	cr_expect_eq(event->thread, gettid());
	cr_expect_str_eq(event->name, "a name");
	cr_expect_gt(event->time_ns, 0);
	cr_expect_eq(event[1].number, 0);
}

Test(flight, copied)
{
	static struct flight copy;
	struct flight_event *event = flight.event;

	flight_note(FLIGHT_CALLBACK_END, 7, 8, 9, "a name");
	flight_note(FLIGHT_STEP, 1, 2, 3, NULL);
	flight_note(FLIGHT_STEP, 4, 5, 6, NULL);
	/* A thread is at it: nobody would end that in the copy. */
	event[1].number = FLIGHT_BUSY;
	flight_copy(&copy, &flight);
	cr_expect_eq(copy.count, 3);
	cr_expect_eq(memcmp(&copy.event[0], &event[0], sizeof event[0]), 0);
	cr_expect_eq(copy.event[1].number, 0);
	cr_expect_eq(memcmp(&copy.event[2], &event[2], sizeof event[2]), 0);
	cr_expect_eq(copy.event[3].number, 0);
}

Test(flight, a_name_is_cut)
{
	char longest[100];

	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	memset(flight.event[0].name, 'y', sizeof flight.event[0].name);
	flight_note(FLIGHT_CALLBACK_BEGIN, 0, 0, 0, longest);
	cr_expect_eq(strnlen(flight.event[0].name, sizeof flight.event[0].name), FLIGHT_NAME_MAX);
	/* What was there before shows no more. */
	memset(flight.event[1].name, 'y', sizeof flight.event[1].name);
	flight_note(FLIGHT_CALLBACK_BEGIN, 0, 0, 0, "x");
	cr_expect_str_eq(flight.event[1].name, "x");
}

Test(flight, the_last_ones)
{
	for (size_t i = 0; i < FLIGHT_EVENTS + 10; i++)
		flight_note(FLIGHT_STEP, 0, i, 0, NULL);
	cr_expect_eq(flight.event[9].number, FLIGHT_EVENTS + 10);
	cr_expect_eq(flight.event[9].bytes, FLIGHT_EVENTS + 9);
	cr_expect_eq(flight.event[10].number, 11);
}

/* A thread that is held up for 256 events: its place is its own. */
Test(flight, a_place_that_is_still_written_to)
{
	atomic_store(&flight.event[0].number, FLIGHT_BUSY);
	flight.event[0].bytes = 4711;
	flight_note(FLIGHT_STEP, 0, 1, 0, NULL);
	cr_expect_eq(flight.event[0].number, FLIGHT_BUSY);
	cr_expect_eq(flight.event[0].bytes, 4711);
	flight_note(FLIGHT_STEP, 0, 2, 0, NULL);
	cr_expect_eq(flight.event[1].number, 2);
}

Test(flight, where_a_failure_comes_from)
{
	/* In libc, whose name is in the path that the loader has; of no sanitizer's functions. */
	flight_note_failure(5, (const void *)(uintptr_t)&gnu_get_libc_version);
	cr_expect_eq(flight.event[0].kind, FLIGHT_FAILURE);
	cr_expect_eq(flight.event[0].bytes, 5);
	cr_expect_eq(strncmp(flight.event[0].name, "libc.so", 7), 0, "%s", flight.event[0].name);
	cr_expect_lt(flight.event[0].more, (uint64_t)64 << 20);
	/* In no file. */
	flight_note_failure(6, (const void *)8);
	cr_expect_eq(flight.event[1].more, 8);
	cr_expect_str_eq(flight.event[1].name, "?", "\"\" is the program");
	flight_note_failure(7, NULL);
	cr_expect_eq(flight.event[2].more, 0);
}

static __attribute__((noinline)) void note_stack(void)
{
	flight_note_stack(__builtin_return_address(0));
}

/* A frame each, and not at every call: nothing else would be seen. */
Test(flight, a_stack)
{
	uint64_t first;

	fake_clock_freeze();
	note_stack();
	first = flight.count;
	cr_expect_geq(first, 1);
	cr_expect_leq(first, FLIGHT_FRAMES);
	for (uint64_t i = 0; i < first; i++) {
		cr_expect_eq(flight.event[i].kind, FLIGHT_FRAME);
		cr_expect_eq(flight.event[i].detail, i);
		cr_expect_neq(flight.event[i].more, 0);
	}
	note_stack();
	cr_expect_eq(flight.count, first, "too soon");
	fake_clock_advance(NSEC_PER_SEC);
	note_stack();
	cr_expect_eq(flight.count, 2 * first);
}

#define THREADS 4
#define EACH 20000

static void note_many(void)
{
	for (size_t i = 1; i <= EACH; i++)
		flight_note(FLIGHT_STEP, (unsigned)(i % 1000), i, ~i, NULL);
}

/* Whole, and no two of one number. */
Test(flight, many_threads)
{
	struct thread thread[THREADS] = {0};
	unsigned wrong = 0;

	for (int i = 0; i < THREADS; i++)
		thread_start(&thread[i], note_many);
	for (int i = 0; i < THREADS; i++)
		thread_join(&thread[i]);
	cr_expect_eq(flight.count, THREADS * EACH);
	for (size_t i = 0; i < FLIGHT_EVENTS; i++) {
		const struct flight_event *event = &flight.event[i];

		cr_expect_neq(event->number, FLIGHT_BUSY);
		cr_expect_eq(event->number % FLIGHT_EVENTS, (i + 1) % FLIGHT_EVENTS);
		if (event->more != ~event->bytes || event->detail != event->bytes % 1000)
			wrong++;
	}
	cr_expect_eq(wrong, 0);
}
