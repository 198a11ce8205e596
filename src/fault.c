/* SPDX-License-Identifier: BSD-2-Clause */
#include "fault.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "io.h"
#include "oomreclaim.h"
#include "options.h"

/* On while probability is above 0: all that a mapping looks at otherwise. */
atomic_bool fault_is_on;

/* The attributes. One by one, since mappings go on while they are set: relaxed. */
static _Atomic uint32_t probability;
static atomic_bool has_task_filter;
static _Atomic uint64_t interval;
static _Atomic int64_t times;  /* left; -1: without end */
static _Atomic uint64_t space; /* bytes left that don't fail */
static _Atomic uint64_t min_bytes;

static _Atomic uint64_t count; /* of those that interval counts */
static _Atomic uint64_t random_state;
static _Atomic uint64_t injected;

/* The kernel's make-it-fail, of this thread. */
static OOM_TLS bool is_thread_on;

/* Sebastiano Vigna's splitmix64: any seed will do, and the state is one atomic addition. */
static uint64_t next_random(void)
{
	uint64_t z =
		atomic_fetch_add_explicit(&random_state, 0x9e3779b97f4a7c15, memory_order_relaxed) +
		0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* True while there was some left. */
static bool is_in_space(size_t bytes)
{
	uint64_t left = atomic_load_explicit(&space, memory_order_relaxed);

	do {
		if (left <= bytes)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&space, &left, left - bytes,
	                                                memory_order_relaxed,
	                                                memory_order_relaxed));
	return true;
}

/* Of `times`, so that no more fail than that however many threads are here. */
static bool take_one(void)
{
	int64_t left = atomic_load_explicit(&times, memory_order_relaxed);

	do {
		if (left <= 0)
			return left < 0;
	} while (!atomic_compare_exchange_weak_explicit(&times, &left, left - 1,
	                                                memory_order_relaxed,
	                                                memory_order_relaxed));
	return true;
}

OOM_COLD bool fault_should_fail_slow(size_t bytes)
{
	uint64_t every = atomic_load_explicit(&interval, memory_order_relaxed);

	if (atomic_load_explicit(&has_task_filter, memory_order_relaxed) && !is_thread_on)
		return false;
	if (bytes < atomic_load_explicit(&min_bytes, memory_order_relaxed))
		return false;
	if (atomic_load_explicit(&times, memory_order_relaxed) == 0 || is_in_space(bytes))
		return false;
	if (every > 1 &&
	    (atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) + 1) % every != 0)
		return false;
	if (next_random() % 100 >= atomic_load_explicit(&probability, memory_order_relaxed))
		return false;
	if (!take_one())
		return false;
	atomic_fetch_add_explicit(&injected, 1, memory_order_relaxed);
	if (options.is_verbose)
		io_warn("injected: a mapping of %zu bytes fails", bytes);
	return true;
}

/* What is not valid was refused before. */
static void apply(const struct oomreclaim_fault *attributes)
{
	atomic_store_explicit(&fault_is_on, false, memory_order_relaxed);
	atomic_store_explicit(&probability, attributes->probability, memory_order_relaxed);
	atomic_store_explicit(&has_task_filter, attributes->task_filter != 0, memory_order_relaxed);
	atomic_store_explicit(&interval, attributes->interval, memory_order_relaxed);
	atomic_store_explicit(&times, attributes->times, memory_order_relaxed);
	atomic_store_explicit(&space, attributes->space, memory_order_relaxed);
	atomic_store_explicit(&min_bytes, attributes->min_bytes, memory_order_relaxed);
	atomic_store_explicit(&count, 0, memory_order_relaxed);
	atomic_store_explicit(&random_state, attributes->seed, memory_order_relaxed);
	atomic_store_explicit(&fault_is_on, attributes->probability > 0, memory_order_relaxed);
}

void fault_init(void)
{
	/* Where its first mapping fails the heap begins again; times and interval don't. */
	static atomic_flag is_done = ATOMIC_FLAG_INIT;

	if (!atomic_flag_test_and_set_explicit(&is_done, memory_order_relaxed))
		apply(&options.fail_page);
}

OOM_EXPORT int oomreclaim_fault_set(const struct oomreclaim_fault *attributes, size_t size)
{
	struct oomreclaim_fault set = {.interval = 1, .times = 1};

	if (attributes != NULL)
		memcpy(&set, attributes, size < sizeof set ? size : sizeof set);
	if (set.probability > 100 || set.times < -1)
		return EINVAL;
	apply(&set);
	return 0;
}

OOM_EXPORT bool oomreclaim_fault_thread(bool is_on)
{
	bool was = is_thread_on;

	is_thread_on = is_on;
	return was;
}

OOM_EXPORT uint64_t oomreclaim_fault_injected(void)
{
	return atomic_load_explicit(&injected, memory_order_relaxed);
}
