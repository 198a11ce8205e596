/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text without an allocation: lines are put together in a buffer of the caller's. io_write.h sends
 * it off, io_read.h has the other way.
 *
 * Nothing here changes errno.
 */
#ifndef OOM_IO_H
#define OOM_IO_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* A line of the library's own is at most this long; a longer one is cut. */
#define IO_LINE_BYTES 512

struct io_buf {
	char *text; /* NUL-terminated whenever bytes > 0 */
	size_t bytes;
	size_t used;
};

/* Appends; what does not fit is dropped. Of printf's conversions there are s, d, u, x and p, with a
   width in digits, a precision for s, and the lengths l, ll and z. What is unknown ends the
   text. */
void io_printf(struct io_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void io_vprintf(struct io_buf *buf, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* Appends the number, for a third of the stack that io_printf() takes. */
void io_put_unsigned(struct io_buf *buf, uint64_t number);

/* Appends `text` with everything that is not printable ASCII shown as '?'. */
void io_puts_clean(struct io_buf *buf, const char *text);

/* "oomreclaim: ...\n" on stderr. The one way by which the library speaks outside the report. */
void io_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
