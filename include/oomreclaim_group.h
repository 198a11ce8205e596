/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oomreclaim_group: memory cgroups inside a process.
 *
 * A server that runs queries, tenants or jobs has one heap. With groups each of them has a part of
 * it, with a limit, a reclaim and an end of its own: what a thread allocates while it is inside a
 * group, through malloc(), operator new and all of their kind, is charged to that group and to its
 * ancestors, and a limit that is met is that group's business alone. What the library keeps for
 * itself, registrations say, what callbacks allocate, and purgeable memory are the process's.
 * Groups take turns with their callbacks: a thread that fails in one waits for the callbacks of
 * another that are under way, for the setting wait_ms at most, and gets NULL behind that.
 *
 * Unless a comment says otherwise the rules of oomreclaim.h hold: a function is thread-safe, is not
 * async-signal-safe, leaves errno alone, and returns 0 or an errno value.
 */
#ifndef OOMRECLAIM_GROUP_H
#define OOMRECLAIM_GROUP_H

#include "oomreclaim.h"

#ifdef __cplusplus
/* A function beside a struct of its name, as stat() is. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#endif

/* Names one group. Never used twice in a process: that of a destroyed group is EINVAL for ever. */
typedef uint64_t oomreclaim_group;

/* The process itself, the root of all groups: what is allocated outside of any group. */
#define OOMRECLAIM_GROUP_ROOT ((oomreclaim_group)0)

/* The longest name of a group, in bytes, without the terminating NUL. */
#define OOMRECLAIM_GROUP_NAME_MAX 31
/* How deep groups may lie in each other: a child of the root is at depth 1. */
#define OOMRECLAIM_GROUP_DEPTH_MAX 16
/* How many groups there may be at a time. Of these some 4000 may have been entered: each of those
   has an arena of jemalloc's, which has 4094 at most, the process's own included. */
#define OOMRECLAIM_GROUPS_MAX 16383

/*
 * Makes a group, below `parent` or, with OOMRECLAIM_GROUP_ROOT, below the process. Its name, 1 to
 * OOMRECLAIM_GROUP_NAME_MAX bytes, is copied, and need not be unique. It has no limit at first. It
 * takes nothing of the heap until it is entered. Returns 0, or EINVAL (name or group NULL, name
 * empty, no such parent), ENAMETOOLONG, EMLINK (the parent is at depth
 * OOMRECLAIM_GROUP_DEPTH_MAX), EAGAIN (OOMRECLAIM_GROUPS_MAX), ENOMEM (no addresses for the table
 * that the first group needs), ENOTSUP (MALLOC_CONF has hpa:true,
 * of which the pages can't be told apart). On error *group is left alone.
 */
OOMRECLAIM_API int oomreclaim_group_create(const char *name, oomreclaim_group parent,
                                           oomreclaim_group *group);

/*
 * From now on the calling thread allocates in this group; OOMRECLAIM_GROUP_ROOT: in none. Returns
 * the group that it was in, to be entered again, as scopes nest. The group of a thread holds for
 * everything that it calls, and for threads that it makes where OOMRECLAIM_GROUP_INHERIT is set. A
 * group that does not exist (any more) changes nothing, nor does one that is entered first where
 * its arena can't be had, for want of memory or as there are too many: then
 * oomreclaim_group_current() is what it was. An arena takes some 60 KiB and 2 MiB of addresses, and
 * that of a destroyed group is used again as soon as it is empty. What the thread frees goes back
 * to the group that it came from, whatever group the thread is in; what it resizes stays in its
 * group. What mallctl("thread.arena") sets inside of a group holds outside; to set the arena of a
 * group there changes nothing. Blocks of the thread's own group are taken and freed as fast as
 * without groups, up to 14 KiB; of more than 253 groups at once, in further ones free() takes twice
 * as long. Entering takes some tens of nanoseconds where the thread was in the group lately. A
 * thread that ends inside a group leaves it. The kernel's counterpart is a write to cgroup.procs.
 */
OOMRECLAIM_API oomreclaim_group oomreclaim_group_enter(oomreclaim_group group);

/* The group that the calling thread is in. */
OOMRECLAIM_API oomreclaim_group oomreclaim_group_current(void);

