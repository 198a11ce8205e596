/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/io_write.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/single_threaded.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/base.h"
#include "base/io.h"
#include "base/own_fd.h"

/* Where poll() sees room again and again and a write none, this ends it. */
#define POLLS_MAX 1000

/* The way to write without waiting. O_NONBLOCK would be a flag of the open file, which the program
   shares. */
enum way {
	WAY_PLAIN,   /* a regular file has no reader */
	WAY_SOCKET,  /* a flag of the call */
	WAY_NOWAIT,  /* the same for pipes, since Linux 6.4 */
	WAY_OWN,     /* it has been opened once more, with O_NONBLOCK */
	WAY_IN_BITS, /* no more than what room for a single byte is room for: PIPE_BUF in a pipe */
};

struct channel {
	struct io_guard *guard;
	int fd;
	enum way way;
	struct own_fd own;
	uint64_t deadline_ns;
	unsigned polls;
};

/* The members of struct stat that are needed here: the whole is large beside the stack that may be
   used. */
struct identity {
	dev_t device, special;
	ino_t inode;
	mode_t mode;
};

static OOM_NOINLINE bool identify(int fd, struct identity *identity)
{
	struct stat file;

	if (fstat(fd, &file) != 0)
		return false;
	*identity = (struct identity){.device = file.st_dev,
	                              .special = file.st_rdev,
	                              .inode = file.st_ino,
	                              .mode = file.st_mode};
	return true;
}

static bool is_same(const struct identity *a, const struct identity *b)
{
	return a->device == b->device && a->inode == b->inode;
}

/* True for a terminal, but not for /dev/ptmx: to open that once more makes another terminal. */
static bool is_terminal(int fd, const struct identity *file)
{
	return S_ISCHR(file->mode) && isatty(fd) &&
	       !(major(file->special) == 5 && minor(file->special) == 2);
}

/* Out of line, so that its stack does not lie below own_fd_take()'s. */
static OOM_NOINLINE bool is_of_file(int fd, const struct identity *file)
{
	struct identity now;

	return identify(fd, &now) && is_same(&now, file);
}

/* By /proc/thread-self, not /proc/self: a thread may have descriptors of its own. */
static bool reopen(struct channel *out, const struct identity *file)
{
	char path[48];
	struct io_buf buf = {.text = path, .bytes = sizeof path};
	int fd;

	/* The deepest place of all below a failing allocation. */
	io_puts_clean(&buf, "/proc/thread-self/fd/");
	io_put_unsigned(&buf, (unsigned)out->fd);
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || !own_fd_take(&out->own, fd))
		return false;
	fd = own_fd_get(&out->own);
	if (fd < 0 || !is_of_file(fd, file)) {
		own_fd_close(&out->own);
		return false;
	}
	out->fd = fd;
	return true;
}

/* False for what no text belongs in: a directory, a disk, an eventfd. */
static bool choose_way(struct channel *out)
{
	struct identity file;

	if (!identify(out->fd, &file))
		return false;
	if (S_ISSOCK(file.mode))
		out->way = WAY_SOCKET;
	else if (S_ISFIFO(file.mode) && out->way == WAY_PLAIN)
		out->way = WAY_NOWAIT;
	else if (S_ISFIFO(file.mode) || is_terminal(out->fd, &file))
		out->way = reopen(out, &file) ? WAY_OWN : WAY_IN_BITS;
	else if (S_ISCHR(file.mode))
		out->way = WAY_IN_BITS;
	else
		return S_ISREG(file.mode);
	return true;
}

