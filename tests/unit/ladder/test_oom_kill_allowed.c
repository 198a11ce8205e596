/* SPDX-License-Identifier: BSD-2-Clause */
/* Rung 8: a row for each condition under which nothing harsher than reclaim may follow. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "ladder/ladder.h"
#include "support.h"

TestSuite(oom_kill_allowed, .init = support_init, .timeout = WATCHDOG_SECONDS);

/* The default of `costly`, where pages have 4 KiB: 8 of them. */
#define COSTLY_BYTES ((size_t)8 * (size_t)sysconf(_SC_PAGESIZE))

static const struct heap_request request = {.size = 64};
static const struct heap_request in_arena = {.size = 64, .is_arena_explicit = true};

struct row {
	const char *name;
	struct oom_control control;
	bool is_allowed;
};

#define ASKED .request = &request
#define SCOPE(flag) .scope = OOMRECLAIM_SCOPE_##flag
#define OTHER(name) .now.is_target_other = true, .constraint = CONSTRAINT_##name

static const struct row rows[] = {
	{"nothing stands against it", {ASKED}, true},
	{"the process is aborting or dumping core", {ASKED, .now.is_dying = true}, false},
	{"no end of a process helps", {ASKED, .facts.is_impossible = true}, false},
	{"scope RETRY_MAYFAIL", {ASKED, SCOPE(RETRY_MAYFAIL)}, false},
	{"scope NORECLAIM", {ASKED, SCOPE(NORECLAIM)}, false},
	{"scope NORECLAIM, among others",
         {ASKED, .scope = OOMRECLAIM_SCOPE_NOFAIL | OOMRECLAIM_SCOPE_NORECLAIM},
         false},
	{"scope NORETRY is rung 4's", {ASKED, SCOPE(NORETRY)}, true},
	{"scope NOFAIL", {ASKED, SCOPE(NOFAIL)}, true},
	{"scope RESERVE", {ASKED, SCOPE(RESERVE)}, true},
	{"oomreclaim_kill_disable()", {ASKED, .now.is_killer_disabled = true}, false},
	{"an explicit MALLOCX_ARENA(i) request", {.request = &in_arena}, false},
	{"waiting timed out", {ASKED, .tried.callbacks = CALLBACKS_TIMED_OUT}, false},
	{"target other than self, RLIMIT_AS", {ASKED, OTHER(RLIMIT_AS)}, false},
	{"target other than self, RLIMIT_DATA", {ASKED, OTHER(RLIMIT_DATA)}, false},
	{"target other than self, map count", {ASKED, OTHER(MAX_MAP_COUNT)}, false},
	{"target other than self, budget", {ASKED, OTHER(BUDGET)}, false},
	{"target other than self, cgroup", {ASKED, OTHER(CGROUP)}, true},
	{"target other than self, overcommit", {ASKED, OTHER(OVERCOMMIT)}, true},
	{"target other than self, no constraint", {ASKED, OTHER(NONE)}, true},
	{"target other than self, unknown", {ASKED, OTHER(UNKNOWN)}, true},
	{"target self, RLIMIT_AS", {ASKED, .constraint = CONSTRAINT_RLIMIT_AS}, true},
	{"target self, budget", {ASKED, .constraint = CONSTRAINT_BUDGET}, true},
};

Test(oom_kill_allowed, conditions)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cr_expect(oom_kill_allowed(&rows[i].control) == rows[i].is_allowed, "%s",
		          rows[i].name);
		cr_expect((ladder_kill_refusal(&rows[i].control) == NULL) == rows[i].is_allowed,
		          "%s: a reason", rows[i].name);
	}
}

static bool is_allowed_for(size_t bytes)
{
	const struct heap_request sized = {.size = bytes};
	const struct oom_control control = {.request = &sized};

	return oom_kill_allowed(&control);
}

Test(oom_kill_allowed, costly_is_eight_pages)
{
	cr_expect(is_allowed_for(COSTLY_BYTES));
	cr_expect_not(is_allowed_for(COSTLY_BYTES + 1));
	cr_expect_not(is_allowed_for(SIZE_MAX));
}

Test(oom_kill_allowed, costly_off_lifts_it)
{
	options_apply("test", "costly:off", &options, NULL);
	cr_expect(is_allowed_for(COSTLY_BYTES + 1));
	cr_expect(is_allowed_for(SIZE_MAX));
}

Test(oom_kill_allowed, costly_by_size)
{
	options_apply("test", "costly:100", &options, NULL);
	cr_expect(is_allowed_for(100));
	cr_expect_not(is_allowed_for(101));
}

/* What is cancelled has as much to give. */
Test(oom_kill_allowed, costly_is_not_for_groups)
{
	const struct heap_request sized = {.size = SIZE_MAX};
	const struct oom_control control = {.request = &sized, .now.is_policy_cancel = true};

	cr_expect(oom_kill_allowed(&control));
}

static bool is_allowed_aligned(size_t bytes, size_t alignment)
{
	const struct heap_request aligned = {.size = bytes, .alignment = alignment};
	const struct oom_control control = {.request = &aligned};

	return oom_kill_allowed(&control);
}

Test(oom_kill_allowed, costly_is_size_and_alignment_together)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	cr_expect(is_allowed_aligned(COSTLY_BYTES, page), "each block may begin at a page");
	cr_expect_not(is_allowed_aligned(COSTLY_BYTES, 2 * page));
	cr_expect(is_allowed_aligned(page, COSTLY_BYTES));
	cr_expect_not(is_allowed_aligned(page + 1, COSTLY_BYTES));
	cr_expect_not(is_allowed_aligned(10, (size_t)1 << 46));
}
