/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What jemalloc writes and opens by itself: messages, heap profiles, and what it reads for them. It
 * does so inside malloc() as well, with locks held.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/io.h"
#include "base/io_write.h"
#include "heap/heap_fast.h"
#include "heap/heap_ops.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"

/* The profile that was asked for here, and how its file is made: jemalloc would write over whatever
   has that name. Other profiles have other paths, and are nobody's business but the program's. */
static _Atomic(const char *) asked_path;
static int (*open_asked)(const char *path);

int heap_creat(const char *path, mode_t mode)
{
	int saved = errno, cancel_state, fd;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	fd = path == atomic_load(&asked_path) ? open_asked(path) : creat(path, mode);
	pthread_setcancelstate(cancel_state, NULL);
	errno = saved;
	return fd;
}

int heap_open(const char *path, int flags)
{
	int saved = errno, cancel_state, fd;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	fd = open(path, flags);
	pthread_setcancelstate(cancel_state, NULL);
	errno = saved;
	return fd;
}

int heap_close(int fd)
{
	int saved = errno, cancel_state, result;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	result = close(fd);
	pthread_setcancelstate(cancel_state, NULL);
	errno = saved;
	return result;
}

ssize_t heap_write(int fd, const void *text, size_t bytes)
{
	struct io_guard guard;
	ssize_t written;

	/* A message. What is longer the program has asked for, as statistics at its end: that
	   waits. */
	if (fd == STDERR_FILENO && bytes <= IO_LINE_BYTES)
		return io_write_stderr(text, bytes) == 0 ? (ssize_t)bytes : -1;
	io_guard_begin(&guard);
	written = write(fd, text, bytes);
	if (written < 0)
		io_guard_failed(&guard, errno);
	io_guard_end(&guard);
	return written;
}

bool heap_dump_profile(const char *path, int (*open_file)(const char *path))
{
	bool is_written;

	if (!malloc_initialized())
		return false;
	open_asked = open_file;
	atomic_store(&asked_path, path);
	is_written = je_mallctl("prof.dump", NULL, NULL, &path, sizeof path) == 0;
	atomic_store(&asked_path, NULL);
	return is_written;
}
