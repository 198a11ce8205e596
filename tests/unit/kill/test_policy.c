/* SPDX-License-Identifier: BSD-2-Clause */
/* Which policy is in force, and its callback. test_own_end.c has what it does. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "config/policy_in_force.h"
#include "kill/own_end.h"
#include "kill/policy.h"
#include "support.h"

TestSuite(policy, .init = support_init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 1000, .alignment = 16};
static const struct oom_control control = {.request = &request,
                                           .scope = OOMRECLAIM_SCOPE_RESERVE,
                                           .constraint = CONSTRAINT_RLIMIT_DATA};

static void set(const char *conf)
{
	cr_assert_eq(options_apply("test", conf, &options, NULL), 0);
}

/* ---- Which ---- */

Test(policy, is_the_setting_until_it_is_set)
{
	cr_expect_eq(oomreclaim_get_policy(), OOMRECLAIM_POLICY_RETURN);
	set("policy:abort");
	cr_expect_eq(oomreclaim_get_policy(), OOMRECLAIM_POLICY_ABORT);
	cr_expect_eq(oomreclaim_set_policy(OOMRECLAIM_POLICY_KILL), 0);
	cr_expect_eq(oomreclaim_get_policy(), OOMRECLAIM_POLICY_KILL);
	set("policy:abort");
	cr_expect_eq(oomreclaim_get_policy(), OOMRECLAIM_POLICY_KILL, "it outlasts the settings");
	cr_expect_eq(oomreclaim_set_policy(OOMRECLAIM_POLICY_RETURN), 0);
	cr_expect_eq(oomreclaim_get_policy(), OOMRECLAIM_POLICY_RETURN);
}

Test(policy, refuses_what_is_none)
{
	const int wrong[] = {OOMRECLAIM_POLICY_RETRY, OOMRECLAIM_POLICY_CANCEL, 5, -1, 4711};

	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	errno = ERRNO_UNTOUCHED;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		cr_expect_eq(oomreclaim_set_policy((enum oomreclaim_policy)wrong[i]), EINVAL);
	cr_expect_eq(oomreclaim_get_policy(), OOMRECLAIM_POLICY_ABORT);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}

Test(policy, names)
{
	cr_expect_str_eq(policy_name(OOMRECLAIM_POLICY_RETURN), "return");
	cr_expect_str_eq(policy_name(OOMRECLAIM_POLICY_ABORT), "abort");
	cr_expect_str_eq(policy_name(OOMRECLAIM_POLICY_KILL), "kill");
	cr_expect_str_eq(policy_name(OOMRECLAIM_POLICY_CANCEL), "cancel");
	cr_expect_str_eq(policy_name((enum oomreclaim_policy)4711), "?");
}

/* ---- The callback ---- */

static struct oomreclaim_verdict told;
static int answer;

static enum oomreclaim_policy decide(const struct oomreclaim_verdict *verdict, void *arg)
{
	told = *verdict;
	*(int *)arg += 1;
	errno = EDOM;
	return (enum oomreclaim_policy)answer;
}

Test(policy, without_a_callback_the_fixed_one)
{
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	cr_expect_eq(policy_decide(&control), OOMRECLAIM_POLICY_ABORT);
}

Test(policy, the_callback_decides)
{
	int calls = 0;

	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	cr_expect_eq(oomreclaim_set_policy_callback(decide, &calls), 0);
	for (answer = OOMRECLAIM_POLICY_RETURN; answer <= OOMRECLAIM_POLICY_CANCEL; answer++)
		cr_expect_eq(policy_decide(&control), (enum oomreclaim_policy)answer);
	cr_expect_eq(calls, 5);
	cr_expect_eq(told.struct_size, sizeof told);
	cr_expect_eq(told.size, 1000);
	cr_expect_eq(told.alignment, 16);
	cr_expect_eq(told.scope, OOMRECLAIM_SCOPE_RESERVE);
	cr_expect_str_eq(told.constraint, "RLIMIT_DATA");
	cr_expect_eq(told.policy, OOMRECLAIM_POLICY_ABORT);
	cr_expect_eq(oomreclaim_set_policy_callback(NULL, NULL), 0);
	cr_expect_eq(policy_decide(&control), OOMRECLAIM_POLICY_ABORT);
	cr_expect_eq(calls, 5, "removed");
}

Test(policy, any_other_answer_is_return)
{
	const int wrong[] = {5, -1, 4711, INT_MIN};
	int calls = 0;

	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	oomreclaim_set_policy_callback(decide, &calls);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		answer = wrong[i];
		cr_expect_eq(policy_decide(&control), OOMRECLAIM_POLICY_RETURN, "%d", answer);
	}
}

Test(policy, errno_of_the_callback_does_not_show)
{
	int calls = 0;

	oomreclaim_set_policy_callback(decide, &calls);
	errno = ERRNO_UNTOUCHED;
	policy_decide(&control);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}

/* ---- Replacing it while it runs ---- */

static struct gate inside = GATE, go_on = GATE;
static atomic_bool has_returned;
static bool was_in_flight = true;

static enum oomreclaim_policy stay(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)verdict;
	(void)arg;
	gate_open(&inside);
	gate_wait(&go_on);
	atomic_store(&has_returned, true);
	return OOMRECLAIM_POLICY_RETURN;
}

static void decide_in_thread(void)
{
	policy_decide(&control);
}

static void remove_callback(void)
{
	oomreclaim_set_policy_callback(NULL, NULL);
	was_in_flight = !atomic_load(&has_returned);
}

