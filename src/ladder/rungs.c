/* SPDX-License-Identifier: BSD-2-Clause */
#include "ladder/rungs.h"

#include <errno.h>

#include "base/base.h"
#include "config/options.h"
#include "heap/heap_ops.h"
#include "kill/cancel.h"
#include "kill/killer.h"
#include "kill/own_end.h"
#include "kill/policy.h"
#include "ladder/ladder_ask.h"
#include "ladder/own_reclaim.h"
#include "limits/budget.h"
#include "limits/constraint.h"
#include "limits/group_victim.h"
#include "limits/total_ask.h"
#include "reclaim/descent.h"
#include "reclaim/outside.h"
#include "reclaim/reclaim.h"
#include "reclaim/registry.h"
#include "reclaim/reserve.h"
#include "report/report.h"
#include "report/stats.h"
#include "system/proc.h"

/* One step, or none if all have been taken. */
static void *own_reclaim(struct oom_control *control, bool *is_done, bool *is_attempt_due)
{
	void *memory = own_reclaim_step(control, is_attempt_due);

	*is_done = control->tried.own_step >= OWN_STEPS;
	return memory;
}

/* The bytes that callbacks are asked for: the request's. Where the first rounds gave that much and
   the request still fails, the memory came back in pieces: each further round asks for twice as
   much, as the kernel scans more of its lists at each lower priority. */
#define WANTED_SHIFT_MAX 10
static size_t wanted_bytes(const struct oom_control *control)
{
	unsigned shift =
		control->tried.rounds < WANTED_SHIFT_MAX ? control->tried.rounds : WANTED_SHIFT_MAX;
	size_t bytes = request_bytes(control->request);

	return mul_saturated(bytes > 0 ? bytes : 1, (size_t)1 << shift);
}

/* Above the limit that refused it. */
static size_t excess(const struct oom_control *control)
{
	return control->group != 0 ? group_excess(control->group) : budget_excess();
}

static void give_back_excess(const struct oom_control *control)
{
	enum group_keeps keeps = own_reclaim_keeps(control);
	size_t bytes = excess(control);

	if (bytes > 0 && control->group != 0)
		heap_ops.group_evict(control->group, bytes, keeps);
	else if (bytes > 0)
		heap_ops.purge(keeps);
}

static OOM_NOINLINE void reclaim(struct oom_control *control)
{
	struct reclaim_request request = {
		.wanted_bytes = wanted_bytes(control),
		.size = control->request->size,
		.alignment = control->request->alignment,
		.attempt = control->tried.rounds,
		.deadline_ns = now_ns() + options.wait_ms * NSEC_PER_MSEC,
	};
	struct reclaim_progress progress;

	ladder_know_constraint(control);
	/* Where the limit has come down: what is free in the heap could be used again for ever. */
	request.wanted_bytes = add_saturated(request.wanted_bytes, excess(control));
	request.in_group = control->group;
	request.constraint = constraint_name(control->constraint);
	request.reason = constraint_is_of_budget(control->constraint) || control->group != 0
	                         ? OOMRECLAIM_REASON_LIMIT
	                         : OOMRECLAIM_REASON_ALLOC;
	reclaim_round(&request, &progress);
	stats_count(STATS_ROUNDS);
	if (progress.has_timed_out)
		stats_count(STATS_TIMEOUTS);
	control->tried.rounds++;
	control->tried.claimed_bytes =
		add_saturated(control->tried.claimed_bytes, progress.claimed_bytes);
	control->tried.unmeasured = progress.measured_bytes > 0 ? 0 : control->tried.unmeasured + 1;
	own_reclaim_note_round(progress.measured_bytes > 0);
	if (progress.measured_bytes > 0 && control->group == 0)
		budget_reclaimed();
	/* A callback may claim what it likes, but not for ever. */
	if (progress.has_timed_out)
		control->tried.callbacks = CALLBACKS_TIMED_OUT;
	else if (progress.claimed_bytes == 0 || control->tried.unmeasured >= MAX_RECLAIM_RETRIES)
		control->tried.callbacks = CALLBACKS_GAVE_NOTHING;
	if (control->tried.callbacks != CALLBACKS_MAY_GIVE && control->tried.rounds > 1)
		control->constraint = ladder_constraint(control);
	if (progress.has_timed_out && report_may_write())
		report_timeout(control, progress.waited_for);
	give_back_excess(control);
	/* The memory that came back may lie in extents of other arenas, or in pieces: own reclaim
	   makes it usable. */
	control->tried.is_again_due = true;
	own_reclaim_begin(control, OWN_COMPACT);
}

