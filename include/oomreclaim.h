/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oomreclaim: a malloc that asks for memory back before it says no.
 *
 * When an allocation fails, the reclaim callbacks registered here are called
 * with none of the allocator's locks held, and the allocation is tried again.
 * Only when they return zero may anything harsher happen.
 *
 * The header serves three ways of building:
 *  - linked with -loomreclaim: nothing to do;
 *  - preloaded into a program built with this header: define
 *    OOMRECLAIM_OPTIONAL before including it. The functions are then weak, the
 *    same binary runs with and without the library, and oomreclaim_available()
 *    tells which. Build such a program as PIE or PIC (the default nearly
 *    everywhere), so that the weak references are left to the dynamic linker:
 *    GNU ld, gold and lld leave them, mold 1.10 resolves them to NULL itself,
 *    and the program then runs as it does without the library;
 *  - from C++: everything is extern "C".
 *
 * Unless a comment says otherwise a function is thread-safe, may be called from
 * a reclaim callback, is not async-signal-safe, and leaves errno alone: errors
 * are returned as errno values, as pthreads and jemalloc's mallctl do.
 */
#ifndef OOMRECLAIM_H
#define OOMRECLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
/* A function beside a struct of its name, as stat() is. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#endif

/* The version of this header. oomreclaim_version() gives the library's. */
#define OOMRECLAIM_VERSION_MAJOR 0
#define OOMRECLAIM_VERSION_MINOR 1
#define OOMRECLAIM_VERSION_PATCH 0

#ifdef OOMRECLAIM_OPTIONAL
#define OOMRECLAIM_API __attribute__((visibility("default"), weak))
#else
#define OOMRECLAIM_API __attribute__((visibility("default")))
#endif

/*
 * The library's version as "MAJOR.MINOR.PATCH", a static string. Never NULL.
 * Async-signal-safe. jemalloc's counterpart is mallctl("version").
 */
OOMRECLAIM_API const char *oomreclaim_version(void);

/*
 * True when the library is in the process. Only with OOMRECLAIM_OPTIONAL can
 * the answer be false, and then no other function here may be called.
 * Async-signal-safe.
 */
static inline bool oomreclaim_available(void)
{
#ifdef OOMRECLAIM_OPTIONAL
	return oomreclaim_version != NULL;
#else
	return true;
#endif
}

/* ---- Reclaim callbacks ------------------------------------------------- */

/* The longest name of a callback, in bytes, without the terminating NUL. */
#define OOMRECLAIM_NAME_MAX 31

/* Priorities are any int; the highest is called first. */
#define OOMRECLAIM_PRIORITY_DEFAULT 0
/* Purgeable blocks (below) are asked with the highest there is. */
#define OOMRECLAIM_PRIORITY_PURGEABLE 2147483647

/* Why a callback is called. */
enum oomreclaim_reason {
	OOMRECLAIM_REASON_ALLOC = 1,     /* an allocation failed */
	OOMRECLAIM_REASON_MANUAL = 2,    /* oomreclaim_reclaim() or _set_limit() was called; of
	                                    count(), or oomreclaimd counts for targets */
	OOMRECLAIM_REASON_LIMIT = 3,     /* an allocation failed, at the budget */
	OOMRECLAIM_REASON_WATERMARK = 4, /* the heap is above the setting high,
	                                    or a group above its high */
	OOMRECLAIM_REASON_PRESSURE = 5,  /* the system reported memory pressure */
	OOMRECLAIM_REASON_ROOM = 6       /* nothing is to be freed: there is room again. For
	                                    OOMRECLAIM_CALLBACK_ROOM alone */
};

/* How short memory is, as GLib's GMemoryMonitorWarningLevel has it: its values, too. There may be
   others in between one day: compare by >=. */
enum oomreclaim_level {
	OOMRECLAIM_LEVEL_NONE = 0,      /* it is not */
	OOMRECLAIM_LEVEL_LOW = 50,      /* give what is easily had again */
	OOMRECLAIM_LEVEL_MEDIUM = 100,  /* try harder */
	OOMRECLAIM_LEVEL_CRITICAL = 255 /* give all that can be given: the request fails next, or
	                                   somebody is killed */
};

/*
 * What a callback is told; the kernel's struct shrink_control. Valid only
 * during the call. New members are added at the end: struct_size says how much
 * of it the running library fills in.
 */
struct oomreclaim_control {
	size_t struct_size;  /* bytes of this struct that are valid */
	size_t bytes_wanted; /* still to be freed, at least 1; threads that wait
	                        for the same round are included. More is welcome: a
	                        round costs the same whatever it gives, so a cache
	                        does well to give a fiftieth of itself. 0 for ROOM */
	size_t size;         /* bytes of the failing request; 0 where none has failed */
	size_t alignment;    /* of the failing request, in bytes; 0 if default */
	enum oomreclaim_reason reason;
	unsigned attempt;       /* rounds already made for this request, from 0 */
	const char *constraint; /* why the request failed, see struct oomreclaim_verdict; "NONE"
	                           where none has */
	bool is_direct;  /* called by the thread that needs the memory, which may hold locks of the
	                   application: trylock. false: called by oomreclaimd, which holds none */
	size_t headroom; /* for ROOM, as oomreclaim_headroom() has it; else 0 */
	/*
	 * How short memory is, by what was known when the round began; the setting levels has the
	 * thresholds:
	 *  - for ALLOC and LIMIT by the rounds already made for the request: LOW, from 1 on MEDIUM,
	 *    from 4 on CRITICAL; one step higher where the constraint is "CGROUP", "OVERCOMMIT" or
	 *    "NONE", as somebody may be killed for it;
	 *  - for the others by what is left of the nearest limit, as oomreclaim_headroom() has it
	 *    (without the setting high): below 20 % LOW, below 10 % MEDIUM, below 5 % CRITICAL. In
	 *    a program that has never asked for headroom only the budget is known. For WATERMARK
	 *    it is at least LOW;
	 *  - at least MEDIUM for PRESSURE, and for all within 10 seconds behind it;
	 *  - NONE for ROOM.
	 */
	enum oomreclaim_level level;
	const char *group; /* the group that has met its max (oomreclaim_group.h), or NULL */
};

