/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module fifo: writes a line "PID BYTES" to a FIFO that a helper, or the program itself, reads,
 * and waits for the heap to shrink. Nobody is waited for where nobody reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "await.h"
#include "oomreclaim_module.h"

static bool write_line(const char *path, size_t bytes)
{
	/* A reader that goes meanwhile: oomreclaimd has SIGPIPE blocked, as every signal. */
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat status;
	char line[48];
	int length = snprintf(line, sizeof line, "%d %zu\n", (int)getpid(), bytes);
	bool is_told;

	if (fd < 0)
		return false;
	is_told = fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) &&
	          write(fd, line, (size_t)length) == length;
	close(fd);
	return is_told;
}

OOMRECLAIM_MODULE(argument)
{
	if (*await_what(argument) != '/')
		return EINVAL;
	return await_register("fifo", argument, NULL, write_line);
}