/*
 * The group that a block belongs to: any address inside of it. The root for what is in no group, or
 * is no block of this heap. Where a group was destroyed its parent has its blocks.
 */
OOMRECLAIM_API oomreclaim_group oomreclaim_group_of(const void *block);

/* What is set of a group, by the names of cgroup v2's files. */
enum oomreclaim_group_attribute {
	/* memory.max, in bytes: no page is taken beyond it. OOMRECLAIM_GROUP_NONE: no limit, as it
	   is at first. Set below what is charged, the group is reclaimed until it fits or has
	   nothing to give; what it has is not taken away. From inside a callback it is set and
	   nothing is reclaimed. */
	OOMRECLAIM_GROUP_MAX = 1,
	/* What happens where its max is met and nothing is left to reclaim: an enum
	   oomreclaim_policy, RETURN (as it is at first), ABORT, KILL or CANCEL. A policy callback
	   decides here as well. */
	OOMRECLAIM_GROUP_POLICY = 2,
	/* As oom_score_adj: -1000 to 1000, 0 at first, thousandths of the limit that is met, added
	   to what is charged where a group is chosen to be cancelled. -1000: never chosen. */
	OOMRECLAIM_GROUP_SCORE_ADJ = 3,
	/* What those inside get that need a page more when it has been cancelled: 0, as it is at
	   first, NULL at once; 1: a block of the setting reserve while that lasts, then NULL. */
	OOMRECLAIM_GROUP_CANCEL_RESERVE = 4,
	/* memory.high, in bytes; OOMRECLAIM_GROUP_NONE, as it is at first: none. A thread that
	   takes pages above it gives back what is free in the group, asks the group's callbacks,
	   and then waits, a tenth of a second at most, the longer the further above the group is.
	   It never gets NULL for it. Not in the scopes NORETRY and NORECLAIM. Set below what is
	   charged, as OOMRECLAIM_GROUP_MAX. */
	OOMRECLAIM_GROUP_HIGH = 5,
	/* memory.low, in bytes, 0 at first: so much of the group is left alone by the reclaim of
	   the process, and of groups above, unless others have nothing to give: what is free in the
	   group goes back only as far as more is charged, and its callbacks are asked only where
	   more is. Of the low of a parent its children have as much as they are within their own,
	   then by what they have beyond it. For a thread inside of it, or of a group below, all
	   that is free goes. It protects from no cancel, not from malloc_trim(), and not from time:
	   what is free for long goes back as ever, and so does what lies side by side free, 8 MiB
	   of it and more. */
	OOMRECLAIM_GROUP_LOW = 6,
	/* 1: a thread that a thread inside makes, by pthread_create() or thrd_create(), and so by
	   std::thread, begins inside too, as fork() puts a task into the cgroup of its parent. It
	   is counted from then on, so that the group does not end before the thread has begun, and
	   leaves when it ends. 0, as it is at first: it begins where one does that is made in the
	   parent of the group; below the root that is outside. Nothing of libc's own for the thread
	   is charged. Threads of a pool that is filled inside stay there, and keep the group from
	   being destroyed. A thread for which there is no memory to enter begins outside, as do
	   those that libc makes for itself, for a timer say. */
	OOMRECLAIM_GROUP_INHERIT = 7,
	/* memory.min, in bytes, 0 at first: as low, and where others have nothing to give, too: the
	   policy's end comes before that is touched. So a group of many that come and go keeps the
	   pages that its next block needs, at the cost of the others, which fill the limit. What
	   all groups have of it should be well below the limit: a request in scope NOFAIL waits, or
	   ends the process, while that is free. */
	OOMRECLAIM_GROUP_MIN = 8
};

/* A limit that is none. */
#define OOMRECLAIM_GROUP_NONE INT64_MAX

/* Sets an attribute. Returns 0, or EINVAL (no such group, or the root: see oomreclaim_set_limit();
   no such attribute), ERANGE (a value that the attribute can't have), ENOTSUP (threads can't
   inherit: the library is linked statically, or libc comes before it). */
OOMRECLAIM_API int oomreclaim_group_set(oomreclaim_group group,
                                        enum oomreclaim_group_attribute attribute, int64_t value);

/* Reads an attribute. Returns 0, or EINVAL (as above, or value NULL). */
OOMRECLAIM_API int oomreclaim_group_get(oomreclaim_group group,
                                        enum oomreclaim_group_attribute attribute, int64_t *value);