/* Flags of a registration. By default a callback is called in either context, to free. */
enum oomreclaim_callback_flags {
	OOMRECLAIM_CALLBACK_DIRECT = 1,     /* only by threads that need the memory */
	OOMRECLAIM_CALLBACK_BACKGROUND = 2, /* only by oomreclaimd, kswapd's counterpart */
	OOMRECLAIM_CALLBACK_ROOM = 4        /* not to free: see oomreclaim_headroom() */
};

/*
 * A reclaim callback. Returns the bytes it believes it gave back, 0 when there is nothing left to
 * give; as the kernel's count of pages freed by an OOM notifier, the return value is progress, and
 * "zero" is what lets the ladder go on to something harsher.
 *
 * It runs on the thread whose allocation failed, with none of the allocator's locks held, and never
 * on two threads at once. The application's own locks may be held by that thread or by another that
 * is waiting here. So it may sleep, allocate (a failing allocation inside is served from the
 * reserve or gets NULL; it never reclaims again), free, register, unregister (itself too) and fork.
 * It may not throw, longjmp, or wait for a lock that any thread may hold while it allocates: use
 * trylock, or hold that lock only within the scope OOMRECLAIM_SCOPE_NORECLAIM. errno is restored
 * after it. The thread is in no group during the call (oomreclaim_group_current() is the root), so
 * what the callback allocates is the process's, whatever group the thread failed in. To return
 * OOMRECLAIM_STOP (below) is to return 0.
 *
 * If it throws or jumps all the same, the call has given nothing and the round is over. Threads
 * that wait for the round go on at once, and later failures are as before. A count() of a shrinker
 * that is left counts as OOMRECLAIM_STOP. Locks that the callback held, and work that it had half
 * done, are left to the application.
 *  - throw: the exception comes out of operator new. C++ takes malloc() and its kind for noexcept:
 *    there it is std::terminate();
 *  - longjmp: past the failing malloc(), of which nothing is left. In a static program that is not
 *    seen: the thread never reclaims again, and others that fail wait for it, each time for the
 *    setting wait_ms. To another stack, as a coroutine yields, the call is over for good: when it
 *    is resumed, what it returns does not count;
 *  - pthread_exit: the thread ends;
 *  - in oomreclaimd: throw is std::terminate(), longjmp has no place to go to, and pthread_exit
 *    ends oomreclaimd for this process.
 * The same holds for policy callbacks. liboomreclaim-debug.so finds waits for locks that are not
 * allowed (docs/debugging.md); the others it does not look for.
 *
 * glibc declares malloc() a `leaf`: a compiler may take it that the call does not come back into
 * the file it stands in, and keep what only this file knows (static variables) in registers over
 * it. What a callback changes and the code around a malloc() in the same file reads has to be
 * atomic or volatile, or reached over a lock.
 */
typedef size_t oomreclaim_callback(const struct oomreclaim_control *control, void *arg);

/* Names one registration, of either kind. Never 0, never used twice in a process. */
typedef uint64_t oomreclaim_handle;

/*
 * Registers a callback; the kernel's register_oom_notifier().
 *   name      1 to OOMRECLAIM_NAME_MAX bytes, copied; need not be unique
 *   priority  highest first, equal ones in order of registration
 *   flags     0, or one of enum oomreclaim_callback_flags
 *   handle    where to put the handle, or NULL if it will never be removed
 * Returns 0, or EINVAL (name or function NULL or name empty, flags unknown or more than
 * one), ENAMETOOLONG, ENOMEM. On error *handle is left alone. A callback registered
 * from a callback is first called in the next round. A child of fork() keeps
 * its parent's registrations. Unregister before the file that the function is in
 * is unloaded; where dlclose() finds that this was forgotten, it is done then.
 */
OOMRECLAIM_API int oomreclaim_register(const char *name, int priority, unsigned flags,
                                       oomreclaim_callback *function, void *arg,
                                       oomreclaim_handle *handle);

/*
 * Removes a registration; the kernel's unregister_oom_notifier(). When it
 * returns 0, the callback is not running and will not be called again, so its
 * argument may be freed: it waits for a call in flight on another thread,
 * without a time limit. From inside that very call it returns at once. Do not
 * call it while holding a lock that the callback waits for.
 * Returns 0, EINVAL for a handle that is not registered (any more), or EDEADLK
 * from inside a callback (a policy callback included), if the call in flight
 * waits for the end of that callback, directly or by way of others. Then it is
 * removed, but still running.
 */
