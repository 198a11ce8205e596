/* SPDX-License-Identifier: BSD-2-Clause */
#include "reclaim/reclaim.h"

#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/turn.h"
#include "heap/heap_ops.h"
#include "limits/group_low.h"
#include "lockdep/watch.h"
#include "reclaim/descent.h"
#include "reclaim/level.h"
#include "reclaim/outside.h"
#include "reclaim/scope.h"
#include "reclaim/visit.h"

/* The round that may be under way, one of each kind. All members are guarded by the turn's lock. */
static OOM_FORK_DATA struct round {
	struct turn turn;
	unsigned in_group;   /* the group that it is for */
	size_t joined_bytes; /* what the waiting threads want on top of the owner's */
	struct reclaim_progress last;
	char calling[OOMRECLAIM_NAME_MAX + 1];
	struct reclaim_totals totals;
} kinds[] = {{.turn = TURN_INITIALIZER(LOCK_RECLAIM_DIRECT)},
             {.turn = TURN_INITIALIZER(LOCK_RECLAIM_BACKGROUND)},
             {.turn = TURN_INITIALIZER(LOCK_RECLAIM_GROUP)}};

#define GROUPS 2

static struct round *round_of(bool is_background)
{
	return &kinds[is_background];
}

static unsigned char kind_of(const struct reclaim_request *request)
{
	return request->in_group != 0 ? GROUPS : request->is_background;
}

static struct round *round_for(const struct reclaim_request *request)
{
	return &kinds[kind_of(request)];
}

/* The calling thread's own. Asked by that very thread, so it needs no lock. */
static OOM_TLS struct visit *own_visit;

bool reclaim_is_caller(void)
{
	return own_visit != NULL;
}

/* What is wanted grows while the round runs: each thread that joins it adds its own request. */
void visit_update(struct visit *visit, const char *calling)
{
	struct round *round = visit->round;
	size_t claimed = visit->progress->claimed_bytes, wanted;

	turn_lock(&round->turn);
	wanted = add_saturated(visit->request->wanted_bytes, round->joined_bytes);
	strcpy(round->calling, calling);
	turn_unlock(&round->turn);
	visit->control.bytes_wanted = claimed < wanted ? wanted - claimed : 0;
}

static void end_round(struct round *round, const struct reclaim_progress *progress, bool is_counted)
{
	turn_lock(&round->turn);
	round->last = *progress;
	round->totals.rounds += is_counted;
	round->totals.claimed_bytes += progress->claimed_bytes;
	round->totals.measured_bytes += progress->measured_bytes;
	turn_end(&round->turn);
	turn_unlock(&round->turn);
}

void visit_abandon(void *arg)
{
	struct visit *visit = arg;
	/* What has not been counted is as large as it was; only a count that says 0 says none. */
	const struct registry_outcome nothing = {.is_stop = visit->callback.is_count};

	lockdep_callback_end();
	visit_leave_gate(visit);
	registry_end_call(&visit->callback, &nothing);
	registry_end_walk(&visit->callback);
	registry_end_walk(&visit->group);
	own_visit = NULL;
	end_round(visit->round, visit->progress, !visit->walk.is_room);
	scope_exchange(visit->scope);
	descent_abandon();
}

/* Where a visit goes out of scope. */
static void leave(struct visit *visit)
{
	guard_unwound(&visit->guard);
}

enum walk_end { WALK_COMPLETE, WALK_HAS_SKIPPED, WALK_ABANDONED };

void visit_gave(struct visit *visit, const struct registry_outcome *outcome)
{
	struct reclaim_progress *progress = visit->progress;

	progress->claimed_bytes = add_saturated(progress->claimed_bytes, outcome->claimed_bytes);
	progress->measured_bytes += outcome->measured_bytes;
	visit_update(visit, "");
}

static bool visit_callback(struct visit *visit)
{
	struct oomreclaim_control control;
	struct registry_outcome outcome;

	/* Read again, now that its name is known: others may have joined. */
	visit_update(visit, visit->callback.name);
	control = visit->control;
	if (visit->walk.is_room)
		control.bytes_wanted = 0;
	if (!visit_call(visit, &control, &outcome))
		return false;
	/* Stops are counted of shrinkers alone. */
	outcome.is_stop = false;
	if (visit->walk.is_room)
		outcome.claimed_bytes = outcome.measured_bytes = 0;
	registry_end_call(&visit->callback, &outcome);
	visit_gave(visit, &outcome);
	return true;
}

