/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/fork_gate.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/futex.h"

/* The one gate of the process. All in one order (seq_cst): of a thread that enters and one that
   forks, one sees the other; and of one that goes to sleep and the one that is to wake it. */
static OOM_FORK_DATA struct {
	atomic_uint inside;   /* threads between enter and leave */
	atomic_uint entering; /* those that may sleep before that */
	atomic_uint forks;    /* under way: several threads may fork */
} gate;

/* Of the thread itself, which does not wait for its own leaving. */
static OOM_TLS bool is_inside;
/* Of the thread itself: the handler of a signal that arrives in fork() may fork as well. */
static OOM_TLS unsigned own_forks;

/* Sleeps until the word is no larger than that, or until it is too late. */
static void wait_for(atomic_uint *word, unsigned at_most, uint64_t deadline_ns)
{
	uint64_t now = now_ns();
	unsigned value;

	while ((value = atomic_load(word)) > at_most && now < deadline_ns) {
		futex_wait(word, value, deadline_ns - now);
		now = now_ns();
	}
}

static void step_out(void)
{
	atomic_fetch_sub(&gate.inside, 1);
	if (atomic_load(&gate.forks) > 0)
		futex_wake(&gate.inside);
}

void fork_gate_enter(uint64_t wait_ns)
{
	const uint64_t deadline = now_ns() + wait_ns;

	atomic_fetch_add(&gate.entering, 1);
	atomic_fetch_add(&gate.inside, 1);
	while (atomic_load(&gate.forks) > 0 && now_ns() < deadline) {
		step_out();
		wait_for(&gate.forks, 0, deadline);
		atomic_fetch_add(&gate.inside, 1);
	}
	atomic_fetch_sub(&gate.entering, 1);
	is_inside = true;
}

void fork_gate_leave(void)
{
	is_inside = false;
	step_out();
}

void fork_gate_prepare(uint64_t wait_ns)
{
	atomic_fetch_add(&gate.forks, 1);
	own_forks++;
	wait_for(&gate.inside, is_inside, now_ns() + wait_ns);
}

void fork_gate_parent(void)
{
	unsigned forks = atomic_load(&gate.forks);

	own_forks--;
	/* 0 in the child of a signal handler that forked just before the line above, or in
	   prepare. */
	while (forks > 0 && !atomic_compare_exchange_weak(&gate.forks, &forks, forks - 1))
		;
	if (atomic_load(&gate.entering) > 0)
		futex_wake(&gate.forks);
}

void fork_gate_child(void)
{
	/* All other threads are in the parent. */
	own_forks--;
	atomic_store(&gate.inside, is_inside);
	atomic_store(&gate.entering, 0);
	atomic_store(&gate.forks, own_forks);
}
