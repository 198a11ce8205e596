/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver: rungs 1 to 7, over a heap that fails as often as a test wants. The trace says what
 * was done in which order (fake_heap.h); callbacks add a c.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/base.h"
#include "budget_set.h"
#include "config/options.h"
#include "fake_heap.h"
#include "kill/own_end.h"
#include "kill/policy.h"
#include "ladder/ladder.h"
#include "limits/budget.h"
#include "reclaim/scope.h"
#include "support.h"

TestSuite(ladder_run, .init = support_init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 1000, .alignment = 16};

/* What the callback claims, and what the heap sees of it. */
static size_t claimed_bytes, measured_bytes;
static unsigned calls, calls_left = UINT_MAX;

static size_t give(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	fake_heap_note('c');
	if (calls++ >= calls_left)
		return 0;
	fake_heap_freed(measured_bytes);
	return claimed_bytes;
}

static void add_callback(oomreclaim_callback *function)
{
	oomreclaim_register("callback", 0, 0, function, NULL, NULL);
}

static void *descend(void)
{
	errno = ERRNO_UNTOUCHED;
	return ladder_descend(&request);
}

/* Descends in a heap that fails `attempts` times, and expects this trace. */
static void expect_trace(unsigned attempts, const void *memory, const char *trace)
{
	void *is;

	fake_heap_fail(attempts);
	fake_heap_clear_trace();
	is = descend();
	cr_expect(is == memory, "after %u failures: %p", attempts, is);
	cr_expect_str_eq(fake_heap_trace(), trace, "after %u failures: %s, should be %s", attempts,
	                 fake_heap_trace(), trace);
	cr_expect_eq(errno, is != NULL ? ERRNO_UNTOUCHED : ENOMEM);
}

/* fp: flush and purge; a: an attempt. The flush behind the callbacks is part of their round. */
Test(ladder_run, an_attempt_after_each_step)
{
	claimed_bytes = measured_bytes = 1000;
	calls_left = 2;
	add_callback(give);
	expect_trace(0, fake_heap_block, "fa");
	expect_trace(1, fake_heap_block, "fapa");
	expect_trace(2, fake_heap_block, "fapacfa");
	calls = 0;
	/* Only where that fails are the arenas purged of what the callbacks freed. */
	expect_trace(3, fake_heap_block, "fapacfapa");
	calls = 0;
	expect_trace(4, fake_heap_block, "fapacfapacfa");
	calls = 0;
	/* The third round gives nothing; the policy returns, and nobody tries again for that. */
	expect_trace(FAKE_HEAP_ALWAYS, NULL, "fapacfapacfapacfapa");
}

Test(ladder_run, without_callbacks)
{
	expect_trace(0, fake_heap_block, "fa");
	expect_trace(1, fake_heap_block, "fapa");
	/* Where nobody is asked, nothing comes of asking. */
	expect_trace(2, NULL, "fapa");
	expect_trace(FAKE_HEAP_ALWAYS, NULL, "fapa");
}

/* Own reclaim goes by steps, cheapest first, with an attempt after each that may have helped. */
Test(ladder_run, own_reclaim_goes_by_degrees)
{
	fake_heap_merges = true;
	fake_heap_evictions = 2;
	expect_trace(0, fake_heap_block, "fa");
	expect_trace(1, fake_heap_block, "fama");
	expect_trace(2, fake_heap_block, "famaea");
	fake_heap_evictions = 2;
	expect_trace(3, fake_heap_block, "famaeaea");
	fake_heap_evictions = 2;
	expect_trace(4, fake_heap_block, "famaeaeapa");
}

/* What the system has refused is asked for again only after something was given back to it, or
   callbacks have run, which may have unmapped something of their own. */
Test(ladder_run, nothing_was_given_back)
{
	fake_heap_merges = true;
	fake_heap_evictions = 1;
	expect_trace(FAKE_HEAP_ALWAYS, NULL, "famaeapa");
	cr_expect_eq(fake_heap_again, 2, "after flush and compact");
	fake_heap_has_dirty = fake_heap_merges = false;
	calls_left = 1;
	add_callback(give);
	expect_trace(FAKE_HEAP_ALWAYS, NULL, "facfa");
	cr_expect_eq(fake_heap_again, 3, "after flush, and not after callbacks");
}