/* Highest priority first, as long as more is wanted. */
static bool visit_all(struct visit *visit)
{
	while (visit->control.bytes_wanted > 0 &&
	       registry_begin_call(&visit->callback, &visit->walk))
		if (!(visit->callback.is_group ? visit_shrinkers(visit) : visit_callback(visit)))
			return false;
	return true;
}

/* What is protected is left alone where others give anything: as do_try_to_free_pages(). True: it
   is its turn now. */
static bool turns_to_spared(struct visit *visit)
{
	if (visit->walk.is_of_spared || !visit->callback.has_spared ||
	    visit->progress->claimed_bytes > 0)
		return false;
	visit->walk.is_of_spared = true;
	return true;
}

static bool protects(const struct reclaim_request *request)
{
	return request->reason != OOMRECLAIM_REASON_ROOM &&
	       group_mark_protected(request->in_group, kind_of(request));
}

/* HAS_SKIPPED: a callback was left out because it was being called by a round of the other kind. */
static enum walk_end run_callbacks(const struct reclaim_request *request,
                                   struct reclaim_progress *progress,
                                   bool (*visit_each)(struct visit *visit))
{
	struct visit visit __attribute__((
		cleanup(leave))) = {.round = round_for(request),
	                            .request = request,
	                            .progress = progress,
	                            .walk = {.newest_handle = registry_newest(),
	                                     .only_handle = request->only_handle,
	                                     .in_group = request->in_group,
	                                     .protection = kind_of(request),
	                                     .is_background = request->is_background,
	                                     .is_room = request->reason == OOMRECLAIM_REASON_ROOM},
	                            .control = {.struct_size = sizeof visit.control,
	                                        .bytes_wanted = request->wanted_bytes,
	                                        .size = request->size,
	                                        .alignment = request->alignment,
	                                        .reason = request->reason,
	                                        .constraint = request->constraint,
	                                        .attempt = request->attempt,
	                                        .is_direct = !request->is_background,
	                                        .headroom = request->headroom_bytes,
	                                        .level = level_now(request),
	                                        .group = request->in_group != 0
	                                                         ? group_name(request->in_group)
	                                                         : NULL}};
	/* What a callback allocates for itself is not to end with the group of this thread. */
	struct outside outside = outside_begin();

	/* The sizes of caches are of interest in any group. */
	visit.walk.is_sparing = visit_each == visit_all && protects(request);
	own_visit = &visit;
	do
		if (!visit_each(&visit))
			return WALK_ABANDONED;
	while (turns_to_spared(&visit));
	registry_end_walk(&visit.callback);
	own_visit = NULL;
	outside_end(&outside);
	return visit.callback.has_skipped ? WALK_HAS_SKIPPED : WALK_COMPLETE;
}

/* Called, and returns, with the lock held: waits for the end of the round under way. */
static void join_round(struct round *round, const struct reclaim_request *request,
                       struct reclaim_progress *progress)
{
	const struct timespec deadline = timespec_of_ns(request->deadline_ns);

	round->joined_bytes = add_saturated(round->joined_bytes, request->wanted_bytes);
	if (turn_wait(&round->turn, &deadline)) {
		*progress = round->last;
		return;
	}
	progress->has_timed_out = true;
	memcpy(progress->waited_for, round->calling, sizeof progress->waited_for);
	/* What this thread wanted is no longer wanted from the round that goes on. A sum that was
	   cut off at SIZE_MAX can't be undone exactly; too small is safe, it only ends the
	   round. */
	round->joined_bytes -= request->wanted_bytes < round->joined_bytes ? request->wanted_bytes
	                                                                   : round->joined_bytes;
}

/* With the lock held: a round for another group ends before. False where that took too long. */
static bool await_others(struct round *round, const struct reclaim_request *request,
                         struct reclaim_progress *progress)
{
	const struct timespec deadline = timespec_of_ns(request->deadline_ns);

	while (round->turn.is_taken && round->in_group != request->in_group)
		if (!turn_wait(&round->turn, &deadline)) {
			progress->has_timed_out = true;
			memcpy(progress->waited_for, round->calling, sizeof progress->waited_for);
			return false;
		}
	return true;
}

/* True if a round was under way and has been waited for. */
static bool try_join(struct round *round, const struct reclaim_request *request,
                     struct reclaim_progress *progress, bool may_begin)
{
	bool is_active;