OOMRECLAIM_API int oomreclaim_unregister(oomreclaim_handle handle);

/*
 * A shrinker: a callback that says what it has, so that several of a priority
 * lose in proportion; the kernel's struct shrinker. The struct is copied, the
 * name too. New members are added at the end, and 0 is their default.
 */
struct oomreclaim_shrinker {
	const char *name; /* as for oomreclaim_register(), as are priority, */
	int priority;     /* flags and arg */
	unsigned flags;
	oomreclaim_callback *count; /* returns the bytes that scan() could free now, 0 for none.
	                               Cheap: it is called up to five times in a round, and
	                               with no round ten times a second by oomreclaimd, while
	                               some cache has a target (oomreclaim_cache_target()):
	                               reason is MANUAL then, and bytes_wanted 1 */
	oomreclaim_callback *scan;  /* frees about control->bytes_wanted; returns the bytes it
	                               freed. More is welcome, less is asked for again */
	void *arg;
	unsigned cost; /* what it takes to get a byte back, 1 to OOMRECLAIM_COST_MAX, against the
	                  others': of two that have as much, one that costs ten times as much
	                  loses a tenth. The kernel's seeks */
	size_t batch;  /* bytes that a scan() is asked for at once, at least 4096: less is put off
	                  until it has come together, more is asked in several calls. 0: what is
	                  due, in one call. One that has less than this is asked for all it has */
};

/* The cost of one that knows no better, the kernel's DEFAULT_SEEKS. It has to be given: 0 is an
   error. */
#define OOMRECLAIM_COST_DEFAULT 2

/* The highest cost; see struct oomreclaim_shrinker. */
#define OOMRECLAIM_COST_MAX 1000

/* From scan() or count(): not now, a lock is held, say. Others are asked in its place; what was due
   is due in a later round. */
#define OOMRECLAIM_STOP SIZE_MAX

/*
 * Registers a shrinker. size is sizeof *shrinker, of this header or an older one;
 * oomreclaim_unregister() removes it. Both functions are under the rules of reclaim callbacks: no
 * lock of the library is held over them, and one thread at a time is in one of the two. Of scan
 * alone dlclose() finds that its file is gone: they belong into one file.
 *
 * Priorities are strict, as for callbacks, and within a priority the callbacks come first. The
 * shrinkers of a priority share what is missing then: each is counted, and asked for a part in
 * proportion to its count over its cost. Where that gives too little it is done again, up to five
 * times, with parts that rise; in the last one each is asked for all it counted, so nothing is left
 * that could be had. What a shrinker did not give of its part is due from it in the next rounds,
 * and what it gave in place of others is taken off its part, each up to half of what it counts. Who
 * begins changes from round to round. One whose scan() claims bytes of which the heap sees none, as
 * where they are freed by munmap() or on another thread, is asked for half as much each time, down
 * to a sixteenth, and for its whole part again once the heap sees some; the report says so. Returns
 * 0, or EINVAL (shrinker, name, count or scan NULL, name empty, flags as for oomreclaim_register()
 * or OOMRECLAIM_CALLBACK_ROOM, cost out of range, size too small), E2BIG (what this library does
 * not know is not 0, or size above 4096), ENAMETOOLONG, ENOMEM. On error *handle is left alone; it
 * may be NULL.
 */
OOMRECLAIM_API int oomreclaim_shrinker_register(const struct oomreclaim_shrinker *shrinker,
                                                size_t size, oomreclaim_handle *handle);

/* Counters of one registration. The calls of a shrinker are those of scan(). */
struct oomreclaim_callback_stats {
	uint64_t calls;
	uint64_t bytes_claimed;  /* sum of what it returned */
	uint64_t bytes_measured; /* freed less allocated by the calling thread
	                            during the calls, by jemalloc's
	                            thread.deallocated and thread.allocated; what
	                            other threads freed or munmap() gave back is
	                            not in it */
	uint64_t longest_ns;     /* the longest call, in nanoseconds, that of count() included */
	/* Of a shrinker; 0 for a callback. */
	uint64_t counts;          /* calls of count() */
	uint64_t stops;           /* OOMRECLAIM_STOP, from either */
	uint64_t bytes_counted;   /* by count(), the last time */
	uint64_t bytes_deferred;  /* asked for and not given, and still due */
	uint64_t bytes_target;    /* as oomreclaim_cache_target(); 0: never asked for */
	uint64_t bytes_regretted; /* sum of oomreclaim_cache_regret() */
};

/*
 * Reads the counters of one registration, up to stats_size bytes (pass
 * sizeof *stats: a newer library fills no more than that). They are consistent
 * with each other and include every call that has returned.
 * Returns 0, or EINVAL (handle not registered, stats NULL).
 */
OOMRECLAIM_API int oomreclaim_callback_stats(oomreclaim_handle handle,
                                             struct oomreclaim_callback_stats *stats,
                                             size_t stats_size);

/* What is to be regretted: a miss that a cache would have hit, were it larger by one part of so
   many of its target. */
#define OOMRECLAIM_REGRET_PART 8