/* Once more from the callbacks on. */
static void start_over(struct oom_control *control)
{
	control->tried.callbacks = CALLBACKS_MAY_GIVE;
	control->tried.unmeasured = 0;
	control->tried.is_reserve_done = false;
	control->tried.turn = (struct total_turn){0};
}

/* Ends this process, outside of the descent: a handler of the signal may never return. The handler
   gets the reserve all the same, since the process counts as dying. Returns memory if the last
   attempt before the end found some. */
static void *act(struct oom_control *control, enum oomreclaim_policy policy,
                 struct descent *descent)
{
	void *memory = NULL;

	switch (killer_act(control, &policy, &memory)) {
	case KILLER_END:
		descent_end(descent);
		own_end_act(policy);
		descent_begin(descent);
		break;
	case KILLER_OFF:
	case KILLER_BLIND:
		control->tried.is_policy_done = true;
		break;
	case KILLER_RETRY:
	case KILLER_NOBODY:
		start_over(control);
		break;
	case KILLER_SPARED:
		break;
	}
	return memory;
}

/* oom_kill_allowed() could not know what a policy callback would say. */
static bool may_act(const struct oom_control *control, enum oomreclaim_policy policy)
{
	bool ends_process = policy == OOMRECLAIM_POLICY_ABORT || policy == OOMRECLAIM_POLICY_KILL;

	if (ends_process && request_bytes(control->request) > options.costly_bytes)
		return false;
	return policy != OOMRECLAIM_POLICY_KILL || options.kill_target == KILL_SELF ||
	       !constraint_is_per_process(control->constraint);
}

/* Nobody is left, or it took too long: the end of the policy that said so. Before the process's
   policy it is the end of this rung. */
static void cancel(struct oom_control *control, bool *is_attempt_due)
{
	ladder_know_constraint(control);
	switch (cancel_step(control)) {
	case CANCEL_ENDED:
		/* One that was destroyed has left what is free in it to its parent. */
		control->tried.is_again_due = true;
		own_reclaim_begin(control, OWN_COMPACT);
		start_over(control);
		break;
	case CANCEL_NOBODY:
		*is_attempt_due = false;
		/* Fall through. */
	case CANCEL_OWN:
		control->tried.is_policy_done |= control->tried.is_cancelling;
		control->tried.is_cancelling = false;
		control->tried.is_cancel_done = true;
		break;
	case CANCEL_WAITED:
		break;
	}
}

static void *apply_policy(struct oom_control *control, struct descent *descent,
                          bool *is_attempt_due)
{
	enum oomreclaim_policy policy;

	if (!policy_is_set(control->group)) {
		control->tried.is_policy_done = true;
		*is_attempt_due = false;
		return NULL;
	}
	ladder_know_constraint(control);
	policy = policy_decide(control);

	if (!may_act(control, policy))
		policy = OOMRECLAIM_POLICY_RETURN;

	if (policy == OOMRECLAIM_POLICY_RETRY && control->tried.retries < MAX_RECLAIM_RETRIES) {
		control->tried.retries++;
		start_over(control);
	} else if (policy == OOMRECLAIM_POLICY_CANCEL) {
		control->tried.is_cancelling = true;
		*is_attempt_due = false;
	} else if (policy == OOMRECLAIM_POLICY_ABORT || policy == OOMRECLAIM_POLICY_KILL) {
		return act(control, policy, descent);
	} else {
		control->tried.is_policy_done = true;
	}
	return NULL;
}

/* How long NOFAIL sleeps between two attempts: as long as it has waited already, up to this. */
#define NOFAIL_SLEEP_MS_MAX 100

