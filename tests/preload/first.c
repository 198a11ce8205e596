/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread whose first malloc() comes when there is no memory, not even for the heap's records of
 * the thread: NULL, not a crash. Later, when there is some, it is a thread like any other.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { STACK_BYTES = 128 << 10, THREADS = 6, ROUNDS = 1000 };

static struct pool pool;
static pthread_barrier_t step;

static void *use(void *arg)
{
	size_t bytes = *(const size_t *)arg;
	void *first, *later;

	pthread_barrier_wait(&step);
	errno = 0;
	first = malloc(bytes);
	CHECK(first || errno == ENOMEM);
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	for (int i = 0; i < ROUNDS; i++) {
		later = malloc(100);
		CHECK(later);
		memset(later, i, 100);
		free(later);
	}
	free(first);
	return NULL;
}

int main(void)
{
	static const size_t sizes[THREADS] = {1, 24, 100, 5000, 40000, MIB};
	pthread_t threads[THREADS];
	pthread_attr_t attr;

	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstacksize(&attr, STACK_BYTES) == 0);
	CHECK(pthread_barrier_init(&step, NULL, THREADS + 1) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], &attr, use, (void *)&sizes[i]) == 0);
	for (size_t bytes = MIB; bytes >= 16; bytes /= 2)
		pool_fill(&pool, bytes);
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	pool_clear(&pool);
	pthread_barrier_wait(&step);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	return 0;
}
