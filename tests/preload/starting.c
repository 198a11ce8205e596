/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread that starts oomreclaimd does so inside of malloc(), with its signals blocked: what
 * pthread_create() allocates there, and can't have, is no matter for callbacks, which may jump.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>

#include "check.h"
#include "oomreclaim.h"

static unsigned calls, starts;
static jmp_buf outside;

typedef int creator(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                    void *arg);

/* In place of the library's and libc's. With limit:64M there is no room for another 48 MiB. */
__attribute__((visibility("default"))) int pthread_create(pthread_t *thread,
                                                          const pthread_attr_t *attributes,
                                                          void *(*start)(void *), void *arg)
{
	creator *next = (creator *)dlsym(RTLD_NEXT, "pthread_create");

	starts++;
	CHECK(!malloc(48 * MIB));
	return next(thread, attributes, start, arg);
}

static size_t jump(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	calls++;
	longjmp(outside, 1);
}

/* Run with limit:64M,high:16M. */
static void in_pthread_create(void)
{
	sigset_t blocked;
	void *volatile block = NULL;

	CHECK_EQ(oomreclaim_register("jump", 0, OOMRECLAIM_CALLBACK_DIRECT, jump, NULL, NULL), 0);
	if (setjmp(outside) == 0)
		block = malloc(32 * MIB);
	CHECK(block);
	CHECK_EQ(starts, 1);
	CHECK_EQ(calls, 0);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
	CHECK_EQ(sigismember(&blocked, SIGUSR1), 0);
	if (setjmp(outside) == 0)
		CHECK(!malloc(48 * MIB));
	CHECK_EQ(calls, 1);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {{"in-pthread-create", in_pthread_create}};

	return check_main(argc, argv, cases, COUNT(cases));
}