/* Counters of a group, in bytes where nothing else is said. Those of descendants are included where
   it says so. New members are added at the end. */
struct oomreclaim_group_stats {
	uint64_t charged;   /* pages that may be resident, descendants included */
	uint64_t own;       /* of these, the group's own */
	uint64_t peak;      /* the most that was charged so far */
	uint64_t allocated; /* in blocks, own ones, with those that a thread keeps in its cache */
	uint64_t max_met;   /* how often pages were refused by its max */
	uint64_t reclaimed; /* by callbacks, for its max, as they say */
	uint64_t threads;   /* inside, or about to begin there; not counting those in descendants */
	uint64_t children;  /* groups just below it */
	uint64_t cancels;   /* how often it was chosen to be cancelled */
	uint64_t high_met;  /* how often a thread has reclaimed, as it was above its high */
};

/* Reads them, up to size bytes (pass sizeof *stats). Returns 0, or EINVAL (no such group, or the
   root; stats NULL). */
OOMRECLAIM_API int oomreclaim_group_stats(oomreclaim_group group,
                                          struct oomreclaim_group_stats *stats, size_t size);

/* Called when the group has been chosen. See oomreclaim_group_on_cancel(). */
typedef void oomreclaim_group_cancelled(oomreclaim_group group, void *arg);

/*
 * Says how the work in a group can be ended so that others go on: only a group with such a function
 * is ever chosen to be cancelled. NULL: it can't. What is charged to descendants that have no
 * function of their own counts as the group's, and their threads are cancelled with it.
 *
 * One group is chosen, the worst by what is charged to it and its score_adj, where there is no
 * memory, no callback has given any, and no group is being cancelled already:
 * - where a max is met, by policy CANCEL of the group that has it: that group or one below it;
 * - where a limit of the process is met, before the policy of the process: any group.
 * The conditions are those of oom_kill_allowed(); but a request above the setting `costly` may
 * choose a group that has as much as is asked for.
 *
 * The function is called once for each time that its group is chosen, on the library's own thread,
 * which holds no lock of the program's; on the thread whose request failed only where that thread
 * can't be had. It is to set a flag or to close a connection: it may allocate (from the setting
 * reserve), enter groups, use all functions of this header, and destroy its own group. Others wait
 * for the memory, no longer than the setting cancel_grace_ms each time, and twice that in all; so
 * what it waits for itself should not be held by a thread that allocates.
 *
 * From then on threads in the group get no page more (OOMRECLAIM_GROUP_CANCEL_RESERVE); what is
 * free in their caches they still get, and with OOMRECLAIM_SCOPE_NOFAIL everything. That ends, and
 * the group is as any other, when an eighth of what it had is left or less, or when this function
 * is called anew. After cancel_grace_ms another group may be chosen.
 *
 * Returns when no call of the former function is under way, except from inside of such a call:
 * 0, EINVAL (no such group, or the root), or EDEADLK, as oomreclaim_unregister().
 */
OOMRECLAIM_API int oomreclaim_group_on_cancel(oomreclaim_group group,
                                              oomreclaim_group_cancelled *function, void *arg);

/* How a group ends. */
enum oomreclaim_group_destroy {
	/* Its blocks are freed, all at once, as at the end of a job. Nobody may use, free or resize
	   one of them any more: not what a library has set up inside for the rest of the process
	   either, as a buffer of stdio's, or as the thread-local variables of a file that was
	   opened by dlopen(), which libc frees long after the thread. (What libc allocates to make
	   a thread, and what it has to get where the group has met its max, is in no group.)
	   Without it they go to the parent, as cgroups reparent. */
	OOMRECLAIM_GROUP_FREE = 1
};

/*
 * Destroys a group. Returns 0, or EINVAL (no such group, the root, unknown flags), EBUSY (threads
 * are inside, or it has children); when no call of its cancel function is under way, except from
 * inside of such a call. EDEADLK as oomreclaim_unregister(): it is destroyed, and a call still
 * runs.
 */
OOMRECLAIM_API int oomreclaim_group_destroy(oomreclaim_group group, unsigned flags);

#ifdef __cplusplus
}
#pragma GCC diagnostic pop
#endif

#endif
