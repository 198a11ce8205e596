/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver: rungs 8 to 16. The trace says what was done in which order (fake_heap.h); reclaim
 * callbacks add a c, policy callbacks a d.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "fake_heap.h"
#include "kill/killer.h"
#include "kill/own_end.h"
#include "kill/policy.h"
#include "ladder/ladder.h"
#include "support.h"

static const struct heap_request request = {.size = 1000, .alignment = 16};

static size_t note_call(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	fake_heap_note('c');
	return 0;
}

/* What the policy callback answers, and what it was told. */
static enum oomreclaim_policy answer;
static struct oomreclaim_verdict told;

static enum oomreclaim_policy note_policy(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)arg;
	fake_heap_note('d');
	told = *verdict;
	return answer;
}

static void set(const char *conf)
{
	cr_assert_eq(options_apply("test", conf, &options, NULL), 0);
}

static void init(void)
{
	support_init();
	set("report:never");
	oomreclaim_register("callback", 0, 0, note_call, NULL, NULL);
	fake_heap_fail(FAKE_HEAP_ALWAYS);
}

TestSuite(ladder_end, .init = init, .timeout = WATCHDOG_SECONDS);

static void expect_null(const struct heap_request *wanted, const char *trace)
{
	errno = ERRNO_UNTOUCHED;
	cr_expect_null(ladder_descend(wanted));
	cr_expect_eq(errno, ENOMEM);
	cr_expect_str_eq(fake_heap_trace(), trace, "is %s, should be %s", fake_heap_trace(), trace);
}

/* Descends in a child, and expects a signal to end it. */
static void descend(void)
{
	ladder_descend(&request);
}

static void expect_signal(int signal)
{
	int status = run_child(descend);

	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == signal, "wait status %#x",
	          (unsigned)status);
}

/* ---- 8: where the policy is not asked ---- */

Test(ladder_end, costly)
{
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	expect_null(&(struct heap_request){.size = options.costly_bytes + 1}, "fapacfapa");
}

Test(ladder_end, an_explicit_arena)
{
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	expect_null(&(struct heap_request){.size = 1, .is_arena_explicit = true}, "fapacfapa");
}

Test(ladder_end, retry_mayfail)
{
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_RETRY_MAYFAIL);
	expect_null(&request, "fapacfapa");
}

Test(ladder_end, noreclaim)
{
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORECLAIM);
	expect_null(&request, "fapa");
}

/* A limit that nothing meets, and a /proc that says that it is met: 2^48 pages. */
static void limit_address_space(void)
{
	const struct rlimit limit = {.rlim_cur = (rlim_t)1 << 60, .rlim_max = RLIM_INFINITY};

	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	fake_proc_begin();
	fake_proc_write("/proc/self/statm", "281474976710656 1 1 1 0 1 0\n");
}

Test(ladder_end, the_death_of_another_would_not_help, .fini = fake_proc_end)
{
	limit_address_space();
	set("policy:kill,kill_target:children");
	expect_null(&request, "fapacfapa");
}

/* Nor where it is a policy callback that asks for it. */
Test(ladder_end, the_death_of_another_would_not_help_a_callback, .fini = fake_proc_end)
{
	char status[64];

	limit_address_space();
	/* Nobody is in there to be killed: that would be an abort. */
	snprintf(status, sizeof status, "Tgid:\t%d\n", getpid());
	fake_proc_write("/proc/self/status", status);
	set("policy:return,kill_target:children");
	answer = OOMRECLAIM_POLICY_KILL;
	oomreclaim_set_policy_callback(note_policy, NULL);
	expect_null(&request, "fapacfapada");
}

Test(ladder_end, the_own_death_would, .fini = fake_proc_end)
{
	limit_address_space();
	set("policy:kill,kill_target:self,kill_signal:TERM");
	expect_signal(SIGTERM);
}

Test(ladder_end, a_kill_target_is_nothing_to_policy_abort, .fini = fake_proc_end)
{
	limit_address_space();
	set("policy:abort,kill_target:children");
	expect_signal(SIGABRT);
}

/* ---- 9: killer disabled ---- */

Test(ladder_end, killer_disabled)
{
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	cr_assert(oomreclaim_kill_disable(0));
	expect_null(&request, "fapacfapa");
	cr_assert_eq(oomreclaim_kill_enable(), 0);
	expect_signal(SIGABRT);
}

static enum oomreclaim_policy disable_and_abort(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)verdict;
	(void)arg;
	fake_heap_note('d');
	oomreclaim_kill_disable(0);
	return OOMRECLAIM_POLICY_ABORT;
}

