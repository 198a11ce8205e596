/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's struct oom_control: one context that travels down the ladder. The ladder's choice of
 * the next rung is a function of this and nothing else.
 */
#ifndef OOM_CONTROL_H
#define OOM_CONTROL_H

#include <stdbool.h>

#include "base/base.h"
#include "base/heap_request.h"
#include "limits/constraint.h"
#include "oomreclaim.h"

/* Rounds in a row that gave nothing: mm/internal.h. */
#define MAX_RECLAIM_RETRIES 16

struct oom_control {
	const struct heap_request *request;
	unsigned scope; /* enum oomreclaim_scope, or-ed */
	enum constraint constraint;

	/* What kind of request it is. */
	bool is_impossible;      /* no amount of reclaim can ever serve it */
	bool is_nested;          /* made inside the ladder: by a callback, say */
	bool is_reentrant;       /* made inside the heap, whose locks may be held */
	bool is_dying;           /* the process is being ended already */
	bool is_killer_disabled; /* oomreclaim_kill_disable() */
	bool is_target_other;    /* the policy would kill another process than this one */
	bool may_ask;            /* the kernel, which limit it was */
	bool is_policy_deferred; /* the caller has something of its own to try first */

	/* What has been tried. */
	bool is_own_reclaim_done;
	bool is_reserve_done;
	bool is_reclaim_done;    /* the callbacks have nothing left to give */
	bool is_drain_due;       /* callbacks have run since own reclaim ended */
	bool has_timed_out;      /* waiting for another thread's callbacks */
	bool is_policy_done;     /* it said: return */
	bool is_hopeless;        /* nobody is left who could free anything */
	unsigned own_step;       /* enum own_step: the next one of own reclaim */
	unsigned own_step_times; /* that it has been taken already */
	size_t evict_bytes;      /* beyond the request's own size */
	unsigned rounds;         /* of callbacks */
	unsigned unmeasured;     /* of these, the last in a row of which the heap saw nothing */
	unsigned retries;        /* that a policy callback asked for */
	size_t claimed_bytes;    /* by all callbacks in all rounds */
	uint64_t began_ns;
};

#endif
