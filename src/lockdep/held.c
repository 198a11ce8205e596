/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdatomic.h>

#include "base/io.h"
#include "config/options.h"
#include "lockdep/lockdep.h"
#include "lockdep/watch.h"

/* What is beyond it is not watched. */
#define HELD_MAX 64
/* The callbacks that it is in: a call by the ladder may be inside of one by hand. */
#define CALLS_MAX 4

struct held {
	const void *lock; /* NULL: a callback that the thread runs, */
	oomreclaim_handle handle;
	const char *name;
	/* shared if oomreclaimd calls it: whoever allocates does not wait for that, who unregisters does. */
	enum lock_mode mode;
	uint32_t epoch;
	unsigned depth; /* how often more it was taken */
};

/* Of the calling thread, in the order of taking. */
static OOM_TLS struct held held[HELD_MAX + CALLS_MAX];
static OOM_TLS unsigned held_count;
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
static struct held *taken_here(const void *lock)
{
	for (unsigned i = held_count; i-- > 0 && held[i].lock != NULL;)
		if (held[i].lock == lock)
			return &held[i];
	return NULL;
}

/* Its class, made when it matters: most locks, and callbacks, meet nothing. */
static struct lock_node node_of(const struct held *one)
{
	struct lock_node node = {.mode = one->mode};

	node.class = one->lock != NULL ? lock_class(one->lock) : class_of_callback(one->handle);
	if (one->lock == NULL && one->mode == LOCK_EXCLUSIVE && node.class != CLASS_NONE)
		graph_add_direct(node.class);
	return node;
}

/* After forget_released(). `lock` is NULL for what is none. */
static void want(const void *lock, struct lock_node wanted)
{
	if (wanted.class == CLASS_NONE)
		return;
	for (unsigned i = 0; i < held_count; i++) {
		struct lock_node node = node_of(&held[i]);

		if ((lock == NULL || held[i].lock != lock) && node.class != CLASS_NONE)
			graph_add(node, wanted, held[i].name);
	}
}

void lockdep_initialised(const void *lock, const void *where)
{
	int saved = errno;

	if (!begin())
		return;
	lock_initialised(lock, where);
	end(saved);
}

void lockdep_destroyed(const void *lock)
{
	int saved = errno;

	if (!begin())
		return;
	lock_destroyed(lock);
	end(saved);
}

void lockdep_wait(const void *lock, enum lock_mode mode)
{
	int saved = errno;

	if (held_count == 0 || !begin())
		return;
	forget_released();
	/* Again what it has, if the lock allows for that, makes nobody wait. */
	if (taken_here(lock) == NULL)
		want(lock, (struct lock_node){lock_class(lock), mode});
	end(saved);
}

void lockdep_wait_again(const void *lock)
{
	int saved = errno;

	if (held_count == 0 || !begin())
		return;
	forget_released();
	want(lock, (struct lock_node){lock_class(lock), LOCK_EXCLUSIVE});
	end(saved);
}

static void push(const struct held *one)
{
	static atomic_bool has_complained; /* once for all threads */

	if (held_count < HELD_MAX + (one->lock == NULL ? CALLS_MAX : 0))
		held[held_count++] = *one;
	else if (!atomic_exchange(&has_complained, true))
		io_warn("lock check: a thread holds more than %d locks; some are not watched",
		        HELD_MAX);
}

void lockdep_hold(const void *lock, enum lock_mode mode)
{
	int saved = errno;
	struct held *taken;

	if (!begin())
		return;
	forget_released();
	taken = taken_here(lock);
	if (taken != NULL)
		taken->depth++;
	else
		push(&(struct held){.lock = lock, .mode = mode, .epoch = lock_epoch(lock)});
	end(saved);
}

void lockdep_release(const void *lock)
{
	int saved = errno;

	if (!begin())
		return;
	for (unsigned i = held_count; i-- > 0;)
		if (held[i].lock == lock) {
			if (held[i].depth > 0)
				held[i].depth--;
			else
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
	forget_released();
	want(NULL, (struct lock_node){CLASS_RECLAIM, LOCK_EXCLUSIVE});
	end(saved);
}

void lockdep_might_unregister(oomreclaim_handle handle)
{
	int saved = errno;

	if (held_count == 0 || !begin())
		return;
	forget_released();
	want(NULL, (struct lock_node){class_of_callback(handle), LOCK_EXCLUSIVE});
	end(saved);
}

void lockdep_unregistered(oomreclaim_handle handle)
{
	int saved = errno;

	if (!begin())
		return;
	class_retire_callback(handle);
	end(saved);
}

/* As if it held what those wait for that wait for it. */
void lockdep_callback_begin(const char *name, oomreclaim_handle handle, bool is_direct)
{
	if (!begin())
		return;
	push(&(struct held){.handle = handle,
	                    .name = name,
	                    .mode = is_direct ? LOCK_EXCLUSIVE : LOCK_SHARED});
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

void lockdep_freed(const void *memory, size_t bytes)
{
	int saved = errno;

	if (!begin())
		return;
	locks_freed(memory, bytes);
	end(saved);
}

void lockdep_left_files(const struct class_set *before)
{
	int saved = errno;

	if (!begin())
		return;
	classes_left_files(before);
	end(saved);
}

int lockdep_close(int (*close)(void *file), void *file)
{
	struct class_set before;
	int result;

	/* Another file may come to lie there. */
	classes_in_files(&before);
	result = close(file);
	if (result == 0)
		lockdep_left_files(&before);
	return result;
}
