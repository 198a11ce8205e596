/* SPDX-License-Identifier: BSD-2-Clause */
/* Whom the setting modules trusts, and what it says where it can't try one. Modules that do start,
   and those that don't, are in preload/modules.sh. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/base.h"
#include "entry/modules.h"
#include "forbid.h"
#include "support.h"

TestSuite(modules, .init = support_init, .timeout = WATCHDOG_SECONDS);

/* A library that is no module, and is there wherever this runs. */
static const char *libc_path(void)
{
	static char path[PATH_MAX];
	Dl_info libc;

	cr_assert_neq(dladdr(dlsym(RTLD_DEFAULT, "strlen"), &libc), 0);
	cr_assert(realpath(libc.dli_fname, path) != NULL);
	return path;
}

static void expect_left_out(const char *list, const char *name, const char *problem)
{
	struct capture capture;
	char line[PATH_MAX + 128];

	snprintf(line, sizeof line, "oomreclaim: modules: %s: %s; left out\n", name, problem);
	capture_begin(&capture);
	modules_load(list);
	cr_expect_str_eq(capture_next(&capture), line);
	cr_expect_str_eq(capture_next(&capture), "");
	capture_end(&capture);
}

static const char not_a_module[] = "not a module of oomreclaim";

/* ---- The list ---- */

Test(modules, the_list)
{
	static const struct module expected[] = {{"one", ""}, {"/two", "2=3"}, {"three", ""}};
	const char *list = "+one++/two=2=3+three=";
	struct module module;

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		cr_assert(modules_next(&list, &module));
		cr_expect_str_eq(module.file, expected[i].file);
		cr_expect_str_eq(module.argument, expected[i].argument);
	}
	cr_expect_not(modules_next(&list, &module));
	cr_expect_not(modules_next(&list, &module));
}

/* ---- Who is trusted ---- */

static const char others[] = "others than root may write it or a directory above it";

Test(modules, trusted)
{
	cr_expect_null(modules_distrust(libc_path()));
	cr_expect_null(modules_distrust("/"));
	cr_expect_null(modules_distrust("/dev/fd"), "the mode of a link says nothing");
}

Test(modules, not_by_where_it_is)
{
	cr_expect_str_eq(modules_distrust("libc.so.6"), "not an absolute path");
	cr_expect_str_eq(modules_distrust(""), "not an absolute path");
	cr_expect_str_eq(modules_distrust("/nonexistent/m.so"), strerror(ENOENT));
	/* Anybody may make one there. */
	cr_expect_str_eq(modules_distrust("/tmp"), others);
	cr_expect_str_eq(modules_distrust("/dev/null"), others);
}

/* In a directory that is root's alone. */
Test(modules, not_by_who_may_write_it)
{
	static const struct {
		const char *name;
		mode_t mode;
		uid_t owner;
		bool is_directory, is_trusted;
	} rows[] = {
		{"root's", 0644, 0, false, true},
		{"root's", 0755, 0, true, true},
		{"its group's", 0664, 0, false, false},
		{"everybody's", 0646, 0, false, false},
		{"somebody's", 0644, 1, false, false},
		{"in a group's directory", 0775, 0, true, false},
		{"in everybody's directory", 0757, 0, true, false},
		{"in everybody's, as /tmp is", 01777, 0, true, false},
		{"in somebody's directory", 0755, 1, true, false},
	};
	char directory[] = "/run/oomreclaim-test-XXXXXX", file[64];

	if (geteuid() != 0)
		cr_skip("for root, who may give files away");
	cr_assert(mkdtemp(directory) != NULL);
	snprintf(file, sizeof file, "%s/m.so", directory);
	close(open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *changed = rows[i].is_directory ? directory : file, *problem;

		chmod(directory, 0755), chmod(file, 0644);
		cr_expect_eq(chown(directory, 0, 0), 0);
		cr_expect_eq(chown(file, 0, 0), 0);
		cr_expect_eq(chown(changed, rows[i].owner, 0), 0);
		chmod(changed, rows[i].mode);
		problem = modules_distrust(file);
		if (rows[i].is_trusted)
			cr_expect_null(problem, "%s: %s", rows[i].name, problem);
		else
			cr_expect_str_eq(problem, others, "%s", rows[i].name);
	}
	unlink(file);
	rmdir(directory);
}

/* ---- Where it is ---- */

Test(modules, not_found)
{
	expect_left_out("nonexistent", "nonexistent",
	                "no such module in the directory oomreclaim beside the library");
	expect_left_out("./m.so", "./m.so", "neither a name nor an absolute path");
	expect_left_out("/nonexistent/m.so", "/nonexistent/m.so", strerror(ENOENT));
	expect_left_out(libc_path(), libc_path(), not_a_module);
}

/* ---- The trial ---- */

Test(modules, no_pipe)
{
	forbid_calls(ENFILE, SYS_pipe2);
	expect_left_out(libc_path(), libc_path(), strerror(ENFILE));
}

Test(modules, no_child)
{
	int before = lowest_free_fd();

#ifdef SYS_fork
	forbid_calls(EAGAIN, SYS_clone, SYS_fork);
#else
	forbid_calls(EAGAIN, SYS_clone);
#endif
	expect_left_out(libc_path(), libc_path(), strerror(EAGAIN));
	cr_expect_eq(lowest_free_fd(), before, "a pipe was left open");
}

/* Nothing of this is a reason not to try. */
Test(modules, no_limits_no_children)
{
	forbid_calls(EPERM, SYS_prlimit64);
	signal(SIGCHLD, SIG_IGN);
	expect_left_out(libc_path(), libc_path(), not_a_module);
}

static void do_nothing(int number)
{
	(void)number;
}

/* A profiler's, say. */
Test(modules, signals_without_end)
{
	const struct sigaction action = {.sa_handler = do_nothing};
	const struct itimerval often = {{0, 50}, {0, 50}};
	struct itimerval never = {0};

	cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 20; i++)
		expect_left_out(libc_path(), libc_path(), not_a_module);
	setitimer(ITIMER_REAL, &never, NULL);
}

/* The last ones go to the pipe, and the child has none to open the file with; nor for its counts,
   and what keeps these would say so. */
#ifndef COVERAGE
Test(modules, no_descriptor_left)
{
	struct capture capture;
	struct rlimit old, few;
	int first, second;

	capture_begin(&capture);
	first = dup(STDERR_FILENO);
	second = dup(STDERR_FILENO);
	close(first);
	close(second);
	getrlimit(RLIMIT_NOFILE, &old);
	few = (struct rlimit){(rlim_t)second + 1, old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	modules_load("/bin/sh");
	setrlimit(RLIMIT_NOFILE, &old);
	cr_expect_str_eq(capture_next(&capture),
	                 "oomreclaim: modules: /bin/sh: it can't be loaded, or a library that it "
	                 "needs is missing; left out\n");
	capture_end(&capture);
}
#endif
