/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program that company.sh runs beside other allocators and in places where things are missing.
 * It writes nothing, so whatever appears on stderr is not its own. Exit status: 0, 3 for NULL with
 * ENOMEM, 10 and more for what was not as it should be.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

enum {
	OUT_OF_MEMORY = 3,
	WRONG_ERRNO = 10,   /* NULL without ENOMEM */
	ERRNO_CHANGED = 11, /* by a success, or before main() */
	WRONG_CONTENT = 12,
	NO_LIMIT_FELT = 13,
	NO_MEMORY_AFTER_FREE = 14,
	WRONG_RESULT = 15,
	NO_THREAD = 16,
	NOT_SET_USER_ID = 17,
	WRONG_USAGE = 18
};

static void check(int condition, int status)
{
	if (!condition)
		_exit(status);
}

/* What an allocator gives out, filled so that two owners of a byte would be noticed. */
static unsigned char *fill(void *memory, size_t size, unsigned char seed)
{
	if (memory != NULL)
		memset(memory, seed, size);
	return memory;
}

static void check_fill(const unsigned char *memory, size_t size, unsigned char seed)
{
	for (size_t i = 0; i < size; i += size / 16 + 1)
		check(memory[i] == seed, WRONG_CONTENT);
	check(memory[size - 1] == seed, WRONG_CONTENT);
}

/* ---- work: threads that free what others allocated ---- */

#define SLOTS 4096
#define THREADS 4

static struct slot {
	pthread_mutex_t lock;
	unsigned char *memory;
	size_t size;
	unsigned char seed;
} slots[SLOTS];

static void *work(void *arg)
{
	uint32_t random = (uint32_t)(uintptr_t)arg * 2654435761u + 1;

	for (int i = 0; i < 100000; i++) {
		struct slot *slot = &slots[(random = random * 1664525u + 1013904223u) >> 20];
		size_t size = (random >> 4 & 0xff) < 2 ? random % MIB + 1 : random % 2000 + 1;
		unsigned char seed = (unsigned char)i;

		pthread_mutex_lock(&slot->lock);
		if (slot->memory != NULL)
			check_fill(slot->memory, slot->size, slot->seed);
		if (i % 3 == 0)
			slot->memory = realloc(slot->memory, size);
		else {
			free(slot->memory);
			slot->memory = i % 3 == 1 ? malloc(size) : calloc(1, size);
		}
		check(slot->memory != NULL, OUT_OF_MEMORY);
		fill(slot->memory, size, seed);
		slot->size = size;
		slot->seed = seed;
		pthread_mutex_unlock(&slot->lock);
	}
	return NULL;
}

static int mode_work(void)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < SLOTS; i++)
		pthread_mutex_init(&slots[i].lock, NULL);
	for (uintptr_t i = 0; i < THREADS; i++)
		check(pthread_create(&threads[i], NULL, work, (void *)i) == 0, NO_THREAD);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < SLOTS; i++)
		free(slots[i].memory);
	return 0;
}

/* ---- every: all that glibc has, each freed by free() ---- */

static int mode_every(void)
{
	void *memory = NULL;
	char *line = NULL;
	size_t length = 0;
	FILE *info;

	check_fill(fill(malloc(100), 100, 1), 100, 1);
	free(realloc(malloc(10), 100000));
	free(reallocarray(NULL, 100, 100));
	free(calloc(100, 100));
	check(posix_memalign(&memory, 4096, 100) == 0 && (uintptr_t)memory % 4096 == 0,
	      WRONG_RESULT);
	check(malloc_usable_size(memory) >= 100, WRONG_RESULT);
	free(memory);
	free(aligned_alloc(256, 512));
	free(memalign(64, 100));
	free(valloc(100));
	free(strdup("text"));
	check(asprintf(&line, "%d", 1) == 1, WRONG_RESULT);
	free(line);
	info = open_memstream(&line, &length);
	check(info != NULL && malloc_info(0, info) == 0 && fclose(info) == 0, WRONG_RESULT);
	free(line);
	(void)mallinfo2();
	malloc_trim(0);
	mallopt(M_MXFAST, 64);
	return 0;
}