	turn_lock(&round->turn);
	if (round == &kinds[GROUPS] && !await_others(round, request, progress)) {
		turn_unlock(&round->turn);
		return true;
	}
	is_active = round->turn.is_taken;
	if (is_active) {
		join_round(round, request, progress);
	} else if (may_begin && turn_take(&round->turn)) {
		round->joined_bytes = 0;
		round->in_group = request->in_group;
	}
	turn_unlock(&round->turn);
	return is_active;
}

void reclaim_round(const struct reclaim_request *request, struct reclaim_progress *progress)
{
	struct round *round = round_for(request);
	unsigned in_vain = 0;
	enum walk_end end;

	do {
		memset(progress, 0, sizeof *progress);
		if (try_join(round, request, progress, true))
			return;
		if (request->in_group == 0)
			registry_begin_round();
		end = run_callbacks(request, progress, visit_all);
		if (end == WALK_ABANDONED) {
			memset(progress, 0, sizeof *progress);
			return;
		}

		/* What the callbacks freed sits in this thread's caches; and what they took from
		   the reserve has to go back there before anybody else is served from those
		   caches. */
		heap_ops.flush_thread();
		end_round(round, progress, true);
		if (request->in_group != 0)
			group_count_reclaimed(request->in_group, progress->claimed_bytes);
		else
			reclaim_aim_caches(true);
		/* Nothing: but not everybody was asked. A callback that was left out is busy in the
		   background; if nothing comes of that either, it can be asked by now. */
		if (end != WALK_HAS_SKIPPED || progress->claimed_bytes > 0 ||
		    request->is_background)
			return;
		/* The debug library's dry run is no round that could be waited for. */
		if (!try_join(round_of(true), request, progress, false) && in_vain++ > 0)
			pause_ns(NSEC_PER_MSEC);
	} while (progress->claimed_bytes == 0 && !progress->has_timed_out &&
	         now_ns() < request->deadline_ns);
}

/* On oomreclaimd, in its turn, but no round: nothing is to be freed. */
static void visit_in_turn(enum oomreclaim_reason reason, size_t headroom_bytes,
                          bool (*visit_each)(struct visit *visit))
{
	/* As long as something is wanted the walk goes on. */
	const struct reclaim_request request = {.wanted_bytes = 1,
	                                        .reason = reason,
	                                        .constraint = "NONE",
	                                        .headroom_bytes = headroom_bytes,
	                                        .is_background = true};
	struct reclaim_progress progress = {.claimed_bytes = 0};
	struct round *round = round_of(true);

	if (!try_join(round, &request, &progress, true) &&
	    run_callbacks(&request, &progress, visit_each) != WALK_ABANDONED)
		end_round(round, &progress, false);
}

void reclaim_tell_room(size_t headroom_bytes)
{
	visit_in_turn(OOMRECLAIM_REASON_ROOM, headroom_bytes, visit_all);
}

void reclaim_count_caches(void)
{
	visit_in_turn(OOMRECLAIM_REASON_MANUAL, 0, visit_sizes);
}

void reclaim_totals(bool is_background, struct reclaim_totals *totals)
{
	struct round *round = round_of(is_background);

	turn_lock(&round->turn);
	*totals = round->totals;
	turn_unlock(&round->turn);
	/* Those of groups are direct as well. */
	if (is_background)
		return;
	turn_lock(&kinds[GROUPS].turn);
	totals->rounds += kinds[GROUPS].totals.rounds;
	totals->claimed_bytes += kinds[GROUPS].totals.claimed_bytes;
	totals->measured_bytes += kinds[GROUPS].totals.measured_bytes;
	turn_unlock(&kinds[GROUPS].turn);
}

void reclaim_fork_lock(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		turn_lock(&kinds[i].turn);
}

void reclaim_fork_unlock(void)
{
	for (size_t i = ARRAY_SIZE(kinds); i-- > 0;)
		turn_unlock(&kinds[i].turn);
}

void reclaim_fork_child(void)
{
	for (size_t i = ARRAY_SIZE(kinds); i-- > 0;) {
		/* The round's thread does not exist in the child, unless it is the one that
		   forked. */
		kinds[i].joined_bytes = 0;
		turn_fork_child(&kinds[i].turn, own_visit != NULL);
	}
	if (own_visit != NULL)
		registry_fork_keep(&own_visit->group);
}
