/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process that retains address space, since nothing was limited when it began, and then gets a
 * limit, by itself or from another process (outside): what one thread has freed is of use to
 * another all the same.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "je.h"

enum { BLOCK_BYTES = 200, BLOCKS = 1 << 20 };

static pthread_barrier_t step;

static void *use_and_free(void *arg)
{
	struct pool pool = {0};

	for (int i = 0; i < BLOCKS; i++)
		CHECK(pool_add(&pool, BLOCK_BYTES));
	pool_clear(&pool);
	pthread_barrier_wait(&step);
	/* Alive, with full caches. */
	pthread_barrier_wait(&step);
	return arg;
}

static void limit_addresses(bool is_from_outside)
{
	const pid_t parent = getpid();
	struct rlimit limit;
	pid_t child;

	limit.rlim_cur = limit.rlim_max = space_mapped() + 4 * MIB;
	if (!is_from_outside) {
		CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
		return;
	}
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		_exit(prlimit(parent, RLIMIT_AS, &limit, NULL) != 0);
	CHECK_EQ(check_child(child), 0);
}

int main(int argc, char **argv)
{
	struct pool pool = {0};
	pthread_t thread;
	bool is_retaining;
	size_t got;

	(void)argv;
	JE_READ("opt.retain", &is_retaining);
	CHECK(is_retaining);
	CHECK(pthread_barrier_init(&step, NULL, 2) == 0);
	CHECK(pthread_create(&thread, NULL, use_and_free, NULL) == 0);
	pthread_barrier_wait(&step);
	limit_addresses(argc > 1);
	got = pool_fill(&pool, MIB) * MIB;
	dprintf(STDOUT_FILENO, "freed %zu MiB, got %zu MiB\n", (size_t)BLOCKS * BLOCK_BYTES / MIB,
	        got / MIB);
	CHECK(got >= (size_t)BLOCKS * BLOCK_BYTES);
	pthread_barrier_wait(&step);
	pthread_join(thread, NULL);
	return 0;
}
