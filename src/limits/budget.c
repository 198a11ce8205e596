/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/budget.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "config/options.h"
#include "limits/budget_inside.h"
#include "limits/group_left.h"
#include "limits/total.h"
#include "system/proc.h"

/* How much the heap may grow before the cgroup's usage is read again: reading takes some tens of
   microseconds, mapping and touching this much some milliseconds. */
#define REREAD_BYTES BUDGET_STEP_BYTES
/* Nor is it read more often than this. */
#define REREAD_NS (5 * NSEC_PER_MSEC)

static atomic_size_t charged;
static atomic_size_t limit_bytes = SIZE_MAX; /* limit:SIZE, oomreclaim_set_limit() */
static atomic_size_t ceiling = SIZE_MAX;     /* limit:auto, as last read */
static atomic_size_t reread_at = SIZE_MAX;   /* when `charged` gets there */

/* limit:auto, as last read. */
static atomic_bool is_auto;
static atomic_bool is_machine_scarce; /* the machine's memory, not a group's */
static atomic_size_t auto_max_bytes = SIZE_MAX;

/* One thread reads at a time; the others go on with the last reading. Nobody waits: this is called
   with the heap's locks held, and a fork takes those after ours. */
static OOM_FORK_DATA atomic_flag is_reading = ATOMIC_FLAG_INIT;
static _Atomic uint64_t read_ns; /* when the last reading ended */
/* The reading thread has it: the heap is in the middle of a mapping, and there may be little stack
   left. */
static struct proc_cgroup group;

/* What refused this thread's last charge; and whether the limit is not to. */
static OOM_TLS enum constraint refuser;
static OOM_TLS bool is_forced;

bool budget_is_auto(void)
{
	return atomic_load_explicit(&is_auto, memory_order_relaxed);
}

/* The lowest of what the groups, own and ancestors', and the machine leave to this heap. */
static OOM_NOINLINE void read_ceiling(void)
{
	struct group_left now = {.margin_percent = options.limit_margin_percent};
	uint64_t total;

	/* Always there: so now no file can be read, for want of a descriptor or of /proc. What was
	   read last is better than nothing. */
	if (!proc_meminfo("MemTotal", &total))
		return;
	now.left = now.max = less_percent(total, now.margin_percent);
	group_left(&group, &now);
	atomic_store_explicit(&is_machine_scarce, !now.is_group, memory_order_relaxed);
	set(&auto_max_bytes, (size_t)now.max);
	set(&ceiling, (size_t)now.left);
	budget_watermark_update();
}

/* False if another thread is at it. */
static bool try_reread(size_t now_bytes)
{
	int saved = errno, cancel_state;

	if (atomic_flag_test_and_set_explicit(&is_reading, memory_order_acquire))
		return false;
	/* malloc() is no cancellation point, but reading a file is: the thread would end with the
	   heap's locks held. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	read_ceiling();
	pthread_setcancelstate(cancel_state, NULL);
	set(&reread_at, add_saturated(now_bytes, REREAD_BYTES));
	atomic_store_explicit(&read_ns, now_ns(), memory_order_relaxed);
	atomic_flag_clear_explicit(&is_reading, memory_order_release);
	errno = saved;
	return true;
}

void budget_refresh(void)
{
	/* Who has ended has nothing charged any more. */
	total_reap(true);
	/* The figures that another thread is reading now may be older than this call. It need not
	   come to an end: a file may hang, or a signal's handler have jumped out of it. */
	for (int i = 5000; i > 0 && budget_is_auto() && !try_reread(budget_charged()); i--)
		pause_ns(NSEC_PER_MSEC / 10);
}

void budget_reread(void)
{
	/* One failure is several attempts, and the files have not changed between them. */
	if (budget_is_auto() &&
	    now_ns() - atomic_load_explicit(&read_ns, memory_order_relaxed) >= REREAD_NS)
		try_reread(budget_charged());
}

void budget_init(void (*on_high)(void))
{
	budget_watermark_init(on_high);
	total_join();
	atomic_store_explicit(&is_auto, options.is_limit_auto, memory_order_relaxed);
	set(&limit_bytes, options.is_limit_auto ? SIZE_MAX : options.limit_bytes);
	set(&ceiling, SIZE_MAX);
	set(&reread_at, SIZE_MAX);
	atomic_store_explicit(&read_ns, 0, memory_order_relaxed);
	budget_reread();
	budget_watermark_update();
}

bool budget_is_within(size_t bytes)
{
	return bytes <= get(&limit_bytes) && (!budget_is_auto() || bytes <= get(&ceiling));
}

