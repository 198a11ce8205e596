/* SPDX-License-Identifier: BSD-2-Clause */
/* The ladder one level down: where a group's max is met. The trace is fake_heap.h's. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "add_group.h"
#include "config/options.h"
#include "fake_heap.h"
#include "kill/cancel.h"
#include "ladder/ladder.h"
#include "limits/group_victim.h"
#include "support.h"

TestSuite(ladder_group, .init = support_init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 1000, .alignment = 16};
static unsigned job, child, other;

static void make_groups(void)
{
	job = add_group("job", 0);
	child = add_group("child", job);
	other = add_group("other", 0);
	fake_heap_group = child;
}

/* Leaves its letter. */
static size_t note_letter(const struct oomreclaim_control *control, void *arg)
{
	cr_expect_eq(strcmp(control->constraint, fake_heap_group_refuser != 0 ? "GROUP" : "NONE"),
	             0, "%s", control->constraint);
	cr_expect_eq(control->reason, fake_heap_group_refuser != 0 ? OOMRECLAIM_REASON_LIMIT
	                                                           : OOMRECLAIM_REASON_ALLOC);
	cr_expect_eq(control->group == NULL, fake_heap_group_refuser == 0);
	fake_heap_note(*(const char *)arg);
	return 0;
}

static void register_in(unsigned slot, const char *letter)
{
	unsigned was = fake_heap_group;

	fake_heap_group = slot;
	oomreclaim_register(letter, 0, 0, note_letter, (void *)(uintptr_t)letter, NULL);
	fake_heap_group = was;
}

static const char *descend(unsigned attempts)
{
	fake_heap_fail(attempts);
	fake_heap_clear_trace();
	ladder_descend(&request);
	return fake_heap_trace();
}

/* g: what is free in the group goes back; p, of the process, does not. */
Test(ladder_group, gives_back_what_is_the_groups)
{
	make_groups();
	fake_heap_lends = true;
	fake_heap_group_refuser = job;
	fake_heap_group_evictions = 2;
	cr_expect_str_eq(descend(2), "fagaga");
	fake_heap_group_evictions = 1;
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "faga");
}

static void refuse_as_process(void)
{
	fake_heap_group_refuser = 0;
}

/* What each processor has is no group's: it is left alone until the process meets a limit. */
Test(ladder_group, leaves_the_lists)
{
	make_groups();
	fake_heap_has_lists = true;
	fake_heap_group_refuser = job;
	fake_heap_group_evictions = 1;
	descend(FAKE_HEAP_ALWAYS);
	cr_expect(fake_heap_has_lists);
	fake_heap_on_group_evict = refuse_as_process;
	fake_heap_group_evictions = 1;
	descend(FAKE_HEAP_ALWAYS);
	cr_expect_not(fake_heap_has_lists);
}

/* Nobody lends to a group, whatever refused. */
Test(ladder_group, borrows_nothing)
{
	make_groups();
	fake_heap_lends = true;
	cr_expect_str_eq(descend(1), "fapa");
	fake_heap_group = 0;
	cr_expect_str_eq(descend(1), "fab");
}

Test(ladder_group, asks_the_groups_callbacks)
{
	make_groups();
	register_in(0, "R");
	register_in(job, "J");
	register_in(child, "C");
	register_in(other, "O");
	fake_heap_group_refuser = job;
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "faJCfa");
	fake_heap_group_refuser = child;
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "faCfa");
	fake_heap_group_refuser = 0;
	fake_heap_has_dirty = false;
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "faRJCOfa");
}

/* What can never be within a limit above is not tried. */
Test(ladder_group, is_impossible_above_the_max)
{
	struct oomreclaim_stats before, after;

	make_groups();
	group_set_max(job, 999);
	oomreclaim_stats_get(&before, sizeof before);
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "");
	oomreclaim_stats_get(&after, sizeof after);
	cr_expect_eq(after.impossible - before.impossible, 1);
	group_set_max(job, 1000);
	cr_expect_neq(descend(FAKE_HEAP_ALWAYS)[0], '\0');
	fake_heap_group = other;
	group_set_max(job, 999);
	cr_expect_neq(descend(FAKE_HEAP_ALWAYS)[0], '\0');
}

static unsigned decided;

static enum oomreclaim_policy decide(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)arg;
	decided++;
	cr_expect_str_eq(verdict->constraint, "GROUP");
	cr_expect_str_eq(verdict->group, "job");
	cr_expect_eq(verdict->policy, OOMRECLAIM_POLICY_KILL);
	return OOMRECLAIM_POLICY_RETURN;
}

