/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/io.h"

#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "base/io_write.h"

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

OOM_NOINLINE void io_warn(const char *format, ...)
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
	io_write_stderr(line, buf.used);
	errno = saved;
}
