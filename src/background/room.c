/* SPDX-License-Identifier: BSD-2-Clause */
#include "background/room.h"

#include "background/background.h"
#include "base/fork_data.h"
#include "heap/heap_ops.h"
#include "limits/headroom.h"
#include "reclaim/reclaim.h"
#include "reclaim/registry.h"

/* So much of the nearest limit has to be free, and there has to be no reclaim for so long, before
   caches are told to grow: what they are told leads back to where they came from. */
#define PART_SHIFT 3
#define QUIET_NS NSEC_PER_SEC

atomic_bool room_asked;

/* room_look() is needed, from the first time that anybody wanted it. Relaxed. */
static atomic_bool is_wanted;
/* oomreclaimd of this process has been called for that. A child has none of it. Relaxed. */
static atomic_bool is_called;
static _Atomic uint64_t looked_ns;

/* oomreclaimd's own. */
static struct room_state state;
static bool was_asked;

bool room_is_wanted(void)
{
	return atomic_load_explicit(&is_wanted, memory_order_relaxed);
}

void room_want(void)
{
	if (likely(atomic_load_explicit(&is_called, memory_order_relaxed)))
		return;
	atomic_store_explicit(&is_wanted, true, memory_order_relaxed);
	if (atomic_exchange_explicit(&is_called, true, memory_order_relaxed))
		return;
	heap_ops.count_evictable();
	headroom_know();
	background_look();
	/* Once more, since the thread maps a stack. */
	headroom_refresh();
}

void room_ask(void)
{
	/* First: where that is set nobody comes here, and what was never read would be no limit. */
	headroom_know();
	atomic_store_explicit(&room_asked, true, memory_order_release);
	room_want();
}

static uint64_t passed_ms(void)
{
	return (now_ns() - atomic_load_explicit(&looked_ns, memory_order_relaxed)) / NSEC_PER_MSEC;
}

/* Nothing is owed where no callback of CALLBACK_ROOM is left. */
static bool is_owed(void)
{
	return state.is_owed && registry_wants_room();
}

int room_due_ms(void)
{
	bool is_often = was_asked || is_owed() || room_is_asked() || registry_has_caches();
	uint64_t interval = is_often ? ROOM_INTERVAL_MS : ROOM_IDLE_MS, passed = passed_ms();

	if (!room_is_wanted())
		return -1;
	return passed >= interval ? 0 : (int)(interval - passed);
}

bool room_has_come(struct room_state *seen, uint64_t rounds, size_t headroom_bytes,
                   size_t ceiling_bytes, uint64_t at_ns)
{
	if (rounds != seen->rounds) {
		seen->rounds = rounds;
		seen->changed_ns = at_ns;
		seen->is_owed = true;
	}
	if (!seen->is_owed || at_ns - seen->changed_ns < QUIET_NS ||
	    headroom_bytes < ceiling_bytes >> PART_SHIFT)
		return false;
	seen->is_owed = false;
	return true;
}

static uint64_t rounds_so_far(void)
{
	struct reclaim_totals direct, background;

	reclaim_totals(false, &direct);
	reclaim_totals(true, &background);
	return direct.rounds + background.rounds;
}

void room_look(void)
{
	struct headroom nearest;
	size_t bytes;

	was_asked = atomic_exchange_explicit(&room_asked, false, memory_order_relaxed);
	headroom_refresh();
	/* Another thread may be at the first reading. */
	headroom_know();
	atomic_store_explicit(&looked_ns, now_ns(), memory_order_relaxed);
	headroom_nearest(&nearest, true);
	if (registry_has_caches()) {
		/* First of all: what is free now was not free then, or it is counted twice. */
		reclaim_count_caches();
		reclaim_aim_caches(false);
	}
	bytes = headroom_below(&nearest, heap_ops.evictable());
	if (room_has_come(&state, rounds_so_far(), bytes, nearest.ceiling, now_ns()))
		reclaim_tell_room(bytes);
}

void room_stand_in(void)
{
	if (!room_is_wanted() || passed_ms() < ROOM_INTERVAL_MS)
		return;
	headroom_refresh();
	atomic_store_explicit(&looked_ns, now_ns(), memory_order_relaxed);
}

void room_fork_child(void)
{
	fork_reset(room_asked, false);
	fork_reset(is_called, false);
}
