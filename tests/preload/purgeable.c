/* SPDX-License-Identifier: BSD-2-Clause */
/* Purgeable blocks over the real heap, under a limit of addresses or of the heap. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim.h"

/* Far more than fits. */
#define BLOCKS 400
#define BYTES (MIB / 2)

static struct oomreclaim_purgeable *all[BLOCKS];

static struct oomreclaim_purgeable *make(size_t bytes, int content)
{
	struct oomreclaim_purgeable *made;

	errno = ERRNO_UNTOUCHED;
	made = oomreclaim_purgeable_alloc(bytes, OOMRECLAIM_COST_DEFAULT);
	CHECK(made != NULL && errno == ERRNO_UNTOUCHED);
	memset(oomreclaim_purgeable_block(made), content, bytes);
	return made;
}

/* True if it is there, whole. */
static bool look(struct oomreclaim_purgeable *purgeable, size_t bytes, int content)
{
	const unsigned char *block = oomreclaim_purgeable_pin(purgeable);

	if (!block)
		return false;
	CHECK(block[0] == (unsigned char)content && block[bytes - 1] == (unsigned char)content);
	CHECK(memcmp(block, block + 1, bytes - 1) == 0);
	CHECK_EQ(oomreclaim_purgeable_unpin(purgeable), 0);
	return true;
}

static struct oomreclaim_stats stats_now(void)
{
	struct oomreclaim_stats stats;

	CHECK_EQ(oomreclaim_stats_get(&stats, sizeof stats), 0);
	return stats;
}

/* A cache without a callback: every request succeeds, and what was used last is there. */
static void cache(void)
{
	struct oomreclaim_stats stats;
	size_t lost = 0;

	for (int i = 0; i < BLOCKS; i++) {
		all[i] = make(BYTES, i);
		CHECK_EQ(oomreclaim_purgeable_unpin(all[i]), 0);
		CHECK(look(all[0], BYTES, 0));
	}
	for (int i = 0; i < BLOCKS; i++)
		lost += !look(all[i], BYTES, i);
	CHECK(lost > BLOCKS / 4 && lost < BLOCKS - 20);
	CHECK(!look(all[1], BYTES, 1) && look(all[BLOCKS - 1], BYTES, BLOCKS - 1));
	stats = stats_now();
	CHECK_EQ(stats.refused, 0);
	CHECK_EQ(stats.callbacks, 1);
	CHECK(stats.purgeable >= (BLOCKS - lost) * BYTES && stats.purged >= lost * BYTES);
	for (int i = 0; i < BLOCKS; i++)
		oomreclaim_purgeable_free(all[i]);
	CHECK_EQ(stats_now().purgeable, 0);
}

/* The small ones of a cache of parsed texts. */
static void small(void)
{
	static struct oomreclaim_purgeable *many[4 * 65536];
	size_t lost = 0;

	for (size_t i = 0; i < COUNT(many); i++) {
		many[i] = make(600, (int)i);
		CHECK_EQ(oomreclaim_purgeable_unpin(many[i]), 0);
	}
	for (size_t i = 0; i < COUNT(many); i++)
		lost += !look(many[i], 600, (int)i);
	CHECK(lost > COUNT(many) / 10 && lost < COUNT(many));
	CHECK(look(many[COUNT(many) - 1], 600, (int)COUNT(many) - 1));
	for (size_t i = 0; i < COUNT(many); i++)
		oomreclaim_purgeable_free(many[i]);
}

/* What is pinned stays, though a request fails for it. */
static void pinned(void)
{
	size_t count = 0;

	while (count < BLOCKS && (all[count] = oomreclaim_purgeable_alloc(BYTES, 1)) != NULL)
		memset(oomreclaim_purgeable_block(all[count++]), 'p', BYTES);
	CHECK(count > 20 && count < BLOCKS);
	CHECK_EQ(errno, ENOMEM);
	CHECK(malloc(16 * MIB) == NULL);
	for (size_t i = 0; i < count; i++)
		CHECK_EQ(((char *)oomreclaim_purgeable_block(all[i]))[BYTES - 1], 'p');
	CHECK_EQ(stats_now().purged, 0);
	for (size_t i = 0; i < count; i++)
		CHECK_EQ(oomreclaim_purgeable_unpin(all[i]), 0);
	free(malloc(16 * MIB));
	CHECK(stats_now().purged >= 8 * MIB);
	for (size_t i = 0; i < count; i++)
		oomreclaim_purgeable_free(all[i]);
}

