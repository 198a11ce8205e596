/* SPDX-License-Identifier: BSD-2-Clause */
/* Rungs 9 and 15: real children are killed here, and nobody else. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "fake_heap.h"
#include "kill/kill_turn.h"
#include "kill/killer.h"
#include "kill/own_end.h"
#include "kill/policy.h"
#include "kill/victim_kill.h"
#include "ladder/ladder.h"
#include "limits/budget.h"
#include "support.h"
#include "system/proc.h"

static struct capture capture;

static void set(const char *conf)
{
	cr_assert_eq(options_apply("test", conf, &options, NULL), 0);
}

static void init(void)
{
	support_init();
	proc_root = "";
	set("kill_target:children");
	capture_begin(&capture);
}

static void fini(void)
{
	capture_end(&capture);
}

TestSuite(killer, .init = init, .fini = fini, .timeout = WATCHDOG_SECONDS);

/* A child that does nothing, and ignores SIGTERM or not. */
static pid_t start_child(bool is_ignoring)
{
	pid_t child;

	/* Before the fork, so that it holds from the first moment. */
	signal(SIGTERM, is_ignoring ? SIG_IGN : SIG_DFL);
	child = fork();
	cr_assert_geq(child, 0);
	while (child == 0)
		pause();
	signal(SIGTERM, SIG_DFL);
	return child;
}

static void expect_killed(pid_t child, int number)
{
	int status;

	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == number, "wait status %#x",
	          (unsigned)status);
}

static unsigned reports(void)
{
	unsigned count = 0;

	while (strstr(capture_next(&capture), ": Killed process ") != NULL)
		count++;
	return count;
}

/* ---- 9 ---- */

Test(killer, disable_is_counted)
{
	cr_expect_not(kill_is_disabled());
	cr_expect_eq(oomreclaim_kill_enable(), EINVAL);
	cr_expect(oomreclaim_kill_disable(0));
	cr_expect(oomreclaim_kill_disable(0));
	cr_expect(kill_is_disabled());
	cr_expect_eq(oomreclaim_kill_enable(), 0);
	cr_expect(kill_is_disabled());
	cr_expect_eq(oomreclaim_kill_enable(), 0);
	cr_expect_not(kill_is_disabled());
	cr_expect_eq(oomreclaim_kill_enable(), EINVAL);
}

Test(killer, nothing_is_killed_while_disabled)
{
	pid_t child = start_child(false);

	oomreclaim_kill_disable(0);
	cr_expect_eq(oomreclaim_kill(NULL), EPERM);
	cr_expect_eq(reports(), 0);
	oomreclaim_kill_enable();
	cr_expect_eq(oomreclaim_kill(NULL), 0);
	expect_killed(child, SIGKILL);
}

/* ---- 15 ---- */

Test(killer, by_hand)
{
	pid_t child = start_child(false);

	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(oomreclaim_kill("A whim"), 0);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	expect_killed(child, SIGKILL);
	cr_expect_neq(strstr(capture_next(&capture), "\nA whim: Killed process "), NULL);
	cr_expect_eq(oomreclaim_kill(NULL), ESRCH, "nobody is left");
}

Test(killer, no_callback_is_asked_by_hand)
{
	pid_t child = start_child(false);

	oomreclaim_kill(NULL);
	expect_killed(child, SIGKILL);
	cr_expect_str_eq(fake_heap_trace(), "");
	cr_expect_not(own_end_is_dying(), "it is not this process that ends");
}

Test(killer, a_gentler_signal)
{
	pid_t child = start_child(false);

	set("kill_signal:TERM,kill_grace_ms:3600000");
	cr_expect_eq(oomreclaim_kill(NULL), 0);
	expect_killed(child, SIGTERM);
}

Test(killer, and_a_harsher_one_behind_it)
{
	pid_t child = start_child(true);

	set("kill_signal:TERM,kill_grace_ms:1");
	cr_expect_eq(oomreclaim_kill(NULL), 0);
	expect_killed(child, SIGKILL);
}

static void kill_self(void)
{
	set("kill_target:self,kill_signal:USR1");
	oomreclaim_kill(NULL);
}

Test(killer, self)
{
	int status = run_child(kill_self);

	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}

Test(killer, a_pid_that_is_somebody_else_s_by_now)
{
	pid_t child = start_child(false);
	struct victim_domain domain;
	struct proc_pid process;
	int status;

	victim_domain_find(&domain, false);
	cr_assert_eq(proc_pid_read(child, &process), 0);
	process.start_time++;
	cr_expect_eq(victim_kill(&domain, &process, NULL), -ESRCH);
	cr_expect_eq(waitpid(child, &status, WNOHANG), 0, "it lives");
	process.start_time--;
	cr_expect_eq(victim_kill(&domain, &process, NULL), 0);
	expect_killed(child, SIGKILL);
	cr_expect_eq(victim_kill(&domain, &process, NULL), -ESRCH, "gone");
}

/* ---- By way of the ladder ---- */

static const struct heap_request request = {.size = 1000};

static void wake_nobody(void)
{
}

Test(killer, the_ladder_goes_on_after_a_kill)
{
	pid_t child = start_child(false);

	set("policy:kill");
	/* Own reclaim twice, and the attempt before the kill. */
	fake_heap_fail(3);
	cr_expect(ladder_descend(&request) == fake_heap_block);
	expect_killed(child, SIGKILL);
	cr_expect_eq(reports(), 1);
}

