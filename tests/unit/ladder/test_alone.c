/* SPDX-License-Identifier: BSD-2-Clause */
/* Scope NOFAIL: who else could free anything? Not the library's own threads that sleep. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own_thread.h"
#include "support.h"
#include "system/proc.h"

#define WORK 1U
#define END 2U

/* What /proc says of the threads, and what happens while it is asked. 0: what it says. */
static nlink_t threads_said;
static void (*meanwhile)(void);

/* In place of libc's. */
int stat(const char *restrict path, struct stat *restrict status)
{
	int error = fstatat(AT_FDCWD, path, status, 0);

	if (threads_said != 0 && strstr(path, "/self/task") != NULL) {
		/* "." and "..", and one for each. */
		*status = (struct stat){.st_nlink = threads_said + 2};
		meanwhile();
		error = 0;
	}
	return error;
}

static void nothing(void)
{
}

static bool is_alone_of(unsigned threads, void (*then)(void))
{
	bool is_alone;

	threads_said = threads;
	meanwhile = then;
	is_alone = proc_is_alone();
	threads_said = 0;
	return is_alone;
}

/* How often it may. */
static atomic_uint sleeps;

static void *run(void *arg)
{
	unsigned slept = 0, calls = WORK;

	own_thread_begin("own");
	while ((calls & END) == 0) {
		while (atomic_load(&sleeps) == slept)
			usleep(1000);
		slept++;
		do
			calls = own_thread_await(0);
		while (calls == 0);
	}
	own_thread_end();
	return arg;
}

static void wait_until_idle(unsigned idle)
{
	while (own_threads_idle() != idle)
		usleep(1000);
}

static void fall_asleep(void)
{
	atomic_fetch_add(&sleeps, 1);
	wait_until_idle(1);
}

static void end(void)
{
	own_thread_call(END);
	wait_until_idle(0);
}

static void init(void)
{
	support_init();
	own_thread_init();
	cr_assert_eq(own_thread_start(run), 0);
}

TestSuite(alone, .init = init, .timeout = WATCHDOG_SECONDS);

Test(alone, one_at_work_is_another)
{
	cr_expect_eq(own_threads_idle(), 0);
	cr_expect_not(is_alone_of(2, nothing));
}

Test(alone, one_that_sleeps_is_nobody)
{
	fall_asleep();
	cr_expect(is_alone_of(2, nothing));
	cr_expect_not(is_alone_of(3, nothing), "one of the program's");
	cr_expect_not(is_alone_of(1, nothing), "something is wrong");
}

Test(alone, one_that_is_called_is_at_work_at_once)
{
	fall_asleep();
	own_thread_call(WORK);
	cr_expect_eq(own_threads_idle(), 0);
	cr_expect_not(is_alone_of(2, nothing));
	fall_asleep();
	cr_expect(is_alone_of(2, nothing));
}

Test(alone, none_is_left_at_the_end)
{
	fall_asleep();
	end();
	cr_expect(is_alone_of(1, nothing));
}

/* The two that are said are this one and one of the program's. */
Test(alone, one_falls_asleep_meanwhile)
{
	cr_expect_not(is_alone_of(2, fall_asleep));
}

Test(alone, one_ends_meanwhile)
{
	fall_asleep();
	cr_expect_not(is_alone_of(2, end));
}

static void expect_none_in_child(void)
{
	own_thread_fork_child();
	if (own_threads_idle() != 0 || !is_alone_of(1, nothing))
		_exit(1);
}

Test(alone, none_is_in_a_child)
{
	fall_asleep();
	cr_expect_eq(run_child(expect_none_in_child), 0);
	cr_expect(is_alone_of(2, nothing));
}