static enum constraint ceiling_constraint(void)
{
	return atomic_load_explicit(&is_machine_scarce, memory_order_relaxed) ? CONSTRAINT_BUDGET
	                                                                      : CONSTRAINT_CGROUP;
}

/* An eighth of what is left: nine parts of the limit's eight are within. */
static size_t less_an_eighth(size_t bytes)
{
	return bytes - bytes / 9;
}

/* One that does not fit is never counted, not even for a moment: others are charged meanwhile. Nor
   is one that was counted refused, where the limit comes down at this moment. */
static bool add_if_within(size_t bytes)
{
	size_t now = get(&charged), sum;

	do {
		sum = add_saturated(now, bytes);
		if (!budget_is_within(is_forced ? less_an_eighth(sum) : sum)) {
			/* The limit may have moved since: for the group's others may be killed. */
			refuser = budget_is_auto() && sum <= get(&limit_bytes)
			                  ? ceiling_constraint()
			                  : CONSTRAINT_BUDGET;
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(&charged, &now, sum, memory_order_relaxed,
	                                                memory_order_relaxed));
	return true;
}

/* The same within the total, which is asked first: what is pending there can be taken back, and
   nobody was refused for it. */
static bool try_charge(size_t bytes)
{
	bool is_charged;

	if (likely(total_slot() == NULL))
		return add_if_within(bytes);
	if (!total_begin(bytes)) {
		refuser = CONSTRAINT_TOTAL;
		return false;
	}
	is_charged = add_if_within(bytes);
	total_end(bytes, is_charged);
	/* It has just turned out to be none: oomreclaimd has a line to write. */
	if (unlikely(total_slot() == NULL))
		budget_watermark_wake();
	return is_charged;
}

OOM_NOINLINE bool budget_charge(size_t bytes)
{
	size_t wanted;

	if (unlikely(budget_is_auto())) {
		wanted = add_saturated(budget_charged(), bytes);
		/* Nor is anybody refused by a reading that is older. */
		if (wanted > get(&reread_at) || !budget_is_within(wanted))
			budget_reread();
	}
	if (unlikely(!try_charge(bytes))) {
		budget_note_met();
		budget_watermark_met();
		return false;
	}
	return true;
}

bool budget_force(bool force)
{
	bool was = is_forced;

	is_forced = force;
	return was;
}

enum constraint budget_refuser(void)
{
	return refuser;
}

void budget_cancel_charge(size_t bytes)
{
	size_t now = atomic_fetch_sub_explicit(&charged, bytes, memory_order_relaxed) - bytes;

	if (unlikely(total_slot() != NULL))
		total_uncharge(bytes);
	budget_watermark_fallen(now);
}

size_t budget_charged_above(size_t bytes)
{
	size_t now = budget_charged();

	return now > bytes ? now - bytes : 0;
}

size_t budget_charged(void)
{
	return get(&charged);
}

size_t budget_excess(void)
{
	return budget_charged_above(oomreclaim_get_limit());
}

enum constraint budget_constraint(size_t bytes)
{
	size_t wanted = add_saturated(budget_charged(), bytes);

	if (wanted > get(&limit_bytes))
		return CONSTRAINT_BUDGET;
	if (unlikely(bytes > total_room()))
		return CONSTRAINT_TOTAL;
	budget_reread();
	if (!budget_is_auto() || wanted <= get(&ceiling))
		return CONSTRAINT_NONE;
	return ceiling_constraint();
}

size_t budget_ceiling(enum constraint *constraint)
{
	size_t fixed = get(&limit_bytes), read = budget_is_auto() ? get(&ceiling) : SIZE_MAX;

	*constraint = read < fixed ? ceiling_constraint() : CONSTRAINT_BUDGET;
	return min_size(fixed, read);
}

size_t budget_max_bytes(void)
{
	size_t max = min_size(get(&limit_bytes), total_max_bytes());

	return budget_is_auto() ? min_size(max, get(&auto_max_bytes)) : max;
}

OOM_EXPORT size_t oomreclaim_get_limit(void)
{
	enum constraint constraint;

	return budget_ceiling(&constraint);
}

void budget_set_limit(size_t bytes)
{
	set(&limit_bytes, bytes);
	atomic_store_explicit(&is_auto, false, memory_order_relaxed);
	budget_watermark_update();
}

void budget_fork_child(void)
{
	/* A thread that was reading or charging is in the parent, and so is oomreclaimd, at work or
	   not. */
	atomic_flag_clear_explicit(&is_reading, memory_order_relaxed);
	fork_reset(charged, budget_committed());
	budget_watermark_fork_child();
}
