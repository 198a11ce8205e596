/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard of io_write.h. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "base/base.h"
#include "base/io_write.h"

/* The signals that a write raises by itself: no reader, RLIMIT_FSIZE, a terminal of another job.
   SIGTTOU goes to the whole job, unless the writer blocks it: then the kernel lets the write
   pass. */
static const int held[] = {SIGPIPE, SIGXFSZ, SIGTTOU};

/* Of `signals` those that are held off, a bit for each. */
static unsigned bits_of(const sigset_t *signals)
{
	unsigned bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		if (sigismember(signals, held[i]) == 1)
			bits |= 1U << i;
	return bits;
}

static void set_of(sigset_t *signals, unsigned bits)
{
	sigemptyset(signals);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		if ((bits & 1U << i) != 0)
			sigaddset(signals, held[i]);
}

void io_guard_begin(struct io_guard *guard)
{
	sigset_t added, before;

	guard->saved_errno = errno;
	guard->raised = 0;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &guard->cancel_state);
	sigpending(&before);
	guard->pending = bits_of(&before);
	set_of(&added, ~0U);
	pthread_sigmask(SIG_BLOCK, &added, &before);
	guard->added = ~bits_of(&before);
}

void io_guard_failed(struct io_guard *guard, int error)
{
	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		if ((error == EPIPE && held[i] == SIGPIPE) ||
		    (error == EFBIG && held[i] == SIGXFSZ))
			guard->raised |= 1U << i;
}

/* Where one is pending for the thread and one for the process, the thread's comes first: the one
   that the write has raised. */
static void take_back(int signal)
{
	const struct timespec at_once = {0, 0};
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, signal);
	while (sigtimedwait(&one, NULL, &at_once) < 0 && errno == EINTR)
		;
}

void io_guard_end(const struct io_guard *guard)
{
	sigset_t added;

	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		if ((guard->raised & ~guard->pending & 1U << i) != 0)
			take_back(held[i]);
	set_of(&added, guard->added);
	pthread_sigmask(SIG_UNBLOCK, &added, NULL);
	pthread_setcancelstate(guard->cancel_state, NULL);
	errno = guard->saved_errno;
}
