/* SPDX-License-Identifier: BSD-2-Clause */
#include "background/background.h"

#include <errno.h>
#include <time.h>

#include "background/ctl.h"
#include "background/leisure.h"
#include "background/pressure.h"
#include "background/room.h"
#include "background/rounds.h"
#include "background/watch.h"
#include "base/flight.h"
#include "base/fork_data.h"
#include "base/own_thread.h"
#include "base/trace.h"
#include "config/options.h"
#include "heap/heap_ops.h"
#include "kill/cancel.h"
#include "ladder/ladder.h"
#include "limits/budget.h"
#include "limits/group_low.h"
#include "limits/group_victim.h"
#include "limits/headroom.h"
#include "limits/total.h"
#include "limits/total_ask.h"
#include "reclaim/descent.h"
#include "reclaim/guard.h"
#include "reclaim/level.h"
#include "reclaim/outside.h"
#include "reclaim/reclaim.h"
#include "report/dump.h"
#include "report/stats_page.h"
#include "report/total_say.h"

/* A step of reclaim by pressure: this part of the heap, and not less than that; at most one in a
   second, so that a source that floods does not keep the thread busy. */
#define PRESSURE_STEP_SHIFT 4
#define PRESSURE_STEP_MIN_BYTES ((size_t)1 << 20)
#define PRESSURE_INTERVAL_NS NSEC_PER_SEC

/* Pressure and statistics wait until there is something to reclaim: a callback, or a heap of this
   size. A thread before that is of no use, and in the way of what a small program may do only while
   it has no other: setuid() after a change of its capabilities, unshare(CLONE_NEWUSER). */
#define DUE_BYTES ((size_t)16 << 20)

/* How long the end of the process waits for a callback. */
#define STOP_WAIT_MS 100

atomic_bool background_is_wanted;

/* The thread, if there is one. It has no descriptor: see watch.c. */
static OOM_FORK_DATA struct {
	atomic_flag is_starting;
	atomic_bool is_there;
	atomic_bool has_callback; /* ever */
	atomic_bool is_stopping;
	atomic_bool is_busy;       /* reclaiming */
	uint64_t last_pressure_ns; /* the thread's own */
} thread = {.is_starting = ATOMIC_FLAG_INIT};

/* The reason for which oomreclaimd is woken, beside those of watch.h. */
#define CALL_WATERMARK 1U
#define CALL_LOOK 8U
#define CALL_CANCEL 16U
_Static_assert((CALL_WATERMARK | CALL_LOOK | CALL_CANCEL | WATCH_PRESSURE | WATCH_ENDED |
                WATCH_CONTROL | TOTAL_CALL) == CALL_WATERMARK + CALL_LOOK + CALL_CANCEL +
                                                       WATCH_PRESSURE + WATCH_ENDED +
                                                       WATCH_CONTROL + TOTAL_CALL,
               "a bit each");

/* Whether oomreclaimd has work even where no watermark is crossed. */
static bool has_duty(void)
{
	return watch_is_wanted() || options.is_stats || options.is_control || room_is_wanted() ||
	       group_may_cancel() || total_slot() != NULL;
}

static bool is_due(void)
{
	if (own_thread_calls() != 0 || ctl_is_due())
		return true;
	return has_duty() && (atomic_load_explicit(&thread.has_callback, memory_order_relaxed) ||
	                      budget_charged() >= DUE_BYTES || stats_page_is_wanting());
}

bool background_is_stopping(void)
{
	return atomic_load(&thread.is_stopping);
}

/* For the level, but only where the program has asked for room. To read files takes descriptors of
   the program's table, and another thread may close those and open its own meanwhile. */
static void read_limits(void)
{
	if (room_is_wanted())
		headroom_refresh();
}

static void reclaim_to_watermark(void)
{
	struct rounds rounds = {.reason = OOMRECLAIM_REASON_WATERMARK};
	size_t excess, high, low, kept;

	TRACE2(watermark, budget_charged(), budget_above_low());
	/* It is called at its start as well. */
	if (budget_above_low() > 0)
		flight_note(FLIGHT_WATERMARK, 0, budget_charged(), budget_above_low(), NULL);
	/* Before what fills the heap is given back. */
	budget_watermarks(&high, &low);
	if (budget_charged() > high)
		dump_write_high();
	read_limits();
	kept = rounds_give_back(GROUP_KEEPS_LOW);
	while ((excess = rounds_excess(kept)) > 0 && !background_is_stopping())
		if (!rounds_make(&rounds, excess))
			break;
	/* The low of groups goes where others have nothing. */
	if (excess > 0 && group_has_protection())
		excess = rounds_excess(rounds_give_back(GROUP_KEEPS_MIN));
	budget_watermark_done(excess == 0);
}

