/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which arena a thread takes its blocks from. New threads share the first half of the arenas: the
 * fewer arenas, the less memory is free in one and wanted in another. A thread that spends its time
 * with waiting for jemalloc's locks is given another arena, of the other half too. glibc's malloc
 * does the same for a thread that finds its arena locked. And of two threads that live on large
 * blocks in one arena, one is given another.
 */
#include "base/base.h"
#include "heap/heap_fast.h"
#define OOM_HEAP_GLUE_DECLARATIONS
#include "heap/heap_glue.h"
#include "limits/budget.h"
#include "limits/fault.h"

/* One in so many waits is measured: two readings of the clock take as long as a short wait. */
#define WAITS_PER_SAMPLE 8

/* A longer wait counts as one of so many nanoseconds. The kernel ran something else meanwhile, and
   that is not to be had for another arena. */
#define WAIT_MAX_NS 4000

/* Between two that are measured the thread has run for no longer than this: else another thread had
   its processor, or it waited for something else. (The clock of a thread's own time takes a system
   call, which a sandbox may forbid.) */
#define GAP_MAX_NS NSEC_PER_MSEC

/* So many waits, and so much of the thread's own time, and the thread is looked at: all threads
   meet when they begin, or when a phase does. */
#define WAITS_PER_LOOK 64
#define LOOK_NS (5 * NSEC_PER_MSEC)

/* A thread is given another arena if this part of its time went into waiting, or more, as often as
   this one after the other. What it has in its old arena is of no use to it in the new one: a
   thread that moves for less has more memory and no more speed. */
#define WAIT_PART 12
#define LOOKS 3

/* Large blocks are in no thread's cache, but for the smallest: what one thread frees another takes,
   with its lines in the caches of another processor. A thread lives on such blocks if it allocates
   LARGE_WINDOW_BYTES within LARGE_WINDOW_NS, and at least half of these bytes (LARGE_PART) in
   blocks of LARGE_MIN_BYTES to LARGE_MAX_BYTES. Larger blocks are in no processor's own caches, and
   two arenas keep fewer of the pages that are wanted again than one (heap_keep.c). */
#define LARGE_WINDOW_BYTES ((uint64_t)32 << 20)
#define LARGE_WINDOW_NS (50 * NSEC_PER_MSEC)
#define LARGE_PART 2
#define LARGE_MIN_BYTES ((size_t)128 << 10)
#define LARGE_MAX_BYTES ((size_t)2 << 20)

/* Of each arena the thread that was last seen to live on large blocks there, and when. All orders
   are relaxed: a pair that two threads have mixed up is a wrong guess. */
static struct {
	_Atomic(const void *) thread;
	atomic_uint_least64_t at_ns;
} larges[MALLOCX_ARENA_LIMIT];

/* What a thread has waited since it was last looked at. Touched by the thread alone. */
static OOM_TLS struct waits {
	unsigned count, looks;
	bool is_bound; /* the program has chosen the thread's arena */
	uint64_t waited_ns, ran_ns, measured_at;
} own;

/* What a thread has taken in large blocks since the last window ended, and what it had allocated in
   all by then. Touched by the thread alone. */
static OOM_TLS struct window {
	uint64_t large, allocated, began_ns;
} window;

/* This thread gets none but an arena that exists. Touched by the thread alone. */
static OOM_TLS bool makes_none;

/* jemalloc's mutex was locked. */
void heap_mutex_lock_slow(malloc_mutex_t *mutex)
{
	uint64_t began;

	if (likely(own.count++ % WAITS_PER_SAMPLE != 0)) {
		malloc_mutex_lock_slow(mutex);
		return;
	}
	began = now_ns();
	own.ran_ns += min_size(began - own.measured_at, GAP_MAX_NS);
	own.measured_at = began;
	malloc_mutex_lock_slow(mutex);
	own.waited_ns += WAITS_PER_SAMPLE * min_size(now_ns() - began, WAIT_MAX_NS);
}

void heap_arenas_bound(void)
{
	own.is_bound = true;
}

