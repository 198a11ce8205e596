/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program may close all descriptors at any moment and open its own by their numbers, also between
 * two calls of ours in another thread. So nothing of ours is done by number in the program's table
 * once there is a second thread. What was opened before that is left there, and never touched
 * again.
 *
 * A table of its own is not for oomreclaimd: callbacks run there, and use the program's
 * descriptors. So what has to be waited for by descriptor is waited for in another thread, which
 * calls oomreclaimd as all others do, by a futex.
 */
#include "background/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>

#include "background/ctl.h"
#include "background/ctl_socket.h"
#include "background/pressure.h"
#include "base/base.h"
#include "base/fork_data.h"
#include "base/fork_gate.h"
#include "base/io.h"
#include "base/own_fd.h"
#include "base/own_thread.h"
#include "config/options.h"
#include "report/stats_page.h"
#include "system/proc.h"

/* A source that is always ready must not make this a busy loop. */
#define PAUSE_NS (10 * NSEC_PER_MSEC)

/* Until what can't be had is tried for again: a page of counters, or poll() itself. */
#define AGAIN_MS 1000

/* The one thread of that kind. */
static struct {
	/* For the thread that starts one, or oomreclaimd. */
	bool has_looked; /* since there has been no thread */
	bool has_complained;
	atomic_bool is_started;
	atomic_bool has_failed; /* there is no source */
	atomic_int error;       /* why it is not watched; 0: it is gone */
	const char *path;
} watch;

/* Once: a thread that can't be had is tried for again and again. */
static void complain(const char *problem)
{
	const char *path = watch.path != NULL ? watch.path : options.pressure_path;

	if (!watch.has_complained)
		io_warn("pressure: %s: %s; not watched", path, problem);
	watch.has_complained = true;
}

static int open_source(void)
{
	int error = pressure_open(&watch.path);

	atomic_store(&watch.has_failed, error != 0);
	stats_page_note_pressure(pressure_means(), watch.path);
	return error;
}

void watch_try(void)
{
	int error;

	if (!pressure_is_wanted() || watch.has_looked)
		return;
	watch.has_looked = true;
	/* Else the thread opens it. */
	if (!proc_is_single_threaded())
		return;
	error = open_source();
	if (error != 0 && error != -ENODEV)
		complain(strerrordesc_np(-error));
	/* Later nobody could tell whether it is ours still. */
	if (!pressure_is_distinct())
		pressure_close();
}

bool watch_is_wanted(void)
{
	return pressure_is_wanted() && !atomic_load(&watch.has_failed);
}

/* 0: from here on the thread has a table of its own. */
static int unshare_table(void)
{
	struct own_fd *const kept[] = {pressure_leave_behind(), stats_page_file()};

	return own_fd_unshare(kept, ARRAY_SIZE(kept));
}

static void say_end(int error)
{
	atomic_store(&watch.error, error);
	atomic_store(&watch.has_failed, true);
	stats_page_note_pressure(STATS_PRESSURE_NONE, NULL);
	own_thread_call(WATCH_ENDED);
}

static void open_late(void)
{
	int error = watch_is_wanted() && !pressure_is_open() ? open_source() : 0;

	if (error != 0)
		say_end(error);
}

static void open_ctl(int error)
{
	if (error == 0)
		error = ctl_socket_open();
	if (error != 0)
		ctl_fail(error);
}

static void take(short revents)
{
	switch (pressure_take(revents)) {
	case PRESSURE_GONE:
		pressure_close();
		say_end(0);
		return;
	case PRESSURE_FELT:
		own_thread_call(WATCH_PRESSURE);
		break;
	case PRESSURE_NONE:
		break;
	}
	pause_ns(PAUSE_NS);
}

/* Where RLIMIT_NOFILE is 0, poll() refuses any descriptor. */
static int wait_for(struct pollfd *fds, size_t count, int wait_ms)
{
	int ready = poll(fds, count, wait_ms);

	return ready >= 0 || errno == EINTR ? ready : poll(NULL, 0, AGAIN_MS);
}

static int sooner(int one_ms, int other_ms)
{
	if (one_ms < 0 || other_ms < 0)
		return one_ms < 0 ? other_ms : one_ms;
	return one_ms < other_ms ? one_ms : other_ms;
}

/* Until the source is to be looked at without an event; -1: never. */
static int until_look_ms(uint64_t looked_ns)
{
	uint64_t passed = (now_ns() - looked_ns) / NSEC_PER_MSEC;
	int look_ms = pressure_wait_ms();

	if (look_ms < 0)
		return -1;
	return passed < (uint64_t)look_ms ? look_ms - (int)passed : 0;
}

/* Till the process ends, if it holds the page: the table goes with its thread, and the page with
   it. */
static void wait_for_events(void)
{
	uint64_t looked_ns = now_ns();

	while (pressure_is_open() || options.is_stats || ctl_socket_is_open()) {
		struct pollfd fds[1 + CTL_FDS] = {
			{.fd = pressure_fd(), .events = pressure_events()}};
		bool has_all = !options.is_stats || stats_page_is_held();
		size_t count;

		/* PSI that was told nothing is always ready. */
		if (fds[0].events == 0)
			fds[0].fd = -1;
		count = ctl_socket_fds(fds + 1);
		if (count > 0 || fds[0].fd >= 0)
			count++;
		wait_for(fds, count,
		         sooner(until_look_ms(looked_ns),
		                sooner(ctl_socket_wait_ms(), has_all ? -1 : AGAIN_MS)));
		if (fds[0].revents != 0 || until_look_ms(looked_ns) == 0) {
			take(fds[0].revents);
			looked_ns = now_ns();
		}
		ctl_socket_look();
		if (!has_all)
			stats_page_hold();
	}
}

static void *run(void *arg)
{
	bool is_for_pressure = watch_is_wanted();
	int error;

	own_thread_begin("oomreclaim-poll");
	/* No child may find this half done. */
	fork_gate_enter(FORK_GATE_ENTER_NS);
	error = unshare_table();
	if (error == 0) {
		open_late();
		stats_page_hold();
	}
	if (options.is_control)
		open_ctl(error);
	fork_gate_leave();
	own_thread_sleep();
	if (error == 0)
		wait_for_events();
	else if (is_for_pressure)
		say_end(error);
	own_thread_wake_up();
	own_thread_end();
	return arg;
}

void watch_start(void)
{
	if (atomic_load(&watch.is_started) ||
	    (!watch_is_wanted() && !stats_page_is_wanting() && !options.is_control))
		return;
	/* The locks of pthread_create() have to be free in a child. */
	fork_gate_enter(FORK_GATE_ENTER_NS);
	atomic_store(&watch.is_started, true);
	if (own_thread_start(run) != 0) {
		atomic_store(&watch.is_started, false);
		watch_give_up();
	}
	fork_gate_leave();
}

void watch_give_up(void)
{
	if (watch_is_wanted() && watch.path != NULL)
		complain("no thread for it");
	if (proc_is_single_threaded())
		pressure_close();
	watch.has_looked = false;
}

void watch_say_end(void)
{
	int error = atomic_load(&watch.error);

	if (error == 0)
		io_warn("pressure: the source is gone; not watched any more");
	else if (error != -ENODEV)
		complain(strerrordesc_np(-error));
}

void watch_fork_child(void)
{
	fork_reset(watch.has_looked, false);
	fork_reset(watch.is_started, false);
	fork_reset(watch.has_failed, false);
	pressure_fork_child();
	ctl_socket_fork_child();
}
