/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdatomic.h>

#include "base/io.h"
#include "config/options.h"
#include "lockdep/lockdep.h"
#include "lockdep/watch.h"

/* Locks beyond this number are not watched. */
#define HELD_MAX 64
/* Callbacks that one thread runs at a time: the ladder's may be called inside one that is called by
   hand. */
#define CALLS_MAX 4

struct held {
	const void *lock; /* NULL: the entry is a callback that the thread runs */
	oomreclaim_handle handle;
	const char *name;
	/* A callback is shared where oomreclaimd calls it: a thread that allocates does not wait
	   for that call, and a thread that unregisters does. */
	enum lock_mode mode;
	uint32_t epoch;
	unsigned depth; /* times that the lock was taken on top of the first */
};

/* What the calling thread holds, in the order of taking. */
static OOM_TLS struct held held[HELD_MAX + CALLS_MAX];
static OOM_TLS unsigned held_count;
/* The thread is in the checker: locks that the checker takes are not watched. */
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

/* Drops the locks that another thread has released. */
static void forget_released(void)
{
	for (unsigned i = held_count; i-- > 0;)
		if (held[i].lock != NULL && lock_epoch(held[i].lock) != held[i].epoch)
			remove_at(i);
}

/* The entry of the lock, if the thread took it inside the callback that it runs, or runs no
   callback. A callback that waits for a lock which its own thread took before waits like any other
   thread. */
static struct held *taken_here(const void *lock)
{
	for (unsigned i = held_count; i-- > 0 && held[i].lock != NULL;)
		if (held[i].lock == lock)
			return &held[i];
	return NULL;
}

/* The node of an entry. Classes are made here, and not before: most locks and callbacks never need
   one. */
static struct lock_node node_of(const struct held *one)
{
	struct lock_node node = {.mode = one->mode};

	node.class = one->lock != NULL ? lock_class(one->lock) : class_of_callback(one->handle);
	if (one->lock == NULL && one->mode == LOCK_EXCLUSIVE && node.class != CLASS_NONE)
		graph_add_direct(node.class);
	return node;
}

/* Adds an edge from each held entry to `wanted`. forget_released() comes before. `lock` is NULL
   where `wanted` is no lock. */
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
	/* A recursive lock that the thread has already makes no thread wait. */
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

/* The callback is a lock that its thread holds: see lockdep.h. */
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
