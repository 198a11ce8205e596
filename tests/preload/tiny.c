/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits too small to live under: from where the loader gives up to where all is well, a process is
 * started under each. Either it doesn't start, or malloc() gives memory or NULL and ENOMEM. A
 * policy callback and a group make arenas, where there is room for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"
#include "oomreclaim_group.h"

enum { STEP_BYTES = 256 << 10, LIMIT_MAX = 48 << 20, DOES_NOT_START = 127 };

/* The loader goes on without what it can't preload. */
#pragma weak oomreclaim_set_policy_callback
#pragma weak oomreclaim_group_create
#pragma weak oomreclaim_group_enter

static enum oomreclaim_policy decide(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)arg;
	return verdict->policy;
}

static int live(void)
{
	static const size_t sizes[] = {1, 100, 5000, 100000, MIB, 10 * MIB};

	oomreclaim_group group;

	if (oomreclaim_set_policy_callback != NULL) {
		CHECK_EQ(oomreclaim_set_policy_callback(decide, NULL), 0);
		if (oomreclaim_group_create("group", OOMRECLAIM_GROUP_ROOT, &group) == 0) {
			oomreclaim_group_enter(group);
			oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
		}
	}
	for (size_t i = 0; i < COUNT(sizes); i++) {
		void *block;

		errno = 0;
		block = malloc(sizes[i]);
		CHECK(block || errno == ENOMEM);
		if (block)
			memset(block, 1, sizes[i]);
		free(block);
	}
	return 0;
}

static void start_under(rlim_t bytes, char *program)
{
	const struct rlimit limit = {bytes, bytes};
	char *const argv[] = {program, "live", NULL};
	int null = open("/dev/null", O_WRONLY);

	/* What the loader says. */
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	setrlimit(RLIMIT_AS, &limit);
	execv(program, argv);
	_exit(DOES_NOT_START);
}

/* How the program ends; status of waitpid(). */
static int end_under(rlim_t bytes, char *program)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		start_under(bytes, program);
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

/*
 * With this variable the loader maps every library, makes room for their TLS, and ends before it
 * calls one. glibc 2.36 does not look whether it got that room: under a few limits it dies there.
 */
static bool loader_dies_under(rlim_t bytes, char *program)
{
	int status;

	setenv("LD_TRACE_LOADED_OBJECTS", "1", 1);
	status = end_under(bytes, program);
	unsetenv("LD_TRACE_LOADED_OBJECTS");
	return WIFSIGNALED(status);
}

int main(int argc, char **argv)
{
	size_t started = 0, refused = 0;

	CHECK(argc >= 1);
	if (argc > 1)
		return live();
	for (rlim_t bytes = STEP_BYTES; bytes <= LIMIT_MAX; bytes += STEP_BYTES) {
		int status = end_under(bytes, argv[0]);

		/* Before there is room for the loader the kernel ends it. */
		if (WIFSIGNALED(status) && !started && !refused)
			continue;
		if (WIFSIGNALED(status) && loader_dies_under(bytes, argv[0]))
			continue;
		if (WIFSIGNALED(status))
			dprintf(STDERR_FILENO, "signal %d under %zu KiB\n", WTERMSIG(status),
			        (size_t)bytes >> 10);
		CHECK(WIFEXITED(status));
		CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == DOES_NOT_START);
		started += WEXITSTATUS(status) == 0;
		refused += WEXITSTATUS(status) != 0;
	}
	CHECK(started > 0 && refused > 0);
	return 0;
}
