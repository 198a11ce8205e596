/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/headroom.h"

#include <errno.h>
#include <pthread.h>

#include "base/fork_data.h"
#include "base/futex.h"
#include "limits/budget.h"
#include "limits/constraint.h"
#include "limits/group_left.h"
#include "limits/total.h"
#include "system/proc.h"

/* Addresses that the heap has and can use. Relaxed, as all here: each stands for itself alone. */
static atomic_size_t mapped;

/* Ceilings, as last read. */
static atomic_size_t address_space = SIZE_MAX;
static atomic_size_t data = SIZE_MAX;
static atomic_size_t cgroup = SIZE_MAX;

/* One thread reads at a time, and has the group: there may be little stack left. 0: none does. */
static atomic_uint is_reading;
static struct proc_cgroup group;

/* This process has read them once. Release, acquire: the ceilings come with it. */
static atomic_bool is_known;

/* How long the others wait for that: a file may hang. */
#define FIRST_WAIT_NS NSEC_PER_SEC

static size_t get(const atomic_size_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static void set(atomic_size_t *value, size_t to)
{
	atomic_store_explicit(value, to, memory_order_relaxed);
}

void headroom_mapped(size_t bytes)
{
	atomic_fetch_add_explicit(&mapped, bytes, memory_order_relaxed);
}

void headroom_unmapped(size_t bytes)
{
	atomic_fetch_sub_explicit(&mapped, bytes, memory_order_relaxed);
}

/* What is mapped and not charged can be used again, so a limit of addresses is one of what is
   charged, less what the others in the process have mapped. */
static size_t ceiling_of(uint64_t limit, uint64_t used_bytes, size_t ours)
{
	uint64_t others = used_bytes > ours ? used_bytes - ours : 0;

	if (limit == UINT64_MAX)
		return SIZE_MAX;
	return others < limit ? (size_t)(limit - others) : 0;
}

static OOM_NOINLINE void read_rlimits(void)
{
	uint64_t as_limit = proc_rlimit(RLIMIT_AS), data_limit = proc_rlimit(RLIMIT_DATA);
	struct proc_statm statm = {.total_bytes = 0};
	size_t ours = get(&mapped);

	/* Where it can't be read, what was known of the others is better than nothing. */
	if ((as_limit != UINT64_MAX || data_limit != UINT64_MAX) && !proc_statm(&statm)) {
		set(&address_space, min_size(get(&address_space), (size_t)as_limit));
		set(&data, min_size(get(&data), (size_t)data_limit));
		return;
	}
	set(&address_space, ceiling_of(as_limit, statm.total_bytes, ours));
	set(&data, ceiling_of(data_limit, statm.data_bytes, ours));
}

static OOM_NOINLINE void read_cgroup(void)
{
	struct group_left now = {.left = UINT64_MAX, .max = UINT64_MAX};

	if (!budget_is_auto())
		group_left(&group, &now);
	else
		budget_reread();
	set(&cgroup, (size_t)now.left);
}

/* False where another thread is at it. */
static bool try_read(void)
{
	int saved = errno, cancel_state;

	if (atomic_exchange_explicit(&is_reading, 1, memory_order_acquire) != 0)
		return false;
	/* To read a file is a cancellation point, and malloc() is none. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	read_rlimits();
	read_cgroup();
	pthread_setcancelstate(cancel_state, NULL);
	atomic_store_explicit(&is_known, true, memory_order_release);
	atomic_store_explicit(&is_reading, 0, memory_order_release);
	futex_wake(&is_reading);
	errno = saved;
	return true;
}

void headroom_refresh(void)
{
	try_read();
}

void headroom_know(void)
{
	uint64_t began;

	/* First: to read the clock is a system call where the kernel has no faster one. */
	if (likely(atomic_load_explicit(&is_known, memory_order_acquire)))
		return;
	began = now_ns();
	while (!atomic_load_explicit(&is_known, memory_order_acquire) && !try_read() &&
	       now_ns() - began < FIRST_WAIT_NS)
		futex_wait(&is_reading, 1, FIRST_WAIT_NS);
}

static void lower(struct headroom *nearest, size_t ceiling, const char *constraint)
{
	if (ceiling >= nearest->ceiling)
		return;
	nearest->ceiling = ceiling;
	nearest->constraint = constraint;
}

void headroom_nearest(struct headroom *nearest, bool has_high)
{
	enum constraint budget;
	size_t high, low, limit = budget_ceiling(&budget);

	*nearest = (struct headroom){SIZE_MAX, constraint_name(CONSTRAINT_NONE)};
	budget_watermarks(&high, &low);
	if (has_high)
		lower(nearest, high, "HIGH");
	lower(nearest, limit, constraint_name(budget));
	lower(nearest, add_saturated(budget_charged(), total_room()),
	      constraint_name(CONSTRAINT_TOTAL));
	lower(nearest, get(&address_space), constraint_name(CONSTRAINT_RLIMIT_AS));
	lower(nearest, get(&data), constraint_name(CONSTRAINT_RLIMIT_DATA));
	lower(nearest, get(&cgroup), constraint_name(CONSTRAINT_CGROUP));
}

size_t headroom_below(const struct headroom *nearest, size_t free_bytes)
{
	size_t limit = add_saturated(nearest->ceiling, free_bytes), charged = budget_charged();

	if (nearest->ceiling == SIZE_MAX)
		return SIZE_MAX;
	return charged < limit ? limit - charged : 0;
}

void headroom_fork_child(void)
{
	/* The thread that was reading is in the parent. */
	fork_reset(is_reading, 0);
	/* What others than the heap have mapped is the child's own from now on. */
	fork_reset(is_known, false);
}