/* ---- fail: what a failing malloc() leaves ---- */

static void limit_to(__rlimit_resource_t resource, rlim_t value)
{
	struct rlimit limit;

	check(getrlimit(resource, &limit) == 0, WRONG_RESULT);
	limit.rlim_cur = value;
	check(setrlimit(resource, &limit) == 0, WRONG_RESULT);
}

#define BLOCKS 65536

static void *blocks[BLOCKS];

static int mode_fail(const char *size_text)
{
	size_t size = strtoul(size_text, NULL, 0), count = 0, again = 0;

	limit_to(RLIMIT_CORE, 0);
	limit_to(RLIMIT_AS, 200 * MIB);
	errno = 0;
	while (count < BLOCKS && (blocks[count] = fill(malloc(size), size, 1)) != NULL) {
		check(errno == 0, ERRNO_CHANGED);
		count++;
	}
	check(count < BLOCKS, NO_LIMIT_FELT);
	check(errno == ENOMEM, WRONG_ERRNO);
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
	errno = EXDEV;
	while (again < count / 2 && (blocks[again] = malloc(size)) != NULL)
		again++;
	check(again >= count / 2, NO_MEMORY_AFTER_FREE);
	check(errno == EXDEV, ERRNO_CHANGED);
	return 0;
}

/* The same on the smallest stack a thread can have, of which the thread's variables take a part. */
static const char *stack_size_text;

static void *fail_on_stack(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)mode_fail(stack_size_text);
}

static int mode_fail_stack(const char *size_text)
{
	pthread_attr_t attr;
	pthread_t thread;
	void *result;

	stack_size_text = size_text;
	pthread_attr_init(&attr);
	check(pthread_attr_setstacksize(&attr, (size_t)sysconf(_SC_THREAD_STACK_MIN)) == 0,
	      NO_THREAD);
	check(pthread_create(&thread, &attr, fail_on_stack, NULL) == 0, NO_THREAD);
	pthread_join(thread, &result);
	return (int)(intptr_t)result;
}

/* ---- small: as much as there is, in all sizes ---- */

static void *small(void *arg)
{
	(void)arg;
	for (size_t size = 16; size <= 4 * MIB; size += size / 2) {
		void *memory = fill(malloc(size), size, 1);

		if (memory == NULL)
			return (void *)(intptr_t)(errno == ENOMEM ? OUT_OF_MEMORY : WRONG_ERRNO);
		free(memory);
	}
	return NULL;
}

static int mode_small(void)
{
	int status = (int)(intptr_t)small(NULL);
	pthread_t thread;
	void *result;

	if (status != 0)
		return status;
	if (pthread_create(&thread, NULL, small, NULL) != 0)
		return OUT_OF_MEMORY;
	pthread_join(thread, &result);
	return (int)(intptr_t)result;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	check(errno == 0, ERRNO_CHANGED);
	if (strcmp(mode, "small") == 0)
		return mode_small();
	if (strcmp(mode, "work") == 0)
		return mode_work();
	if (strcmp(mode, "every") == 0)
		return mode_every();
	if (strcmp(mode, "fail") == 0 && argc == 3)
		return mode_fail(argv[2]);
	/* With nothing that could be opened any more: no files of /proc either. */
	if (strcmp(mode, "fail-closed") == 0 && argc == 3) {
		limit_to(RLIMIT_NOFILE, 0);
		return mode_fail(argv[2]);
	}
	if (strcmp(mode, "fail-stack") == 0 && argc == 3)
		return mode_fail_stack(argv[2]);
	/* Only if it really runs as somebody else. */
	if (strcmp(mode, "fail-secure") == 0 && argc == 3) {
		check(geteuid() != getuid(), NOT_SET_USER_ID);
		return mode_fail(argv[2]);
	}
	return WRONG_USAGE;
}
