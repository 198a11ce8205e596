/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For a callback that does not come back: it throws, jumps out by longjmp(), or ends its thread.
 * All of that is against the rules; but threads that wait for it are not to pay for it for ever.
 */
#ifndef OOM_GUARD_H
#define OOM_GUARD_H

#include <pthread.h>
#include <stdbool.h>

/* On the stack of the thread that calls. With guard_unwound() for a cleanup of the variable,
   exceptions are seen as well. */
struct guard {
	/* By it longjmp() and pthread_exit() are seen: glibc runs what is noted there on the
	   way. */
	struct _pthread_cleanup_buffer cleanup;
	void (*give_up)(void *arg);
	void *arg;
	bool is_inside, has_given_up;
};

/* Just before the callback. give_up is called, once, if the thread leaves it in another way than by
   return. */
void guard_begin(struct guard *guard, void (*give_up)(void *arg), void *arg);

/* Just behind it. False if it had been given up: a thread that jumped to another stack, and
   back. */
bool guard_end(struct guard *guard);

/* Where a guard goes out of scope, by return or by an exception. */
void guard_unwound(struct guard *guard);

#endif