/* A round that gives something, as long as little is free. */
static void live_at_the_limit(void)
{
	cr_assert(budget_take(3200));
	fake_heap_evictable = 99;
	claimed_bytes = measured_bytes = 1000;
	calls_left = UINT_MAX;
	add_callback(give);
	expect_trace(2, fake_heap_block, "fapacfa");
}

/* Then callbacks are asked before that little is unmapped; in vain, it is. */
Test(ladder_run, callbacks_before_the_last_few_pages)
{
	live_at_the_limit();
	fake_heap_evictions = 1;
	expect_trace(1, fake_heap_block, "facfa");
	expect_trace(2, fake_heap_block, "facfaea");
	fake_heap_evictable = 100;
	fake_heap_evictions = 1;
	expect_trace(1, fake_heap_block, "faea");
}

/* Not for ever after: a round that gives nothing is no reason. */
Test(ladder_run, the_last_few_pages_once_callbacks_have_nothing)
{
	unsigned failures = 0;

	live_at_the_limit();
	calls_left = 0;
	do {
		fake_heap_evictions = 1;
		fake_heap_fail(1);
		fake_heap_clear_trace();
		cr_assert_eq(descend(), fake_heap_block);
	} while (fake_heap_trace()[2] == 'c' && failures++ < 1000);
	cr_expect_str_eq(fake_heap_trace(), "faea");
	cr_expect_eq(failures, 32);
}

/* Nobody else is asked there. */
Test(ladder_run, the_last_few_pages_where_no_callback_is_asked)
{
	static const unsigned scopes[] = {OOMRECLAIM_SCOPE_NORETRY, OOMRECLAIM_SCOPE_NORECLAIM,
	                                  OOMRECLAIM_SCOPE_RESERVE};

	live_at_the_limit();
	for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
		unsigned old = oomreclaim_scope_save(scopes[i]);

		expect_trace(1, fake_heap_block, "fapa");
		oomreclaim_scope_restore(old);
	}
}

Test(ladder_run, what_another_arena_lends_needs_no_attempt)
{
	fake_heap_lends = true;
	expect_trace(FAKE_HEAP_ALWAYS, fake_heap_block, "fab");
}

Test(ladder_run, evictions_grow_by_what_they_gave)
{
	fake_heap_evictions = 3;
	fake_heap_has_dirty = false;
	fake_heap_fail(3);
	cr_expect(descend() == fake_heap_block);
	cr_expect_eq(fake_heap_evict_bytes, 2 * 4096, "two have given a page each");
	cr_expect_str_eq(fake_heap_trace(), "faeaeaea");
}

Test(ladder_run, evictions_end)
{
	fake_heap_evictions = UINT_MAX;
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	cr_expect_null(descend());
	cr_expect_eq(fake_heap_count('e'), 15);
	cr_expect_eq(fake_heap_count('p'), 1, "then everything goes");
}

/* Where nothing is free there is nothing to try again. */
Test(ladder_run, no_attempt_in_vain)
{
	fake_heap_has_dirty = false;
	expect_trace(FAKE_HEAP_ALWAYS, NULL, "fa");
	fake_heap_has_cached = false;
	expect_trace(FAKE_HEAP_ALWAYS, NULL, "f");
}

/* What each processor has is there for another attempt, once. */
Test(ladder_run, lists_end)
{
	fake_heap_has_dirty = fake_heap_has_cached = false;
	fake_heap_has_lists = true;
	expect_trace(FAKE_HEAP_ALWAYS, NULL, "fa");
	expect_trace(FAKE_HEAP_ALWAYS, NULL, "f");
}

/* Behind the callbacks it begins with compaction: the flush was a part of the round. */
Test(ladder_run, own_reclaim_behind_the_callbacks)
{
	fake_heap_has_dirty = false;
	claimed_bytes = measured_bytes = 1000;
	calls_left = 1;
	add_callback(give);
	fake_heap_merges = true;
	expect_trace(3, fake_heap_block, "famacfama");
}

Test(ladder_run, errno_on_every_rung)
{
	unsigned attempts = 0;
	void *memory;

	claimed_bytes = measured_bytes = 1;
	add_callback(give);
	do {
		calls = 0;
		calls_left = 5;
		fake_heap_fail(attempts++);
		errno = ERRNO_UNTOUCHED;
		memory = ladder_descend(&request);
		cr_expect_eq(errno, memory != NULL ? ERRNO_UNTOUCHED : ENOMEM);
	} while (memory != NULL && attempts < 100);
	/* Two of own reclaim, five rounds and a sixth that gives nothing, two for each. */
	cr_expect_eq(attempts, 15, "%u", attempts);
}

