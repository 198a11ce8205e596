/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include "lockdep.h"
#include "options.h"

/* Deeper than this nobody nests; what is beyond it is not watched. */
#define HELD_MAX 64

struct held {
	const void *lock;
	struct lock_node node;
	uint32_t epoch;
};

/* Of the calling thread, in the order of taking. */
static OOM_TLS struct held held[HELD_MAX];
static OOM_TLS unsigned held_count;
/* The callback that it runs. */
static OOM_TLS const char *callback_name;
/* What the checker itself takes is not watched. */
static OOM_TLS bool is_busy;

static bool begin(void)
{
	if (is_busy || options.lock_check == LOCK_CHECK_OFF)
		return false;
	is_busy = true;
	return true;
}

static void end(int saved)
{
	is_busy = false;
	errno = saved;
}

static void remove_at(unsigned at)
{
	held_count--;
	for (; at < held_count; at++)
		held[at] = held[at + 1];
}

/* A mutex may have been unlocked by a thread that had not locked it. */
static void forget_released(void)
{
	for (unsigned i = held_count; i-- > 0;)
		if (held[i].lock != NULL && lock_epoch(held[i].lock) != held[i].epoch)
			remove_at(i);
}

/* In the callback that the thread runs, or at all if it runs none. For what the thread had before, its
   callback waits as it would in any other thread. */
static bool is_taken_here(const void *lock)
{
	for (unsigned i = held_count; i-- > 0 && held[i].lock != NULL;)
		if (held[i].lock == lock)
			return true;
	return false;
}

/* `lock` is NULL for what is none. */
static void want(const void *lock, struct lock_node wanted)
{
	forget_released();
	if (wanted.class == CLASS_NONE)
		return;
	for (unsigned i = 0; i < held_count; i++)
		if (lock == NULL || held[i].lock != lock)
			graph_add(held[i].node, wanted, callback_name);
}

void lockdep_wait(const void *lock, enum lock_mode mode)
{
	int saved = errno;

	if (held_count == 0 || !begin())
		return;
	forget_released();
	/* Again what it has, if the lock allows for that, makes nobody wait. */
	if (!is_taken_here(lock))
		want(lock, (struct lock_node){lock_class(lock), mode});
	end(saved);
}

void lockdep_wait_again(const void *lock)
{
	int saved = errno;

	if (held_count == 0 || !begin())
		return;
	want(lock, (struct lock_node){lock_class(lock), LOCK_EXCLUSIVE});
	end(saved);
}

static void push(const void *lock, struct lock_node node, uint32_t epoch)
{
	if (node.class != CLASS_NONE && held_count < HELD_MAX)
		held[held_count++] = (struct held){lock, node, epoch};
}

void lockdep_hold(const void *lock, enum lock_mode mode)
{
	int saved = errno;

	if (!begin())
		return;
	push(lock, (struct lock_node){lock_class(lock), mode}, lock_epoch(lock));
	end(saved);
}

void lockdep_release(const void *lock)
{
	int saved = errno;

	if (!begin())
		return;
	for (unsigned i = held_count; i-- > 0;)
		if (held[i].lock == lock) {
			remove_at(i);
			end(saved);
			return;
		}
	lock_released_elsewhere(lock);
	end(saved);
}

void lockdep_might_reclaim(void)
{
	int saved = errno;

	if (held_count == 0 || !begin())
		return;
	want(NULL, (struct lock_node){CLASS_RECLAIM, LOCK_EXCLUSIVE});
	end(saved);
}

void lockdep_might_unregister(void)
{
	int saved = errno;

	if (held_count == 0 || !begin())
		return;
	want(NULL, (struct lock_node){CLASS_RECLAIM, LOCK_EXCLUSIVE});
	want(NULL, (struct lock_node){CLASS_BACKGROUND, LOCK_EXCLUSIVE});
	end(saved);
}

/* As if it held what those wait for that wait for it. */
void lockdep_callback_begin(const char *name, bool is_direct)
{
	const struct lock_node pseudo = {is_direct ? CLASS_RECLAIM : CLASS_BACKGROUND,
	                                 LOCK_EXCLUSIVE};

	if (!begin())
		return;
	push(NULL, pseudo, 0);
	callback_name = name;
	is_busy = false;
}

void lockdep_callback_end(void)
{
	for (unsigned i = held_count; i-- > 0;)
		if (held[i].lock == NULL) {
			remove_at(i);
			return;
		}
}
