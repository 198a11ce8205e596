/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/own_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

/* Numbers above those that programs count on or close by the number, and above those that shells
   keep for themselves. The first is within the usual limit of 1024, the others are within lower
   ones. */
static const int numbers[] = {768, 192, 48, 16};

static int copy_up(int fd)
{
	int high = -1;

	for (size_t i = 0; i < ARRAY_SIZE(numbers) && high < 0; i++)
		high = fcntl(fd, F_DUPFD_CLOEXEC, numbers[i]);
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

static bool keep(struct own_fd *own, int fd)
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

OOM_NOINLINE void own_fd_close(struct own_fd *own)
{
	int fd = own_fd_get(own);

	atomic_store_explicit(&own->fd, -1, memory_order_relaxed);
	if (fd >= 0)
		close(fd);
}
