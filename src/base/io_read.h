/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text in without an allocation: small files of /proc are read into a buffer of the caller's.
 *
 * Nothing here changes errno. Another thread may close all descriptors meanwhile, and open its own:
 * they are neither read nor closed.
 */
#ifndef OOM_IO_READ_H
#define OOM_IO_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/own_fd.h"

/* A file of any length, line by line. */
struct io_lines {
	struct own_fd file;
	size_t begin, end; /* what has been read and not yet given out */
	bool is_cut;       /* the last line was longer, and its rest is still to be skipped */
	char text[1024];
};
int io_lines_open(struct io_lines *lines, const char *path); /* 0 or -errno */
/* The next line without its newline, valid until the next call; NULL at the end or on an error. Of
   a line longer than the buffer, its beginning. */
char *io_lines_next(struct io_lines *lines);
void io_lines_close(struct io_lines *lines);

/* Reads a small file whole into `text` and terminates it. Returns the bytes read, -errno, or
   -EFBIG where the file does not fit. */
ssize_t io_read_file(const char *path, char *text, size_t bytes);

#endif
