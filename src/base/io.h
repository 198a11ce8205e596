/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text in and out without an allocation: lines are put together in a buffer of the caller's and
 * leave in one write; small files of /proc are read into another.
 *
 * Nothing here changes errno, raises SIGPIPE, or waits for a reader for long.
 */
#ifndef OOM_IO_H
#define OOM_IO_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A line of the library's own is at most this long; a longer one is cut. */
#define IO_LINE_BYTES 512

struct io_buf {
	char *text; /* NUL-terminated whenever bytes > 0 */
	size_t bytes;
	size_t used;
};

/* Appends; what does not fit is dropped. Of printf's conversions there are s, d, u, x and p, with a width
   in digits, a precision for s, and the lengths l, ll and z. What is unknown ends the text. */
void io_printf(struct io_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void io_vprintf(struct io_buf *buf, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* Appends `text` with everything that is not printable ASCII shown as '?'. */
void io_puts_clean(struct io_buf *buf, const char *text);

/* One write to `fd`, of all or nothing as far as the file allows. Returns 0, or -EAGAIN if the
   file does not take it within IO_WRITE_WAIT_MS, or another -errno. */
#define IO_WRITE_WAIT_MS 100
int io_write(int fd, const char *text, size_t bytes);

/* "oomreclaim: ...\n" on stderr. The one way by which the library speaks outside the report. */
void io_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A file of any length, line by line. */
struct io_lines {
	int fd;
	size_t begin, end; /* what has been read and not yet given out */
	bool is_cut;       /* the last line was longer, and its rest is still to be skipped */
	char text[1024];
};
int io_lines_open(struct io_lines *lines, const char *path); /* 0 or -errno */
/* The next line without its newline, valid until the next call; NULL at the end or on an error. Of a
   line longer than the buffer, its beginning. */
char *io_lines_next(struct io_lines *lines);
void io_lines_close(struct io_lines *lines);

/* Reads a small file whole into `text` and terminates it. Returns the bytes read, -errno, or
   -EFBIG where the file does not fit. */
ssize_t io_read_file(const char *path, char *text, size_t bytes);

#endif
