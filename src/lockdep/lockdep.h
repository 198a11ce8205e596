/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reclaim lock checker, after the kernel's lockdep and its pseudo-lock fs_reclaim: a callback that
 * waits for a lock which some thread holds while it allocates is a deadlock that needs nothing but bad
 * luck. Both halves are noted when they happen, each by itself, and what closes a circle is reported.
 *
 * Only in liboomreclaim-debug.so. Nothing here allocates.
 */
#ifndef OOM_LOCKDEP_H
#define OOM_LOCKDEP_H

#include "base.h"
#include "oomreclaim.h"

/* Those that share don't wait for each other. */
enum lock_mode { LOCK_EXCLUSIVE, LOCK_SHARED };

/* ---- Locks, and classes of them (classes.c) ---- */

/* Locks that were initialised at one place are of one class; one that was not is of its own. */
#define CLASSES_MAX 1024
/* What a thread waits for that waits for callbacks. */
#define CLASS_RECLAIM 0
/* What a thread waits for that unregisters: a callback that oomreclaimd may be calling. */
#define CLASS_BACKGROUND 1
#define CLASSES_PSEUDO 2
/* There was no room to take note of it: it isn't watched. */
#define CLASS_NONE UINT32_MAX

void lock_initialised(const void *lock, const void *where);
void lock_destroyed(const void *lock);
uint32_t lock_class(const void *lock);
/* How often it was released by another thread than the one that held it. */
uint32_t lock_epoch(const void *lock);
void lock_released_elsewhere(const void *lock);
/* The place of initialisation, or the lock itself. */
const void *class_key(uint32_t class);

/* ---- What each thread holds (held.c) ---- */

void lockdep_wait(const void *lock, enum lock_mode mode);
/* Has given up the lock, over a condition variable, and waits for it. */
void lockdep_wait_again(const void *lock);
void lockdep_hold(const void *lock, enum lock_mode mode);
void lockdep_release(const void *lock);
/* The calling thread may come to wait for callbacks; for those that oomreclaimd calls as well. */
void lockdep_might_reclaim(void);
void lockdep_might_unregister(void);
/* The calling thread runs a callback that others wait for. */
void lockdep_callback_begin(const char *name, bool is_direct);
void lockdep_callback_end(void);

/* ---- Which is held while which is waited for (graph.c) ---- */

struct lock_node {
	uint32_t class;
	enum lock_mode mode;
};

/* `held` is held while `wanted` is waited for, in that callback if it is one's pseudo-lock. The first time,
   looks for a circle through the callbacks. */
void graph_add(struct lock_node held, struct lock_node wanted, const char *callback);
/* Whoever was searching is in the parent. */
void lockdep_fork_child(void);

/* ---- The report (lock_report.c) ---- */

#define LOCK_FRAMES 16

struct lock_edge {
	struct lock_node held, wanted;
	char callback[OOMRECLAIM_NAME_MAX + 1]; /* where it is a callback that waits */
	int frame_count;
	void *frames[LOCK_FRAMES];
};

/* The edges of a circle. */
void lock_report(const struct lock_edge *edges, unsigned count);
/* Loads what backtrace() needs, once, before main(). */
void lock_report_init(void);

/* ---- Places in the code (symbol.c) ---- */

struct symbol {
	const char *file; /* its path; the program's is as it was called */
	uintptr_t offset; /* of the address, in the file */
	const char *name; /* of the function or variable; NULL: it is none that others can see */
};

/* As dladdr(), without the loader's lock. False: in no file. */
bool symbol_at(const void *address, struct symbol *symbol);

/* ---- What stands in libc's place (locks.c) ---- */

/* Looks up all of libc's, before main(): later the loader's lock may be somebody's who waits for what is held
   where one is called for the first time. */
void locks_init(void);

#endif