/*
 * How large a cache should be now, in bytes as count() counts them. For a program that wants no
 * more than a number: it evicts when its cache is larger than that, and otherwise lets it grow.
 * `handle` is that of a shrinker, which is asked to free all the same where memory is short.
 *
 * What the caches that ask have together is what count() says of each, and what
 * oomreclaim_headroom() says is left, less an eighth of what is left, as the heap takes more for a
 * block than a cache counts, and less a 128th of all for the heap to work in. A cache that grows
 * comes near all of it within a second. What other shrinkers have counts as left as well: all of
 * it at a higher priority, as with purgeable blocks, nothing at a lower, and at the same the part
 * C / (C + c), c being its cost and C the caches' mean. Each has a share of it, at first the same.
 * By what the caches report as regret the shares move, so that memory flows to the cache where a
 * byte more saves most: regret times cost (see struct oomreclaim_shrinker: here what it takes to
 * get a byte back, in the same unit for all) over the target. That comes to rest where a byte
 * saves as much everywhere. A share is a 32nd of an equal part at least, and moves by a 24th at
 * most in a step; a step is made ten times a second at most, and when there is enough regret to
 * tell something by, a 256th of all. Priorities play no part in that. A cache that could be of use
 * only if it were far larger, as for a loop over all, has nothing to report, and is not seen.
 *
 * It is set anew ten times a second by oomreclaimd, which calls count() of all shrinkers for it,
 * and at once where a limit is met, at the end of a round of callbacks that has counted all that
 * have a target. A cache that cannot be counted for now, as it returns OOMRECLAIM_STOP, is taken to
 * be as large as it was, and to have grown by what the heap has since. Asking takes some tens of
 * nanoseconds, and a few more for each callback that is registered. SIZE_MAX: there is no limit,
 * the handle is none of a shrinker or that of one with OOMRECLAIM_CALLBACK_DIRECT, or oomreclaimd
 * has not counted yet, which it does within a tenth of a second of the first call for the handle,
 * or so. The first call of all starts oomreclaimd, for which it may allocate.
 */
OOMRECLAIM_API size_t oomreclaim_cache_target(oomreclaim_handle handle);

/*
 * Reports a miss of `bytes` that would have been a hit in a larger cache: the cache has had the
 * entry, and evicted no more than its target / OOMRECLAIM_REGRET_PART behind it, that entry
 * included. So it needs to remember for some time what it has evicted, and how much it had evicted
 * by then: the kernel's refault distance. What the distance is for other misses need not be known.
 * Returns 0, or EINVAL where oomreclaim_cache_target() has no target for the handle, ever.
 */
OOMRECLAIM_API int oomreclaim_cache_regret(oomreclaim_handle handle, size_t bytes);

/*
 * Reclaims by hand, without an allocation having failed: the allocator's own
 * caches are purged and the callbacks are called until they have claimed
 * `bytes`. Returns the bytes they claimed, 0 if there was nothing to give or if
 * `bytes` is 0. If another thread is reclaiming, waits for it (at most the
 * setting wait_ms) and returns its progress. From inside a callback, or in
 * the scope NORECLAIM, returns 0 at once. Nothing is ever killed. The kernel's
 * counterpart is a write to memory.reclaim.
 */
OOMRECLAIM_API size_t oomreclaim_reclaim(size_t bytes);

/* What was reclaimed since the start, by failing threads and by oomreclaimd; the kernel's
   pgsteal_direct and pgsteal_kswapd. */
struct oomreclaim_reclaim_stats {
	uint64_t direct_rounds; /* of callbacks, by threads that needed the memory */
	uint64_t direct_bytes_claimed;
	uint64_t direct_bytes_measured;
	uint64_t background_rounds; /* by oomreclaimd */
	uint64_t background_bytes_claimed;
	uint64_t background_bytes_measured;
};

/* Reads them, up to stats_size bytes. Returns 0, or EINVAL for a NULL stats. */
OOMRECLAIM_API int oomreclaim_reclaim_stats(struct oomreclaim_reclaim_stats *stats,
                                            size_t stats_size);

/* ---- Purgeable blocks -------------------------------------------------- */

/*
 * Memory that the library may take away while nobody has it pinned: a cache of images, say, without
 * a callback. The functions hand out a struct that stands for the memory and stays until it is
 * freed; the block itself is one of malloc()'s, and may be gone. After Chromium's discardable
 * memory and macOS's NSPurgeableData; pins are counted, and any number of threads may hold some:
 *
 *     image = oomreclaim_purgeable_alloc(bytes, OOMRECLAIM_COST_DEFAULT);
 *     decode(file, oomreclaim_purgeable_block(image));
 *     oomreclaim_purgeable_unpin(image);
 *     ...
 *     pixels = oomreclaim_purgeable_pin(image);
 *     if (pixels == NULL) { it was taken: oomreclaim_purgeable_free(image), and decode again }
 *
 * Blocks are taken when callbacks would be called, and before: the library is a shrinker with the
 * priority OOMRECLAIM_PRIORITY_PURGEABLE, the highest. What is not pinned is what the program has
 * said that it can do without, and to free it takes no code of the program and no lock of it; so no
 * callback has to give anything dearer as long as there is some. A program that has something
 * cheaper still registers it with that priority: callbacks come first within one, and shrinkers
 * share. The shrinker is registered with the first block, by the name "purgeable blocks", in either
 * context.
 *
 * Of all that are not pinned goes first the one that was unpinned first, if they cost the same. One
 * that costs twice as much stays twice as long. Costs are told apart by powers of two (2 and 3 are
 * the same). All functions take the same short time however many blocks there are.
 *
 * A child of fork() has blocks of its own, pinned as the parent's were. None of these functions is
 * async-signal-safe, and of all these only oomreclaim_purgeable_alloc() may reclaim.
 */
