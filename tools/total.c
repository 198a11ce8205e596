/* SPDX-License-Identifier: BSD-2-Clause */
#include "total.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "limits/total_layout.h"
#include "tool.h"

/* Out of the way of what programs and shells open: as high as the usual limit of descriptors lets
   it be, or a lower one. */
static const int numbers[] = {1000, 240, 60, 12};

static int move_up(int fd)
{
	for (size_t i = 0; i < COUNT(numbers); i++) {
		int high = fcntl(fd, F_DUPFD, numbers[i]);

		if (high >= 0) {
			close(fd);
			return high;
		}
	}
	return fd;
}

/* All of it is written, so that all of it is there: what is missing later would be a SIGBUS. */
static int fill(int fd, uint64_t limit)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	static struct total total;
	struct stat namespace;

	if (stat("/proc/self/ns/pid", &namespace) != 0)
		return -1;
	memcpy(total.magic, TOTAL_MAGIC, sizeof total.magic);
	total.version = TOTAL_VERSION;
	total.bytes = sizeof total;
	total.pid_namespace = namespace.st_ino;
	total.limit = limit;
	if (write(fd, &total, sizeof total) != (ssize_t)sizeof total)
		return -1;
	return fcntl(fd, F_ADD_SEALS, seals);
}

int total_make(uint64_t limit)
{
	int fd = memfd_create(TOTAL_NAME, MFD_ALLOW_SEALING);
	struct stat status;
	char text[64];

	if (fd < 0 || fill(fd, limit) != 0)
		return tool_fail("run: --total: %s", strerror(errno));
	fd = move_up(fd);
	if (fstat(fd, &status) != 0)
		return tool_fail("run: --total: %s", strerror(errno));
	snprintf(text, sizeof text, "%d:%" PRIu64, fd, (uint64_t)status.st_ino);
	if (setenv(TOTAL_VARIABLE, text, 1) != 0)
		return tool_fail("run: --total: %s", strerror(errno));
	return TOOL_OK;
}
