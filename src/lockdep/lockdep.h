/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reclaim lock checker, after the kernel's lockdep and its pseudo-lock fs_reclaim. If a
 * callback waits for a lock, and another thread allocates while it holds that lock, the two can
 * deadlock: it takes bad luck and nothing more. Each half is noted when it happens. A circle is
 * reported when its last edge is noted, so no deadlock has to happen for it.
 *
 * A class of locks is a node of a graph. An edge leads from a lock that is held to a lock that is
 * waited for meanwhile. A running callback is modelled as a lock: its thread holds it, and threads
 * that wait for the callback wait for that lock.
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

/* Threads that share a lock do not wait for each other. */
enum lock_mode { LOCK_EXCLUSIVE, LOCK_SHARED };

/* Guards a table. A thread that has the flag waits for nothing. The value is the process's number,
   or 0. A child that finds the flag with its parent's number takes it, however early in fork(). */
typedef _Atomic pid_t table_flag;
void table_lock(table_flag *flag);
void table_unlock(table_flag *flag);

/* ---- Locks, and classes of them (classes.c) ---- */

/* Locks that were initialised at one place are of one class. A lock that no call initialised has a
   class of its own, and so has each callback. */
#define CLASSES_MAX 4096
/* The class of a wait for callbacks, whichever they are. */
#define CLASS_RECLAIM 0
#define CLASSES_PSEUDO 1
/* Bits of a uint64_t in a set. */
#define WORD_BITS 64
/* The table has no room for the lock. It is not watched. */
#define CLASS_NONE UINT32_MAX

void lock_initialised(const void *lock, const void *where);
void lock_destroyed(const void *lock);
uint32_t lock_class(const void *lock);
/* A number that changes when another thread than the holder releases the lock, and when the lock
   ends. */
uint32_t lock_epoch(const void *lock);
void lock_released_elsewhere(const void *lock);
/* The memory is freed, and all locks in it end. */
void locks_freed(const void *memory, size_t bytes);

/* True for CLASS_RECLAIM as well. */
bool class_is_callback(uint32_t class);
/* For the policy callback, the handle is CALL_OF_POLICY(). */
uint32_t class_of_callback(oomreclaim_handle handle);
void class_retire_callback(oomreclaim_handle handle);
/* The place where locks of the class are initialised, or the address of its one lock. */
const void *class_key(uint32_t class);

/* A set of the classes whose key lies in a loaded file. The classes of `before` that lie in no file
   any more are forgotten. */
struct class_set {
	uint64_t words[CLASSES_MAX / WORD_BITS];
};
void classes_in_files(struct class_set *set);
void classes_left_files(const struct class_set *before);

/* ---- What each thread holds (held.c) ---- */

void lockdep_initialised(const void *lock, const void *where);
void lockdep_destroyed(const void *lock);
void lockdep_wait(const void *lock, enum lock_mode mode);
/* A wait on a condition variable has released the lock, and waits for it once more. */
void lockdep_wait_again(const void *lock);
void lockdep_hold(const void *lock, enum lock_mode mode);
void lockdep_release(const void *lock);
/* The heap is about to take this memory back. */
void lockdep_freed(const void *memory, size_t bytes);
/* A file was closed. `before` is from classes_in_files(), before that. */
void lockdep_left_files(const struct class_set *before);

/* ---- Which is held while which is waited for (graph.c) ---- */

struct lock_node {
	uint32_t class;
	enum lock_mode mode;
};

/* `held` is held while `wanted` is waited for. `callback` is the callback's name where `held` is
   one's class. At its first call for a pair, looks for a circle through the callbacks. */
void graph_add(struct lock_node held, struct lock_node wanted, const char *callback);
/* A thread that waits for callbacks may wait for this one. */
void graph_add_direct(uint32_t callback);
/* Removes all edges of the class. */
void graph_forget(uint32_t class);
/* The same, but the locks that the callback waited for become locks that callbacks wait for. */
void graph_retire(uint32_t class);

/* ---- The report (lock_report.c) ---- */

#define LOCK_FRAMES 16

struct lock_edge {
	struct lock_node held, wanted;
	struct lock_edge *next;                 /* with the same class held */
	char callback[OOMRECLAIM_NAME_MAX + 1]; /* the name, where a callback waits */
	int frame_count;
	void *frames[LOCK_FRAMES];
};

/* Reports the edges of a circle. */
void lock_report(const struct lock_edge *const *edges, unsigned count);
/* Uses the unwinder for the first time, before main(): it sets up what it has of its own. */
void lock_report_init(void);

/* ---- Places in the code (symbol.c) ---- */

struct symbol {
	const char *file; /* the path; for the program, the name by which it was called */
	uintptr_t offset; /* of the address, in the file */
	const char *name; /* of an exported function or variable; NULL: there is none */
};

/* As dladdr(), without the loader's lock. False: the address is in no file. */
bool symbol_at(const void *address, struct symbol *symbol);
bool is_in_file(const void *address);
/* Appends "program(+0x1f function)". */
void place_put(struct io_buf *buf, const void *address);
/* True if the address is in this library. */
bool place_is_own(const void *address);
/* The beginning and the end of the file around the address. Both NULL: the address is in no
   file. */
void file_around(const void *address, const char **begin, const char **end);

/* ---- What stands in libc's place (locks.c) ---- */

/* Looks up libc's lock functions, before main(). A later look-up takes the loader's lock, and a
   thread that has the loader's lock may wait for a lock that the calling thread holds. */
void locks_init(void);

#endif
