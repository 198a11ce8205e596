/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text out from wherever memory runs out: in any thread, in the killer's turn, under the heap's locks.
 *
 * Nothing here changes errno, raises a signal, is a cancellation point, waits for a reader for long, or
 * changes a descriptor that the program has. docs/failure-path.md has the rules, and what can't be helped.
 */
#ifndef OOM_IO_WRITE_H
#define OOM_IO_WRITE_H

#include <signal.h>
#include <stddef.h>

/* Around calls that write to a file, or are cancellation points. May be nested. */
struct io_guard {
	sigset_t mask; /* the program's */
	int cancel_state;
	int saved_errno;
	unsigned
		pending; /* of the signals held off, those that were there before; a bit for each */
	unsigned raised; /* those that a write in here has raised */
};
void io_guard_begin(struct io_guard *guard);
/* A write has failed with this: the signal that goes with it is this thread's own doing. */
void io_guard_failed(struct io_guard *guard, int error);
/* Takes back what was raised. */
void io_guard_end(const struct io_guard *guard);

/* How long a text waits for a reader, in all its pieces together. */
#define IO_WRITE_WAIT_MS 100

/* Writes all of it to a file, pipe, terminal or socket. 0, -EAGAIN where the reader has not made room in
   time, or another -errno; what has been written until then stays. */
int io_write(int fd, const char *text, size_t bytes, unsigned wait_ms);

/* What descriptor 2 is now is stderr. Called before main(), and by tests that change it. */
void io_stderr_note(void);

/* The same to stderr: -EBADF where descriptor 2 is something else by now, a file of the program's, say.
   A reader that has let one text wait in vain is not waited for again until it takes one. */
int io_write_stderr(const char *text, size_t bytes);

#endif
