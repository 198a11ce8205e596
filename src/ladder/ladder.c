/* SPDX-License-Identifier: BSD-2-Clause */
#include "ladder/ladder.h"

#include <errno.h>

#include "base/base.h"
#include "base/flight.h"
#include "base/trace.h"
#include "config/options.h"
#include "config/verbose.h"
#include "heap/heap_ops.h"
#include "kill/kill_turn.h"
#include "kill/killer.h"
#include "kill/own_end.h"
#include "kill/policy.h"
#include "ladder/ladder_ask.h"
#include "ladder/next_rung.h"
#include "ladder/rungs.h"
#include "limits/constraint.h"
#include "limits/group_victim.h"
#include "limits/total_ask.h"
#include "reclaim/descent.h"
#include "reclaim/scope.h"
#include "report/dump.h"
#include "report/report.h"
#include "report/stats.h"
#include "report/stats_page.h"
#include "report/total_say.h"

static void count_end(struct oom_control *control, bool is_served)
{
	if (!is_served && !control->facts.in_heap && !control->facts.is_impossible)
		ladder_know_constraint(control);
	stats_count(is_served ? STATS_SERVED : STATS_REFUSED);
	stats_verdict(control, is_served ? OOMRECLAIM_OUTCOME_SERVED : OOMRECLAIM_OUTCOME_NULL, 0);
	/* Reading the heap's figures takes its locks, which may be held. */
	if (!control->facts.in_heap)
		stats_page_update_if_due();
}

/* What was nice to have, or was never to be had, says nothing about the heap. In a callback, and
   where the heap's locks may be held, is no time for it. */
static bool is_worth_a_dump(const struct oom_control *control)
{
	return !control->facts.in_heap && !control->facts.in_callback &&
	       !control->facts.is_impossible && (control->scope & OOMRECLAIM_SCOPE_NORETRY) == 0;
}

static void report_end(struct oom_control *control)
{
	struct report_verdict returned = {.policy = OOMRECLAIM_POLICY_RETURN};

	if (is_worth_a_dump(control))
		dump_write_refusal();
	if (control->facts.in_heap || (!verbose_is_on() && options.report != REPORT_ALWAYS))
		return;
	if (control->facts.is_impossible)
		returned.reason = "Impossible request";
	else
		control->constraint = ladder_constraint(control);
	/* Where the policy itself decided to return, the report needs no reason. */
	if (policy_of(control->group) != OOMRECLAIM_POLICY_RETURN && !control->tried.is_policy_done)
		returned.refusal = ladder_kill_refusal(control);
	if (options.report == REPORT_ALWAYS && report_may_write())
		report_write(control, &returned);
	else if (verbose_is_on())
		report_failure(control, returned.refusal);
}

/* The group whose limit is below the request, of those that the thread is in. One that is resized
   may be in another, where it is tried. */
static unsigned impossible_in(const struct heap_request *request)
{
	unsigned slot =
		request->old == NULL && !request->is_arena_explicit ? heap_ops.group_current() : 0;

	while (slot != 0 && request_least_bytes(request) <= group_max(slot))
		slot = group_parent(slot);
	return slot;
}

/* Beyond the addresses that there are, or beyond a limit. */
static bool is_impossible(const struct heap_request *request, bool asks)
{
	return request->alignment > heap_ops.max_bytes ||
	       request_least_bytes(request) > heap_ops.max_bytes ||
	       constraint_is_impossible(request, asks) || impossible_in(request) != 0;
}

void ladder_begin(struct oom_control *control, const struct heap_request *request)
{
	bool asks = ladder_may_ask(scope_current());

	*control = (struct oom_control){
		.request = request,
		.group = heap_ops.group_refuser(),
		.scope = scope_current(),
		.facts.is_impossible = is_impossible(request, asks),
		.facts.may_ask = asks,
		.facts.in_callback = descent_is_open(),
		.facts.in_heap = heap_ops.is_reentrant(),
		.facts.began_ns = now_ns(),
	};
	stats_count(STATS_FAILURES);
	flight_note_failure(request->size, request->caller);
	if (!control->facts.is_impossible)
		return;
	control->group = impossible_in(request);
	control->constraint = control->group != 0
	                              ? CONSTRAINT_GROUP
	                              : constraint_of_impossible(request_bytes(request), asks);
	stats_count(STATS_IMPOSSIBLE);
}

