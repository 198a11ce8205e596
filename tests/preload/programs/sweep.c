/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep as|data PRELOAD COMMAND...: runs the command with PRELOAD under every limit up to 64 MiB:
 * in large steps first, and page by page from where the library is first loaded, because there
 * every mapping that it makes is once the one that fails. The command may end with its own exit
 * statuses (0, and 3 for NULL with ENOMEM), with 127 from the dynamic linker, or by a signal where
 * one ends it without the preload as well, or in the dynamic linker: glibc's does not look whether
 * it has the memory for its list of thread-local storage. Anything else is printed, and the exit
 * status is 1.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
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

static pid_t start(rlim_t bytes, const char *libraries, bool is_traced)
{
	struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
	pid_t pid = fork();

	if (pid == 0) {
		if (libraries != NULL)
			setenv("LD_PRELOAD", libraries, 1);
		if (is_traced)
			ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		if (setrlimit(resource, &limit) == 0)
			execv(command[0], command);
		_exit(NOT_LOADED);
	}
	return pid;
}

static int run(rlim_t bytes, const char *libraries)
{
	int status;
	pid_t pid = start(bytes, libraries, false);

	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("sweep");
		exit(2);
	}
	return status;
}

static FILE *open_of(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	return fopen(path, "re");
}

/* Whether a process that stands still is in the dynamic linker. */
static bool is_in_linker(pid_t pid)
{
	FILE *state = open_of(pid, "syscall"), *maps = open_of(pid, "maps");
	unsigned long at = 0, begin, end;
	char line[4096];
	const char *name;
	bool is_found = false;

	/* Outside of a system call: -1, the stack pointer and the program counter. */
	if (state != NULL && maps != NULL && fscanf(state, "-1 %*x %lx", &at) == 1)
		while (!is_found && fgets(line, sizeof line, maps) != NULL) {
			name = strrchr(line, '/');
			is_found = sscanf(line, "%lx-%lx", &begin, &end) == 2 && begin <= at &&
			           at < end && name != NULL && strncmp(name, "/ld", 3) == 0;
		}
	if (state != NULL)
		fclose(state);
	if (maps != NULL)
		fclose(maps);
	return is_found;
}

/* Once more, looked at where the signal meets it. */
static bool ends_in_linker(rlim_t bytes)
{
	pid_t pid = start(bytes, preload, true);
	bool is_found = false;
	int status;

	while (pid > 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		int number = WSTOPSIG(status);

		if (number == SIGSEGV || number == SIGBUS)
			is_found = is_in_linker(pid);
		/* That of exec is none of the program's. */
		ptrace(PTRACE_CONT, pid, NULL, number == SIGTRAP ? 0L : (long)number);
	}
	return is_found;
}

static bool is_allowed(rlim_t bytes, int status)
{
	int code = WEXITSTATUS(status);

	if (WIFEXITED(status))
		return code == SERVED || code == OUT_OF_MEMORY || code == NOT_LOADED;
	return WIFSIGNALED(run(bytes, NULL)) || ends_in_linker(bytes);
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