static OOM_NOINLINE void wait_for_memory(struct oom_control *control)
{
	uint64_t waited_ms = (now_ns() - control->facts.began_ns) / NSEC_PER_MSEC;
	uint64_t sleep_ms = waited_ms < NOFAIL_SLEEP_MS_MAX ? waited_ms + 1 : NOFAIL_SLEEP_MS_MAX;
	int saved = errno;

	control->constraint = ladder_constraint(control);
	/* Alone under a limit of its own, it would be waiting for itself. */
	control->tried.is_hopeless =
		(constraint_is_per_process(control->constraint) && proc_is_alone()) ||
		(options.nofail_ms != 0 && waited_ms >= options.nofail_ms);
	if (!control->tried.is_hopeless)
		pause_ns(sleep_ms * NSEC_PER_MSEC);
	errno = saved;
	control->tried.is_own_reclaim_done = false;
	control->tried.is_cancel_done = false;
	control->tried.cancel_ends_ms = 0;
	own_reclaim_begin(control, OWN_FLUSH);
	start_over(control);
}

/* How often a thread that waits for the process's end tries again meanwhile. One rung: what it
   noted each time would push out of the flight recorder what has led to the end. */
#define END_LOOK_MS 10

static OOM_NOINLINE void *wait_for_end(const struct oom_control *control)
{
	void *memory = NULL;

	while (memory == NULL && own_end_is_near()) {
		pause_ns(END_LOOK_MS * NSEC_PER_MSEC);
		memory = heap_ops.alloc(control->request);
	}
	return memory;
}

/* As the kernel charges __GFP_NOFAIL over max. What libc takes for a thread is the process's, as
   with pthread_create(): so no group's max is in the way, and the reserve is there. Where that is
   used up the limit is passed over, as far as it is this library's own. A block that is resized is
   moved: in its place it would stay its group's. */
static OOM_NOINLINE void *force(const struct heap_request *request)
{
	struct outside outside = outside_begin();
	void *memory = outside.was != 0 ? heap_ops.alloc_moved(request) : NULL;

	if (memory == NULL) {
		stats_count(STATS_RESERVE_USES);
		memory = reserve_alloc(request);
	}
	if (memory == NULL) {
		bool was_forced = budget_force(true);

		memory = heap_ops.alloc_moved(request);
		budget_force(was_forced);
	}
	outside_end(&outside);
	return memory;
}

void *rung_take(struct oom_control *control, enum rung rung, struct descent *descent,
                bool *is_attempt_due)
{
	switch (rung) {
	case RUNG_LIFT:
		control->tried.is_lift_done = true;
		*is_attempt_due = cancel_try_lift(control->group);
		break;
	case RUNG_OWN_RECLAIM:
		if (control->tried.own_step == OWN_FLUSH)
			stats_count(STATS_OWN_RECLAIMS);
		return own_reclaim(control, &control->tried.is_own_reclaim_done, is_attempt_due);
	case RUNG_RESERVE:
		stats_count(STATS_RESERVE_USES);
		control->tried.is_reserve_done = true;
		*is_attempt_due = false; /* that would not be an attempt at the reserve */
		return reserve_alloc(control->request);
	case RUNG_CALLBACKS:
		/* No callback has ever been registered: a round would call none. */
		if (registry_newest() == 0) {
			control->tried.callbacks = CALLBACKS_GAVE_NOTHING;
			*is_attempt_due = false;
		} else {
			reclaim(control);
		}
		break;
	case RUNG_NEIGHBOUR:
		ladder_know_constraint(control);
		total_ask(&control->tried.turn, request_bytes(control->request),
		          now_ns() + options.wait_ms * NSEC_PER_MSEC);
		break;
	case RUNG_OWN_RECLAIM_AGAIN: {
		bool is_done;
		void *memory = own_reclaim(control, &is_done, is_attempt_due);

		control->tried.is_again_due = !is_done;
		return memory;
	}
	case RUNG_CANCEL:
		cancel(control, is_attempt_due);
		break;
	case RUNG_POLICY:
		stats_count(STATS_POLICIES);
		return apply_policy(control, descent, is_attempt_due);
	case RUNG_WAIT:
		stats_count(STATS_WAITS);
		wait_for_memory(control);
		break;
	case RUNG_ABORT:
		/* If another thread is ending the process, this one can't go on all the same. */
		own_end_claim(control, &(struct report_verdict){.policy = OOMRECLAIM_POLICY_ABORT});
		descent_end(descent);
		own_end_act(OOMRECLAIM_POLICY_ABORT);
		break;
	case RUNG_END:
		*is_attempt_due = false;
		return wait_for_end(control);
	case RUNG_FORCE:
		control->tried.is_force_done = true;
		*is_attempt_due = false;
		return force(control->request);
	case RUNG_FAIL:
	case RUNGS:
		break;
	}
	return NULL;
}
