/* SPDX-License-Identifier: BSD-2-Clause */
#include <execinfo.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "config/options.h"
#include "lockdep/lockdep.h"

#define NODES (2 * CLASSES_MAX)
#define EDGES_MAX 16384
/* A longer circle than this is reported without its middle. */
#define CIRCLE_MAX 32

/* A bit for each pair: held, and wanted. */
static _Atomic uint64_t has_edge[NODES][NODES / WORD_BITS];

/* The edges, and the search: one thread at a time. */
static table_flag is_searching;
static struct lock_edge edges[EDGES_MAX];
static unsigned edge_count;
static struct lock_edge *unused;             /* of these, forgotten ones */
static struct lock_edge *first[CLASSES_MAX]; /* by what is held */
static uint32_t degree[CLASSES_MAX];         /* edges from it and to it */
static atomic_bool is_full;                  /* no more is tried until some are forgotten */
static bool is_reported[CLASSES_MAX]; /* that lock, in some circle: more callbacks are no news */

/* The states of the search: a node that is wanted, and whether there was a callback on the way. */
#define STATES (2 * NODES)
static const struct lock_edge *found_by[STATES]; /* the edge by which the search got there */
static uint32_t found_from[STATES];              /* and from where, plus one; 0: not yet */
static uint32_t queue[STATES];

static unsigned index_of(struct lock_node node)
{
	return node.class * 2 + (unsigned)node.mode;
}

static uint32_t state_of(struct lock_node node, bool has_passed)
{
	return index_of(node) * 2 + has_passed;
}

static struct lock_node node_of(uint32_t state)
{
	return (struct lock_node){state / 4, (state / 2) % 2 ? LOCK_SHARED : LOCK_EXCLUSIVE};
}

static bool conflict(enum lock_mode a, enum lock_mode b)
{
	return a == LOCK_EXCLUSIVE || b == LOCK_EXCLUSIVE;
}

static _Atomic uint64_t *edge_word(struct lock_node held, struct lock_node wanted, uint64_t *bit)
{
	unsigned to = index_of(wanted);

	*bit = 1ULL << (to % WORD_BITS);
	return &has_edge[index_of(held)][to / WORD_BITS];
}

static void clear_edge(struct lock_node held, struct lock_node wanted)
{
	uint64_t bit;
	_Atomic uint64_t *word = edge_word(held, wanted, &bit);

	atomic_fetch_and(word, ~bit);
}

static bool is_edge(struct lock_node held, struct lock_node wanted)
{
	uint64_t bit;
	_Atomic uint64_t *word = edge_word(held, wanted, &bit);

	return (atomic_load_explicit(word, memory_order_relaxed) & bit) != 0;
}

/* True if it was not there. */
static bool set_edge(struct lock_node held, struct lock_node wanted)
{
	uint64_t bit;
	_Atomic uint64_t *word = edge_word(held, wanted, &bit);

	return !is_edge(held, wanted) && (atomic_fetch_or(word, bit) & bit) == 0;
}

/* Whether who waits for what the edge wants may wait, over others and over a callback, for who holds what it
   holds: the state in which the search came to know. */
static bool search(const struct lock_edge *edge, uint32_t *end)
{
	uint32_t head = 0, tail = 0;
	uint32_t from = state_of(edge->wanted, class_is_callback(edge->held.class) ||
	                                               class_is_callback(edge->wanted.class));

	memset(found_from, 0, sizeof found_from);
	queue[tail++] = from;
	found_by[from] = NULL;
	found_from[from] = from + 1;
	while (head < tail) {
		uint32_t state = queue[head++];
		struct lock_node at = node_of(state);
		bool has_passed = state % 2;

		*end = state;
		if (has_passed && at.class == edge->held.class &&
		    conflict(at.mode, edge->held.mode))
			return true;
		for (const struct lock_edge *next = first[at.class]; next != NULL;
		     next = next->next) {
			uint32_t to = state_of(next->wanted,
			                       has_passed || class_is_callback(next->wanted.class));

			if (found_from[to] != 0 || !conflict(next->held.mode, at.mode))
				continue;
			found_by[to] = next;
			found_from[to] = state + 1;
			queue[tail++] = to;
		}
	}
	return false;
}

struct circle {
	const struct lock_edge *edges[CIRCLE_MAX];
	unsigned count;
};

/* The way that search() found, from its end, and the edge that closes it. */
static void walk_back(uint32_t end, const struct lock_edge *edge, struct circle *circle)
{
	while (found_by[end] != NULL && circle->count < CIRCLE_MAX - 1) {
		circle->edges[circle->count++] = found_by[end];
		end = found_from[end] - 1;
	}
	circle->edges[circle->count++] = edge;
}

