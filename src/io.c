/* SPDX-License-Identifier: BSD-2-Clause */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base.h"

void io_vprintf(struct io_buf *buf, const char *format, va_list args)
{
	size_t room = buf->bytes - buf->used;
	int length;

	if (room <= 1)
		return;
	length = vsnprintf(buf->text + buf->used, room, format, args);
	if (length > 0)
		buf->used += (size_t)length < room ? (size_t)length : room - 1;
}

void io_printf(struct io_buf *buf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	io_vprintf(buf, format, args);
	va_end(args);
}

void io_puts_clean(struct io_buf *buf, const char *text)
{
	for (; *text != '\0' && buf->used + 1 < buf->bytes; text++)
		buf->text[buf->used++] = (char)(*text >= ' ' && *text <= '~' ? *text : '?');
	if (buf->used < buf->bytes)
		buf->text[buf->used] = '\0';
}

/* A reader that has gone away must not kill the program: SIGPIPE is held off during the write, and
   taken back if this write raised it. */
static ssize_t write_no_sigpipe(int fd, const char *text, size_t bytes)
{
	sigset_t pipe_only, old, pending;
	const struct timespec at_once = {0, 0};
	bool was_pending;
	ssize_t written;
	int error;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigpending(&pending);
	was_pending = sigismember(&pending, SIGPIPE) == 1;
	pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
	do
		written = write(fd, text, bytes);
	while (written < 0 && errno == EINTR);
	error = errno;
	if (written < 0 && error == EPIPE && !was_pending)
		sigtimedwait(&pipe_only, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = error;
	return written;
}

int io_write(int fd, const char *text, size_t bytes)
{
	struct pollfd out = {.fd = fd, .events = POLLOUT};
	int saved = errno, result = 0;

	/* A pipe that nobody empties would hold the thread for ever. */
	if (poll(&out, 1, IO_WRITE_WAIT_MS) == 0)
		result = -EAGAIN;
	else if (write_no_sigpipe(fd, text, bytes) < 0)
		result = -errno;
	errno = saved;
	return result;
}

void io_warn(const char *format, ...)
{
	char line[IO_LINE_BYTES];
	/* One byte is kept for the newline of a line that had to be cut. */
	struct io_buf buf = {.text = line, .bytes = sizeof line - 1};
	int saved = errno;
	va_list args;

	io_printf(&buf, "oomreclaim: ");
	va_start(args, format);
	io_vprintf(&buf, format, args);
	va_end(args);
	line[buf.used++] = '\n';
	io_write(STDERR_FILENO, line, buf.used);
	errno = saved;
}

ssize_t io_read_file(const char *path, char *text, size_t bytes)
{
	int saved = errno, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t used = 0, got = 1;

	if (fd < 0) {
		used = -errno;
		errno = saved;
		return used;
	}
	while ((size_t)used < bytes && got > 0) {
		do
			got = read(fd, text + used, bytes - (size_t)used);
		while (got < 0 && errno == EINTR);
		if (got > 0)
			used += got;
	}
	if (got < 0)
		used = -errno;
	else if ((size_t)used == bytes)
		used = -EFBIG;
	else
		text[used] = '\0';
	close(fd);
	errno = saved;
	return used;
}
