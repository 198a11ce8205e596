/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded behind the library: every process that starts appends a line to the file that WITNESS
 * names: its own name and the file its malloc() comes from. So a test can tell that the program it
 * means, and not just the shell in front of it, ran on the library.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef int mallctl_function(const char *name, void *old, size_t *old_length, void *new,
                             size_t new_length);

static uint64_t counted(mallctl_function *mallctl)
{
	uint64_t bytes = 0;
	size_t length = sizeof bytes;

	return mallctl("thread.allocated", &bytes, &length, NULL, 0) == 0 ? bytes : 0;
}

/* The address of malloc() won't do: a program that isn't position-independent has one of its own
   for it. So the allocator has to count what malloc() gives out. */
static const char *allocator(void)
{
	mallctl_function *mallctl = (mallctl_function *)dlsym(RTLD_DEFAULT, "mallctl");
	void *volatile probe;
	uint64_t before;
	Dl_info found;

	if (mallctl == NULL || dladdr((void *)mallctl, &found) == 0)
		return "unknown";
	before = counted(mallctl);
	probe = malloc(5000);
	free(probe);
	return counted(mallctl) >= before + 5000 ? found.dli_fname : "unknown";
}

__attribute__((constructor)) static void testify(void)
{
	const char *path = getenv("WITNESS");
	char line[512];
	int saved = errno, length, fd;

	if (path == NULL)
		return;
	length = snprintf(line, sizeof line, "%s %s\n", program_invocation_short_name, allocator());
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, line, (size_t)length) != length)
		abort();
	close(fd);
	errno = saved;
}