static bool wait_for_room(struct channel *out)
{
	struct pollfd room = {.fd = out->fd, .events = POLLOUT};
	uint64_t now = now_ns();
	uint64_t left = now < out->deadline_ns ? out->deadline_ns - now : 0;

	if (out->polls++ == POLLS_MAX)
		return false;
	return poll(&room, 1, (int)((left + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC)) != 0;
}

static ssize_t write_once(struct channel *out, const char *text, size_t bytes)
{
	const struct iovec all = {.iov_base = (char *)text, .iov_len = bytes};

	switch (out->way) {
	case WAY_SOCKET:
		return send(out->fd, text, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	case WAY_NOWAIT:
		return pwritev2(out->fd, &all, 1, -1, RWF_NOWAIT);
	case WAY_IN_BITS:
		if (!wait_for_room(out)) {
			errno = EAGAIN;
			return -1;
		}
		return write(out->fd, text, bytes < PIPE_BUF ? bytes : PIPE_BUF);
	case WAY_PLAIN:
	case WAY_OWN:
		break;
	}
	return write(out->fd, text, bytes);
}

/* 0, or why nothing more can be written. */
static int write_all(struct channel *out, const char *text, size_t bytes)
{
	ssize_t written;

	while (bytes > 0) {
		written = write_once(out, text, bytes);
		if (written > 0) {
			text += written;
			bytes -= (size_t)written;
		} else if (written == 0) {
			return EIO;
		} else if (out->way == WAY_NOWAIT && errno != EAGAIN && errno != EINTR &&
		           errno != EPIPE) {
			/* An older kernel, a FIFO, or a filter of system calls. */
			if (!choose_way(out))
				return EBADF;
		} else if (errno != EINTR && (errno != EAGAIN || !wait_for_room(out))) {
			if (out->way != WAY_SOCKET)
				io_guard_failed(out->guard, errno);
			return errno;
		}
	}
	return 0;
}

static int write_guarded(struct io_guard *guard, int fd, const char *text, size_t bytes,
                         unsigned wait_ms)
{
	struct channel out = {.guard = guard,
	                      .fd = fd,
	                      .own = OWN_FD_NONE,
	                      .deadline_ns = now_ns() + wait_ms * NSEC_PER_MSEC};
	int error = choose_way(&out) ? write_all(&out, text, bytes) : EBADF;

	own_fd_close(&out.own);
	return -error;
}

int io_write(int fd, const char *text, size_t bytes, unsigned wait_ms)
{
	struct io_guard guard;
	int result;

	io_guard_begin(&guard);
	result = write_guarded(&guard, fd, text, bytes, wait_ms);
	io_guard_end(&guard);
	return result;
}

/* ---- stderr ---- */

/* Descriptor 2 as it was at the start. Written once, before there are threads. */
static struct {
	atomic_bool is_known;
	bool is_open;
	struct identity file;
	/* The reader did not take the last text in time. Relaxed: it orders nothing. */
	atomic_bool is_stuck;
} stderr_was;

void io_stderr_note(void)
{
	int saved = errno;

	stderr_was.is_open = identify(STDERR_FILENO, &stderr_was.file);
	atomic_store_explicit(&stderr_was.is_stuck, false, memory_order_relaxed);
	/* Last: a thread that finds it set finds the rest. */
	atomic_store_explicit(&stderr_was.is_known, true, memory_order_release);
	errno = saved;
}

/* To close any descriptor of a file ends the process's own locks on it, those of fcntl(): a copy of
   stderr would end them. Whose locks there are can't be told; anybody's will do. Only a file that
   keeps data is looked at: a filter of system calls may know no such command. */
static OOM_NOINLINE bool has_locks(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return S_ISREG(stderr_was.file.mode) && fcntl(fd, F_OFD_GETLK, &lock) == 0 &&
	       lock.l_type != F_UNLCK;
}

/* Where there is no other thread, nobody puts another file in its place. */
static bool may_copy(int fd)
{
	return !__libc_single_threaded && !has_locks(fd);
}

static bool is_stderr(int fd)
{
	struct identity file;

	/* The heap may speak before the first constructor has run. */
	if (!atomic_load_explicit(&stderr_was.is_known, memory_order_acquire))
		io_stderr_note();
	return stderr_was.is_open && identify(fd, &file) && is_same(&file, &stderr_was.file);
}

/* What a text for stderr is written to: stderr itself, or a copy of it, which stays the same file
   whatever another thread puts in the place of descriptor 2. -1: another file has that place. */
static int choose_stderr(struct own_fd *copy)
{
	int fd;

	/* No copy is made of what is the program's own, see has_locks(). */
	if (!is_stderr(STDERR_FILENO))
		return -1;
	if (!may_copy(STDERR_FILENO))
		return STDERR_FILENO;
	/* Where there is no copy, it may be because the program has closed it just now. */
	fd = own_fd_copy(copy, STDERR_FILENO) ? own_fd_get(copy) : STDERR_FILENO;
	return is_stderr(fd) ? fd : -1;
}

int io_write_stderr(const char *text, size_t bytes)
{
	bool is_stuck = atomic_load_explicit(&stderr_was.is_stuck, memory_order_relaxed);
	struct own_fd copy = OWN_FD_NONE;
	struct io_guard guard;
	int fd, result = -EBADF;

	io_guard_begin(&guard);
	fd = choose_stderr(&copy);
	if (fd >= 0) {
		result = write_guarded(&guard, fd, text, bytes, is_stuck ? 0 : IO_WRITE_WAIT_MS);
		atomic_store_explicit(&stderr_was.is_stuck, result == -EAGAIN,
		                      memory_order_relaxed);
	}
	own_fd_close(&copy);
	io_guard_end(&guard);
	return result;
}
