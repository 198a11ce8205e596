/* SPDX-License-Identifier: BSD-2-Clause */
/* A victim that does not die in time: a debugger holds it at its exit. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/options.h"
#include "kill/killer.h"
#include "support.h"
#include "system/proc.h"

#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif

static struct capture capture;

static void init(void)
{
	support_init();
	proc_root = "";
	cr_assert_eq(options_apply("test", "kill_target:children,kill_grace_ms:1", &options, NULL),
	             0);
	capture_begin(&capture);
}

static void fini(void)
{
	capture_end(&capture);
}

TestSuite(killer_stuck, .init = init, .fini = fini, .timeout = WATCHDOG_SECONDS);

static pid_t start_child(void)
{
	pid_t child = fork();

	cr_assert_geq(child, 0);
	while (child == 0)
		pause();
	return child;
}

/* Killed, and not gone. */
static pid_t kill_one_that_is_held(void)
{
	pid_t child = start_child();

	cr_assert_eq(ptrace(PTRACE_SEIZE, child, NULL, (void *)PTRACE_O_TRACEEXIT), 0);
	errno = ERRNO_UNTOUCHED;
	cr_assert_eq(oomreclaim_kill("It has to be"), 0);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_neq(strstr(capture_next(&capture), "\nIt has to be: Killed process "), NULL);
	return child;
}

static void let_go(pid_t child)
{
	int status;

	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect(WIFSTOPPED(status), "it was not held: %#x", (unsigned)status);
	cr_assert_eq(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
}

static void expect_killed(pid_t child)
{
	int status;

	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%#x", (unsigned)status);
}

Test(killer_stuck, its_memory_is_what_there_will_be)
{
	pid_t held = kill_one_that_is_held(), other = start_child();
	int status;

	let_go(held);
	cr_expect_eq(oomreclaim_kill(NULL), 0);
	cr_expect_eq(waitpid(other, &status, WNOHANG), 0, "it lives");
	cr_expect_str_eq(capture_next(&capture), "", "nobody else was killed for it");
	expect_killed(held);
	/* That was once. */
	cr_expect_eq(oomreclaim_kill(NULL), 0);
	expect_killed(other);
}

Test(killer_stuck, another_is_chosen_if_it_never_goes)
{
	pid_t held = kill_one_that_is_held(), other = start_child();

	cr_expect_eq(oomreclaim_kill(NULL), 0);
	expect_killed(other);
	cr_expect_eq(oomreclaim_kill(NULL), ESRCH, "it is not chosen again");
	let_go(held);
	expect_killed(held);
}

/* oom_reaper: its memory does not wait for it to go. */
Test(killer_stuck, its_memory_is_taken)
{
	enum { BYTES = 64 << 20 };
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	char *memory =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct proc_pid process;
	pid_t held;

	if (syscall(SYS_process_mrelease, -1, 0) != 0 && errno == ENOSYS)
		cr_skip("a kernel before 5.15");
	cr_assert(memory != MAP_FAILED);
	memset(memory, 1, BYTES);
	held = kill_one_that_is_held();
	cr_assert_eq(proc_pid_read(held, &process), 0);
	cr_expect_lt(process.rss_pages, BYTES / page / 2);
	let_go(held);
	expect_killed(held);
}

static void kill_in_child(void)
{
	pid_t child = start_child();
	int status;

	/* The parent's victim is gone by now, but its memory is no news here. */
	if (oomreclaim_kill(NULL) != 0 || waitpid(child, &status, WNOHANG) != child)
		_exit(1);
}

Test(killer_stuck, a_child_has_no_victim)
{
	pid_t held = kill_one_that_is_held();

	let_go(held);
	expect_killed(held);
	cr_expect_eq(run_child(kill_in_child), 0);
}
