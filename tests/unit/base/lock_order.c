/* SPDX-License-Identifier: BSD-2-Clause */
/* The debug library's check of the order of our own locks (base/lock.h), built as that library
   is. */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lock.h"

static struct lock first = LOCK_INITIALIZER(LOCK_KILLER), then = LOCK_INITIALIZER(LOCK_REGISTRY),
		   same = LOCK_INITIALIZER(LOCK_REGISTRY);

static void in_order(void)
{
	lock_take(&first);
	lock_take(&then);
	lock_release(&then);
	lock_release(&first);
	lock_take(&then);
	lock_release(&then);
}

static void released_in_any_order(void)
{
	lock_take(&first);
	lock_take(&then);
	lock_release(&first);
	lock_release(&then);
	in_order();
}

static void against_the_order(void)
{
	lock_take(&then);
	lock_take(&first);
}

static void two_of_a_rank(void)
{
	lock_take(&then);
	lock_take(&same);
}

static void release_what_is_not_held(void)
{
	lock_release(&first);
}

static const struct {
	const char *name;
	void (*run)(void);
	bool is_wrong;
} cases[] = {
	{"in order", in_order, false},
	{"released in any order", released_in_any_order, false},
	{"against the order", against_the_order, true},
	{"two of a rank", two_of_a_rank, true},
	{"not held", release_what_is_not_held, true},
};

int main(void)
{
	const struct rlimit none = {0, 0};
	int bad = 0;

	setrlimit(RLIMIT_CORE, &none);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			cases[i].run();
			_exit(0);
		}
		if (child < 0 || waitpid(child, &status, 0) != child)
			return 2;
		if (cases[i].is_wrong != (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) ||
		    (!cases[i].is_wrong && status != 0)) {
			printf("%s: status 0x%x\n", cases[i].name, (unsigned)status);
			bad++;
		}
	}
	return bad != 0;
}