static void reclaim_by_pressure(void)
{
	size_t step = budget_charged() >> PRESSURE_STEP_SHIFT;
	struct rounds rounds = {.reason = OOMRECLAIM_REASON_PRESSURE};
	uint64_t now = now_ns();

	level_note_pressure();
	if (thread.last_pressure_ns != 0 && now - thread.last_pressure_ns < PRESSURE_INTERVAL_NS)
		return;
	thread.last_pressure_ns = now;
	TRACE2(pressure, budget_charged(), step);
	flight_note(FLIGHT_PRESSURE, 0, budget_charged(), step, NULL);
	read_limits();
	rounds_give_back(GROUP_KEEPS_LOW);
	rounds_make(&rounds, step > PRESSURE_STEP_MIN_BYTES ? step : PRESSURE_STEP_MIN_BYTES);
}

static void cancel(void)
{
	cancel_call_due(true);
}

/* Another process has met the total, and asks. */
static void reclaim_for_others(void)
{
	struct rounds rounds = {.reason = OOMRECLAIM_REASON_LIMIT,
	                        .constraint = constraint_name(CONSTRAINT_TOTAL)};
	size_t wanted, before = budget_charged();
	bool may_give_more = true;
	unsigned question;

	wanted = total_wanted(&question);
	rounds_give_back(GROUP_KEEPS_LOW);
	while (may_give_more && add_saturated(budget_charged(), wanted) > before &&
	       !background_is_stopping()) {
		may_give_more =
			rounds_make(&rounds, add_saturated(budget_charged(), wanted) - before);
		rounds_give_back(GROUP_KEEPS_LOW);
	}
	if (add_saturated(budget_charged(), wanted) > before)
		rounds_give_back(GROUP_KEEPS_MIN);
	total_answer(question);
}

static void work(void (*reclaim)(void))
{
	struct descent descent;

	/* In one order with is_stopping: at the end of the process one of the two sees the
	   other. */
	atomic_store(&thread.is_busy, true);
	/* What a callback allocates here comes from the reserve if need be, as anywhere. */
	descent_begin(&descent);
	if (!background_is_stopping())
		reclaim();
	descent_end(&descent);
	atomic_store_explicit(&thread.is_busy, false, memory_order_release);
}

/* How long to sleep: for the page of statistics, and until it is seen whether the program is idle,
   or how much room there is; 0: until the thread is called. */
static uint64_t sleep_ns(void)
{
	const int due_ms[] = {leisure_due_ms(), room_due_ms()};
	int ms = options.is_stats ? STATS_PAGE_INTERVAL_MS : -1;

	for (size_t i = 0; i < ARRAY_SIZE(due_ms); i++)
		if (due_ms[i] >= 0 && (ms < 0 || due_ms[i] < ms))
			ms = due_ms[i] > 0 ? due_ms[i] : 1;
	return ms > 0 ? (unsigned)ms * NSEC_PER_MSEC : 0;
}

static void end(void)
{
	total_thread(false);
	own_thread_end();
}

/* A callback has ended the thread, by pthread_exit(): another takes its place, with what it was
   called for. */
static void leave(void *arg)
{
	(void)arg;
	own_thread_call(CALL_WATERMARK | CALL_CANCEL);
	atomic_store_explicit(&thread.is_busy, false, memory_order_release);
	end();
	atomic_store(&thread.is_there, false);
	atomic_store_explicit(&background_is_wanted, true, memory_order_relaxed);
}

static void *run(void *arg)
{
	struct guard guard;

	guard_begin(&guard, leave, NULL);
	own_thread_begin("oomreclaimd");
	while (!background_is_stopping()) {
		unsigned calls;

		watch_start();
		stats_page_update();
		total_say();
		calls = own_thread_await(sleep_ns());
		/* First: others wait for it. */
		if ((calls & CALL_CANCEL) != 0)
			work(cancel);
		if (leisure_due_ms() == 0)
			work(leisure_look);
		if (room_due_ms() == 0)
			work(room_look);
		if ((calls & CALL_WATERMARK) != 0)
			work(reclaim_to_watermark);
		if ((calls & TOTAL_CALL) != 0)
			work(reclaim_for_others);
		if ((calls & WATCH_PRESSURE) != 0)
			work(reclaim_by_pressure);
		if ((calls & WATCH_CONTROL) != 0)
			work(ctl_serve);
		if ((calls & WATCH_ENDED) != 0)
			watch_say_end();
	}
	guard_end(&guard);
	end();
	return arg;
}

