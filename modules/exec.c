/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module exec: runs a command, with this process's id and the bytes wanted as its arguments,
 * and waits for the heap to shrink. The command runs without the library and its settings.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "await.h"
#include "oomreclaim_module.h"

/* The environment of the start: nothing is allocated later, nor read while the program changes
   it. */
static char **environment;
/* The command of the last time, while nobody has seen its end. */
static pid_t running;

static bool run(const char *path, size_t bytes)
{
	char pid[16], wanted[24];
	char *arguments[] = {(char *)(uintptr_t)path, pid, wanted, NULL};
	posix_spawnattr_t attributes;
	sigset_t none;
	int error;

	/* One at a time. */
	if (running != 0 && waitpid(running, NULL, WNOHANG) == 0)
		return true;
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	snprintf(wanted, sizeof wanted, "%zu", bytes);
	/* oomreclaimd has every signal blocked; the command needs them. */
	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	error = posix_spawn(&running, path, NULL, &attributes, arguments, environment);
	posix_spawnattr_destroy(&attributes);
	if (error != 0)
		running = 0;
	return error == 0;
}

static bool is_ours(const char *variable)
{
	return strncmp(variable, "LD_PRELOAD=", 11) == 0 ||
	       strncmp(variable, "OOMRECLAIM_CONF=", 16) == 0;
}

static int copy_environment(void)
{
	size_t count = 0, kept = 0;

	while (environ != NULL && environ[count] != NULL)
		count++;
	environment = calloc(count + 1, sizeof *environment);
	if (environment == NULL)
		return ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (is_ours(environ[i]))
			continue;
		environment[kept] = strdup(environ[i]);
		if (environment[kept++] == NULL)
			return ENOMEM;
	}
	return 0;
}

OOMRECLAIM_MODULE(argument)
{
	const char *path = await_what(argument);
	int error;

	if (path[0] != '/')
		return EINVAL;
	if (access(path, X_OK) != 0)
		return errno;
	error = copy_environment();
	return error != 0 ? error : await_register("exec", argument, NULL, run);
}