/* A request that can't fail is spared. */
static bool is_cancelled(const struct oom_control *control)
{
	return control->group != 0 && (control->scope & OOMRECLAIM_SCOPE_NOFAIL) == 0 &&
	       group_is_cancelled(control->group);
}

/* Reads again the facts that other threads may have changed since the last rung. */
static void refresh(struct oom_control *control)
{
	control->now.is_dying = own_end_is_dying();
	if (control->now.is_dying)
		own_end_check_grace();
	control->now.is_end_near = own_end_is_near() && policy_is_set(control->group);
	control->now.is_killer_disabled = kill_is_disabled();
	control->now.is_policy_cancel = control->tried.is_cancelling ||
	                                policy_of(control->group) == OOMRECLAIM_POLICY_CANCEL;
	control->now.may_cancel = group_may_cancel();
	control->now.is_cancelled = is_cancelled(control);
	control->now.has_cancel_reserve =
		control->now.is_cancelled && group_has_cancel_reserve(control->group);
	control->now.is_target_other = options.kill_target != KILL_SELF &&
	                               policy_of(control->group) == OOMRECLAIM_POLICY_KILL;
	control->now.neighbour = control->group == 0 ? total_next(&control->tried.turn,
	                                                          request_bytes(control->request))
	                                             : NEIGHBOUR_NONE;
	/* oom_kill_allowed() asks for it then. */
	if (control->now.is_target_other && control->tried.callbacks != CALLBACKS_MAY_GIVE)
		ladder_know_constraint(control);
}

/* Where the group's limit leaves room the process's may not, and what it is that counts. */
static void note_refuser(struct oom_control *control)
{
	unsigned group = heap_ops.group_refuser();

	if (group == control->group)
		return;
	control->group = group;
	control->constraint = CONSTRAINT_UNKNOWN;
	control->tried.is_cancelling = false;
	if (group == 0)
		heap_ops.end_lists();
	ladder_tell_group(control);
}

static void *attempt(struct oom_control *control)
{
	bool is_all_kept = control->tried.is_all_kept;
	void *memory;

	control->tried.is_all_kept = false;
	memory = is_all_kept ? heap_ops.alloc_again(control->request)
	                     : heap_ops.alloc(control->request);
	if (memory == NULL)
		note_refuser(control);
	return memory;
}

/* CANCEL is behind all but the policy's, as its number says; LIFT and NEIGHBOUR, whatever that
   says, are not. */
static bool is_behind(enum rung rung, enum rung until)
{
	return rung >= until && rung != RUNG_LIFT && rung != RUNG_NEIGHBOUR;
}

void *ladder_run(struct oom_control *control, enum rung until)
{
	const bool is_end = until == RUNGS,
		   was_spared = group_spare((control->scope & OOMRECLAIM_SCOPE_NOFAIL) != 0);
	int saved = errno;
	struct descent descent;
	void *memory = NULL;

	TRACE3(failure, control->request->size, control->request->alignment, control->scope);
	ladder_tell_group(control);
	descent_begin(&descent);
	while (memory == NULL) {
		bool is_attempt_due = true;
		enum rung rung;

		refresh(control);
		rung = next_rung(control);
		if (rung == RUNG_FAIL || is_behind(rung, until))
			break;
		TRACE3(rung, rung, control->request->size, control->tried.claimed_bytes);
		flight_note(FLIGHT_STEP, rung, control->request->size, control->tried.claimed_bytes,
		            NULL);
		memory = rung_take(control, rung, &descent, &is_attempt_due);
		if (memory == NULL && is_attempt_due)
			memory = attempt(control);
		TRACE3(retry, control->request->size, memory, control->tried.rounds);
	}
	total_say();
	if (memory == NULL && is_end)
		report_end(control);
	if (memory != NULL || is_end)
		count_end(control, memory != NULL);
	descent_end(&descent);
	group_spare(was_spared);
	errno = memory != NULL ? saved : ENOMEM;
	return memory;
}

OOM_NOINLINE void *ladder_descend(const struct heap_request *request)
{
	struct oom_control control;

	ladder_begin(&control, request);
	return ladder_run(&control, RUNGS);
}
