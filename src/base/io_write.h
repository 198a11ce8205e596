/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text out from wherever memory runs out: in any thread, in the killer's turn, under the heap's
 * locks.
 *
 * Nothing here changes errno, raises a signal, is a cancellation point, waits for a reader for
 * long, or changes a descriptor that the program has. docs/failure-path.md has the rules, and what
 * can't be helped.
 */
#ifndef OOM_IO_WRITE_H
#define OOM_IO_WRITE_H

#include <stddef.h>

/* Around calls that write to a file, or are cancellation points. May be nested. A bit for each
   signal that is held off: a sigset_t is large beside the stack that may be used. */
struct io_guard {
	int cancel_state;
	int saved_errno;
	unsigned added;   /* those that the program has not blocked itself */
	unsigned pending; /* those pending before */
	unsigned raised;  /* those that a write in here has raised */
};
void io_guard_begin(struct io_guard *guard);
/* A write has failed with this error: the signal that goes with it was raised by this thread. */
void io_guard_failed(struct io_guard *guard, int error);
/* Takes back the signals that were raised, and restores the mask. */
void io_guard_end(const struct io_guard *guard);

/* The time that a text waits for a reader, in all its pieces together. */
#define IO_WRITE_WAIT_MS 100

/* Writes the text to a file, pipe, terminal or socket. 0, -EAGAIN where the reader has not made
   room in time, or another -errno; the part that was written before stays. */
int io_write(int fd, const char *text, size_t bytes, unsigned wait_ms);

/* Takes the file behind descriptor 2 for stderr from now on. Called before main(), and by tests
   that change it. */
void io_stderr_note(void);

/* io_write() to stderr: -EBADF where another file is behind descriptor 2 by now, one of the
   program's, say. A text does not wait for a reader that has not taken the text before it in
   time. */
int io_write_stderr(const char *text, size_t bytes);

#endif
