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

#include <stdatomic.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/io.h"
#include "oomreclaim.h"

/* Those that share don't wait for each other. */
enum lock_mode { LOCK_EXCLUSIVE, LOCK_SHARED };

/* Guards a table: who has it waits for nothing. The process, or 0: a child that finds its parent's takes it, however
   early in fork() it does. */
typedef _Atomic pid_t table_flag;
void table_lock(table_flag *flag);
void table_unlock(table_flag *flag);

/* ---- Locks, and classes of them (classes.c) ---- */

/* Locks that were initialised at one place are of one class; one that was not is of its own, and so is each
   callback: who runs it holds what those wait for that wait for it. */
#define CLASSES_MAX 4096
/* What a thread waits for that waits for callbacks, whichever they are. */
#define CLASS_RECLAIM 0
#define CLASSES_PSEUDO 1
/* Of a uint64_t, where there is a bit for each. */
#define WORD_BITS 64
/* There was no room to take note of it: it isn't watched. */
#define CLASS_NONE UINT32_MAX

void lock_initialised(const void *lock, const void *where);
void lock_destroyed(const void *lock);
uint32_t lock_class(const void *lock);
/* How often it was released by another thread than the one that held it, or ceased to be. */
uint32_t lock_epoch(const void *lock);
void lock_released_elsewhere(const void *lock);
/* There are none any more in that memory. */
void locks_freed(const void *memory, size_t bytes);

/* Also for CLASS_RECLAIM. */
bool class_is_callback(uint32_t class);
/* The policy's callback has a number in place of a handle. */
uint32_t class_of_callback(oomreclaim_handle handle);
void class_retire_callback(oomreclaim_handle handle);
/* The place of initialisation, or the lock itself. */
const void *class_key(uint32_t class);

/* Locks in a file, or initialised in one; those that are no longer. */
struct class_set {
	uint64_t words[CLASSES_MAX / WORD_BITS];
};
void classes_in_files(struct class_set *set);
void classes_left_files(const struct class_set *before);

/* ---- What each thread holds (held.c) ---- */

void lockdep_initialised(const void *lock, const void *where);
void lockdep_destroyed(const void *lock);
void lockdep_wait(const void *lock, enum lock_mode mode);
/* Has given up the lock, over a condition variable, and waits for it. */
void lockdep_wait_again(const void *lock);
void lockdep_hold(const void *lock, enum lock_mode mode);
void lockdep_release(const void *lock);
/* The heap is about to take that back. */
void lockdep_freed(const void *memory, size_t bytes);
/* A file was closed; what was in files before. */
void lockdep_left_files(const struct class_set *before);

/* ---- Which is held while which is waited for (graph.c) ---- */

struct lock_node {
	uint32_t class;
	enum lock_mode mode;
};

/* `held` is held while `wanted` is waited for, in the callback of that name if it is one's class. The first
   time, looks for a circle through the callbacks. */
void graph_add(struct lock_node held, struct lock_node wanted, const char *callback);
/* Who waits for callbacks waits for that one. */
void graph_add_direct(uint32_t callback);
/* The class has no edges any more. */
void graph_forget(uint32_t class);
/* The same; but what that callback waited for, callbacks wait for. */
void graph_retire(uint32_t class);

/* ---- The report (lock_report.c) ---- */

#define LOCK_FRAMES 16

struct lock_edge {
	struct lock_node held, wanted;
	struct lock_edge *next;                 /* of the same class held */
	char callback[OOMRECLAIM_NAME_MAX + 1]; /* where it is a callback that waits */
	int frame_count;
	void *frames[LOCK_FRAMES];
};

/* The edges of a circle. */
void lock_report(const struct lock_edge *const *edges, unsigned count);
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
bool is_in_file(const void *address);
/* "program(+0x1f function)" */
void place_put(struct io_buf *buf, const void *address);
/* In this library. */
bool place_is_own(const void *address);
/* Where the file of that address is, from and to; both NULL: in no file. */
void file_around(const void *address, const char **begin, const char **end);

/* ---- What stands in libc's place (locks.c) ---- */

/* Looks up all of libc's, before main(): later the loader's lock may be somebody's who waits for what is held
   where one is called for the first time. */
void locks_init(void);

#endif
