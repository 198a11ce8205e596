/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between fork() and the library's own threads. A program without threads forks wherever it likes,
 * and finds no lock held in the child. So it has to be while a callback runs in the background,
 * which may lock what it wants, libc's locks among them. fork() waits for the callback's end, and
 * none begins while a fork is under way.
 *
 * There is no lock: a signal handler may fork while the thread that it has interrupted is in here.
 */
#ifndef OOM_FORK_GATE_H
#define OOM_FORK_GATE_H

#include <stdint.h>

/* On a thread of the library's own, around what may hold a lock that fork() does not see to. Waits
   while another thread forks, but no longer than that: the thread that forks may wait for one that
   waits for this one. */
void fork_gate_enter(uint64_t wait_ns);
void fork_gate_leave(void);

/* How long a callback in the background waits to begin. */
#define FORK_GATE_ENTER_NS 1000000000

/* In fork()'s handlers, with none of the library's locks held: a callback needs them to come to its
   end. Waits no longer than that: the thread that forks may hold the very lock that the callback
   waits for. A callback that forks itself is not waited for. */
void fork_gate_prepare(uint64_t wait_ns);
void fork_gate_parent(void);
void fork_gate_child(void);

#endif
