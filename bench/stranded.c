/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Can one thread use the address space that another one gave back?
 *
 *     prlimit --as=536870912 stranded [--threads N] [--check]
 *
 * N threads A fill the limit with 200-byte blocks until malloc says no, free
 * every one, and stay alive with their caches full. Then thread B takes 1 MiB
 * blocks until malloc says no. Prints what the A's had together and what B got:
 *
 *     threads=1 a_mib=354 b_mib=0
 *
 * --check makes the exit status 1 unless B got at least as much. The limit must
 * be set before the program starts, since an allocator may choose by it how it
 * keeps memory.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
	SMALL_BYTES = 200,
	BIG_BYTES = 1 << 20,
	/* Eight default stacks of 8 MiB would be an eighth of the limit. */
	STACK_BYTES = 128 << 10,
	THREADS_MAX = 64
};

/* The list lives in the blocks themselves: it takes no memory of its own. */
struct block {
	struct block *next;
};

struct filler {
	pthread_t thread;
	size_t blocks;
};

/*
 * Passed four times: all A's filled, all A's freed, B done, and at the very
 * start, so that every A exists before the first of them takes all there is.
 */
static pthread_barrier_t step;

static struct block *fill(size_t size, size_t *blocks)
{
	struct block *list = NULL, *block;

	while ((block = malloc(size))) {
		block->next = list;
		list = block;
		++*blocks;
	}
	return list;
}

static void drain(struct block *list)
{
	while (list) {
		struct block *next = list->next;

		free(list);
		list = next;
	}
}

/*
 * Some allocators set up a thread, or its arena, at its first malloc, and
 * jemalloc 5.3.0 crashes if there is no memory left for that (it gives the cache an
 * arena that is NULL). That is not what is measured here.
 */
static void settle(void)
{
	void *volatile block = malloc(sizeof(struct block)); /* volatile: not optimised away */

	free(block);
}

static void *thread_a(void *arg)
{
	struct filler *self = arg;
	struct block *list;

	settle();
	pthread_barrier_wait(&step);
	list = fill(SMALL_BYTES, &self->blocks);
	pthread_barrier_wait(&step);
	drain(list);
	pthread_barrier_wait(&step);
	/* Alive, and holding on to its cache, while B runs. */
	pthread_barrier_wait(&step);
	return NULL;
}

static void *thread_b(void *arg)
{
	struct filler *self = arg;

	settle();
	for (int i = 0; i < 3; i++)
		pthread_barrier_wait(&step);
	drain(fill(BIG_BYTES, &self->blocks));
	pthread_barrier_wait(&step);
	return NULL;
}

/* B is the last one; its thread is made early too, while there is room for its stack. */
static int start(struct filler *fillers, unsigned threads)
{
	pthread_attr_t attr;
	int err;

	err = pthread_attr_init(&attr);
	if (!err)
		err = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (!err)
		err = pthread_barrier_init(&step, NULL, threads + 1);
	for (unsigned i = 0; i <= threads && !err; i++)
		err = pthread_create(&fillers[i].thread, &attr, i < threads ? thread_a : thread_b,
		                     &fillers[i]);
	return -err;
}

static size_t mib(size_t blocks, size_t size)
{
	return blocks * size >> 20;
}

static int run(unsigned threads, bool check)
{
	static struct filler fillers[THREADS_MAX + 1];
	size_t a_blocks = 0, a_mib, b_mib;
	int err = start(fillers, threads);

	if (err) {
		fprintf(stderr, "stranded: cannot start the threads: %s\n", strerror(-err));
		return 2;
	}
	for (unsigned i = 0; i <= threads; i++)
		pthread_join(fillers[i].thread, NULL);
	for (unsigned i = 0; i < threads; i++)
		a_blocks += fillers[i].blocks;
	a_mib = mib(a_blocks, SMALL_BYTES);
	b_mib = mib(fillers[threads].blocks, BIG_BYTES);
	printf("threads=%u a_mib=%zu b_mib=%zu\n", threads, a_mib, b_mib);
	/* An A that got nothing proves nothing. */
	return check && (!a_mib || b_mib < a_mib) ? 1 : 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: prlimit --as=BYTES stranded [--threads 1..%d] [--check]\n",
	        THREADS_MAX);
	return 2;
}

int main(int argc, char **argv)
{
	unsigned long threads = 1;
	struct rlimit limit;
	bool check = false;

	for (int i = 1; i < argc; i++) {
		char *end = argv[i];

		if (!strcmp(argv[i], "--check")) {
			check = true;
		} else if (!strcmp(argv[i], "--threads") && ++i < argc) {
			threads = strtoul(argv[i], &end, 10);
			if (end == argv[i] || *end || !threads || threads > THREADS_MAX)
				return usage();
		} else {
			return usage();
		}
	}
	if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY) {
		fprintf(stderr, "stranded: no RLIMIT_AS is set: it would fill the machine\n");
		return usage();
	}
	return run((unsigned)threads, check);
}
