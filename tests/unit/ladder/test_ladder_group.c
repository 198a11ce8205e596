/* SPDX-License-Identifier: BSD-2-Clause */
/* The ladder one level down: where a group's max is met. The trace is fake_heap.h's. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "fake_heap.h"
#include "ladder/ladder.h"
#include "limits/group.h"
#include "support.h"

TestSuite(ladder_group, .init = support_init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 1000, .alignment = 16};
static unsigned job, child, other;

static unsigned add(const char *name, unsigned parent)
{
	int slot;

	group_lock();
	slot = group_add(name, parent);
	group_unlock();
	return (unsigned)slot;
}

static void make_groups(void)
{
	job = add("job", 0);
	child = add("child", job);
	other = add("other", 0);
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