/* No memory for a thread: direct reclaim does it all, and the next crossing of the watermark
   tries again. */
static void give_up(void)
{
	watch_give_up();
	budget_watermark_done(false);
}

/* Until it is due, the thread that comes by does what there is to do. */
static void stand_in(void)
{
	stats_page_show_growth();
	room_stand_in();
	/* A watermark may have asked for the thread by now. */
	if (has_duty())
		atomic_store_explicit(&background_is_wanted, true, memory_order_relaxed);
}

static void start(void)
{
	struct outside outside;
	int error;

	/* As long as there is one thread, the page of counters takes none of its own. */
	stats_page_update();
	/* The thread looks at the watermark first: it may have been crossed already. */
	own_thread_call(CALL_WATERMARK);
	atomic_store(&thread.is_there, true);
	/* It may be asked from here on, and sees that when it begins. */
	total_thread(true);
	outside = outside_begin();
	error = own_thread_start(run);
	outside_end(&outside);
	if (error == 0)
		return;
	atomic_store(&thread.is_there, false);
	total_thread(false);
	give_up();
}

void background_start(void)
{
	struct descent descent;
	int saved = errno;

	/* What jemalloc calls allocates as well, as pthread_create() does for its background
	   threads, and then jemalloc's locks are held: the next allocation comes by. */
	if (heap_ops.is_reentrant())
		return;
	if (atomic_flag_test_and_set_explicit(&thread.is_starting, memory_order_acquire))
		return;
	/* malloc() is no cancellation point, but most of what follows is. And what pthread_create()
	   can't have is no matter for a callback, which might jump: signals are blocked here. */
	descent_begin(&descent);
	total_say();
	/* First, so that what pthread_create() allocates does not come here again. In one order
	   with the calls: what is_due() does not see below wants the thread after this. */
	atomic_store(&background_is_wanted, false);
	if (!atomic_load(&thread.is_there) && !background_is_stopping()) {
		watch_try();
		if (is_due())
			start();
		else
			stand_in();
	}
	atomic_flag_clear_explicit(&thread.is_starting, memory_order_release);
	descent_end(&descent);
	errno = saved;
}

void background_init(void)
{
	own_thread_init();
	pressure_init();
	/* The source is opened at once: what is wrong with it is said at the start. */
	if (has_duty())
		background_start();
}

void background_note_callback(void)
{
	atomic_store_explicit(&thread.has_callback, true, memory_order_relaxed);
	background_start_if_wanted();
}

void background_wake(void)
{
	own_thread_call(CALL_WATERMARK);
	if (!atomic_load(&thread.is_there))
		atomic_store_explicit(&background_is_wanted, true, memory_order_relaxed);
}

void background_look(void)
{
	own_thread_call(CALL_LOOK);
	if (!atomic_load(&thread.is_there))
		atomic_store_explicit(&background_is_wanted, true, memory_order_relaxed);
	background_start_if_wanted();
}

void background_note_cancel(void)
{
	if (!atomic_load(&thread.is_there))
		atomic_store_explicit(&background_is_wanted, true, memory_order_relaxed);
	background_note_callback();
}

bool background_cancel(void)
{
	if (!atomic_load(&thread.is_there) || background_is_stopping())
		return false;
	own_thread_call(CALL_CANCEL);
	return true;
}

void background_stop(void)
{
	atomic_store(&thread.is_stopping, true);
	for (int i = 0; i < STOP_WAIT_MS; i++) {
		if (!atomic_load(&thread.is_busy))
			break;
		pause_ns(NSEC_PER_MSEC);
	}
}

void background_fork_child(void)
{
	bool had_thread = atomic_load(&thread.is_there);

	/* The thread is in the parent; here it starts anew when it is needed. */
	atomic_flag_clear_explicit(&thread.is_starting, memory_order_relaxed);
	atomic_store_explicit(&thread.is_busy, false, memory_order_relaxed);
	atomic_store(&thread.is_there, false);
	thread.last_pressure_ns = 0;
	own_thread_fork_child();
	watch_fork_child();
	room_fork_child();
	if (had_thread || has_duty())
		atomic_store_explicit(&background_is_wanted, has_duty(), memory_order_relaxed);
}