/* Whether the circle has a lock that was in none yet. */
static bool is_news(const struct circle *circle)
{
	bool has_new = false;

	for (unsigned i = 0; i < circle->count; i++) {
		uint32_t class = circle->edges[i]->held.class;

		has_new |= !class_is_callback(class) && !is_reported[class];
		is_reported[class] = true;
	}
	return has_new;
}

/* NULL: no room. */
static struct lock_edge *insert(const struct lock_edge *edge)
{
	struct lock_edge *new = unused;

	if (new != NULL)
		unused = new->next;
	else if (edge_count < EDGES_MAX)
		new = &edges[edge_count++];
	if (new == NULL) {
		clear_edge(edge->held, edge->wanted);
		atomic_store(&is_full, true);
		return NULL;
	}
	*new = *edge;
	new->next = first[edge->held.class];
	/* In this order: the child of a fork() may have to go on from here. */
	atomic_signal_fence(memory_order_seq_cst);
	first[edge->held.class] = new;
	degree[edge->held.class]++;
	degree[edge->wanted.class]++;
	return new;
}

/* Under the flag nothing is waited for that somebody may hold who waits for the flag: the loader's lock,
   for one, which naming a function takes. The circle's edges may be gone before they are printed: then the
   report has others, which is better than a thread that waits for stderr with the flag. */
static void add_edge(const struct lock_edge *edge)
{
	static atomic_bool has_complained; /* once for all threads */
	struct circle circle = {.count = 0};
	struct lock_edge *new;
	bool is_to_report;
	uint32_t end;

	table_lock(&is_searching);
	new = insert(edge);
	if (new != NULL && search(new, &end))
		walk_back(end, new, &circle);
	is_to_report = is_news(&circle);
	table_unlock(&is_searching);
	if (new == NULL && !atomic_exchange(&has_complained, true))
		io_warn("lock check: more orders of locks than there is room for");
	if (is_to_report)
		lock_report(circle.edges, circle.count);
}

void graph_add(struct lock_node held, struct lock_node wanted, const char *callback)
{
	struct lock_edge edge = {.held = held, .wanted = wanted};

	if (atomic_load_explicit(&is_full, memory_order_relaxed) || !set_edge(held, wanted))
		return;
	if (class_is_callback(held.class))
		(void)snprintf(edge.callback, sizeof edge.callback, "%s", callback);
	edge.frame_count = backtrace(edge.frames, LOCK_FRAMES);
	add_edge(&edge);
}

/* Not with those that oomreclaimd makes. */
static struct lock_edge direct_edge(uint32_t callback)
{
	return (struct lock_edge){.held = {CLASS_RECLAIM, LOCK_EXCLUSIVE},
	                          .wanted = {callback, LOCK_SHARED}};
}

void graph_add_direct(uint32_t callback)
{
	const struct lock_edge edge = direct_edge(callback);

	if (set_edge(edge.held, edge.wanted))
		add_edge(&edge);
}

static void remove_at(struct lock_edge **link)
{
	struct lock_edge *edge = *link;

	*link = edge->next;
	degree[edge->held.class]--;
	degree[edge->wanted.class]--;
	clear_edge(edge->held, edge->wanted);
	edge->next = unused;
	atomic_signal_fence(memory_order_seq_cst);
	unused = edge;
	atomic_store(&is_full, false);
}

/* Under the flag. */
static void remove_all(uint32_t class)
{
	is_reported[class] = false;
	for (uint32_t from = 0; degree[class] > 0 && from < CLASSES_MAX; from++)
		for (struct lock_edge **link = &first[from]; *link != NULL;)
			if ((*link)->held.class == class || (*link)->wanted.class == class)
				remove_at(link);
			else
				link = &(*link)->next;
}

void graph_forget(uint32_t class)
{
	table_lock(&is_searching);
	remove_all(class);
	table_unlock(&is_searching);
}

void graph_retire(uint32_t class)
{
	const struct lock_edge direct = direct_edge(class);

	table_lock(&is_searching);
	/* Only who waited for it to end waited for one that nobody calls directly. */
	if (is_edge(direct.held, direct.wanted))
		for (const struct lock_edge *edge = first[class]; edge != NULL; edge = edge->next) {
			struct lock_edge general = *edge;

			general.held = direct.held;
			if (edge->held.mode == LOCK_EXCLUSIVE &&
			    set_edge(general.held, general.wanted))
				insert(&general);
		}
	remove_all(class);
	table_unlock(&is_searching);
}
