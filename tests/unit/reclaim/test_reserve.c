/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <errno.h>

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