struct oomreclaim_purgeable;

/*
 * A block of `size` bytes as from malloc(), pinned once; `cost` is what it takes to make its
 * content again, per byte, 1 to OOMRECLAIM_COST_MAX, as of a shrinker. NULL with errno EINVAL
 * (cost) or ENOMEM. Takes some 64 bytes more than malloc(), and these stay when the block is taken.
 */
OOMRECLAIM_API struct oomreclaim_purgeable *oomreclaim_purgeable_alloc(size_t size, unsigned cost);

/*
 * The block of one that is pinned; NULL if it is not. It does not move as long as a pin is held.
 * As long as it is pinned the block is an ordinary one: malloc_usable_size() says how much of it
 * may be used. It belongs to `purgeable`: free() and realloc() are for one that was taken out by
 * oomreclaim_purgeable_take(). While it is not pinned the block is not to be touched at all, nor
 * given to any of the three: it may be freed at any moment, and be somebody else's.
 */
OOMRECLAIM_API void *oomreclaim_purgeable_block(const struct oomreclaim_purgeable *purgeable);

/*
 * Pins it, and returns the block with what was in it; or NULL if it was taken away. Then it is not
 * pinned, will never be again, and is good for oomreclaim_purgeable_free() alone. NULL for NULL.
 * Pins are counted: each needs an oomreclaim_purgeable_unpin().
 */
OOMRECLAIM_API void *oomreclaim_purgeable_pin(struct oomreclaim_purgeable *purgeable);

/*
 * Undoes one pin, of whatever thread; with the last one the block may be taken. Returns 0, or
 * EINVAL: NULL, or it is not pinned.
 */
OOMRECLAIM_API int oomreclaim_purgeable_unpin(struct oomreclaim_purgeable *purgeable);

/*
 * Parts the block from `purgeable`, which is freed: from now on it is an ordinary block, for free()
 * and realloc(). The caller has to have the only pin. NULL, and nothing is done, if it is not
 * pinned or more than once, or for NULL.
 */
OOMRECLAIM_API void *oomreclaim_purgeable_take(struct oomreclaim_purgeable *purgeable);

/*
 * Frees it, and its block if that is still there, pinned or not: no other thread may use either any
 * more. NULL is nothing to do. Using it afterwards is as wrong as for a block that was freed;
 * liboomreclaim-debug.so reports it, with both places.
 */
OOMRECLAIM_API void oomreclaim_purgeable_free(struct oomreclaim_purgeable *purgeable);

/* ---- Scopes ------------------------------------------------------------ */

/*
 * How hard the ladder may try for this thread's allocations: the kernel's gfp
 * flags, as a scope like memalloc_nofs_save(). They hold for the calling thread
 * and everything it calls. Combined by |. NOFAIL wins over NORETRY and
 * RETRY_MAYFAIL where they disagree.
 */
enum oomreclaim_scope {
	/* __GFP_NORETRY: purge the allocator's own caches and try once more, but
	   call no callback: NULL instead. */
	OOMRECLAIM_SCOPE_NORETRY = 1,
	/* __GFP_RETRY_MAYFAIL: callbacks yes, policy (abort, kill) never. */
	OOMRECLAIM_SCOPE_RETRY_MAYFAIL = 2,
	/* __GFP_NOFAIL: never NULL: waits for memory, uses the reserve, and aborts
	   with a report if none can ever come (a request larger than the address
	   space or the limit). */
	OOMRECLAIM_SCOPE_NOFAIL = 4,
	/* GFP_NOFS: callbacks are neither run by this thread nor waited for, so
	   that a lock which a callback takes may be held. Never the policy. */
	OOMRECLAIM_SCOPE_NORECLAIM = 8,
	/* __GFP_MEMALLOC: may use the reserve before callbacks are asked. For work
	   that leads to memory being freed. */
	OOMRECLAIM_SCOPE_RESERVE = 16
};

/*
 * Adds `flags` to the calling thread's scope and returns what it was before, to
 * be handed to oomreclaim_scope_restore(). Nests. Unknown bits are ignored.
 * Async-signal-safe. The kernel's memalloc_noreclaim_save().
 */
OOMRECLAIM_API unsigned oomreclaim_scope_save(unsigned flags);

/* Puts back what oomreclaim_scope_save() returned. Async-signal-safe. */
OOMRECLAIM_API void oomreclaim_scope_restore(unsigned old);

/* ---- Policy ------------------------------------------------------------ */

/* What happens when the callbacks returned zero and the request still fails. */
enum oomreclaim_policy {
	OOMRECLAIM_POLICY_RETURN = 0, /* NULL and ENOMEM: malloc's contract, the
	                                 default */
	OOMRECLAIM_POLICY_ABORT = 1,  /* report, abort(): the kernel's panic_on_oom */
	OOMRECLAIM_POLICY_KILL = 2,   /* report, then the setting kill_signal to this
	                                 process (oom_kill_allocating_task) or to the
	                                 process of the setting kill_target with the
	                                 highest OOM badness (select_bad_process) */
	OOMRECLAIM_POLICY_RETRY = 3,  /* from a policy callback only: it made room */
	OOMRECLAIM_POLICY_CANCEL = 4  /* of a group of oomreclaim_group.h, or from a policy
	                                 callback: the group with the highest badness, of the one
	                                 that has met its max and of those below it (of all, if a
	                                 limit of the process is met), is told to end */
};

