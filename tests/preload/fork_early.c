/* SPDX-License-Identifier: BSD-2-Clause */
/* Preloaded behind the library, and so set up before it: a library that takes its lock over fork(),
   and whose handlers are registered before anybody has allocated. */
#include <pthread.h>

#include "check.h"

extern pthread_mutex_t early_lock;

pthread_mutex_t early_lock = PTHREAD_MUTEX_INITIALIZER;

static void lock(void)
{
	pthread_mutex_lock(&early_lock);
}

static void unlock(void)
{
	pthread_mutex_unlock(&early_lock);
}

__attribute__((constructor)) static void early(void)
{
	CHECK(pthread_atfork(lock, unlock, unlock) == 0);
}
