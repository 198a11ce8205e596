/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

#include "fake_heap.h"
#include "reclaim/reserve.h"
#include "support.h"

TestSuite(reserve, .init = support_init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request small = {.size = 1};

Test(reserve, none)
{
	fake_heap_reserve_bytes = 4711;
	cr_expect_eq(reserve_init(0), 0);
	cr_expect_eq(fake_heap_reserve_bytes, 4711, "made all the same");
	cr_expect_eq(reserve_bytes(), 0);
	cr_expect_null(reserve_alloc(&small));
	cr_expect_str_eq(fake_heap_trace(), "", "the heap has none to ask");
}

Test(reserve, no_room_for_it)
{
	fake_heap_reserve_error = -ENOMEM;
	cr_expect_eq(reserve_init(65536), -ENOMEM);
	cr_expect_eq(reserve_bytes(), 0);
	cr_expect_null(reserve_alloc(&small));
	cr_expect_str_eq(fake_heap_trace(), "");
}

/* Where nothing is registered there is no arena: the heap gets the mapping, once. */
Test(reserve, waits_as_a_mapping)
{
	cr_assert_eq(reserve_init(65536), 0);
	cr_expect_eq(fake_heap_arena_calls, 0);
	cr_expect_eq(reserve_bytes(), 65536);
	reserve_alloc(&small);
	reserve_alloc(&small);
	cr_expect_str_eq(fake_heap_trace(), "grr");
	cr_expect_eq(reserve_bytes(), 0);
}

Test(reserve, is_an_arena_for_callbacks)
{
	cr_assert_eq(reserve_init(65536), 0);
	errno = 4711;
	reserve_want_arena();
	cr_expect_eq(errno, 4711);
	reserve_want_arena();
	cr_expect_eq(fake_heap_arena_calls, 1);
	reserve_alloc(&small);
	cr_expect_str_eq(fake_heap_trace(), "r");
	cr_expect_eq(reserve_bytes(), 65536);
}

Test(reserve, tries_an_arena_again)
{
	cr_assert_eq(reserve_init(65536), 0);
	fake_heap_arena_error = -ENOMEM;
	reserve_want_arena();
	cr_expect_eq(reserve_bytes(), 65536, "the mapping is there");
	fake_heap_arena_error = 0;
	reserve_want_arena();
	cr_expect_eq(fake_heap_arena_calls, 2);
	reserve_alloc(&small);
	cr_expect_str_eq(fake_heap_trace(), "r");
}

Test(reserve, makes_no_arena_inside_the_heap)
{
	cr_assert_eq(reserve_init(65536), 0);
	fake_heap_is_reentrant = true;
	reserve_want_arena();
	cr_expect_eq(fake_heap_arena_calls, 0);
}

Test(reserve, is_an_arena_where_a_callback_came_first)
{
	reserve_want_arena();
	cr_expect_eq(fake_heap_arena_calls, 0);
	cr_assert_eq(reserve_init(65536), 0);
	cr_expect_eq(fake_heap_arena_calls, 1);
}

Test(reserve, is_an_arena_again_for_a_later_callback)
{
	cr_assert_eq(reserve_init(65536), 0);
	reserve_alloc(&small);
	fake_heap_reserve_error = -ENOMEM;
	reserve_want_arena();
	cr_expect_eq(fake_heap_arena_calls, 0);
	cr_expect_eq(reserve_bytes(), 0);
	fake_heap_reserve_error = 0;
	reserve_want_arena();
	cr_expect_eq(fake_heap_arena_calls, 1);
	cr_expect_eq(reserve_bytes(), 65536);
}

/* What the heap is given has no bound, as the arena has. */
Test(reserve, gives_a_group_nothing_but_from_the_arena)
{
	cr_assert_eq(reserve_init(65536), 0);
	fake_heap_group = 1;
	cr_expect_null(reserve_alloc(&small));
	cr_expect_str_eq(fake_heap_trace(), "");
	fake_heap_group = 0;
	reserve_alloc(&small);
	fake_heap_group = 1;
	cr_expect_null(reserve_alloc(&small));
	cr_expect_str_eq(fake_heap_trace(), "gr");
	reserve_want_arena();
	reserve_alloc(&small);
	cr_expect_str_eq(fake_heap_trace(), "grr");
}

static void *make_arena(void *arg)
{
	reserve_want_arena();
	return arg;
}

/* A thread that comes while the arena is made gets of it, and not of what the heap has. */
Test(reserve, is_waited_for)
{
	pthread_t maker;

	cr_assert_eq(reserve_init(65536), 0);
	fake_heap_arena_pause_ms = 2;
	pthread_create(&maker, NULL, make_arena, NULL);
	while (fake_heap_arena_calls == 0)
		;
	reserve_alloc(&small);
	cr_expect_str_eq(fake_heap_trace(), "r");
	cr_expect(fake_heap_arena_pause_ms == 0, "the arena is not there yet");
	pthread_join(maker, NULL);
}

/* The maker is in the parent: the child has no reserve until somebody wants one. */
Test(reserve, is_had_again_in_a_child)
{
	pthread_t maker;

	cr_assert_eq(reserve_init(65536), 0);
	fake_heap_arena_pause_ms = 20;
	fake_heap_arena_error = -ENOMEM;
	pthread_create(&maker, NULL, make_arena, NULL);
	while (fake_heap_arena_calls == 0)
		;
	reserve_fork_child();
	cr_expect_eq(reserve_bytes(), 0);
	pthread_join(maker, NULL);
}

Test(reserve, gives_until_it_is_empty)
{
	fake_heap_fill_reserve(2);
	cr_expect_eq(reserve_bytes(), fake_heap_reserve_bytes);
	cr_expect(reserve_alloc(&small) == fake_heap_reserve_block);
	cr_expect(reserve_alloc(&small) == fake_heap_reserve_block);
	cr_expect_null(reserve_alloc(&small));
}

Test(reserve, what_is_larger_is_not_asked_for)
{
	struct heap_request request = {.size = 0};

	fake_heap_fill_reserve(1);
	request.size = reserve_bytes() + 1;
	cr_expect_null(reserve_alloc(&request));
	request.size = SIZE_MAX;
	cr_expect_null(reserve_alloc(&request));
	cr_expect_str_eq(fake_heap_trace(), "");
	request.size = reserve_bytes();
	cr_expect(reserve_alloc(&request) == fake_heap_reserve_block);
}
