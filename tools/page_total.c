/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Root shows what processes share by run --total, and a process may write into its page that it
 * shares another's. The id is the inode of a memfd, which nobody can map that has not inherited it:
 * the kernel says what a process has mapped.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "page.h"
#include "tool.h"

/* False where this process gets no memfd. */
static bool device_of_memfds(dev_t *device)
{
	static struct stat status;
	static bool is_known;
	int fd = is_known ? -1 : memfd_create("oomreclaim-probe", MFD_CLOEXEC);

	if (fd >= 0) {
		is_known = fstat(fd, &status) == 0;
		close(fd);
	}
	*device = status.st_dev;
	return is_known;
}

/* The line is ADDRESSES ACCESS OFFSET DEVICE INODE FILE. */
static bool is_of(const char *line, const char *file)
{
	for (int i = 0; i < 3 && line != NULL; i++) {
		line = strchr(line, ' ');
		line = line != NULL ? line + 1 : NULL;
	}
	return line != NULL && strncmp(line, file, strlen(file)) == 0;
}

/* Of whole lines: a file's name may be as long as it likes, and look like a line at any place. */
static bool is_in(FILE *maps, dev_t device, uint64_t inode)
{
	char *line = NULL, file[64];
	bool is_found = false;
	size_t bytes = 0;

	snprintf(file, sizeof file, "%02x:%02x %" PRIu64 " ", major(device), minor(device), inode);
	while (!is_found && getline(&line, &bytes, maps) > 0)
		is_found = is_of(line, file);
	free(line);
	return is_found;
}

struct memfd {
	dev_t device;
	uint64_t inode;
};

static bool is_mapped(const char *task, void *arg)
{
	const struct memfd *memfd = arg;
	char path[128];
	FILE *maps;
	bool is_found;

	snprintf(path, sizeof path, "%s/maps", task);
	maps = fopen(path, "re");
	if (maps == NULL)
		return false;
	is_found = is_in(maps, memfd->device, memfd->inode);
	fclose(maps);
	return is_found;
}

void page_check_total(pid_t pid, struct stats_page *page)
{
	struct memfd memfd = {.inode = page->total.id};
	char path[64];

	if (page->total.id == 0)
		return;
	snprintf(path, sizeof path, "/proc/%d", pid);
	/* The directory of a first thread that has ended shows no mappings; those of the others
	   do. */
	if (device_of_memfds(&memfd.device) &&
	    (is_mapped(path, &memfd) ||
	     (page_has_ended(path) && page_any_thread(pid, is_mapped, &memfd))))
		return;
	memset(&page->total, 0, sizeof page->total);
}
