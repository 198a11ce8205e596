/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pool of buffers that threads take and give back, as a server's connections do. What is idle in
 * the pool is given up when memory is wanted.
 *
 * The one thing to see here is the lock. pool_take() allocates, but not while it has the lock; so a
 * thread that fails never has it. Another may, at the very moment, and may in turn be waiting for
 * the failing thread: the callback tries the lock, and says 0 where it is taken.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OOMRECLAIM_OPTIONAL
#include <oomreclaim.h>

#define BUFFER_BYTES (64 * 1024)
#define THREADS 4
#define ROUNDS 2000

struct buffer {
	struct buffer *next;
	unsigned char data[BUFFER_BYTES];
};

static struct {
	pthread_mutex_t lock;
	struct buffer *idle;
	unsigned long made, reused, given_up;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct buffer *pool_take(void)
{
	struct buffer *buffer;

	pthread_mutex_lock(&pool.lock);
	buffer = pool.idle;
	if (buffer) {
		pool.idle = buffer->next;
		pool.reused++;
	} else {
		pool.made++;
	}
	pthread_mutex_unlock(&pool.lock);
	return buffer ? buffer : malloc(sizeof(*buffer));
}

static void pool_give(struct buffer *buffer)
{
	pthread_mutex_lock(&pool.lock);
	buffer->next = pool.idle;
	pool.idle = buffer;
	pthread_mutex_unlock(&pool.lock);
}

static size_t pool_reclaim(const struct oomreclaim_control *control, void *arg)
{
	size_t freed = 0;

	(void)arg;
	if (pthread_mutex_trylock(&pool.lock))
		return 0;
	while (pool.idle && freed < control->bytes_wanted) {
		struct buffer *buffer = pool.idle;

		pool.idle = buffer->next;
		free(buffer);
		freed += sizeof(*buffer);
		pool.given_up++;
	}
	pthread_mutex_unlock(&pool.lock);
	return freed;
}

/* Takes many buffers, fills and checks them, gives them back; then needs memory for something
   else. */
static void *serve(void *arg)
{
	struct buffer *held[64];
	unsigned long *failures = arg;

	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t count = 1 + (round * 7) % 64;
		void *other;

		for (size_t i = 0; i < count; i++) {
			held[i] = pool_take();
			if (!held[i]) {
				++*failures;
				count = i;
				break;
			}
			memset(held[i]->data, (int)round, BUFFER_BYTES);
		}
		for (size_t i = 0; i < count; i++) {
			if (held[i]->data[round % BUFFER_BYTES] != (unsigned char)round)
				abort();
			pool_give(held[i]);
		}
		other = malloc((size_t)4 << 20);
		if (other)
			memset(other, 1, (size_t)4 << 20);
		else
			++*failures;
		free(other);
	}
	return NULL;
}

/* Something else that wants memory, as much as it can get of 64 MiB. Returns how many MiB that
   is. */
static unsigned long want_more(void)
{
	static void *blocks[64];
	unsigned long count = 0;

	while (count < 64 && (blocks[count] = malloc((size_t)1 << 20)) != NULL)
		count++;
	for (unsigned long i = 0; i < count; i++)
		free(blocks[i]);
	return count;
}

int main(void)
{
	pthread_t threads[THREADS];
	unsigned long failures[THREADS] = {0}, failed = 0, more;

	if (oomreclaim_available() &&
	    oomreclaim_register("buffer pool", OOMRECLAIM_PRIORITY_DEFAULT, 0, pool_reclaim, NULL,
	                        NULL))
		return 2;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, serve, &failures[i]))
			return 2;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		failed += failures[i];
	}
	more = want_more();
	printf("made %lu, reused %lu, given up %lu, failed %lu; then got %lu MiB\n", pool.made,
	       pool.reused, pool.given_up, failed, more);
	return 0;
}
