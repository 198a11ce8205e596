/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"

/* libc's syscall() is no cancellation point, but changes errno where it fails. */
static void call(atomic_uint *word, int operation, unsigned value, const struct timespec *wait)
{
	int saved = errno;

	/* Not FUTEX_PRIVATE_FLAG: the word may be one that processes share. */
	syscall(SYS_futex, word, operation, value, wait, NULL, 0);
	errno = saved;
}

void futex_wait(atomic_uint *word, unsigned value, uint64_t wait_ns)
{
	const struct timespec wait = timespec_of_ns(wait_ns);

	call(word, FUTEX_WAIT, value, wait_ns > 0 ? &wait : NULL);
}

void futex_wait_zero(atomic_uint *word)
{
	unsigned value;

	while ((value = atomic_load(word)) != 0)
		futex_wait(word, value, NSEC_PER_MSEC / 10);
}

void futex_wake(atomic_uint *word)
{
	call(word, FUTEX_WAKE, INT_MAX, NULL);
}
