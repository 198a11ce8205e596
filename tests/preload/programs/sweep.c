/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep as|data PRELOAD COMMAND...: runs the command with PRELOAD under every limit up to 64 MiB:
 * in large steps first, and page by page from where the library is first loaded, because there
 * every mapping that it makes is once the one that fails. The command may end with its own exit
 * statuses (0, and 3 for NULL with ENOMEM), with 127 from the dynamic linker, or by a signal where
 * one ends it without the preload as well. Anything else is printed, and the exit status is 1.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB ((rlim_t)1024)
#define BEGIN (256 * KIB)
#define END (64 * 1024 * KIB)
#define STEP (256 * KIB)
#define FINE_STEP (4 * KIB)
#define FINE_RANGE (2048 * KIB)

enum { SERVED = 0, OUT_OF_MEMORY = 3, NOT_LOADED = 127 };

static __rlimit_resource_t resource;
static const char *preload;
static char **command;

static int run(rlim_t bytes, const char *libraries)
{
	struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (libraries != NULL)
			setenv("LD_PRELOAD", libraries, 1);
		if (setrlimit(resource, &limit) == 0)
			execv(command[0], command);
		_exit(NOT_LOADED);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("sweep");
		exit(2);
	}
	return status;
}

static bool is_allowed(rlim_t bytes, int status)
{
	int code = WEXITSTATUS(status);

	if (WIFEXITED(status))
		return code == SERVED || code == OUT_OF_MEMORY || code == NOT_LOADED;
	return WIFSIGNALED(run(bytes, NULL));
}

/* One run; false if it ended as it should not. */
static bool try(rlim_t bytes, int *status)
{
	*status = run(bytes, preload);
	if (is_allowed(bytes, *status))
		return true;
	printf("%lu KiB: %s %d\n", (unsigned long)(bytes / KIB),
	       WIFSIGNALED(*status) ? "signal" : "exit status",
	       WIFSIGNALED(*status) ? WTERMSIG(*status) : WEXITSTATUS(*status));
	return false;
}

int main(int argc, char **argv)
{
	rlim_t loaded = 0, served = 0;
	unsigned wrong = 0;
	int status;

	if (argc < 4)
		return 2;
	resource = strcmp(argv[1], "data") == 0 ? RLIMIT_DATA : RLIMIT_AS;
	preload = argv[2];
	command = argv + 3;
	for (rlim_t bytes = BEGIN; bytes <= END; bytes += STEP) {
		wrong += !try(bytes, &status);
		if (!WIFEXITED(status) || WEXITSTATUS(status) == NOT_LOADED)
			loaded = bytes;
		if (served == 0 && WIFEXITED(status) && WEXITSTATUS(status) == SERVED)
			served = bytes;
	}
	for (rlim_t bytes = loaded; bytes < loaded + FINE_RANGE; bytes += FINE_STEP)
		wrong += !try(bytes, &status);
	printf("loaded from %lu KiB on, all served from %lu KiB\n", (unsigned long)(loaded / KIB),
	       (unsigned long)(served / KIB));
	/* A limit under which nothing could fail would prove nothing. */
	return wrong == 0 && served > loaded && loaded > BEGIN ? 0 : 1;
}