Test(killer, nobody_else_is_killed_for_the_dying)
{
	const struct oom_control control = {.request = &request, .facts.began_ns = now_ns()};
	enum oomreclaim_policy policy = OOMRECLAIM_POLICY_KILL;
	pid_t child = start_child(false);
	void *memory = NULL;
	int status;

	own_end_mark(OOMRECLAIM_POLICY_KILL);
	cr_expect_eq(killer_act(&control, &policy, &memory), KILLER_RETRY);
	cr_expect_eq(reports(), 0);
	cr_expect_eq(waitpid(child, &status, WNOHANG), 0, "it lives");
	kill(child, SIGKILL);
	expect_killed(child, SIGKILL);
}

/* Another's turn was waited for, and it freed enough for two. */
Test(killer, nobody_is_killed_where_the_last_attempt_finds_memory)
{
	const struct oom_control control = {.request = &request, .facts.began_ns = now_ns()};
	enum oomreclaim_policy policy = OOMRECLAIM_POLICY_KILL;
	pid_t child = start_child(false);
	void *memory = NULL;
	int status;

	cr_expect_eq(killer_act(&control, &policy, &memory), KILLER_SPARED);
	cr_expect(memory == fake_heap_block);
	cr_expect_eq(reports(), 0);
	cr_expect_eq(waitpid(child, &status, WNOHANG), 0, "it lives");
	kill(child, SIGKILL);
	expect_killed(child, SIGKILL);
}

/* Nothing is to be killed for a limit that was raised meanwhile. */
Test(killer, the_last_attempt_is_under_the_limit_of_now, .fini = fake_proc_end)
{
	const struct oom_control control = {.request = &request, .facts.began_ns = now_ns()};
	enum oomreclaim_policy policy = OOMRECLAIM_POLICY_ABORT;
	void *memory = NULL;

	fake_proc_begin();
	fake_proc_write("/proc/meminfo", "MemTotal:        1000 kB\n");
	set("limit:auto-0%");
	budget_init(wake_nobody);
	cr_assert_eq(oomreclaim_get_limit(), 1000 << 10);
	fake_proc_write("/proc/meminfo", "MemTotal:        2000 kB\n");
	/* Where memory is found, the reading that follows a kill is not made. */
	cr_expect_eq(killer_act(&control, &policy, &memory), KILLER_SPARED);
	cr_expect_eq(oomreclaim_get_limit(), 2000 << 10);
}

static void descend(void)
{
	set("policy:kill");
	fake_heap_fail(FAKE_HEAP_ALWAYS);
	ladder_descend(&request);
}

Test(killer, nobody_to_kill_is_an_abort)
{
	int status = run_child(descend);

	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	cr_expect_neq(strstr(capture_next(&capture),
	                     "Out of memory and no killable processes: aborting process "),
	              NULL);
}

/* ---- One at a time ---- */

static atomic_int results[2] = {4711, 4711};

static void kill_first(void)
{
	atomic_store(&results[0], oomreclaim_kill(NULL));
}

static void kill_second(void)
{
	atomic_store(&results[1], oomreclaim_kill(NULL));
}

static struct thread first, second;

/* Returns when the second waits for what the first does. */
static void begin_wait(void (*function)(void))
{
	set("kill_signal:TERM,kill_grace_ms:3600000");
	thread_start(&first, kill_first);
	thread_wait_asleep(&first);
	thread_start(&second, function);
	thread_wait_asleep(&second);
}

Test(killer, those_who_come_meanwhile_wait_and_share_it)
{
	pid_t child = start_child(true);

	begin_wait(kill_second);
	cr_expect_not(oomreclaim_kill_disable(0), "a kill is under way");
	cr_expect_not(kill_is_disabled());
	cr_expect_eq(atomic_load(&results[0]), 4711);
	cr_expect_eq(atomic_load(&results[1]), 4711);
	kill(child, SIGKILL);
	thread_join(&first);
	thread_join(&second);
	cr_expect_eq(atomic_load(&results[0]), 0);
	cr_expect_eq(atomic_load(&results[1]), 0);
	cr_expect_eq(reports(), 1, "two that want a kill are one kill");
	expect_killed(child, SIGKILL);
	cr_expect(oomreclaim_kill_disable(0));
}

static bool is_disabled_in_time;

static void disable(void)
{
	is_disabled_in_time = oomreclaim_kill_disable(3600000);
}

Test(killer, disable_waits_for_a_kill)
{
	pid_t child = start_child(true);

	begin_wait(disable);
	cr_expect_not(atomic_load(&second.has_ended));
	kill(child, SIGKILL);
	thread_join(&first);
	thread_join(&second);
	cr_expect(is_disabled_in_time);
	cr_expect(kill_is_disabled());
	expect_killed(child, SIGKILL);
}

Test(killer, disable_is_not_cancelled_in_the_wait)
{
	pid_t child = start_child(true);

	begin_wait(disable);
	pthread_cancel(second.id);
	kill(child, SIGKILL);
	thread_join(&second);
	/* Else the first can't end its turn: the lock is held for ever. */
	cr_assert(is_disabled_in_time);
	thread_join(&first);
	expect_killed(child, SIGKILL);
	cr_expect_eq(oomreclaim_kill_enable(), 0);
	cr_expect_not(kill_is_disabled());
}

/* A fork while another thread kills. */
static void child_kills(void)
{
	pid_t child = start_child(false);
	int status;

	set("kill_signal:KILL");
	if (oomreclaim_kill(NULL) != 0 || waitpid(child, &status, 0) != child)
		_exit(1);
}

Test(killer, fork_in_the_middle_of_a_kill)
{
	pid_t child = start_child(true);

	set("kill_signal:TERM,kill_grace_ms:3600000");
	thread_start(&first, kill_first);
	thread_wait_asleep(&first);
	cr_expect_eq(run_child(child_kills), 0);
	kill(child, SIGKILL);
	thread_join(&first);
	expect_killed(child, SIGKILL);
}