/*
 * Sets the policy of the process; overrides the setting `policy`. Returns 0, or
 * EINVAL for anything but RETURN, ABORT, KILL.
 */
OOMRECLAIM_API int oomreclaim_set_policy(enum oomreclaim_policy policy);

/* The policy in force. Async-signal-safe. */
OOMRECLAIM_API enum oomreclaim_policy oomreclaim_get_policy(void);

/* What a policy callback is told; valid during the call. See struct_size above. */
struct oomreclaim_verdict {
	size_t struct_size;
	size_t size;            /* bytes of the failing request */
	size_t alignment;       /* in bytes; 0 if default */
	unsigned scope;         /* enum oomreclaim_scope, or-ed */
	const char *constraint; /* why it failed: "RLIMIT_AS", "RLIMIT_DATA", "MAX_MAP_COUNT",
	                           "BUDGET", "CGROUP", "OVERCOMMIT", "GROUP" (the max of a group of
	                           oomreclaim_group.h), "TOTAL" (the limit of all processes below
	                           oomreclaim run --total), "NONE" (no limit that is
	                           known), or "UNKNOWN" (/proc can't be read); the kernel's enum
	                           oom_constraint */
	enum oomreclaim_policy policy; /* what will happen if it is returned as it is */
	const char *group;             /* the name of the group that has met its max, or NULL */
};

/*
 * Decides in place of the fixed policy, only where the policy might act at all:
 * see oom_kill_allowed() in the manual. Under the rules of reclaim callbacks,
 * but may run on several threads at once. RETRY is believed 16 times for a
 * request, then taken for RETURN; so is any value not in the enum.
 */
typedef enum oomreclaim_policy oomreclaim_policy_callback(const struct oomreclaim_verdict *verdict,
                                                          void *arg);

/*
 * Installs a policy callback in place of any other; NULL removes it. Returns
 * when no call of the former one is in flight, except from inside such a call.
 * Returns 0, or EDEADLK from inside a reclaim callback, if such a call waits for
 * the end of that reclaim callback: then it is replaced, but the former one is
 * still running.
 */
OOMRECLAIM_API int oomreclaim_set_policy_callback(oomreclaim_policy_callback *function, void *arg);

/* ---- The killer -------------------------------------------------------- */

/*
 * Switches policies abort, kill and cancel off, and no group is chosen for a limit of the process
 * either: failures are NULL, callbacks still run. Counted: as many calls of
 * oomreclaim_kill_enable() switch them on again. A kill that is under way on another thread is
 * waited for, as is a call of a function by which a group is cancelled (oomreclaim_group.h), up to
 * `timeout_ms` milliseconds; if it has not ended by then the result is false, and nothing is
 * switched off. A group that was chosen, and was not told yet, is not cancelled. From a callback, a
 * policy callback or such a function it works as well, but not from a signal handler. The kernel's
 * oom_killer_disable().
 */
OOMRECLAIM_API bool oomreclaim_kill_disable(unsigned timeout_ms);

/* Undoes one oomreclaim_kill_disable(). Returns 0, or EINVAL if there is none to undo. */
OOMRECLAIM_API int oomreclaim_kill_enable(void);

/*
 * Kills by hand, as SysRq-f does: the process that policy kill would choose, whatever the policy in
 * force; at once, without asking any callback. `reason` stands in the report in place of "Out of
 * memory"; NULL gives "Killed by hand". If the choice is this process itself, or its group with it,
 * the call does not return, or returns 0 where kill_signal is one that the program handles. Returns
 * 0 when the victim is gone, or has been sent SIGKILL and does not go, or a kill on another thread
 * has ended; EPERM if the killer is disabled; ESRCH if there is no process to kill, or only process
 * 1; EIO if /proc can't be read.
 */
OOMRECLAIM_API int oomreclaim_kill(const char *reason);

/* ---- The budget -------------------------------------------------------- */

/*
 * Limits what the heap of this process may have resident to `bytes`, in place of the setting
 * `limit`; SIZE_MAX is no limit. Over it an allocation fails as it would over RLIMIT_AS, and the
 * ladder runs. Where the heap is above it already, caches are purged and callbacks are called until
 * it fits; what is left above the limit is the result, 0 if it fits. Nothing is ever killed or
 * refused by the call itself. From inside a callback the limit is set and nothing is reclaimed. The
 * kernel's memory.max, for one process's heap.
 */
OOMRECLAIM_API size_t oomreclaim_set_limit(size_t bytes);

/* The limit in force, in bytes; of limit:auto, as it was last read. SIZE_MAX if there is none. */
OOMRECLAIM_API size_t oomreclaim_get_limit(void);

