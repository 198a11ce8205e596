/* SPDX-License-Identifier: BSD-2-Clause */
#include "background/background.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "background/leisure.h"
#include "background/pressure.h"
#include "base/io.h"
#include "base/own_fd.h"
#include "base/trace.h"
#include "config/options.h"
#include "heap/heap_ops.h"
#include "ladder/ladder.h"
#include "limits/budget.h"
#include "reclaim/reclaim.h"
#include "reclaim/scope.h"
#include "report/stats_page.h"

/* A step of reclaim by pressure: this part of the heap, and not less than that; at most one in a
   second, so that a source that floods does not keep the thread busy. */
#define PRESSURE_STEP_SHIFT 4
#define PRESSURE_STEP_MIN_BYTES ((size_t)1 << 20)
#define PRESSURE_INTERVAL_NS NSEC_PER_SEC

/* Pressure and statistics wait until there is something to reclaim: a callback, or a heap of this size. A
   thread before that is of no use, and in the way of what a small program may do only while it has no
   other: setuid() after a change of its capabilities, unshare(CLONE_NEWUSER). */
#define DUE_BYTES ((size_t)16 << 20)

/* How long the end of the process waits for a callback. */
#define STOP_WAIT_MS 100

atomic_bool background_is_wanted;

/* The thread, if there is one. */
static struct {
	atomic_flag is_starting;
	/* For who holds is_starting. */
	bool has_complained; /* of pressure_path */
	bool has_looked;     /* for a source of pressure, since there has been no thread */
	const char *pressure_path;
	atomic_bool is_woken;     /* while there was none */
	atomic_bool has_callback; /* ever */
	/* What wakes it, by a byte. A pair of sockets, since each is an inode of its own, so that nothing
	   else is taken for it, and writing to one whose other end is gone raises no signal. */
	struct own_fd reads, writes;
	atomic_bool is_stopping;
	atomic_bool is_busy;       /* reclaiming */
	uint64_t last_pressure_ns; /* the thread's own */
} thread = {.is_starting = ATOMIC_FLAG_INIT, .reads = OWN_FD_NONE, .writes = OWN_FD_NONE};

/* What it is there for, whatever the heap does. */
static bool has_duty(void)
{
	return pressure_is_wanted() || options.is_stats;
}

/* The same once the source has been looked for: there may be none. */
static bool has_something_to_do(void)
{
	return pressure_is_open() || options.is_stats;
}

static bool is_due(void)
{
	if (atomic_load_explicit(&thread.is_woken, memory_order_relaxed))
		return true;
	return has_something_to_do() &&
	       (atomic_load_explicit(&thread.has_callback, memory_order_relaxed) ||
	        budget_charged() >= DUE_BYTES);
}

static bool is_stopping(void)
{
	return atomic_load(&thread.is_stopping);
}

/* One round. Returns false when there is nothing left to give, or nothing measurable has come back
   for too long. */
static bool reclaim_round(size_t wanted_bytes, enum oomreclaim_reason reason, unsigned attempt,
                          unsigned *unmeasured)
{
	const struct reclaim_request request = {
		.wanted_bytes = wanted_bytes,
		.reason = reason,
		.constraint = "NONE",
		.attempt = attempt,
		.is_background = true,
		.deadline_ns = now_ns() + options.wait_ms * NSEC_PER_MSEC,
	};
	struct reclaim_progress progress;

	oom_reclaim_pages(&request, &progress);
	*unmeasured = progress.measured_bytes > 0 ? 0 : *unmeasured + 1;
	return progress.claimed_bytes > 0 && *unmeasured < MAX_RECLAIM_RETRIES;
}

/* How far above the low watermark, what is free in the heap not counted. */
static size_t excess_bytes(void)
{
	size_t above = budget_above_low();
	struct heap_stats stats;

	if (above == 0 || !heap_ops.stats(&stats))
		return above;
	return above > stats.dirty ? above - stats.dirty : 0;
}

static void reclaim_to_watermark(void)
{
	unsigned attempt = 0, unmeasured = 0;
	size_t excess;

	TRACE2(watermark, budget_charged(), budget_above_low());
	heap_ops.flush_thread();
	heap_ops.purge_all();
	while ((excess = excess_bytes()) > 0 && !is_stopping())
		if (!reclaim_round(excess, OOMRECLAIM_REASON_WATERMARK, attempt++, &unmeasured))
			break;
	budget_watermark_done(excess == 0);
}

