/* SPDX-License-Identifier: BSD-2-Clause */
#include <execinfo.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "io.h"
#include "lockdep.h"
#include "options.h"

#define NODES (2 * CLASSES_MAX)
#define WORD_BITS 64
#define EDGES_MAX 8192
/* A longer circle than this is reported without its middle. */
#define CIRCLE_MAX 32

/* A bit for each pair: held, and wanted. */
static _Atomic uint64_t has_edge[NODES][NODES / WORD_BITS];

/* The edges, and the search: one thread at a time. */
static atomic_flag is_searching = ATOMIC_FLAG_INIT;
static struct lock_edge edges[EDGES_MAX];
static unsigned edge_count;
static bool has_complained;
/* By class: the edge by which the search got there, plus one; 0: not yet. */
static uint32_t found_by[CLASSES_MAX];
static uint32_t queue[CLASSES_MAX];

static unsigned index_of(struct lock_node node)
{
	return node.class * 2 + (unsigned)node.mode;
}

static bool conflict(enum lock_mode a, enum lock_mode b)
{
	return a == LOCK_EXCLUSIVE || b == LOCK_EXCLUSIVE;
}

/* True if it was not there. */
static bool set_edge(struct lock_node held, struct lock_node wanted)
{
	unsigned to = index_of(wanted);
	_Atomic uint64_t *word = &has_edge[index_of(held)][to / WORD_BITS];
	uint64_t bit = 1ULL << (to % WORD_BITS);

	return (atomic_load_explicit(word, memory_order_relaxed) & bit) == 0 &&
	       (atomic_fetch_or(word, bit) & bit) == 0;
}

/* Whether what is wanted by `from` may wait, over others, for a holder of `to`; in found_by, how. The
   edges are few: programs have few orders of locks. */
static bool search(struct lock_node from, uint32_t to)
{
	enum lock_mode wanted_mode[CLASSES_MAX];
	unsigned head = 0, tail = 0;

	memset(found_by, 0, sizeof found_by);
	queue[tail++] = from.class;
	wanted_mode[from.class] = from.mode;
	found_by[from.class] = UINT32_MAX;
	while (head < tail && found_by[to] == 0) {
		uint32_t class = queue[head++];

		for (unsigned i = 0; i < edge_count; i++) {
			const struct lock_edge *edge = &edges[i];

			if (edge->held.class != class || found_by[edge->wanted.class] != 0 ||
			    !conflict(edge->held.mode, wanted_mode[class]))
				continue;
			found_by[edge->wanted.class] = i + 1;
			wanted_mode[edge->wanted.class] = edge->wanted.mode;
			queue[tail++] = edge->wanted.class;
		}
	}
	return found_by[to] != 0;
}

/* The way that search() found, in front of what is in `circle` already. */
static unsigned walk_back(uint32_t from, uint32_t to, const struct lock_edge **circle,
                          unsigned count)
{
	while (to != from && count < CIRCLE_MAX) {
		circle[count++] = &edges[found_by[to] - 1];
		to = circle[count - 1]->held.class;
	}
	return count;
}

/* The new edge closes a circle if what it wants leads to the callbacks, and they to what it holds. */
static void check(const struct lock_edge *edge)
{
	const struct lock_edge *circle[CIRCLE_MAX];
	const struct lock_node reclaim = {CLASS_RECLAIM, LOCK_EXCLUSIVE};
	unsigned count = 0;

	/* Backwards: from the holder to the callbacks, from there to what is wanted. */
	if (edge->held.class != CLASS_RECLAIM) {
		if (!search(reclaim, edge->held.class))
			return;
		/* Who shares it with whom. */
		count = walk_back(CLASS_RECLAIM, edge->held.class, circle, count);
		if (count > 0 && !conflict(circle[0]->wanted.mode, edge->held.mode))
			return;
	}
	if (edge->wanted.class != CLASS_RECLAIM) {
		if (!search(edge->wanted, CLASS_RECLAIM))
			return;
		count = walk_back(edge->wanted.class, CLASS_RECLAIM, circle, count);
	}
	if (count < CIRCLE_MAX)
		circle[count++] = edge;
	lock_report(circle, count);
}

void graph_add(struct lock_node held, struct lock_node wanted)
{
	struct lock_edge *edge;

	if (!set_edge(held, wanted))
		return;
	while (atomic_flag_test_and_set_explicit(&is_searching, memory_order_acquire))
		sched_yield();
	if (edge_count == EDGES_MAX) {
		if (!has_complained)
			io_warn("lock check: more orders of locks than there is room for");
		has_complained = true;
	} else {
		edge = &edges[edge_count];
		edge->held = held;
		edge->wanted = wanted;
		edge->frame_count = backtrace(edge->frames, LOCK_FRAMES);
		edge_count++;
		check(edge);
	}
	atomic_flag_clear_explicit(&is_searching, memory_order_release);
}

void lockdep_fork_child(void)
{
	atomic_flag_clear(&is_searching);
}