Test(ladder_group, has_a_policy_of_its_own)
{
	make_groups();
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	fake_heap_group_refuser = job;
	descend(FAKE_HEAP_ALWAYS);
	group_set_policy(job, OOMRECLAIM_POLICY_KILL);
	oomreclaim_set_policy_callback(decide, NULL);
	descend(FAKE_HEAP_ALWAYS);
	cr_expect_eq(decided, 1);
}

/* By a limit of the process that is met behind it. */
static size_t move_on(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	fake_heap_note('m');
	fake_heap_group_refuser = 0;
	return 0;
}

Test(ladder_group, goes_on_with_what_refuses_now)
{
	make_groups();
	fake_heap_group = job;
	oomreclaim_register("moves on", 0, 0, move_on, NULL, NULL);
	fake_heap_group = child;
	fake_heap_group_refuser = job;
	cr_expect_str_eq(descend(3), "famfapa");
}

/* ---- Policy cancel ---- */

enum { ARENA = 100 };

static unsigned told, refuses_then;
static bool gives;

/* x: the worst is told, by the thread that failed. */
static void end_job(oomreclaim_group group, void *arg)
{
	(void)group, (void)arg;
	fake_heap_note('x');
	told++;
	if (gives)
		group_uncharge(ARENA, 7000);
	fake_heap_group_refuser = refuses_then;
}

/* A thread in `child` meets the max of `job`, in which `worst` has most. */
static unsigned make_worst(void)
{
	unsigned worst;

	make_groups();
	options_apply("test", "cancel_grace_ms:60000", &options, NULL);
	worst = add_group("worst", job);
	group_charge_arena_to(ARENA, worst);
	group_charge(ARENA, 8000);
	group_set_cancel(group_handle(worst), end_job, NULL);
	group_set_policy(job, OOMRECLAIM_POLICY_CANCEL);
	fake_heap_group_refuser = refuses_then = job;
	return worst;
}

Test(ladder_group, cancels_the_worst)
{
	make_worst();
	cr_expect_str_eq(descend(1), "faxa");
	cr_expect_eq(told, 1);
}

/* It is tried again when the worst has given what it had, with what lies in pieces by now. */
Test(ladder_group, goes_on_with_what_the_worst_had)
{
	make_worst();
	gives = true;
	fake_heap_merges = true;
	cr_expect_str_eq(descend(4), "famaxaama");
	cr_expect_eq(told, 1);
}

/* Nobody is left, and the end is NULL. */
Test(ladder_group, cancels_each_once)
{
	make_worst();
	gives = true;
	group_uncharge(ARENA, 1000);
	/* With eight looks more, as what it had may be on its way. */
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "faxaaaaaaaaaa");
	cr_expect_eq(told, 1);
}

Test(ladder_group, cancels_nobody_by_another_policy)
{
	make_worst();
	group_set_policy(job, OOMRECLAIM_POLICY_RETURN);
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "fa");
}

Test(ladder_group, ends_itself)
{
	refuses_then = fake_heap_group = make_worst();
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "faxa");
	/* From now on at once. */
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "");
	cr_expect_eq(told, 1);
}

Test(ladder_group, ends_itself_with_the_reserve)
{
	refuses_then = fake_heap_group = make_worst();
	group_set_cancel_reserve(refuses_then, true);
	fake_heap_fill_reserve(2);
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "faxar");
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "r");
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "r");
	cr_expect_null(ladder_descend(&request));
}

/* What was cancelled and has given what it had goes on as before. */
Test(ladder_group, is_lifted)
{
	refuses_then = fake_heap_group = make_worst();
	descend(FAKE_HEAP_ALWAYS);
	fake_heap_group_evictions = 1;
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "g");
	group_uncharge(ARENA, 7000);
	cr_expect_str_eq(descend(0), "a");
	cr_expect_not(group_is_cancelled(refuses_then));
	descend(FAKE_HEAP_ALWAYS);
	cr_expect_eq(told, 1);
}

/* Before the program tries something of its own; no group ends before. */
Test(ladder_group, is_lifted_first_and_cancels_last)
{
	struct oom_control control;

	refuses_then = fake_heap_group = make_worst();
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	group_set_policy(job, OOMRECLAIM_POLICY_RETURN);
	fake_heap_group_refuser = 0;
	ladder_begin(&control, &request);
	cr_expect_null(ladder_run(&control, RUNG_POLICY));
	cr_expect_eq(told, 0);
	cr_expect_null(ladder_run(&control, RUNGS));
	cr_expect_eq(told, 1);
	group_uncharge(ARENA, 7000);
	fake_heap_fail(0);
	ladder_begin(&control, &request);
	cr_expect_not_null(ladder_run(&control, RUNG_POLICY));
}