static void reclaim_by_pressure(void)
{
	size_t step = budget_charged() >> PRESSURE_STEP_SHIFT;
	uint64_t now = now_ns();
	unsigned unmeasured = 0;

	if (thread.last_pressure_ns != 0 && now - thread.last_pressure_ns < PRESSURE_INTERVAL_NS)
		return;
	thread.last_pressure_ns = now;
	TRACE2(pressure, budget_charged(), step);
	heap_ops.flush_thread();
	heap_ops.purge_all();
	reclaim_round(step > PRESSURE_STEP_MIN_BYTES ? step : PRESSURE_STEP_MIN_BYTES,
	              OOMRECLAIM_REASON_PRESSURE, 0, &unmeasured);
}

static void work(void (*reclaim)(void))
{
	struct scope_ladder enter;

	/* In one order with is_stopping: at the end of the process one of the two sees the other. */
	atomic_store(&thread.is_busy, true);
	/* What a callback allocates here comes from the reserve if need be, as anywhere. */
	scope_enter_ladder(&enter);
	if (!is_stopping())
		reclaim();
	scope_leave_ladder(&enter);
	atomic_store_explicit(&thread.is_busy, false, memory_order_release);
}

/* Once: a thread that can't be had is tried for again and again. */
static void complain(const char *problem)
{
	if (!thread.has_complained)
		io_warn("pressure: %s: %s; not watched", thread.pressure_path, problem);
	thread.has_complained = true;
}

static void open_pressure(void)
{
	int error;

	if (!pressure_is_wanted() || thread.has_looked)
		return;
	thread.has_looked = true;
	error = pressure_open(&thread.pressure_path);
	if (error != 0 && error != -ENODEV)
		complain(strerrordesc_np(-error));
}

static void close_pressure(void)
{
	pressure_close();
	thread.has_looked = false;
}

/* The program has closed our descriptors, as one does that becomes a daemon: another thread takes over
   when there is a reason for one. */
static void retire(void)
{
	own_fd_close(&thread.reads);
	own_fd_close(&thread.writes);
	close_pressure();
	atomic_store_explicit(&background_is_wanted, has_duty(), memory_order_relaxed);
	budget_watermark_done(false);
}

static void watch_pressure(short revents)
{
	if (revents != 0 && pressure_take(revents)) {
		work(reclaim_by_pressure);
		/* A source that is always ready must not make this a busy loop. */
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	} else if (revents != 0 || (pressure_is_open() && pressure_fd() < 0)) {
		/* Else the program has closed the descriptor: nothing has happened to the source. */
		if (pressure_fd() >= 0)
			io_warn("pressure: the source is gone; not watched any more");
		pressure_close();
	}
}

/* How long to sleep: for the page of statistics, and until it is seen whether the program is idle. */
static int sleep_ms(int leisure_ms)
{
	if (!options.is_stats)
		return leisure_ms;
	return leisure_ms >= 0 && leisure_ms < STATS_PAGE_INTERVAL_MS ? leisure_ms
	                                                              : STATS_PAGE_INTERVAL_MS;
}

static void *run(void *arg)
{
	struct pollfd fds[2] = {{.events = POLLIN}};
	const ino_t inode = atomic_load_explicit(&thread.reads.inode, memory_order_relaxed);
	char wakes[64];

	(void)arg;
	while (!is_stopping()) {
		fds[0].fd = own_fd_get(&thread.reads);
		/* Another has taken over already. */
		if (inode != atomic_load_explicit(&thread.reads.inode, memory_order_relaxed))
			break;
		if (fds[0].fd < 0 || own_fd_get(&thread.writes) < 0) {
			retire();
			break;
		}
		fds[1].fd = pressure_fd();
		fds[1].events = pressure_events();
		fds[1].revents = 0;
		stats_page_update();
		if (poll(fds, 2, sleep_ms(leisure_due_ms())) < 0)
			continue;
		if (leisure_due_ms() == 0)
			work(leisure_look);
		/* If the program has closed both ends, poll() sees that too. */
		if ((fds[0].revents & POLLIN) != 0 && own_fd_get(&thread.reads) == fds[0].fd &&
		    read(fds[0].fd, wakes, sizeof wakes) > 0)
			work(reclaim_to_watermark);
		watch_pressure(fds[1].revents);
	}
	return NULL;
}

