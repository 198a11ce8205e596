/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/io.h"
#include "base/io_write.h"
#include "config/options.h"
#include "config/verbose.h"
#include "oomreclaim.h"

struct fault fault_page;

/* The kernel's make-it-fail, of this thread. */
static OOM_TLS bool is_thread_on;

/* Sebastiano Vigna's splitmix64: any seed will do, and the state is one atomic addition. */
static uint64_t next_random(struct fault *fault)
{
	uint64_t z = atomic_fetch_add_explicit(&fault->random_state, 0x9e3779b97f4a7c15,
	                                       memory_order_relaxed) +
	             0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* True while there was some left. */
static bool is_in_space(struct fault *fault, size_t bytes)
{
	uint64_t left = atomic_load_explicit(&fault->space, memory_order_relaxed);

	do {
		if (left <= bytes)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&fault->space, &left, left - bytes,
	                                                memory_order_relaxed,
	                                                memory_order_relaxed));
	return true;
}

/* Of `times`, so that no more fail than that however many threads are here. */
static bool take_one(struct fault *fault)
{
	int64_t left = atomic_load_explicit(&fault->times, memory_order_relaxed);

	do {
		if (left <= 0)
			return left < 0;
	} while (!atomic_compare_exchange_weak_explicit(&fault->times, &left, left - 1,
	                                                memory_order_relaxed,
	                                                memory_order_relaxed));
	return true;
}

static uint64_t get(const _Atomic uint64_t *member)
{
	return atomic_load_explicit(member, memory_order_relaxed);
}

bool fault_strikes(struct fault *fault, size_t bytes)
{
	uint64_t every = get(&fault->interval);

	if (atomic_load_explicit(&fault->has_task_filter, memory_order_relaxed) && !is_thread_on)
		return false;
	if (bytes < get(&fault->min_bytes))
		return false;
	if (atomic_load_explicit(&fault->times, memory_order_relaxed) == 0 ||
	    is_in_space(fault, bytes))
		return false;
	if (every > 1 &&
	    (atomic_fetch_add_explicit(&fault->count, 1, memory_order_relaxed) + 1) % every != 0)
		return false;
	if (next_random(fault) % 100 >=
	    atomic_load_explicit(&fault->probability, memory_order_relaxed))
		return false;
	if (!take_one(fault))
		return false;
	atomic_fetch_add_explicit(&fault->injected, 1, memory_order_relaxed);
	return true;
}

/* In the middle of a mapping the stack may have gone far already: not as much of it as io_warn()
   takes. */
static void tell(size_t bytes)
{
	char line[80];
	struct io_buf buf = {.text = line, .bytes = sizeof line};

	io_printf(&buf, "oomreclaim: injected: a mapping of %zu bytes fails\n", bytes);
	io_write_stderr(line, buf.used);
}

OOM_COLD bool fault_should_fail_slow(size_t bytes)
{
	if (!fault_strikes(&fault_page, bytes))
		return false;
	if (verbose_is_on())
		tell(bytes);
	return true;
}

static void set(_Atomic uint64_t *member, uint64_t to)
{
	atomic_store_explicit(member, to, memory_order_relaxed);
}

void fault_arm(struct fault *fault, const struct oomreclaim_fault *attributes)
{
	atomic_store_explicit(&fault->is_armed, false, memory_order_relaxed);
	atomic_store_explicit(&fault->probability, attributes->probability, memory_order_relaxed);
	atomic_store_explicit(&fault->has_task_filter, attributes->task_filter,
	                      memory_order_relaxed);
	atomic_store_explicit(&fault->times, attributes->times, memory_order_relaxed);
	set(&fault->interval, attributes->interval);
	set(&fault->space, attributes->space);
	set(&fault->min_bytes, attributes->min_bytes);
	set(&fault->count, 0);
	set(&fault->random_state, attributes->seed);
	atomic_store_explicit(&fault->is_armed, attributes->probability > 0, memory_order_relaxed);
}

void fault_init(void)
{
	/* Where its first mapping fails the heap begins again; times and interval don't. */
	static atomic_flag is_done = ATOMIC_FLAG_INIT;

	if (!atomic_flag_test_and_set_explicit(&is_done, memory_order_relaxed))
		fault_arm(&fault_page, &options.fail_page);
}

OOM_EXPORT int oomreclaim_fault_set(const struct oomreclaim_fault *attributes, size_t size)
{
	struct oomreclaim_fault set = {.interval = 1, .times = 1};

	if (attributes != NULL)
		copy_sized(&set, sizeof set, attributes, size);
	if (set.probability > 100 || set.times < -1)
		return EINVAL;
	fault_arm(&fault_page, &set);
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
	return get(&fault_page.injected);
}
