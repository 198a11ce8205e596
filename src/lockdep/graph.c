/* SPDX-License-Identifier: BSD-2-Clause */
#include <execinfo.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
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
/* By node, as it is wanted: the edge by which the search got there, plus one (0: not yet), and from where. */
static uint32_t found_by[NODES];
static struct lock_node found_from[NODES];
static struct lock_node queue[NODES];

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

/* Whether who wants `from` may wait, over others, for who holds `to`; in found_by, how, and in `end` for
   what the last of them waits. The edges are few: programs have few orders of locks. */
static bool search(struct lock_node from, struct lock_node to, struct lock_node *end)
{
	unsigned head = 0, tail = 0;

	memset(found_by, 0, sizeof found_by);
	queue[tail++] = from;
	found_by[index_of(from)] = UINT32_MAX;
	while (head < tail) {
		struct lock_node at = queue[head++];

		if (at.class == to.class && conflict(at.mode, to.mode)) {
			*end = at;
			return true;
		}
		for (unsigned i = 0; i < edge_count; i++) {
			const struct lock_edge *edge = &edges[i];

			if (edge->held.class != at.class || found_by[index_of(edge->wanted)] != 0 ||
			    !conflict(edge->held.mode, at.mode))
				continue;
			found_by[index_of(edge->wanted)] = i + 1;
			found_from[index_of(edge->wanted)] = at;
			queue[tail++] = edge->wanted;
		}
	}
	return false;
}

struct circle {
	struct lock_edge edges[CIRCLE_MAX];
	unsigned count;
};

/* The way that search() found, from its end. */
static void walk_back(struct lock_node end, struct circle *circle)
{
	uint32_t by;

	while ((by = found_by[index_of(end)]) != UINT32_MAX && circle->count < CIRCLE_MAX - 1) {
		circle->edges[circle->count++] = edges[by - 1];
		end = found_from[index_of(end)];
	}
}

/* The new edge closes a circle if what it wants leads to the callbacks, and they to what it holds. */
static bool closes_circle(const struct lock_edge *edge, uint32_t callbacks, struct circle *circle)
{
	const struct lock_node pseudo = {callbacks, LOCK_EXCLUSIVE};
	struct lock_node end;

	circle->count = 0;
	if (edge->held.class != callbacks) {
		if (!search(pseudo, edge->held, &end))
			return false;
		walk_back(end, circle);
	}
	if (edge->wanted.class != callbacks) {
		if (!search(edge->wanted, pseudo, &end))
			return false;
		walk_back(end, circle);
	}
	circle->edges[circle->count++] = *edge;
	return true;
}

/* Under the flag nothing is waited for that somebody may hold who waits for the flag: the loader's lock,
   for one, which naming a function takes. */
static bool add_edge(const struct lock_edge *edge, struct circle *circle)
{
	bool is_closed = false, is_full;

	while (atomic_flag_test_and_set_explicit(&is_searching, memory_order_acquire))
		sched_yield();
	is_full = edge_count == EDGES_MAX;
	if (!is_full) {
		edges[edge_count++] = *edge;
		is_closed = closes_circle(edge, CLASS_RECLAIM, circle) ||
		            closes_circle(edge, CLASS_BACKGROUND, circle);
	} else if (!has_complained) {
		has_complained = true;
		io_warn("lock check: more orders of locks than there is room for");
	}
	atomic_flag_clear_explicit(&is_searching, memory_order_release);
	return is_closed;
}

void graph_add(struct lock_node held, struct lock_node wanted, const char *callback)
{
	struct lock_edge edge = {.held = held, .wanted = wanted};
	struct circle circle;

	if (!set_edge(held, wanted))
		return;
	if (held.class < CLASSES_PSEUDO)
		(void)snprintf(edge.callback, sizeof edge.callback, "%s", callback);
	edge.frame_count = backtrace(edge.frames, LOCK_FRAMES);
	if (add_edge(&edge, &circle))
		lock_report(circle.edges, circle.count);
}

void lockdep_fork_child(void)
{
	atomic_flag_clear(&is_searching);
}