Test(ladder_group, a_request_that_cannot_fail_is_spared)
{
	fake_heap_group = make_worst();
	refuses_then = fake_heap_group;
	descend(FAKE_HEAP_ALWAYS);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	cr_expect_str_eq(descend(1), "faa");
}

static unsigned spared;

static size_t note_spared(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	spared = group_charge(ARENA, 1);
	return 0;
}

/* By its charge, for as long as it is on the ladder. */
Test(ladder_group, is_spared_on_the_ladder)
{
	unsigned worst = make_worst();

	options_apply("test", "cancel_grace_ms:10", &options, NULL);
	fake_heap_group = worst;
	refuses_then = worst;
	descend(FAKE_HEAP_ALWAYS);
	fake_heap_group = 0;
	fake_heap_group_refuser = 0;
	oomreclaim_register("spared", 0, 0, note_spared, NULL, NULL);
	descend(FAKE_HEAP_ALWAYS);
	cr_expect_eq(spared, 0);
	options_apply("test", "nofail_ms:0", &options, NULL);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	descend(3);
	cr_expect_eq(spared, 1);
	cr_expect_not(group_charge(ARENA, 1));
}

/* ---- Where a limit of the process is met ---- */

static enum oomreclaim_policy word;

static enum oomreclaim_policy say(const struct oomreclaim_verdict *verdict, void *arg)
{
	*(enum oomreclaim_policy *)arg = verdict->policy;
	return word;
}

Test(ladder_group, cancels_before_the_policy_of_the_process)
{
	unsigned far;

	make_worst();
	far = add_group("far", 0);
	group_charge_arena_to(ARENA + 1, far);
	group_charge(ARENA + 1, 9000);
	group_set_cancel(group_handle(far), end_job, NULL);
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	fake_heap_group_refuser = refuses_then = 0;
	fake_heap_has_dirty = false;
	cr_expect_str_eq(descend(1), "faxa");
	cr_expect(group_is_cancelled(far));
}

Test(ladder_group, comes_to_the_policy_of_the_process)
{
	enum oomreclaim_policy was = OOMRECLAIM_POLICY_RETRY;

	make_worst();
	gives = true;
	group_uncharge(ARENA, 1000);
	fake_heap_group_refuser = refuses_then = 0;
	fake_heap_has_dirty = false;
	oomreclaim_set_policy_callback(say, &was);
	word = OOMRECLAIM_POLICY_RETURN;
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "faxaaaaaaaaaaa");
	cr_expect_eq(was, OOMRECLAIM_POLICY_RETURN);
}

static enum oomreclaim_policy fill_again(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)verdict, (void)arg;
	group_charge(ARENA, 8000);
	return OOMRECLAIM_POLICY_RETURN;
}

/* What is never NULL cancels again after each wait. */
Test(ladder_group, cancels_for_what_cannot_fail)
{
	make_worst();
	gives = true;
	group_uncharge(ARENA, 1000);
	fake_heap_group_refuser = refuses_then = 0;
	options_apply("test", "nofail_ms:0", &options, NULL);
	oomreclaim_set_policy_callback(fill_again, NULL);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	fake_heap_has_dirty = false;
	descend(14);
	cr_expect_eq(told, 2);
}

/* What refuses is another limit by now, with another policy. */
Test(ladder_group, cancels_for_the_limit_that_is_met)
{
	make_worst();
	refuses_then = child;
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "faxa");
	cr_expect_eq(told, 1);
}

/* A policy callback decides, and what is costly ends no process. */
Test(ladder_group, is_cancelled_by_a_policy_callback)
{
	enum oomreclaim_policy was = OOMRECLAIM_POLICY_RETRY;

	make_worst();
	oomreclaim_set_policy_callback(say, &was);
	word = OOMRECLAIM_POLICY_RETURN;
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "faa");
	cr_expect_eq(was, OOMRECLAIM_POLICY_CANCEL);
	options_apply("test", "costly:100", &options, NULL);
	word = OOMRECLAIM_POLICY_ABORT;
	cr_expect_str_eq(descend(FAKE_HEAP_ALWAYS), "faa");
	word = OOMRECLAIM_POLICY_CANCEL;
	cr_expect_str_eq(descend(1), "faxa");
}
