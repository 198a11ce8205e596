/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base.h"
#include "heap.h"
#include "options.h"
#include "registry.h"
#include "scope.h"

/* The one round that may be under way. All members are guarded by lock. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_active;
	pthread_t owner;     /* valid while is_active */
	uint64_t rounds;     /* that have ended */
	size_t joined_bytes; /* what those who wait want on top of the owner's */
	struct reclaim_progress last;
	char calling[OOMRECLAIM_NAME_MAX + 1];
} round_state = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

/* Asked by the very thread, so it needs no lock. */
static OOM_TLS bool is_caller;

bool reclaim_is_caller(void)
{
	return is_caller;
}

/* What is wanted grows while the round runs: each thread that joins it adds its own request. */
static size_t bytes_missing(const struct reclaim_request *request, size_t claimed_bytes,
                            const char *calling)
{
	size_t wanted;

	pthread_mutex_lock(&round_state.lock);
	wanted = add_saturated(request->wanted_bytes, round_state.joined_bytes);
	strcpy(round_state.calling, calling);
	pthread_mutex_unlock(&round_state.lock);
	return claimed_bytes < wanted ? wanted - claimed_bytes : 0;
}

static void call(const struct registry_call *callback, const struct oomreclaim_control *control,
                 struct registry_outcome *outcome)
{
	uint64_t allocated[2], freed[2], began_ns;
	int saved = errno;

	heap_ops.thread_counters(&allocated[0], &freed[0]);
	began_ns = now_ns();
	outcome->claimed_bytes = callback->function(control, callback->arg);
	outcome->duration_ns = now_ns() - began_ns;
	heap_ops.thread_counters(&allocated[1], &freed[1]);
	/* What it freed less what it took: else a callback that allocates and frees one block would
	   count as making progress for ever. */
	freed[1] -= freed[0];
	allocated[1] -= allocated[0];
	outcome->measured_bytes = freed[1] > allocated[1] ? (size_t)(freed[1] - allocated[1]) : 0;
	errno = saved;
}

static void run_callbacks(const struct reclaim_request *request, struct reclaim_progress *progress)
{
	struct registry_call callback = {.entry = NULL};
	struct oomreclaim_control control = {.struct_size = sizeof control,
	                                     .bytes_wanted = request->wanted_bytes,
	                                     .size = request->size,
	                                     .alignment = request->alignment,
	                                     .reason = request->reason,
	                                     .constraint = request->constraint,
	                                     .attempt = request->attempt};
	uint64_t newest = registry_newest();

	is_caller = true;
	while (control.bytes_wanted > 0 && registry_begin_call(&callback, newest)) {
		struct registry_outcome outcome;

		/* Read again, now that its name is known: others may have joined. */
		control.bytes_wanted =
			bytes_missing(request, progress->claimed_bytes, callback.name);
		call(&callback, &control, &outcome);
		registry_end_call(&callback, &outcome);
		progress->claimed_bytes =
			add_saturated(progress->claimed_bytes, outcome.claimed_bytes);
		progress->measured_bytes += outcome.measured_bytes;
		control.bytes_wanted = bytes_missing(request, progress->claimed_bytes, "");
	}
	registry_end_walk(&callback);
	is_caller = false;
}

/* Called, and returns, with the lock held: waits for the end of the round under way. */
static void join_round(const struct reclaim_request *request, struct reclaim_progress *progress)
{
	const struct timespec deadline = timespec_of_ns(request->deadline_ns);
	uint64_t round = round_state.rounds;
	int error = 0;

	round_state.joined_bytes = add_saturated(round_state.joined_bytes, request->wanted_bytes);
	while (round_state.rounds == round && error == 0)
		error = pthread_cond_clockwait(&round_state.done, &round_state.lock,
		                               CLOCK_MONOTONIC, &deadline);
	if (round_state.rounds != round) {
		*progress = round_state.last;
		return;
	}
	progress->has_timed_out = true;
	memcpy(progress->waited_for, round_state.calling, sizeof progress->waited_for);
	/* What this thread wanted is no longer wanted from the round that goes on. A sum that was
	   cut off at SIZE_MAX can't be undone exactly; too small is safe, it only ends the round. */
	round_state.joined_bytes -= request->wanted_bytes < round_state.joined_bytes
	                                    ? request->wanted_bytes
	                                    : round_state.joined_bytes;
}

void oom_reclaim_pages(const struct reclaim_request *request, struct reclaim_progress *progress)
{
	memset(progress, 0, sizeof *progress);
	pthread_mutex_lock(&round_state.lock);
	if (round_state.is_active) {
		join_round(request, progress);
		pthread_mutex_unlock(&round_state.lock);
		return;
	}
	round_state.is_active = true;
	round_state.owner = pthread_self();
	round_state.joined_bytes = 0;
	pthread_mutex_unlock(&round_state.lock);

	run_callbacks(request, progress);

	/* What the callbacks freed sits in this thread's caches; and what they took from the reserve
	   has to go back there before anybody else is served from those caches. */
	heap_ops.flush_thread();

	pthread_mutex_lock(&round_state.lock);
	round_state.is_active = false;
	round_state.rounds++;
	round_state.last = *progress;
	pthread_cond_broadcast(&round_state.done);
	pthread_mutex_unlock(&round_state.lock);
}

OOM_EXPORT size_t oomreclaim_reclaim(size_t bytes)
{
	struct reclaim_request request = {.wanted_bytes = bytes,
	                                  .reason = OOMRECLAIM_REASON_MANUAL,
	                                  .constraint = "NONE"};
	struct reclaim_progress progress;
	struct scope_ladder enter;
	int saved = errno;

	if (bytes == 0 || scope_is_in_ladder() ||
	    (scope_current() & OOMRECLAIM_SCOPE_NORECLAIM) != 0)
		return 0;
	scope_enter_ladder(&enter);
	heap_ops.flush_thread();
	heap_ops.purge_all();
	request.deadline_ns = now_ns() + options.wait_ms * NSEC_PER_MSEC;
	oom_reclaim_pages(&request, &progress);
	heap_ops.purge_all();
	scope_leave_ladder(&enter);
	errno = saved;
	return progress.claimed_bytes;
}

void reclaim_fork_prepare(void)
{
	pthread_mutex_lock(&round_state.lock);
}

void reclaim_fork_parent(void)
{
	pthread_mutex_unlock(&round_state.lock);
}

void reclaim_fork_child(void)
{
	/* The round's thread does not exist in the child, unless it is the one that forked. Nor do
	   those that waited, so the condition variable starts afresh. */
	round_state.done = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	round_state.joined_bytes = 0;
	if (!is_caller)
		round_state.is_active = false;
	pthread_mutex_unlock(&round_state.lock);
}
