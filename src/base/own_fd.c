/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/own_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/io_read.h"

/* Numbers above those that programs count on or close by the number, and above those that shells
   keep for themselves. The first range is within the usual limit of 1024, the others are within
   lower ones. */
static const struct {
	int first;
	unsigned count;
} ranges[] = {{768, 128}, {192, 128}, {48, 32}, {16, 16}};

/* Descriptors made so far. Relaxed: it orders nothing. */
static atomic_uint made;

/* Each descriptor begins its search elsewhere. The program may close the one that a thread is about
   to use, and a number that another thread's descriptor gets at once would be used for it. Every
   other number is left out, for the search of the one before may end a number further. */
static int copy_up(int fd)
{
	unsigned turn = atomic_fetch_add_explicit(&made, 1, memory_order_relaxed);
	int high = -1;

	for (size_t i = 0; i < ARRAY_SIZE(ranges) && high < 0; i++)
		high = fcntl(fd, F_DUPFD_CLOEXEC,
		             ranges[i].first + (int)(2 * turn % ranges[i].count));
	return high;
}

/* Out of line: a struct stat is large beside the stack that may be used here. */
static OOM_NOINLINE bool look_at(int fd, dev_t *device, ino_t *inode)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return false;
	*device = status.st_dev;
	*inode = status.st_ino;
	return true;
}

/* By now the lower number may be another thread's. */
static bool is_another(int fd, int own)
{
	dev_t device, own_device;
	ino_t inode, own_inode;

	return look_at(fd, &device, &inode) && look_at(own, &own_device, &own_inode) &&
	       (device != own_device || inode != own_inode);
}

static int move_up(int fd)
{
	int high = copy_up(fd);

	if (high < 0)
		return fd;
	if (!is_another(fd, high))
		close(fd);
	return high;
}

/* Out of line, as look_at(). */
static OOM_NOINLINE bool keep(struct own_fd *own, int fd)
{
	int saved = errno;
	struct stat status;
	bool is_file;

	is_file = fd >= 0 && fstat(fd, &status) == 0;
	if (fd >= 0 && !is_file)
		close(fd);
	errno = saved;
	if (!is_file)
		return false;
	atomic_store_explicit(&own->device, status.st_dev, memory_order_relaxed);
	atomic_store_explicit(&own->inode, status.st_ino, memory_order_relaxed);
	/* Last: a thread that reads the number without a lock finds the rest. */
	atomic_store_explicit(&own->fd, fd, memory_order_release);
	return true;
}

OOM_NOINLINE bool own_fd_take(struct own_fd *own, int fd)
{
	int saved = errno;

	if (fd >= 0)
		fd = move_up(fd);
	errno = saved;
	return keep(own, fd);
}

bool own_fd_copy(struct own_fd *own, int fd)
{
	int saved = errno;

	fd = copy_up(fd);
	errno = saved;
	return keep(own, fd);
}

OOM_NOINLINE int own_fd_get(const struct own_fd *own)
{
	int saved = errno, fd = atomic_load_explicit(&own->fd, memory_order_acquire);
	struct stat status;

	if (fd >= 0 && (fstat(fd, &status) != 0 ||
	                status.st_dev != atomic_load_explicit(&own->device, memory_order_relaxed) ||
	                status.st_ino != atomic_load_explicit(&own->inode, memory_order_relaxed)))
		fd = -1;
	errno = saved;
	return fd;
}

void own_fd_assign(struct own_fd *to, const struct own_fd *from)
{
	atomic_store_explicit(&to->device, atomic_load(&from->device), memory_order_relaxed);
	atomic_store_explicit(&to->inode, atomic_load(&from->inode), memory_order_relaxed);
	atomic_store_explicit(&to->fd, atomic_load(&from->fd), memory_order_release);
}

void own_fd_forget(struct own_fd *own)
{
	fork_reset(own->fd, -1);
}

OOM_NOINLINE void own_fd_close(struct own_fd *own)
{
	int fd = own_fd_get(own);

	own_fd_forget(own);
	if (fd >= 0)
		close(fd);
}

/* How many numbers the calling thread's table has; -errno. */
static int table_size(void)
{
	static const char key[] = "FDSize:";
	struct io_lines lines;
	int size = io_lines_open(&lines, "/proc/thread-self/status");
	const char *line;

	if (size != 0)
		return size;
	size = -EIO;
	while (size < 0 && (line = io_lines_next(&lines)) != NULL)
		if (strncmp(line, key, sizeof key - 1) == 0)
			size = (int)strtol(line + sizeof key - 1, NULL, 10);
	io_lines_close(&lines);
	return size;
}

/* At once, so that no descriptor of the program's stays open in the copy. Linux before 5.9 has
   two calls for it. Returns the first number that is open no more, or -errno. */
static int unshare_above(int highest)
{
	if (close_range((unsigned)highest + 1, ~0U, CLOSE_RANGE_UNSHARE) == 0)
		return highest + 1;
	if (errno != ENOSYS || unshare(CLONE_FILES) != 0)
		return -errno;
	return table_size();
}

static int number_of(const struct own_fd *own)
{
	return atomic_load_explicit(&own->fd, memory_order_relaxed);
}

static void close_between(int first, int last)
{
	if (first > last || close_range((unsigned)first, (unsigned)last, 0) == 0)
		return;
	for (int fd = first; fd <= last; fd++)
		close(fd);
}

/* The lowest of them that is not below `first`; `end` if there is none. */
static int next_kept(struct own_fd *const kept[], size_t count, int first, int end)
{
	int next = end;

	for (size_t i = 0; i < count; i++)
		if (number_of(kept[i]) >= first && number_of(kept[i]) < next)
			next = number_of(kept[i]);
	return next;
}

int own_fd_unshare(struct own_fd *const kept[], size_t count)
{
	int saved = errno, highest = -1, end;

	for (size_t i = 0; i < count; i++)
		highest = number_of(kept[i]) > highest ? number_of(kept[i]) : highest;
	end = unshare_above(highest);
	/* What the program had closed by then. */
	for (size_t i = 0; end >= 0 && i < count; i++)
		if (own_fd_get(kept[i]) < 0)
			own_fd_forget(kept[i]);
	for (int first = 0; first < end;) {
		int next = next_kept(kept, count, first, end);

		close_between(first, next - 1);
		first = next + 1;
	}
	errno = saved;
	return end < 0 ? end : 0;
}
