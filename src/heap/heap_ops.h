/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heap as the ladder sees it: a table of functions. The library's own is jemalloc's
 * (jemalloc_heap.c); the unit tests link another that can be made to fail.
 *
 * None of these functions descends the ladder or changes errno. All are thread-safe.
 */
#ifndef OOM_HEAP_H
#define OOM_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/heap_request.h"
#include "limits/constraint.h"
#include "limits/group.h"

/* Bytes, by jemalloc's names for them. */
struct heap_stats {
	size_t allocated;
	size_t active;
	size_t metadata;
	size_t resident;
	size_t mapped;
	size_t retained;
	size_t dirty; /* freed, and kept for the next allocation */
};

struct heap_ops {
	/* Resolves what the other functions need, once, before main(). */
	void (*init)(void);
	void *(*alloc)(const struct heap_request *request);
	/* The same, after nothing was given back: a mapping that the system has just refused is not
	   asked for again, unless something was unmapped meanwhile. */
	void *(*alloc_again)(const struct heap_request *request);
	/* The same, but a block that is resized is moved to where the thread takes others from. */
	void *(*alloc_moved)(const struct heap_request *request);
	/* What is free in the lists that each processor has goes back to the arenas, and nothing is
	   put there any more. True where there was something. No group has such lists. */
	bool (*end_lists)(void);
	/* Gives the caches of this thread back to the arenas they came from. False where they were
	   empty; but true after a fault that was injected, as another attempt may do then. */
	bool (*flush_thread)(void);
	/* Merges the free extents of this thread's arena where they lie, and from now on lets a
	   small request be cut from a free extent of any size: no system call. True where that may
	   help. Put off for some requests after it was of no use. */
	bool (*compact)(const struct heap_request *request);
	/* Memory from another arena that has room, without a mapping; NULL where none has. */
	void *(*borrow)(const struct heap_request *request);
	/* Gives back what is free: the request's size and `bytes` more, oldest first, from the
	   arenas that have most; SIZE_MAX: everything. Addresses are unmapped where this thread's
	   last mapping was refused by the system, as long as that takes no more than a fifth of
	   vm.max_map_count; else only their pages are given back. Returns the bytes given back, 0
	   where there was nothing. Of groups it takes what they do not keep. */
	size_t (*evict)(const struct heap_request *request, size_t bytes, enum group_keeps keeps);
	/* What there is to evict, as far as that can be counted without a lock. */
	size_t (*evictable)(void);
	/* From now on that takes the same short time, however many arenas there are, and each
	   change of what is free a little more. */
	void (*count_evictable)(void);
	/* Gives the dirty and muzzy pages of all arenas back to the system, but for what groups
	   keep. Adds no mapping. */
	void (*purge)(enum group_keeps keeps);
	/* True where the heap has called out to the application (extent hooks) and may hold
	   locks. */
	bool (*is_reentrant)(void);
	/* True for a block of this heap. */
	bool (*is_ours)(const void *memory);
	/* What this thread has ever allocated and freed, in bytes. */
	void (*thread_counters)(uint64_t *allocated, uint64_t *freed);
	/* False where the heap keeps no statistics. */
	bool (*stats)(struct heap_stats *stats);
	/* Statistics as JSON, in pieces. */
	void (*print_stats)(void (*put)(void *arg, const char *text), void *arg);
	/* A heap profile, into the descriptor that `open_file` returns for `path`, and closes it;
	   not called where profiling is off. False where nothing, or not all, was written. Not for
	   two threads at once. */
	bool (*dump_profile)(const char *path, int (*open_file)(const char *path));
	/* Maps the reserve. Then one of the two: an arena is made of the mapping, for good, or the
	   heap gets it, and another may be mapped. 0 or -errno; without an arena the mapping is
	   still there. */
	int (*reserve_map)(size_t bytes);
	int (*reserve_make_arena)(void);
	void (*reserve_give)(void);
	bool (*reserve_has_arena)(void);
	/* From the arena, or from what the heap was given. */
	void *(*reserve_alloc)(const struct heap_request *request);
	/* The slot of the group that this thread is in (limits/group.h); and what is free in a
	   group and its descendants, until that is `bytes`, but for what is kept. Returns the bytes
	   given back. */
	unsigned (*group_current)(void);
	/* Out of it, slot 0, and back. */
	bool (*group_enter)(unsigned slot);
	/* Whose max refused this thread's last request; 0: it was something else. */
	unsigned (*group_refuser)(void);
	/* Which limit of the budget did: BUDGET, TOTAL or CGROUP; NONE: it was something else. */
	enum constraint (*budget_refuser)(void);
	size_t (*group_evict)(unsigned slot, size_t bytes, enum group_keeps keeps);
	/* Bytes in a group's own blocks; 0 where it is gone. */
	size_t (*group_allocated)(unsigned slot);
	/* The largest request that could ever succeed, in bytes. */
	size_t max_bytes;
};

extern const struct heap_ops heap_ops;

/* heap_blocks.c: as of the last time that stats() was called. Only the library's heap. */
struct heap_blocks {
	size_t free;        /* blocks, and pieces of what is dirty */
	size_t large;       /* blocks that have their pages to themselves */
	size_t large_bytes; /* of these */
};
void heap_count_blocks(struct heap_blocks *blocks);

/* Our own defaults in place of jemalloc's, by the limits in force. From heap_conf_getenv()
   alone. */
void heap_configure(void);
/* The heap calls this once, with its defaults set and before its first mapping, for the value of
   MALLOC_CONF. What that and malloc_conf say is applied afterwards. Defined in
   entry/heap_conf.c. */
char *heap_conf_getenv(const char *name);

/* heap_fork.c: the heap's locks, around fork(). */
void heap_fork_prepare(void);
void heap_fork_parent(void);
void heap_fork_child(void);
/* The heap calls this before its first allocation: from now on it has locks. 0 or an error number.
   Defined where the handlers of fork() are. */
int heap_wants_fork(void);

#endif
