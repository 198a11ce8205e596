/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/io_read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

/* 0 or -errno. */
static int open_to_read(struct own_fd *file, const char *path)
{
	int saved = errno, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), error = 0;

	*file = (struct own_fd)OWN_FD_NONE;
	if (fd < 0)
		error = -errno;
	else if (!own_fd_take(file, fd))
		error = -EBADF;
	errno = saved;
	return error;
}

/* Bytes read, 0 at the end, or -errno. */
static ssize_t read_some(const struct own_fd *file, char *text, size_t bytes)
{
	int saved = errno;
	ssize_t got;

	do
		got = read(own_fd_get(file), text, bytes);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		got = -errno;
	errno = saved;
	return got;
}

static void close_quietly(struct own_fd *file)
{
	int saved = errno;

	own_fd_close(file);
	errno = saved;
}

ssize_t io_read_file(const char *path, char *text, size_t bytes)
{
	struct own_fd file;
	int error = open_to_read(&file, path);
	ssize_t used = 0, got = 1;

	if (error != 0)
		return error;
	while ((size_t)used < bytes && got > 0) {
		got = read_some(&file, text + used, bytes - (size_t)used);
		used += got > 0 ? got : 0;
	}
	if (got < 0)
		used = got;
	else if ((size_t)used == bytes)
		used = -EFBIG;
	else
		text[used] = '\0';
	close_quietly(&file);
	return used;
}

int io_lines_open(struct io_lines *lines, const char *path)
{
	lines->begin = lines->end = 0;
	lines->is_cut = false;
	return open_to_read(&lines->file, path);
}

/* Reads on until there is a newline at or behind begin, the buffer is full, or the file ends. */
static char *find_newline(struct io_lines *lines)
{
	size_t seen = lines->begin;

	for (;;) {
		char *newline = memchr(lines->text + seen, '\n', lines->end - seen);
		ssize_t got;

		if (newline != NULL)
			return newline;
		if (lines->begin > 0) {
			lines->end -= lines->begin;
			memmove(lines->text, lines->text + lines->begin, lines->end);
			lines->begin = 0;
		}
		seen = lines->end;
		if (lines->end == sizeof lines->text - 1)
			return NULL;
		got = read_some(&lines->file, lines->text + lines->end,
		                sizeof lines->text - 1 - lines->end);
		if (got <= 0)
			return NULL;
		lines->end += (size_t)got;
	}
}

/* Drops what is left of a line whose beginning filled the buffer. */
static OOM_NOINLINE void skip_line(struct io_lines *lines)
{
	char piece[128], *newline;
	ssize_t got;

	lines->begin = lines->end = 0;
	lines->is_cut = false;
	while ((got = read_some(&lines->file, piece, sizeof piece)) > 0) {
		newline = memchr(piece, '\n', (size_t)got);
		if (newline != NULL) {
			lines->end = (size_t)(piece + got - (newline + 1));
			memcpy(lines->text, newline + 1, lines->end);
			return;
		}
	}
}

char *io_lines_next(struct io_lines *lines)
{
	char *newline, *line;

	if (lines->is_cut)
		skip_line(lines);
	newline = find_newline(lines); /* may move the text */
	line = lines->text + lines->begin;
	if (newline == NULL && lines->begin == lines->end)
		return NULL;
	if (newline == NULL) {
		/* The last one, without a newline, or one that fills the buffer. */
		newline = lines->text + lines->end;
		lines->is_cut = lines->end == sizeof lines->text - 1;
		lines->begin = lines->end;
	} else {
		lines->begin = (size_t)(newline + 1 - lines->text);
	}
	*newline = '\0';
	return line;
}

void io_lines_close(struct io_lines *lines)
{
	close_quietly(&lines->file);
}