static size_t set_errno(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	errno = EDOM;
	return 0;
}

Test(ladder_run, errno_of_a_callback_does_not_show)
{
	add_callback(set_errno);
	fake_heap_fail(2);
	cr_expect(descend() == fake_heap_block);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}

/* ---- 1: impossible ---- */

static void expect_impossible(const struct heap_request *wanted)
{
	errno = ERRNO_UNTOUCHED;
	cr_expect_null(ladder_descend(wanted));
	cr_expect_eq(errno, ENOMEM);
	cr_expect_str_eq(fake_heap_trace(), "", "nothing is tried for it");
}

Test(ladder_run, impossible_size)
{
	add_callback(give);
	expect_impossible(&(struct heap_request){.size = (size_t)PTRDIFF_MAX + 1});
	expect_impossible(&(struct heap_request){.size = SIZE_MAX});
}

Test(ladder_run, impossible_alignment)
{
	add_callback(give);
	expect_impossible(&(struct heap_request){.size = 1, .alignment = (size_t)1 << 63});
}

Test(ladder_run, impossible_under_the_limit)
{
	add_callback(give);
	oomreclaim_set_limit(4096);
	expect_impossible(&(struct heap_request){.size = 4097});
	cr_expect(ladder_descend(&(struct heap_request){.size = 4096}) == fake_heap_block);
}

Test(ladder_run, impossible_alignment_under_the_limit)
{
	const size_t mib = (size_t)1 << 20;

	add_callback(give);
	oomreclaim_set_limit(64 * mib);
	expect_impossible(&(struct heap_request){.size = 1, .alignment = 128 * mib});
	/* Each is below it, but they are not together. */
	expect_impossible(&(struct heap_request){.size = 40 * mib, .alignment = 32 * mib});
	cr_expect(ladder_descend(&(struct heap_request){.size = 30 * mib, .alignment = 32 * mib}) ==
	          fake_heap_block);
	/* The kernel may align to so much by itself. */
	cr_expect(ladder_descend(&(struct heap_request){.size = 64 * mib, .alignment = 2 * mib}) ==
	          fake_heap_block);
}

/* ---- 2: no recursion ---- */

static void *nested_memory;
static int nested_errno;

static size_t allocate_inside(const struct oomreclaim_control *control, void *arg)
{
	give(control, arg);
	errno = ERRNO_UNTOUCHED;
	nested_memory = ladder_descend(&request);
	nested_errno = errno;
	return 0;
}

Test(ladder_run, nested_is_served_from_the_reserve)
{
	fake_heap_fill_reserve(1);
	add_callback(allocate_inside);
	/* No own reclaim, no attempt, no second round: the reserve at once. */
	expect_trace(2, fake_heap_block, "fapacrfa");
	cr_expect(nested_memory == fake_heap_reserve_block);
	cr_expect_eq(nested_errno, ERRNO_UNTOUCHED);
}

Test(ladder_run, nested_without_a_reserve_is_null)
{
	fake_heap_fill_reserve(0);
	add_callback(allocate_inside);
	expect_trace(2, fake_heap_block, "fapacrfa");
	cr_expect_null(nested_memory);
	cr_expect_eq(nested_errno, ENOMEM);
}

Test(ladder_run, reentrant_is_null_at_once)
{
	fake_heap_is_reentrant = true;
	fake_heap_fill_reserve(1);
	add_callback(give);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	expect_trace(0, NULL, "");
}

/* ---- 4: scopes ---- */

static enum oomreclaim_policy note_policy(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)arg;
	fake_heap_note('d');
	return verdict->policy;
}

/* With a callback, a policy callback and a reserve at hand, in this scope. */
static void expect_in_scope(unsigned scope, const void *memory, const char *trace)
{
	fake_heap_fill_reserve(1);
	add_callback(give);
	oomreclaim_set_policy_callback(note_policy, NULL);
	oomreclaim_scope_save(scope);
	expect_trace(FAKE_HEAP_ALWAYS, memory, trace);
}

Test(ladder_run, no_scope)
{
	expect_in_scope(0, NULL, "fapacfapada");
}

Test(ladder_run, noretry_calls_nobody)
{
	expect_in_scope(OOMRECLAIM_SCOPE_NORETRY, NULL, "fapa");
}