/*
 * How much can still be allocated before something is in the way, in bytes; SIZE_MAX if nothing is
 * known that would be. Cheap enough to be asked before each insertion into a cache: from the second
 * call on it makes no system call, and takes some tens of nanoseconds, however many arenas the heap
 * has. *constraint, unless that is NULL, is set to what is nearest, a static string: "HIGH", above
 * which oomreclaimd calls callbacks (the setting high), "BUDGET", "RLIMIT_AS", "RLIMIT_DATA",
 * "CGROUP", "TOTAL" (what the others below oomreclaim run --total leave), or "NONE".
 *
 * How old it is:
 *  - what the heap has mapped, what is free in it, the settings limit and high, and a limit set by
 *    oomreclaim_set_limit(): of this moment;
 *  - limit:auto, rlimits, what of them others than the heap have mapped, a cgroup's limit and what
 *    others have in use there: as oomreclaimd has read them last, up to a tenth of a second ago
 *    while it is asked more often than that, up to a second behind a pause of a tenth of a second
 *    or more. Where oomreclaimd can't start for want of memory or of a process, these stay as they
 *    are.
 *
 * It is the sum of what is left, not the largest block: one that needs a piece larger than what is
 * free in one place may fail. What threads keep in their caches, and what is free between blocks of
 * a page, is not in it, nor is the max of a group (oomreclaim_group.h). A cgroup counts what is
 * touched, not what is allocated. The first call reads these files and starts oomreclaimd, for
 * which it allocates; another thread's call meanwhile waits until they are read, no longer than a
 * second.
 *
 * To be told when there is room again, register a callback with OOMRECLAIM_CALLBACK_ROOM. It is
 * called by oomreclaimd alone, once for each time of reclaim: when no callback has been asked to
 * free anything for a second, and an eighth of the nearest limit can be allocated again. That is
 * looked at once a second, ten times a second behind a round. control->reason is ROOM and
 * control->headroom says how much there is; what it returns is not looked at. Such a callback is
 * never asked to free, and is under the same rules as the others.
 */
OOMRECLAIM_API size_t oomreclaim_headroom(const char **constraint);

/* Counters of the budget, in bytes but for the last. */
struct oomreclaim_limit_stats {
	uint64_t limit;     /* as oomreclaim_get_limit() */
	uint64_t charged;   /* what the heap may have resident now: not what is retained */
	uint64_t peak;      /* the most so far */
	uint64_t times_met; /* how often pages were refused */
};

/* Reads them, up to stats_size bytes. Returns 0, or EINVAL for a NULL stats. */
OOMRECLAIM_API int oomreclaim_limit_stats(struct oomreclaim_limit_stats *stats, size_t stats_size);

/* ---- Statistics -------------------------------------------------------- */

/* How the last failure ended. */
enum oomreclaim_outcome {
	OOMRECLAIM_OUTCOME_NONE = 0,      /* there was no failure */
	OOMRECLAIM_OUTCOME_SERVED = 1,    /* a later rung found memory */
	OOMRECLAIM_OUTCOME_NULL = 2,      /* NULL and ENOMEM */
	OOMRECLAIM_OUTCOME_ABORT = 3,     /* this process is being aborted */
	OOMRECLAIM_OUTCOME_KILL = 4,      /* this process is being killed */
	OOMRECLAIM_OUTCOME_KILL_OTHER = 5 /* another process was chosen and killed; what comes of
	                                     the request itself is counted as a later outcome */
};

/* The longest text of last_constraint, in bytes, with the terminating NUL. */
#define OOMRECLAIM_CONSTRAINT_MAX 24

/*
 * All counters in one struct. Sizes are in bytes; UINT64_MAX stands for "none" where a limit or a
 * watermark may be absent. Counts are from the start of the process; a child of fork() goes on from
 * its parent's. New members are added at the end.
 */
struct oomreclaim_stats {
	uint64_t struct_size; /* bytes of this struct that were filled in */

	/* The heap, by jemalloc's names (stats.allocated and so on). dirty is what is freed and
	   kept for the next allocation. */
	uint64_t heap_allocated;
	uint64_t heap_active;
	uint64_t heap_dirty;
	uint64_t heap_metadata;
	uint64_t heap_resident;
	uint64_t heap_mapped;
	uint64_t heap_retained;

	/* The budget: see oomreclaim_limit_stats(). */
	uint64_t limit; /* UINT64_MAX: none */
	uint64_t charged;
	uint64_t charged_peak;
	uint64_t limit_times_met;
	uint64_t high; /* watermarks; UINT64_MAX: none */
	uint64_t low;
	uint64_t reserve; /* set aside for callbacks and the dying; 0 once the heap has got it */

	/* The ladder. failures = served + refused + those that are under way or went to a C++
	   new_handler. */
	uint64_t failures;   /* requests that the heap refused at first */
	uint64_t served;     /* of these, by a later rung */
	uint64_t refused;    /* of these, NULL, std::bad_alloc or a policy that ended the process */
	uint64_t impossible; /* of these, beyond a limit by themselves: nothing is tried for them */

	/* Rungs entered. */
	uint64_t own_reclaims; /* 3 */
	/* The steps of 3 and 7 that may have helped, each by its name in docs/ladder.md. */
	uint64_t flushes;        /* this thread's cache went back to the arenas */
	uint64_t compactions;    /* free extents were merged where they lay */
	uint64_t borrows;        /* another arena served the request */
	uint64_t evictions;      /* about what was needed was given back to the system */
	uint64_t full_evictions; /* everything was */
	uint64_t reserve_uses;   /* 2 and 10 */
	uint64_t rounds;         /* 5 to 7, joining another thread's included */
	uint64_t timeouts;       /* of these, given up waiting for another thread's callbacks */
	uint64_t policies;       /* 8 to 15 */
	uint64_t kills;          /* 15, and by hand: processes, this one included */
	uint64_t waits;          /* 16 */

