/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library's own threads, in a process that does not know of them: how they start, sleep and are
 * called, and how many of them do nothing.
 */
#ifndef OOM_OWN_THREAD_H
#define OOM_OWN_THREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Before main(), or wherever else no lock of libc is held. */
void own_thread_init(void);

/* Starts a detached thread with all signals blocked, from inside of malloc() too. 0 or an error
   number. The thread says when it begins, ends, and sleeps. */
int own_thread_start(void *(*function)(void *));
void own_thread_begin(const char *name);
void own_thread_end(void);
void own_thread_sleep(void);
void own_thread_wake_up(void);

/* Calls oomreclaimd for that, one bit for each reason. No descriptor and no lock is needed, none
   of the heap's is in the way, and it is no cancellation point. */
void own_thread_call(unsigned reasons);

/* The same by the word of another process's oomreclaimd. */
void own_thread_call_on(atomic_uint *word, unsigned reasons);

/* From now on oomreclaimd sleeps on that word, which other processes may have mapped; NULL: its
   own. Where there is no oomreclaimd. */
void own_thread_share(atomic_uint *word);
bool own_thread_is_shared(void);

/* On oomreclaimd: sleeps until it is called, or so long; 0 ns: for ever. Returns what it is
   called for. */
unsigned own_thread_await(uint64_t wait_ns);

/* What it was called for and has not taken yet. */
unsigned own_thread_calls(void);

/* How many of the process's threads are the library's, and will free nothing unless they are
   called. */
unsigned own_threads_idle(void);

/* The threads are in the parent. What they were called for is forgotten where there were any. */
void own_thread_fork_child(void);

#endif