/* What an arena has to serve: the less, the sooner it is chosen. An arena that does not exist yet
   comes behind an idle one, which is there already, and before all others; for a thread that makes
   none it comes last. */
static unsigned load_of(tsd_t *tsd, unsigned index)
{
	arena_t *arena = arena_get(tsd_tsdn(tsd), index, false);

	if (arena == NULL)
		return makes_none ? UINT_MAX : 1;
	return 2 * arena_nthreads_get(arena, false);
}

static unsigned least_loaded(tsd_t *tsd, unsigned count)
{
	unsigned found = 0;

	for (unsigned i = 1; i < count; i++)
		if (load_of(tsd, i) < load_of(tsd, found))
			found = i;
	return found;
}

/* ---- A thread's first arena ---- */

static void bind(tsd_t *tsd, arena_t *arena)
{
	if (tsd_arena_get(tsd) == NULL) {
		unsigned shard = atomic_fetch_add_u(&arena->binshard_next, 1, ATOMIC_RELAXED);

		arena_nthreads_inc(arena, false);
		tsd_arena_set(tsd, arena);
		for (unsigned i = 0; i < SC_NBINS; i++)
			tsd_binshardsp_get(tsd)->binshard[i] =
				(uint8_t)(shard % bin_infos[i].n_shards);
	}
	if (tsd_iarena_get(tsd) == NULL) {
		arena_nthreads_inc(arena, true);
		tsd_iarena_set(tsd, arena);
	}
}

/* The lock is jemalloc's own, for the same: of threads that begin together each sees where those
   before it went. */
static void choose(tsd_t *tsd)
{
	arena_t *arena;
	unsigned index;

	do {
		malloc_mutex_lock(tsd_tsdn(tsd), &arenas_lock);
		index = least_loaded(tsd, (narenas_auto + 1) / 2);
		arena = arena_get(tsd_tsdn(tsd), index, false);
		if (arena != NULL)
			bind(tsd, arena);
		malloc_mutex_unlock(tsd_tsdn(tsd), &arenas_lock);
		if (arena != NULL)
			return;
	} while (arena_get(tsd_tsdn(tsd), index, true) != NULL);
	bind(tsd, arena_get(tsd_tsdn(tsd), 0, false));
}

/* Of the arenas that exist: an arena that is made may come with a background thread, and takes
   locks under which such threads are made and ended. */
static void bind_to_existing(tsd_t *tsd)
{
	unsigned count = heap_defaults_have_arenas() ? (narenas_auto + 1) / 2 : narenas_auto;

	bind(tsd, arena_get(tsd_tsdn(tsd), least_loaded(tsd, count), false));
}

void heap_arenas_make_none(bool is_set)
{
	makes_none = is_set;
}

arena_t *heap_arena_choose_hard(tsd_t *tsd, bool internal)
{
	/* There may be no memory for an arena: jemalloc would dereference NULL. The first arena
	   always exists. */
	if (unlikely(makes_none))
		bind_to_existing(tsd);
	else if (heap_defaults_have_arenas())
		choose(tsd);
	else if (unlikely(arena_choose_hard(tsd, internal) == NULL))
		bind(tsd, arena_get(tsd_tsdn(tsd), 0, false));
	return internal ? tsd_iarena_get(tsd) : tsd_arena_get(tsd);
}

/* ---- Another arena ---- */

/* The thread's blocks stay where they are, and its cache. */
static void move(tsd_t *tsd, arena_t *from, arena_t *to)
{
	arena_migrate(tsd, from, to);
	heap_group_moved(to);
	tcache_arena_reassociate(tsd_tsdn(tsd), tsd_tcache_slowp_get(tsd), tsd_tcachep_get(tsd),
	                         to);
}

