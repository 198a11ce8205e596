/* SPDX-License-Identifier: BSD-2-Clause */
#include "ladder/own_reclaim.h"

#include <stdatomic.h>

#include "base/base.h"
#include "base/trace.h"
#include "heap/heap_ops.h"
#include "limits/budget.h"
#include "limits/group_low.h"
#include "reclaim/registry.h"
#include "report/stats.h"

/* Each returns whether something may have come of it, and the memory if it found some. */
static bool flush(struct oom_control *control, void **memory)
{
	bool had_lists = control->group == 0 && heap_ops.end_lists();

	(void)memory;
	return heap_ops.flush_thread() || had_lists;
}

static bool compact(struct oom_control *control, void **memory)
{
	(void)memory;
	return heap_ops.compact(control->request);
}

/* Another arena is another group's. */
static bool borrow(struct oom_control *control, void **memory)
{
	if (control->group != 0 || heap_ops.group_current() != 0)
		return false;
	*memory = heap_ops.borrow(control->request);
	return *memory != NULL;
}

/* A program that lives at its limit by what its callbacks give always has a few free pages. To
   unmap them at each failure, and to map and fault in others, costs more than it gives: where
   callbacks have given something lately and so small a part of the heap is free, they are asked
   before, and those pages go if it still fails. */
#define LG_FEW 5
#define LATELY 32

/* Failures until it is no longer lately. Relaxed: of all threads; a lost update is one more or
   less. */
static atomic_uint lately;

void own_reclaim_note_round(bool has_given)
{
	if (has_given)
		atomic_store_explicit(&lately, LATELY, memory_order_relaxed);
}

static bool was_lately(void)
{
	unsigned left = atomic_load_explicit(&lately, memory_order_relaxed);

	if (left > 0)
		atomic_store_explicit(&lately, left - 1, memory_order_relaxed);
	return left > 0;
}

/* Callbacks may give something yet, and are asked behind own reclaim. */
static bool may_ask(const struct oom_control *control)
{
	return registry_newest() != 0 && control->tried.callbacks == CALLBACKS_MAY_GIVE &&
	       !control->now.is_dying &&
	       (control->scope & (OOMRECLAIM_SCOPE_NORETRY | OOMRECLAIM_SCOPE_NORECLAIM)) == 0;
}

static bool is_put_off(const struct oom_control *control)
{
	return control->group == 0 && control->tried.rounds == 0 && may_ask(control) &&
	       (control->scope & OOMRECLAIM_SCOPE_RESERVE) == 0 &&
	       heap_ops.evictable() < budget_charged() >> LG_FEW && was_lately();
}

/* do_try_to_free_pages(): the low of groups is broken where the callbacks have nothing, or are not
   to be asked. */
enum group_keeps own_reclaim_keeps(const struct oom_control *control)
{
	return may_ask(control) ? GROUP_KEEPS_LOW : GROUP_KEEPS_MIN;
}

/* The request's size and that much more; where a group's max is met, what is free in that group. */
static size_t give_back_beyond(struct oom_control *control, size_t bytes, enum group_keeps keeps)
{
	if (control->group == 0)
		return heap_ops.evict(control->request, bytes, keeps);
	return heap_ops.group_evict(control->group,
	                            add_saturated(bytes, request_bytes(control->request)), keeps);
}

/* What is low goes when there is nothing else, and with everything. */
static size_t give_back(struct oom_control *control, size_t bytes)
{
	size_t given = give_back_beyond(control, bytes, GROUP_KEEPS_LOW);

	if ((given == 0 || bytes == SIZE_MAX) && group_has_protection() &&
	    own_reclaim_keeps(control) == GROUP_KEEPS_MIN)
		given = add_saturated(given, give_back_beyond(control, bytes, GROUP_KEEPS_MIN));
	return given;
}

/* The request's size at first; each time it did not suffice, what was free lay in pieces: twice as
   much. */
static bool evict(struct oom_control *control, void **memory)
{
	size_t given;

	(void)memory;
	control->tried.is_eviction_put_off = is_put_off(control);
	if (control->tried.is_eviction_put_off)
		return false;
	given = give_back(control, control->tried.evict_bytes);
	control->tried.evict_bytes = add_saturated(control->tried.evict_bytes, given);
	return given > 0;
}

static bool evict_all(struct oom_control *control, void **memory)
{
	(void)memory;
	return !control->tried.is_eviction_put_off && give_back(control, SIZE_MAX) > 0;
}

/* How often the need doubles before everything goes: from a page to 64 MiB. */
#define EVICTIONS_MAX 15

static const struct {
	const char *name;
	bool (*run)(struct oom_control *control, void **memory);
	enum stats_counter counter;
	unsigned times;  /* as long as something comes of it */
	bool gives_back; /* to the system, which may then grant what it has refused */
} steps[OWN_STEPS] = {
	[OWN_FLUSH] = {"flush", flush, STATS_FLUSHES, 1, false},
	[OWN_COMPACT] = {"compact", compact, STATS_COMPACTIONS, 1, false},
	[OWN_BORROW] = {"borrow", borrow, STATS_BORROWS, 1, false},
	[OWN_EVICT] = {"evict", evict, STATS_EVICTIONS, EVICTIONS_MAX, true},
	[OWN_EVICT_ALL] = {"evict-all", evict_all, STATS_FULL_EVICTIONS, 1, true},
};

const char *own_reclaim_name(enum own_step step)
{
	return step < OWN_STEPS ? steps[step].name : "none";
}

void own_reclaim_begin(struct oom_control *control, enum own_step from)
{
	control->tried.own_step = (unsigned char)from;
	control->tried.own_step_times = 0;
	control->tried.evict_bytes = 0;
}

void *own_reclaim_step(struct oom_control *control, bool *is_progress)
{
	void *memory = NULL;

	*is_progress = false;
	while (!*is_progress && control->tried.own_step < OWN_STEPS) {
		unsigned step = control->tried.own_step;

		*is_progress = steps[step].run(control, &memory);
		if (*is_progress) {
			stats_count(steps[step].counter);
			control->tried.is_all_kept = !steps[step].gives_back;
			TRACE3(own_reclaim, steps[step].name, control->request->size,
			       control->tried.evict_bytes);
		}
		if (!*is_progress || ++control->tried.own_step_times >= steps[step].times) {
			control->tried.own_step++;
			control->tried.own_step_times = 0;
		}
	}
	return memory;
}