Test(ladder_run, retry_mayfail_never_asks_the_policy)
{
	expect_in_scope(OOMRECLAIM_SCOPE_RETRY_MAYFAIL, NULL, "fapacfapa");
}

Test(ladder_run, noreclaim_calls_nobody)
{
	expect_in_scope(OOMRECLAIM_SCOPE_NORECLAIM, NULL, "fapa");
}

Test(ladder_run, reserve_before_callbacks)
{
	expect_in_scope(OOMRECLAIM_SCOPE_RESERVE, fake_heap_reserve_block, "fapar");
}

Test(ladder_run, reserve_used_up)
{
	expect_in_scope(OOMRECLAIM_SCOPE_RESERVE, fake_heap_reserve_block, "fapar");
	expect_trace(FAKE_HEAP_ALWAYS, NULL, "faparcfapada");
}

Test(ladder_run, reserve_and_noretry)
{
	expect_in_scope(OOMRECLAIM_SCOPE_RESERVE | OOMRECLAIM_SCOPE_NORETRY,
	                fake_heap_reserve_block, "fapar");
	expect_trace(FAKE_HEAP_ALWAYS, NULL, "fapar");
}

/* ---- 10: already dying ---- */

Test(ladder_run, the_dying_get_the_reserve)
{
	cr_assert(own_end_mark(OOMRECLAIM_POLICY_ABORT));
	expect_in_scope(0, fake_heap_reserve_block, "fapar");
	/* Nobody is asked to give for it, and nothing harsher follows. */
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	expect_trace(FAKE_HEAP_ALWAYS, NULL, "fapar");
}

/* ---- 5 to 7: rounds ---- */

static unsigned rounds_until_null(void)
{
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	calls = 0;
	cr_expect_null(descend());
	return calls;
}

Test(ladder_run, claims_that_nobody_can_measure_end)
{
	claimed_bytes = SIZE_MAX - 1;
	add_callback(give);
	cr_expect_eq(rounds_until_null(), MAX_RECLAIM_RETRIES);
}

Test(ladder_run, measured_progress_goes_on)
{
	claimed_bytes = measured_bytes = 1;
	calls_left = 100;
	add_callback(give);
	cr_expect_eq(rounds_until_null(), 101, "and once to find out that there is no more");
}

static size_t give_in_the_16th(const struct oomreclaim_control *control, void *arg)
{
	measured_bytes = control->attempt == MAX_RECLAIM_RETRIES - 1 ? 1 : 0;
	return give(control, arg);
}

Test(ladder_run, only_rounds_in_a_row_count)
{
	claimed_bytes = 1;
	add_callback(give_in_the_16th);
	cr_expect_eq(rounds_until_null(), 2 * MAX_RECLAIM_RETRIES);
}

static size_t take_and_free(const struct oomreclaim_control *control, void *arg)
{
	fake_heap_allocated(4096);
	fake_heap_freed(4096);
	return give(control, arg);
}

Test(ladder_run, what_is_taken_and_freed_is_no_progress)
{
	claimed_bytes = 1;
	add_callback(take_and_free);
	cr_expect_eq(rounds_until_null(), MAX_RECLAIM_RETRIES);
}

static enum oomreclaim_policy retry_once(const struct oomreclaim_verdict *verdict, void *arg)
{
	unsigned *decisions = arg;

	(void)verdict;
	return (*decisions)++ == 0 ? OOMRECLAIM_POLICY_RETRY : OOMRECLAIM_POLICY_RETURN;
}

Test(ladder_run, rounds_before_a_retry_do_not_count_behind_it)
{
	unsigned decisions = 0;

	claimed_bytes = 1;
	add_callback(give);
	oomreclaim_set_policy_callback(retry_once, &decisions);
	cr_expect_eq(rounds_until_null(), 2 * MAX_RECLAIM_RETRIES);
	cr_expect_eq(decisions, 2);
}

static int state_inside = -1;

static size_t look_at_cancel_state(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_inside);
	return 0;
}

Test(ladder_run, cancellation_is_held_off)
{
	int state;

	add_callback(look_at_cancel_state);
	fake_heap_fail(2);
	descend();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	cr_expect_eq(state_inside, PTHREAD_CANCEL_DISABLE);
	cr_expect_eq(state, PTHREAD_CANCEL_ENABLE);
}
