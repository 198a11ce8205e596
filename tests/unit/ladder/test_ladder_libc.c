/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver, for what libc can't be refused. The trace is fake_heap.h's; callbacks add a c. */
#include <criterion/criterion.h>
#include <errno.h>

#include "add_group.h"
#include "base/base.h"
#include "fake_heap.h"
#include "ladder/ladder.h"
#include "support.h"

static struct heap_request request = {.size = 1000, .is_for_libc = true};

static size_t note_call(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	fake_heap_note('c');
	return 0;
}

static void init(void)
{
	support_init();
	oomreclaim_register("callback", 0, 0, note_call, NULL, NULL);
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	fake_heap_has_dirty = fake_heap_has_cached = false;
}

TestSuite(ladder_libc, .init = init, .timeout = WATCHDOG_SECONDS);

static void expect(void *memory, const char *trace)
{
	errno = ERRNO_UNTOUCHED;
	fake_heap_clear_trace();
	cr_expect(ladder_descend(&request) == memory);
	cr_expect_eq(errno, memory != NULL ? ERRNO_UNTOUCHED : ENOMEM);
	cr_expect_str_eq(fake_heap_trace(), trace, "is %s, should be %s", fake_heap_trace(), trace);
}

Test(ladder_libc, gets_the_reserve_behind_all_else)
{
	fake_heap_fill_reserve(1);
	expect(fake_heap_reserve_block, "fcfar");
}

Test(ladder_libc, is_tried_beyond_the_limit_behind_the_reserve)
{
	fake_heap_fill_reserve(0);
	expect(NULL, "fcfara");
	fake_heap_fail(1);
	expect(fake_heap_block, "fcfara");
}

Test(ladder_libc, others_get_neither)
{
	fake_heap_fill_reserve(1);
	request.is_for_libc = false;
	expect(NULL, "fcfa");
}

/* As the process, which has the reserve, and may have room. */
Test(ladder_libc, leaves_its_group)
{
	unsigned group = add_group("group", 0);

	fake_heap_group = group;
	fake_heap_group_refuser = group;
	fake_heap_fill_reserve(1);
	expect(fake_heap_reserve_block, "ffaar");
	cr_expect_eq(fake_heap_group, group);
	fake_heap_fail(1);
	expect(fake_heap_block, "ffaa");
	cr_expect_eq(fake_heap_group, group);
}

/* In its place it would stay its group's. */
Test(ladder_libc, moves_what_is_resized)
{
	unsigned group = add_group("group", 0);
	char old[8];

	request.old = old;
	fake_heap_group = group;
	fake_heap_group_refuser = group;
	fake_heap_fail(1);
	expect(fake_heap_block, "ffaMa");
	fake_heap_fill_reserve(0);
	fake_heap_fail(2);
	expect(fake_heap_block, "ffaMarMa");
}
