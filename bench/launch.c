/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * launch: runs a command and says what it took, itself and all that it has waited for.
 *
 *     launch DESCRIPTOR COMMAND [ARGUMENT...]
 *
 * One line of JSON goes to the descriptor, which the command does not get. Exit status: the
 * command's own, 128 more than the signal that killed it, 127 if it can't be started, 2 usage.
 *
 * The kernel carries a process's peak RSS over an exec: a command that a large program starts seems
 * to be as large. So a small one starts it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { USAGE = 2, CANNOT_START = 127, BY_SIGNAL = 128 };

static double seconds_of(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int print(int fd, double seconds, const struct rusage *usage)
{
	return dprintf(fd,
	               "{\"seconds\":%.6f,\"user_seconds\":%.6f,\"system_seconds\":%.6f,"
	               "\"rss_peak_bytes\":%lld,\"faults\":%ld,\"major_faults\":%ld}\n",
	               seconds, seconds_of(usage->ru_utime), seconds_of(usage->ru_stime),
	               (long long)usage->ru_maxrss * 1024, usage->ru_minflt, usage->ru_majflt);
}

int main(int argc, char **argv)
{
	char *end = NULL;
	long fd = argc > 2 ? strtol(argv[1], &end, 10) : -1;
	struct rusage usage;
	double start;
	pid_t child;
	int status;

	if (argc < 3 || *end || fd < 0 || fcntl((int)fd, F_SETFD, FD_CLOEXEC)) {
		fputs("usage: launch DESCRIPTOR COMMAND [ARGUMENT...]\n", stderr);
		return USAGE;
	}
	start = now();
	child = fork();
	if (child == 0) {
		execvp(argv[2], argv + 2);
		fprintf(stderr, "launch: %s: %s\n", argv[2], strerror(errno));
		_exit(CANNOT_START);
	}
	if (child < 0 || wait4(child, &status, 0, &usage) < 0 ||
	    print((int)fd, now() - start, &usage) < 0) {
		perror("launch");
		return CANNOT_START;
	}
	return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}