/* malloc()'s family takes it once it is taken out; and what that can't serve fails. */
static void ordinary(void)
{
	struct oomreclaim_purgeable *made = make(1000, 'o');
	char *block = oomreclaim_purgeable_block(made);

	errno = 0;
	CHECK(!oomreclaim_purgeable_alloc(SIZE_MAX / 2, 1));
	CHECK_EQ(errno, ENOMEM);
	CHECK(malloc_usable_size(block) >= 1000);
	CHECK_EQ((uintptr_t)block % 16, 0);
	CHECK(oomreclaim_purgeable_take(made) == block);
	block = realloc(block, 100000);
	CHECK(block && block[0] == 'o' && block[999] == 'o');
	free(block);
	made = oomreclaim_purgeable_alloc(0, 1);
	CHECK(oomreclaim_purgeable_block(made) != NULL);
	free(oomreclaim_purgeable_take(made));
}

/* oomreclaimd takes them above the watermark, before a callback of the program's is called. */
static atomic_uint calls;

static size_t call(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	atomic_fetch_add(&calls, 1);
	return 0;
}

static void background(void)
{
	CHECK_EQ(oomreclaim_register("dearer", 1000000, OOMRECLAIM_CALLBACK_BACKGROUND, call, NULL,
	                             NULL),
	         0);
	/* Up to the watermark, and over it. */
	for (int i = 0; i < 100; i++) {
		all[i] = make(BYTES, i);
		CHECK_EQ(oomreclaim_purgeable_unpin(all[i]), 0);
	}
	while (stats_now().purged == 0)
		usleep(1000);
	CHECK_EQ(calls, 0);
}

/* Threads that share blocks while memory is short. */
static _Atomic(struct oomreclaim_purgeable *) shared[256];
static pthread_mutex_t locks[256];

static void *use(void *arg)
{
	unsigned state = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < 3000; i++) {
		size_t at;
		int content;

		state = state * 1103515245 + 12345;
		at = state >> 16 & 255;
		content = (int)at;
		/* One makes it anew at a time. */
		pthread_mutex_lock(&locks[at]);
		if (!shared[at] || !look(shared[at], BYTES, content)) {
			oomreclaim_purgeable_free(shared[at]);
			shared[at] = make(BYTES, content);
			CHECK_EQ(oomreclaim_purgeable_unpin(shared[at]), 0);
		}
		pthread_mutex_unlock(&locks[at]);
	}
	return NULL;
}

static void threads(void)
{
	pthread_t ids[4];

	for (size_t i = 0; i < COUNT(locks); i++)
		pthread_mutex_init(&locks[i], NULL);
	for (size_t i = 0; i < COUNT(ids); i++)
		CHECK_EQ(pthread_create(&ids[i], NULL, use, (void *)(i + 1)), 0);
	for (size_t i = 0; i < COUNT(ids); i++)
		CHECK_EQ(pthread_join(ids[i], NULL), 0);
	CHECK(stats_now().purged > 0);
}

/* A child purges its own; the parent's stay. */
static void in_child(void)
{
	struct oomreclaim_purgeable *held = make(MIB, 'h'), *loose = make(MIB, 'l');
	pid_t child;

	CHECK_EQ(oomreclaim_purgeable_unpin(loose), 0);
	child = fork();
	if (child == 0) {
		CHECK(oomreclaim_reclaim(MIB) >= MIB);
		CHECK(!oomreclaim_purgeable_pin(loose) && oomreclaim_purgeable_block(held));
		oomreclaim_purgeable_free(loose);
		oomreclaim_purgeable_free(held);
		_exit(0);
	}
	CHECK_EQ(check_child(child), 0);
	CHECK(look(loose, MIB, 'l') && look(held, MIB, 'h'));
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"cache", cache},           {"small", small},    {"pinned", pinned},
		{"ordinary", ordinary},     {"child", in_child}, {"threads", threads},
		{"background", background},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