Test(ladder_end, killer_disabled_at_the_last_moment)
{
	oomreclaim_set_policy_callback(disable_and_abort, NULL);
	expect_null(&request, "fapacfapada");
}

/* ---- 12 to 15: the policy ---- */

Test(ladder_end, policy_return)
{
	oomreclaim_set_policy(OOMRECLAIM_POLICY_RETURN);
	expect_null(&request, "fapacfapa");
}

Test(ladder_end, policy_abort)
{
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	expect_signal(SIGABRT);
}

Test(ladder_end, policy_kill)
{
	oomreclaim_set_policy(OOMRECLAIM_POLICY_KILL);
	expect_signal(SIGKILL);
}

Test(ladder_end, one_more_attempt_before_the_end)
{
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	/* After both steps of own reclaim, after the callbacks, and after the purge. */
	fake_heap_fail(4);
	cr_expect(ladder_descend(&request) == fake_heap_block);
	cr_expect_str_eq(fake_heap_trace(), "fapacfapaa");
	cr_expect_not(own_end_is_dying());
}

Test(ladder_end, what_the_policy_callback_is_told)
{
	const unsigned scope = OOMRECLAIM_SCOPE_RESERVE;

	oomreclaim_set_policy(OOMRECLAIM_POLICY_KILL);
	oomreclaim_set_policy_callback(note_policy, NULL);
	oomreclaim_scope_save(scope);
	expect_null(&request, "fapacfapada");
	cr_expect_eq(told.struct_size, sizeof told);
	cr_expect_eq(told.size, request.size);
	cr_expect_eq(told.alignment, request.alignment);
	cr_expect_eq(told.scope, scope);
	cr_expect_str_eq(told.constraint, "NONE");
	cr_expect_eq(told.policy, OOMRECLAIM_POLICY_KILL);
}

Test(ladder_end, the_policy_callback_wins)
{
	answer = OOMRECLAIM_POLICY_ABORT;
	oomreclaim_set_policy_callback(note_policy, NULL);
	expect_signal(SIGABRT);
}

Test(ladder_end, retry_is_believed_16_times)
{
	answer = OOMRECLAIM_POLICY_RETRY;
	oomreclaim_set_policy_callback(note_policy, NULL);
	cr_expect_null(ladder_descend(&request));
	cr_expect_eq(fake_heap_count('d'), MAX_RECLAIM_RETRIES + 1);
	cr_expect_eq(fake_heap_count('c'), MAX_RECLAIM_RETRIES + 1, "everybody is asked again");
}

Test(ladder_end, retry_that_made_room)
{
	answer = OOMRECLAIM_POLICY_RETRY;
	oomreclaim_set_policy_callback(note_policy, NULL);
	fake_heap_fail(4);
	errno = ERRNO_UNTOUCHED;
	cr_expect(ladder_descend(&request) == fake_heap_block);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_str_eq(fake_heap_trace(), "fapacfapada");
}

/* ---- Deferred: the caller has something to try before the policy ---- */

Test(ladder_end, deferred)
{
	struct oom_control control;

	answer = OOMRECLAIM_POLICY_RETURN;
	oomreclaim_set_policy_callback(note_policy, NULL);
	ladder_begin(&control, &request);
	errno = ERRNO_UNTOUCHED;
	cr_expect_null(ladder_run(&control, RUNG_POLICY));
	cr_expect_eq(errno, ENOMEM);
	cr_expect_str_eq(fake_heap_trace(), "fapacfapa");
	cr_expect_null(ladder_run(&control, RUNGS));
	cr_expect_str_eq(fake_heap_trace(), "fapacfapada");
}

Test(ladder_end, deferred_in_scope_nofail_does_not_wait)
{
	struct oom_control control;

	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL | OOMRECLAIM_SCOPE_NORETRY);
	ladder_begin(&control, &request);
	cr_expect_null(ladder_run(&control, RUNG_POLICY));
	cr_expect_str_eq(fake_heap_trace(), "fapa");
}

/* ---- 16: nofail ---- */

Test(ladder_end, nofail_waits_for_memory)
{
	const unsigned scopes[] = {0, OOMRECLAIM_SCOPE_NORETRY, OOMRECLAIM_SCOPE_RETRY_MAYFAIL,
	                           OOMRECLAIM_SCOPE_NORECLAIM, OOMRECLAIM_SCOPE_RESERVE};

	set("nofail_ms:0");
	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
		unsigned old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL | scopes[i]);

		fake_heap_fail(20);
		errno = ERRNO_UNTOUCHED;
		cr_expect(ladder_descend(&request) == fake_heap_block, "scope %#x", scopes[i]);
		cr_expect_eq(errno, ERRNO_UNTOUCHED);
		oomreclaim_scope_restore(old);
	}
}