static struct thread decider, remover;

static void begin_call(void)
{
	oomreclaim_set_policy_callback(stay, NULL);
	thread_start(&decider, decide_in_thread);
	gate_wait(&inside);
}

Test(policy, replacing_waits_for_a_call_in_flight)
{
	begin_call();
	thread_start(&remover, remove_callback);
	thread_wait_asleep(&remover);
	cr_expect_not(atomic_load(&remover.has_ended));
	gate_open(&go_on);
	thread_join(&remover);
	thread_join(&decider);
	cr_expect_not(was_in_flight);
}

Test(policy, replacing_is_not_cancelled_in_the_wait)
{
	begin_call();
	thread_start(&remover, remove_callback);
	thread_wait_asleep(&remover);
	pthread_cancel(remover.id);
	gate_open(&go_on);
	thread_join(&remover);
	/* Else the decider can't end: the lock is held for ever. */
	cr_assert_not(was_in_flight);
	thread_join(&decider);
	cr_expect_eq(policy_decide(&control), OOMRECLAIM_POLICY_RETURN, "removed");
}

static enum oomreclaim_policy replace_inside(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)verdict;
	(void)arg;
	oomreclaim_set_policy_callback(NULL, NULL);
	return OOMRECLAIM_POLICY_KILL;
}

Test(policy, replacing_from_inside_returns_at_once)
{
	oomreclaim_set_policy_callback(replace_inside, NULL);
	cr_expect_eq(policy_decide(&control), OOMRECLAIM_POLICY_KILL);
	cr_expect_eq(policy_decide(&control), OOMRECLAIM_POLICY_RETURN, "removed");
}

/* The first call stays inside; the second one removes the callback and lets it go. */
static enum oomreclaim_policy stay_or_remove(const struct oomreclaim_verdict *verdict, void *arg)
{
	atomic_int *calls = arg;

	if (atomic_fetch_add(calls, 1) == 0)
		return stay(verdict, NULL);
	oomreclaim_set_policy_callback(NULL, NULL);
	was_in_flight = !atomic_load(&has_returned);
	gate_open(&go_on);
	return OOMRECLAIM_POLICY_RETRY;
}

Test(policy, replacing_from_inside_does_not_wait_for_others)
{
	atomic_int calls = 0;

	oomreclaim_set_policy_callback(stay_or_remove, &calls);
	thread_start(&decider, decide_in_thread);
	gate_wait(&inside);
	cr_expect_eq(policy_decide(&control), OOMRECLAIM_POLICY_RETRY);
	thread_join(&decider);
	cr_expect(was_in_flight);
}

static struct gate second_inside = GATE, second_go_on = GATE;
static struct thread second_decider;

static enum oomreclaim_policy stay_second(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)verdict;
	(void)arg;
	gate_open(&second_inside);
	gate_wait(&second_go_on);
	return OOMRECLAIM_POLICY_RETURN;
}

static void install_second(void)
{
	oomreclaim_set_policy_callback(stay_second, NULL);
}

Test(policy, replacing_does_not_wait_for_calls_of_the_new_one)
{
	begin_call();
	thread_start(&remover, install_second);
	thread_wait_asleep(&remover);
	thread_start(&second_decider, decide_in_thread);
	gate_wait(&second_inside);
	gate_open(&go_on);
	/* Hangs if it waits for the second as well. */
	thread_join(&remover);
	gate_open(&second_go_on);
	thread_join(&second_decider);
	thread_join(&decider);
	cr_expect(atomic_load(&has_returned));
}

static void child_replaces(void)
{
	int calls = 0;

	/* The call under way is in the parent. */
	oomreclaim_set_policy_callback(decide, &calls);
	policy_decide(&control);
	_exit(calls == 1 ? 0 : 1);
}

Test(policy, fork_while_another_thread_is_in_a_call)
{
	int status;

	begin_call();
	status = run_child(child_replaces);
	gate_open(&go_on);
	thread_join(&decider);
	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
}

static pid_t child;

static enum oomreclaim_policy fork_inside(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)verdict;
	(void)arg;
	child = fork();
	/* Must not wait for the very call it is in. */
	if (child == 0)
		oomreclaim_set_policy_callback(NULL, NULL);
	return OOMRECLAIM_POLICY_RETRY;
}

Test(policy, fork_by_the_callback)
{
	enum oomreclaim_policy decided;
	int status;

	oomreclaim_set_policy_callback(fork_inside, NULL);
	decided = policy_decide(&control);
	if (child == 0)
		_exit(decided == OOMRECLAIM_POLICY_RETRY &&
		                      policy_decide(&control) == OOMRECLAIM_POLICY_RETURN
		              ? 0
		              : 1);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0, "wait status %#x", (unsigned)status);
}

/* ---- Dying ---- */

Test(policy, the_first_to_claim_it)
{
	cr_expect_not(own_end_is_dying());
	cr_expect(own_end_mark(OOMRECLAIM_POLICY_KILL));
	cr_expect(own_end_is_dying());
	cr_expect_not(own_end_mark(OOMRECLAIM_POLICY_KILL));
	cr_expect(own_end_is_dying());
}

static void child_is_not_dying(void)
{
	_exit(!own_end_is_dying() && own_end_mark(OOMRECLAIM_POLICY_KILL) ? 0 : 1);
}

Test(policy, a_child_is_not_dying_with_its_parent)
{
	own_end_mark(OOMRECLAIM_POLICY_KILL);
	cr_expect_eq(run_child(child_is_not_dying), 0);
}
