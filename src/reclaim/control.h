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
#include "limits/total_ask.h"
#include "oomreclaim.h"

/* Rounds in a row that gave nothing: mm/internal.h. */
#define MAX_RECLAIM_RETRIES 16

/* What the callbacks may still do for a request. */
enum callbacks_left {
	CALLBACKS_MAY_GIVE,
	CALLBACKS_GAVE_NOTHING,
	CALLBACKS_TIMED_OUT /* another thread's did not end in time, which proves nothing */
};

struct oom_control {
	const struct heap_request *request;
	unsigned scope; /* enum oomreclaim_scope, or-ed */
	enum constraint constraint;
	unsigned group; /* whose max refused it last: a slot of limits/group.h; 0: no group's */

	/* What kind of request it is: constant from the beginning. */
	struct {
		bool is_impossible; /* no amount of reclaim can ever serve it */
		bool in_callback;   /* made inside the ladder: by a callback, say */
		bool in_heap;       /* made inside the heap, whose locks may be held */
		bool may_ask;       /* the kernel, which limit it was */
		uint64_t began_ns;
	} facts;

	/* What other threads may change: read again before each rung. */
	struct {
		bool is_dying;           /* the process is being ended already */
		bool is_end_near;        /* another thread ends it at once, as the policy would */
		bool is_killer_disabled; /* oomreclaim_kill_disable() */
		bool is_target_other;    /* the policy would kill another process than this one */
		bool is_policy_cancel;   /* the policy would cancel a group */
		bool may_cancel;         /* there are groups that can be told to end */
		bool is_cancelled;       /* the group that refused is to end */
		bool has_cancel_reserve; /* of that group */
		enum total_neighbour neighbour; /* which other process in the total can be asked */
	} now;

	/* What has been tried. */
	struct {
		bool is_lift_done; /* of now.is_cancelled */
		bool is_own_reclaim_done;
		bool is_again_due; /* own reclaim: callbacks have run since it ended */
		bool is_reserve_done;
		bool is_policy_done;          /* it said: return */
		bool is_hopeless;             /* nobody is left that could free anything */
		bool is_cancelling;           /* the policy has said: cancel */
		bool is_cancel_done;          /* for a limit of the process */
		bool is_force_done;           /* for libc */
		unsigned char own_step;       /* enum own_step: the next one of own reclaim */
		unsigned char own_step_times; /* that it has been taken already */
		bool is_eviction_put_off;     /* until callbacks have been asked */
		bool is_all_kept;             /* its last step gave nothing back to the system */
		unsigned char cancel_looks;   /* at cancel_victim */
		unsigned char cancel_rests;   /* left, before another is chosen */
		unsigned cancel_victim;       /* the slot of a group that is waited for; 0: none */
		unsigned
			cancel_ends_ms; /* when none is any more, after began_ns; 0: none was yet */
		uint64_t cancel_seen_ns; /* ends of groups before that are known; 0: none yet */
		size_t evict_bytes;      /* beyond the request's own size */
		enum callbacks_left callbacks;
		unsigned rounds;     /* of callbacks */
		unsigned unmeasured; /* of these, the last in a row of which the heap saw nothing */
		unsigned retries;    /* that a policy callback asked for */
		size_t claimed_bytes;   /* by all callbacks in all rounds */
		struct total_turn turn; /* of the others in the total */
	} tried;
};

#endif