Test(ladder_end, nofail_asks_the_callbacks_again)
{
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	/* Own reclaim twice, callbacks and the purge behind them, the wait, and own reclaim
	   again. */
	fake_heap_fail(7);
	cr_expect(ladder_descend(&request) == fake_heap_block);
	cr_expect_str_eq(fake_heap_trace(), "fapacfapaafapacfa");
}

Test(ladder_end, nofail_and_the_policy)
{
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	expect_signal(SIGABRT);
}

Test(ladder_end, nofail_takes_the_reserve_in_the_end)
{
	set("nofail_ms:1");
	fake_heap_fill_reserve(1);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	cr_expect(ladder_descend(&request) == fake_heap_reserve_block);
	cr_expect_eq(fake_heap_count('r'), 1);
}

Test(ladder_end, nofail_aborts_when_time_is_up)
{
	set("nofail_ms:1");
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	expect_signal(SIGABRT);
}

Test(ladder_end, nofail_aborts_alone_under_its_own_limit, .fini = fake_proc_end)
{
	limit_address_space();
	fake_proc_mkdir("/proc/self/task/1");
	set("nofail_ms:0");
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	expect_signal(SIGABRT);
}

Test(ladder_end, nofail_waits_for_other_threads_under_the_limit, .fini = fake_proc_end)
{
	limit_address_space();
	fake_proc_mkdir("/proc/self/task/1");
	fake_proc_mkdir("/proc/self/task/2");
	set("nofail_ms:0");
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	fake_heap_fail(20);
	cr_expect(ladder_descend(&request) == fake_heap_block);
}

static void descend_for_the_impossible(void)
{
	ladder_descend(&(struct heap_request){.size = SIZE_MAX});
}

Test(ladder_end, nofail_aborts_for_the_impossible)
{
	int status;

	set("nofail_ms:0");
	fake_heap_fail(0);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	status = run_child(descend_for_the_impossible);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

Test(ladder_end, nofail_asks_the_reserve_again)
{
	fake_heap_fill_reserve(0);
	oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL | OOMRECLAIM_SCOPE_RESERVE);
	/* Own reclaim twice, callbacks and the purge behind them, the wait, and own reclaim
	   again. */
	fake_heap_fail(7);
	cr_expect(ladder_descend(&request) == fake_heap_block);
	cr_expect_str_eq(fake_heap_trace(), "faparcfapaafaparcfa", "%s", fake_heap_trace());
}

/* ---- 10: another thread ends the process ---- */

static void *descend_elsewhere(void *memory)
{
	*(void **)memory = ladder_descend(&request);
	return NULL;
}

/* What a second thread gets once this one has begun to end the process. */
static void *during_end(void)
{
	pthread_t thread;
	void *memory = NULL;

	own_end_mark(OOMRECLAIM_POLICY_ABORT);
	cr_assert_eq(pthread_create(&thread, NULL, descend_elsewhere, &memory), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	return memory;
}

Test(ladder_end, others_wait_for_the_end)
{
	oomreclaim_set_policy(OOMRECLAIM_POLICY_ABORT);
	/* Both steps of own reclaim, and twice while it waits. */
	fake_heap_fail(4);
	cr_expect(during_end() == fake_heap_block);
	cr_expect_str_eq(fake_heap_trace(), "fapaaaa", "%s", fake_heap_trace());
}

Test(ladder_end, others_do_not_wait_for_ever)
{
	set("policy:abort,kill_grace_ms:30");
	cr_expect_null(during_end());
}

Test(ladder_end, others_do_not_wait_where_the_policy_is_to_return)
{
	cr_expect_null(during_end());
	cr_expect_str_eq(fake_heap_trace(), "fapa", "%s", fake_heap_trace());
}

static void descend_when_the_grace_is_over(void)
{
	set("kill_signal:TERM,kill_grace_ms:3600000");
	signal(SIGTERM, SIG_IGN);
	fake_clock_freeze();
	own_end_mark(OOMRECLAIM_POLICY_KILL);
	own_end_act(OOMRECLAIM_POLICY_KILL);
	ladder_descend(&request);
	fake_clock_advance(3600 * NSEC_PER_SEC + 1);
	ladder_descend(&request);
}

Test(ladder_end, the_dying_end_when_the_grace_is_over)
{
	int status = run_child(descend_when_the_grace_is_over);

	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGKILL, "wait status %#x",
	          (unsigned)status);
}
