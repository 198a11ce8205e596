/* SPDX-License-Identifier: BSD-2-Clause */
#include "ladder/next_rung.h"

#include "config/options.h"
#include "limits/constraint.h"

/* Whose end it is that is asked about: a process's, or that of a group. */
static const char *refusal(const struct oom_control *control, bool is_cancel)
{
	/* No process's death would help either. */
	if (control->facts.is_impossible)
		return "no memory that is freed could be enough";
	/* A caller that asks for that much checks for NULL: PAGE_ALLOC_COSTLY_ORDER. A group that
	   is cancelled for it has as much to give (cancel.c). */
	if (!is_cancel && request_bytes(control->request) > options.costly_bytes)
		return "the size is above the setting costly";
	/* __GFP_RETRY_MAYFAIL */
	if ((control->scope & OOMRECLAIM_SCOPE_RETRY_MAYFAIL) != 0)
		return "scope RETRY_MAYFAIL";
	/* GFP_NOFS: the callbacks were not asked, so this is not the end. */
	if ((control->scope & OOMRECLAIM_SCOPE_NORECLAIM) != 0)
		return "scope NORECLAIM";
	/* The lowmem zone. */
	if (!is_cancel && control->now.is_target_other &&
	    constraint_is_per_process(control->constraint))
		return "it is a limit of this process alone, and the death of another would not help";
	/* pm_suspended_storage: what would have to go on is not running. */
	if (control->now.is_killer_disabled)
		return "the killer is disabled";
	/* The caller insists on one arena: __GFP_THISNODE. */
	if (control->request->is_arena_explicit)
		return "the request is for one arena";
	/* Callbacks that took too long may still have memory to give. */
	if (control->tried.callbacks == CALLBACKS_TIMED_OUT)
		return "another thread's callbacks took too long";
	return NULL;
}

const char *ladder_kill_refusal(const struct oom_control *control)
{
	/* PF_DUMPCORE */
	if (control->now.is_dying)
		return "the process is ending already";
	return refusal(control, control->now.is_policy_cancel);
}

bool oom_cancel_allowed(const struct oom_control *control)
{
	return !control->now.is_dying && refusal(control, true) == NULL;
}

bool oom_kill_allowed(const struct oom_control *control)
{
	return ladder_kill_refusal(control) == NULL;
}

/* Scope NOFAIL, when everybody else would get NULL: __GFP_NOFAIL. */
static enum rung next_for_nofail(const struct oom_control *control)
{
	if (!control->facts.is_impossible && !control->tried.is_hopeless)
		return RUNG_WAIT;
	if (!control->facts.is_impossible && !control->tried.is_reserve_done)
		return RUNG_RESERVE;
	return RUNG_ABORT;
}

/* By the group's policy; or where a limit of the process is met, before its policy. */
static bool is_cancel_due(const struct oom_control *control)
{
	if (control->tried.is_cancelling)
		return true;
	return control->group == 0 && control->now.may_cancel && !control->tried.is_cancel_done;
}

/* The reserve, and then NULL; but a caller that would have met the policy's end meets the one that
   is under way. Its thread would be killed in the kernel, and does not come back with an error. */
static enum rung next_for_the_dying(const struct oom_control *control)
{
	if (!control->tried.is_reserve_done)
		return RUNG_RESERVE;
	if (control->now.is_end_near && !control->tried.is_policy_done &&
	    (control->scope & OOMRECLAIM_SCOPE_NORETRY) == 0 &&
	    refusal(control, control->now.is_policy_cancel) == NULL)
		return RUNG_END;
	return RUNG_FAIL;
}

static enum rung next_for_anyone(const struct oom_control *control)
{
	/* IMPOSSIBLE: no reclaim helps with a request beyond every limit. */
	if (control->facts.is_impossible)
		return RUNG_FAIL;
	/* NESTED: no reclaim inside reclaim; and nothing at all where the heap's locks may be
	   held. */
	if (control->facts.in_heap)
		return RUNG_FAIL;
	if (control->facts.in_callback)
		return control->tried.is_reserve_done ? RUNG_FAIL : RUNG_RESERVE;
	/* CANCELLED: as the dying, one level down; and nobody gives so that it can go on. */
	if (control->now.is_cancelled && !control->tried.is_lift_done)
		return RUNG_LIFT;
	if (control->now.is_cancelled)
		return control->now.has_cancel_reserve && !control->tried.is_reserve_done
		               ? RUNG_RESERVE
		               : RUNG_FAIL;
	if (!control->tried.is_own_reclaim_done)
		return RUNG_OWN_RECLAIM;
	/* DYING: the dying get the reserve, and ask nobody else to give. */
	if (control->now.is_dying)
		return next_for_the_dying(control);
	if ((control->scope & OOMRECLAIM_SCOPE_RESERVE) != 0 && !control->tried.is_reserve_done)
		return RUNG_RESERVE;
	if ((control->scope & OOMRECLAIM_SCOPE_NORETRY) != 0)
		return RUNG_FAIL;
	if (control->tried.is_again_due)
		return RUNG_OWN_RECLAIM_AGAIN;
	/* While they make progress. */
	if ((control->scope & OOMRECLAIM_SCOPE_NORECLAIM) == 0) {
		/* Of all processes in the total, the largest gives first. */
		if (control->now.neighbour == NEIGHBOUR_LARGER)
			return RUNG_NEIGHBOUR;
		if (control->tried.callbacks == CALLBACKS_MAY_GIVE)
			return RUNG_CALLBACKS;
		if (control->now.neighbour == NEIGHBOUR_SMALLER)
			return RUNG_NEIGHBOUR;
	}
	if (is_cancel_due(control) && oom_cancel_allowed(control))
		return RUNG_CANCEL;
	if (!control->tried.is_policy_done && oom_kill_allowed(control))
		return RUNG_POLICY;
	return RUNG_FAIL;
}

enum rung next_rung(const struct oom_control *control)
{
	enum rung rung = next_for_anyone(control);

	/* Where the heap called out to the application, waiting would hold its locks. */
	if (rung != RUNG_FAIL || control->facts.in_heap)
		return rung;
	if ((control->scope & OOMRECLAIM_SCOPE_NOFAIL) != 0)
		return next_for_nofail(control);
	return control->request->is_for_libc && !control->tried.is_force_done ? RUNG_FORCE
	                                                                      : RUNG_FAIL;
}
