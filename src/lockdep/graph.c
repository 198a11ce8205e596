/* SPDX-License-Identifier: BSD-2-Clause */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "config/options.h"
#include "lockdep/frames.h"
#include "lockdep/lockdep.h"

#define NODES (2 * CLASSES_MAX)
#define EDGES_MAX 16384
/* Of a longer circle the report has the edges next to the end of the search alone. */
#define CIRCLE_MAX 32

/* A bit for each pair of a held node and a wanted node. */
static _Atomic uint64_t has_edge[NODES][NODES / WORD_BITS];

/* The flag of the edges and of the search: one thread at a time. It guards all below. */
static table_flag is_searching;
static struct lock_edge edges[EDGES_MAX];
static unsigned edge_count;
static struct lock_edge *unused;             /* forgotten edges, to be used again */
static struct lock_edge *first[CLASSES_MAX]; /* the edges of each held class */
static uint32_t degree[CLASSES_MAX];         /* the number of edges from and to the class */
static atomic_bool is_full;                  /* no edge is added until some are forgotten */
static bool is_reported[CLASSES_MAX];        /* the class was in a circle that was reported */

/* A state of the search: a wanted node, and whether the way there passed a callback. */
#define STATES (2 * NODES)
static const struct lock_edge *found_by[STATES]; /* the edge that led to the state */
static uint32_t found_from[STATES];              /* the state before, plus one; 0: not found yet */
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

/* True if the edge is new. */
static bool set_edge(struct lock_node held, struct lock_node wanted)
{
	uint64_t bit;
	_Atomic uint64_t *word = edge_word(held, wanted, &bit);

	return !is_edge(held, wanted) && (atomic_fetch_or(word, bit) & bit) == 0;
}

/* True if the edge closes a circle through a callback. The search begins at the node that the edge
   wants and follows the edges from held nodes to wanted ones. It ends where it reaches the node
   that the edge holds; *end is the state in which it did. */
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

/* The way that search() found, backwards from its end, and then the edge that closes the circle. */
static void walk_back(uint32_t end, const struct lock_edge *edge, struct circle *circle)
{
	while (found_by[end] != NULL && circle->count < CIRCLE_MAX - 1) {
		circle->edges[circle->count++] = found_by[end];
		end = found_from[end] - 1;
	}
	circle->edges[circle->count++] = edge;
}

/* True if some lock of the circle was in no reported circle yet. Another callback alone is no
   news. */
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

/* NULL: the table has no room. */
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
	/* In this order: the child of a fork() by another thread may find the list in between. */
	atomic_signal_fence(memory_order_seq_cst);
	first[edge->held.class] = new;
	degree[edge->held.class]++;
	degree[edge->wanted.class]++;
	return new;
}

/* The report is written without the flag. To name a function may take the loader's lock, and a
   thread that has the loader's lock may wait for the flag. So an edge of the circle may be replaced
   before it is printed, and the report then has another edge. */
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
	edge.frame_count = frames_take(edge.frames, LOCK_FRAMES);
	add_edge(&edge);
}

/* A thread that allocates waits for the callback. No such edge for callbacks of oomreclaimd
   alone. */
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

/* Called with the flag. */
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
	/* Where no thread calls the callback directly, only oomreclaim_unregister() waited for
	   it. */
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