static int create(void)
{
	sigset_t all, old;
	pthread_t created;
	pthread_attr_t attributes;
	int error;

	/* The program's signals are handled by the program's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&created, &attributes, run, NULL);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error == 0)
		pthread_setname_np(created, "oomreclaimd");
	return error;
}

static bool open_wakes(void)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
		return false;
	/* Written once already: there is a reason to look. */
	if (write(ends[1], "", 1) == 1 && own_fd_take(&thread.reads, ends[0]) &&
	    own_fd_take(&thread.writes, ends[1]))
		return true;
	own_fd_close(&thread.reads);
	return false;
}

/* No descriptor or memory for a thread: direct reclaim does it all, and the next crossing of the
   watermark tries again. */
static void give_up(void)
{
	if (pressure_is_open())
		complain("no thread for it");
	own_fd_close(&thread.reads);
	own_fd_close(&thread.writes);
	close_pressure();
	budget_watermark_done(false);
}

/* Until it is due, whoever comes by does what there is to do. */
static void stand_in(void)
{
	stats_page_update_soon();
	/* Somebody else may want it by now, for a watermark. */
	if (has_something_to_do())
		atomic_store_explicit(&background_is_wanted, true, memory_order_relaxed);
}

static void start(void)
{
	if (!open_wakes() || create() != 0)
		give_up();
	else
		atomic_store_explicit(&thread.is_woken, false, memory_order_relaxed);
}

void background_start(void)
{
	int saved = errno, cancel_state;

	if (atomic_flag_test_and_set_explicit(&thread.is_starting, memory_order_acquire))
		return;
	/* malloc() is no cancellation point, but most of what follows is. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	/* First, so that what pthread_create() allocates does not come here again. */
	atomic_store_explicit(&background_is_wanted, false, memory_order_relaxed);
	if (own_fd_get(&thread.writes) < 0 && !is_stopping()) {
		open_pressure();
		if (is_due())
			start();
		else
			stand_in();
	}
	atomic_flag_clear_explicit(&thread.is_starting, memory_order_release);
	pthread_setcancelstate(cancel_state, NULL);
	errno = saved;
}

void background_init(void)
{
	pressure_init();
	/* The source is opened at once: what is wrong with it is said at the start. */
	if (has_duty())
		background_start();
}

void background_note_callback(void)
{
	atomic_store_explicit(&thread.has_callback, true, memory_order_relaxed);
	background_poll();
}

void background_wake(void)
{
	int saved = errno, fd = own_fd_get(&thread.writes), cancel_state;

	if (fd < 0) {
		atomic_store_explicit(&thread.is_woken, true, memory_order_relaxed);
		atomic_store_explicit(&background_is_wanted, true, memory_order_relaxed);
		return;
	}
	/* A cancellation point, with the heap's locks held. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	/* Fails only where it has been woken often enough already. */
	(void)!send(fd, "", 1, MSG_NOSIGNAL);
	pthread_setcancelstate(cancel_state, NULL);
	errno = saved;
}

void background_stop(void)
{
	const struct timespec pause = {.tv_nsec = 1000 * 1000};

	atomic_store(&thread.is_stopping, true);
	for (int i = 0; i < STOP_WAIT_MS; i++) {
		if (!atomic_load(&thread.is_busy))
			break;
		nanosleep(&pause, NULL);
	}
}

void background_fork_child(void)
{
	bool has_thread = atomic_load_explicit(&thread.writes.fd, memory_order_relaxed) >= 0;

	/* The thread is in the parent; here it starts anew when it is needed. */
	atomic_flag_clear_explicit(&thread.is_starting, memory_order_relaxed);
	atomic_store_explicit(&thread.is_busy, false, memory_order_relaxed);
	thread.last_pressure_ns = 0;
	if (!has_thread && !pressure_is_open())
		return;
	own_fd_close(&thread.reads);
	own_fd_close(&thread.writes);
	close_pressure();
	atomic_store_explicit(&background_is_wanted, has_duty(), memory_order_relaxed);
}