static void move_to_least_loaded(tsd_t *tsd)
{
	arena_t *from = tsd_arena_get(tsd), *to;
	unsigned index = least_loaded(tsd, narenas_auto);

	/* There are more threads in one place than in the other behind the move as well. */
	if (load_of(tsd, index) + 2 >= load_of(tsd, arena_ind_get(from)))
		return;
	to = arena_get(tsd_tsdn(tsd), index, budget_room() >= LIMIT_BYTES_PER_ARENA);
	if (to != NULL && ehooks_are_default(arena_get_ehooks(to)))
		move(tsd, from, to);
}

/* A program's hooks are for what the thread allocates there. And an arena that is made while the
   reserve is in use, or for an injected fault, would take from what is short. */
static bool may_move(tsd_t *tsd)
{
	return heap_defaults_have_arenas() && !own.is_bound && heap_own_group == 0 &&
	       tsd_arena_get(tsd) != NULL && tcache_available(tsd) &&
	       ehooks_are_default(arena_get_ehooks(tsd_arena_get(tsd))) &&
	       !heap_reserve_is_serving() && !fault_is_armed(&fault_page) &&
	       tsd_tcache_slowp_get(tsd)->arena == tsd_arena_get(tsd);
}

/* Only blocks of the thread's own arena: huge ones are in an arena for all threads, and a program's
   arenas are the program's to spread. */
edata_t *heap_arena_extent_alloc_large(tsdn_t *tsdn, arena_t *arena, size_t size, size_t alignment,
                                       bool is_zero)
{
	edata_t *extent = arena_extent_alloc_large(tsdn, arena, size, alignment, is_zero);

	if (extent != NULL && size >= LARGE_MIN_BYTES && size <= LARGE_MAX_BYTES &&
	    !tsdn_null(tsdn) && arena == tsd_arena_get(tsdn_tsd(tsdn)))
		window.large += size;
	return extent;
}

static bool lives_on_large(tsd_t *tsd, uint64_t now)
{
	const struct window before = window;

	window = (struct window){.allocated = tsd_thread_allocated_get(tsd), .began_ns = now};
	return now - before.began_ns < LARGE_WINDOW_NS &&
	       before.large >= (window.allocated - before.allocated) / LARGE_PART;
}

/* Of two threads in an arena that live on large blocks one is given another; one alone stays. */
static bool meets_another(tsd_t *tsd)
{
	arena_t *arena = tsd_arena_get(tsd);
	uint64_t now = now_ns();
	unsigned index;

	if (!lives_on_large(tsd, now) || arena == NULL)
		return false;
	index = arena_ind_get(arena);
	if (atomic_load_explicit(&larges[index].thread, memory_order_relaxed) != &window &&
	    now - atomic_load_explicit(&larges[index].at_ns, memory_order_relaxed) <
	            LARGE_WINDOW_NS)
		return true;
	atomic_store_explicit(&larges[index].thread, &window, memory_order_relaxed);
	atomic_store_explicit(&larges[index].at_ns, now, memory_order_relaxed);
	return false;
}

static bool waits_much(void)
{
	own.count = 0;
	if (own.ran_ns < LOOK_NS)
		return false;
	own.looks = own.waited_ns >= own.ran_ns / WAIT_PART ? own.looks + 1 : 0;
	own.waited_ns = 0;
	own.ran_ns = 0;
	if (own.looks < LOOKS)
		return false;
	own.looks = 0;
	return true;
}

/* A thread has allocated so many bytes that jemalloc looks through its cache. No lock is held. */
void heap_tcache_gc_event(tsd_t *tsd, uint64_t elapsed)
{
	bool moves = false;

	if (unlikely(own.count >= WAITS_PER_LOOK))
		moves = waits_much();
	if (unlikely(tsd_thread_allocated_get(tsd) - window.allocated >= LARGE_WINDOW_BYTES))
		moves |= meets_another(tsd);
	if (unlikely(moves) && may_move(tsd))
		move_to_least_loaded(tsd);
	heap_keep_look(tsd_tsdn(tsd));
	if (tsd_arena_get(tsd) != NULL)
		heap_pcp_look(tsd_tsdn(tsd), tsd_arena_get(tsd));
	tcache_gc_event_handler(tsd, elapsed);
}
