/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/reserve.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/futex.h"

/* Written once, before main(), by the only thread there is. */
static size_t reserved;

enum {
	RESERVE_NONE,
	RESERVE_MAPPING,
	RESERVE_BUSY, /* one thread is changing what there is */
	RESERVE_ARENA,
	RESERVE_GIVEN /* to the heap */
};

/* All in one order (seq_cst), as is_arena_wanted: of reserve_init() and a thread that registers a
   callback meanwhile, one sees what the other has written. */
static atomic_uint state;

/* Threads that sleep while the state is BUSY. */
static atomic_uint waiting;

/* Set where a callback came before reserve_init(), from a constructor. */
static atomic_bool is_arena_wanted;

/* How long a thread waits for what another one makes busy: some mallocs that map. A handler of a
   signal that has interrupted that one waits in vain. */
#define BUSY_WAIT_NS (5 * NSEC_PER_MSEC)

static bool try_take(unsigned from)
{
	return atomic_compare_exchange_strong(&state, &from, RESERVE_BUSY);
}

static void end_busy(unsigned as)
{
	atomic_store(&state, as);
	if (atomic_load(&waiting) > 0)
		futex_wake(&state);
}

static unsigned wait_while_busy(uint64_t deadline_ns)
{
	unsigned now;
	uint64_t now_is;

	atomic_fetch_add(&waiting, 1);
	while ((now = atomic_load(&state)) == RESERVE_BUSY && (now_is = now_ns()) < deadline_ns)
		futex_wait(&state, RESERVE_BUSY, deadline_ns - now_is);
	atomic_fetch_sub(&waiting, 1);
	return now;
}

static void make_arena(void)
{
	if (!try_take(RESERVE_MAPPING)) {
		if (!try_take(RESERVE_GIVEN))
			return;
		if (heap_ops.reserve_map(reserved) != 0) {
			end_busy(RESERVE_GIVEN);
			return;
		}
	}
	end_busy(heap_ops.reserve_make_arena() == 0 ? RESERVE_ARENA : RESERVE_MAPPING);
}

int reserve_init(size_t bytes)
{
	int error = bytes == 0 ? 0 : heap_ops.reserve_map(bytes);

	if (error != 0 || bytes == 0)
		return error;
	reserved = bytes;
	atomic_store(&state, RESERVE_MAPPING);
	if (atomic_load(&is_arena_wanted))
		make_arena();
	return 0;
}

void reserve_want_arena(void)
{
	int saved = errno;

	atomic_store(&is_arena_wanted, true);
	/* Where an extent hook registers, the heap may hold locks. */
	if (!heap_ops.is_reentrant())
		make_arena();
	errno = saved;
}

/* What there is, and nobody is about to change it; BUSY where that took too long. A mapping is
   given to the heap if it may be. */
static unsigned settle(bool may_give)
{
	unsigned now = atomic_load(&state);
	uint64_t deadline_ns;

	if (now != RESERVE_MAPPING && now != RESERVE_BUSY)
		return now;
	deadline_ns = now_ns() + BUSY_WAIT_NS;
	do {
		if (may_give && try_take(RESERVE_MAPPING)) {
			heap_ops.reserve_give();
			end_busy(RESERVE_GIVEN);
		}
		now = wait_while_busy(deadline_ns);
	} while (may_give && now == RESERVE_MAPPING);
	return now;
}

void *reserve_alloc(const struct heap_request *request)
{
	bool is_in_group = heap_ops.group_current() != 0;

	/* A larger one can't be in there; and rounding it up could wrap. */
	if (atomic_load(&state) == RESERVE_NONE || request->size > reserved)
		return NULL;
	/* The arena has a size. What the heap was given is mixed with all that it has: there a
	   thread in a group could take more than the group's max. */
	if (settle(!is_in_group) != RESERVE_ARENA && is_in_group)
		return NULL;
	return heap_ops.reserve_alloc(request);
}

size_t reserve_bytes(void)
{
	return atomic_load(&state) == RESERVE_GIVEN ? 0 : reserved;
}

void reserve_fork_child(void)
{
	/* What the thread had in hand is lost to the child. */
	fork_reset(waiting, 0);
	if (atomic_load(&state) == RESERVE_BUSY)
		atomic_store(&state, heap_ops.reserve_has_arena() ? RESERVE_ARENA : RESERVE_GIVEN);
}