	/* Rounds of callbacks: see oomreclaim_reclaim_stats(). */
	uint64_t direct_rounds;
	uint64_t direct_bytes_claimed;
	uint64_t direct_bytes_measured;
	uint64_t background_rounds;
	uint64_t background_bytes_claimed;
	uint64_t background_bytes_measured;
	uint64_t callbacks; /* registered now */

	/* The last failure. */
	uint64_t last_time_ns; /* CLOCK_REALTIME; 0: there was none */
	uint64_t last_size;    /* bytes of the request; 0 for a kill by hand */
	uint32_t last_outcome; /* enum oomreclaim_outcome */
	int32_t last_pid;      /* the process that KILL or KILL_OTHER chose, else 0 */
	/* See struct oomreclaim_verdict; UNKNOWN, unless it was the budget, where nothing was
	   registered, set or read before: to find out takes system calls. */
	char last_constraint[OOMRECLAIM_CONSTRAINT_MAX];

	/* Purgeable blocks, in bytes: that could be taken now, and that were taken. */
	uint64_t purgeable;
	uint64_t purged;

	/* As oomreclaim_headroom() has it, and enum oomreclaim_level by what is left. Where the
	   program has never asked for headroom, and no cache for a target, by the budget alone. */
	uint64_t headroom; /* UINT64_MAX: nothing is known to be in the way */
	uint64_t level;
	char headroom_constraint[OOMRECLAIM_CONSTRAINT_MAX];
};

/*
 * Reads all counters, up to stats_size bytes (pass sizeof *stats: a newer library fills no more
 * than that, an older one less: stats->struct_size says how much; what lies behind it is left
 * alone). Each member is right by itself; they are read one after the other, so a sum over several
 * may be off by what happens meanwhile. Takes some tens of microseconds, for the heap's own part.
 * It may be called from a callback or a policy callback, not from a signal handler; it never
 * descends the ladder. Returns 0, or EINVAL (stats NULL, or stats_size below 8). jemalloc's
 * counterpart is mallctl("stats...") and glibc's mallinfo2(). malloc_stats_print() prints the same;
 * the setting stats:true puts it where other processes can read it (`oomreclaim stat`).
 */
OOMRECLAIM_API int oomreclaim_stats_get(struct oomreclaim_stats *stats, size_t stats_size);

/* ---- Fault injection --------------------------------------------------- */

/*
 * Mappings of the heap that fail although there is memory: what shows whether a program survives a
 * malloc() that says no, and a callback its being called. The attributes mean what the kernel's
 * mean (Documentation/fault-injection, fail_page_alloc).
 */
struct oomreclaim_fault {
	uint32_t probability; /* per cent, 0 to 100; 0: none fails */
	bool task_filter;     /* only in threads that called oomreclaim_fault_thread(true) */
	uint64_t interval;    /* of every so many one may fail; 0 and 1: each */
	int64_t times;        /* fail at most so often; -1: no end */
	uint64_t space;       /* bytes that are mapped before the first fails */
	uint64_t min_bytes;   /* smaller mappings don't fail */
	uint64_t seed;        /* of the chance; the same seed gives the same failures */
};

/*
 * Sets the attributes, and counts interval, times and space from here on; NULL: no faults any more.
 * size is sizeof *attributes, of this header or an older one. Threads that map meanwhile may see
 * some of the new attributes with some of the old. Not every malloc() maps: most take what is
 * there, and a mapping that fails may be made up for by the ladder (purge, callbacks, reserve), as
 * if memory were really short. Returns 0, or EINVAL (probability above 100, times below -1).
 * {interval = N, times = 1, probability = 100} fails the Nth mapping from now, as the kernel's
 * fail-nth does. The same by configuration: fail_page, fail_page_min, fail_page_seed,
 * fail_page_task_filter.
 */
OOMRECLAIM_API int oomreclaim_fault_set(const struct oomreclaim_fault *attributes, size_t size);

/*
 * Whether faults may hit the calling thread where task_filter is on. Returns what it was; false at
 * first. Async-signal-safe. The kernel's /proc/PID/make-it-fail.
 */
OOMRECLAIM_API bool oomreclaim_fault_thread(bool is_on);

/* How many mappings were made to fail so far. Async-signal-safe. */
OOMRECLAIM_API uint64_t oomreclaim_fault_injected(void);

/* ---- Configuration ----------------------------------------------------- */

/*
 * Settings compiled into the application, in the form of OOMRECLAIM_CONF
 * ("key:value,key:value"), which wins over them. Define it with an initialiser:
 *     const char *oomreclaim_conf = "policy:abort,reserve:4M";
 * jemalloc's counterpart is malloc_conf. Read once, before main().
 */
#ifndef OOMRECLAIM_OPTIONAL
extern __attribute__((visibility("default"))) const char *oomreclaim_conf;
#endif

#ifdef __cplusplus
}
#pragma GCC diagnostic pop
#endif

/* Memory cgroups inside the process. */
#include "oomreclaim_group.h"

#endif
