/* SPDX-License-Identifier: BSD-2-Clause */
/* The choice of the next rung: a function of what is known of the request, and of nothing else. */
#ifndef OOM_NEXT_RUNG_H
#define OOM_NEXT_RUNG_H

#include "reclaim/control.h"

/* What to do next, in the order in which it is done, but for the last five. All but ABORT are
   followed by one more attempt, and but for the reserve and FORCE, which are one themselves.
   docs/ladder.md has the numbers that the design gives the rungs. */
enum rung {
	RUNG_FAIL,              /* NULL and ENOMEM */
	RUNG_OWN_RECLAIM,       /* what the heap can do by itself */
	RUNG_RESERVE,           /* for callbacks that allocate, the dying, and scope RESERVE */
	RUNG_CALLBACKS,         /* or the wait for those of another thread */
	RUNG_OWN_RECLAIM_AGAIN, /* what callbacks have freed may lie where it is of no use */
	RUNG_POLICY,            /* return, abort or kill; or that a group is cancelled */
	RUNG_WAIT,              /* scope NOFAIL: until there is memory */
	RUNG_ABORT,             /* scope NOFAIL, where nothing can ever come */
	/* Tracers know the numbers of those above. */
	RUNG_CANCEL,    /* before POLICY: a group ends, or is waited for */
	RUNG_LIFT,      /* first of all: a group that was cancelled may have given what it had */
	RUNG_NEIGHBOUR, /* beside CALLBACKS: another process of the total, not asked so far */
	RUNG_END,       /* another thread ends the process: it is waited for */
	RUNG_FORCE,     /* libc would end the process: the reserve, or beyond the limit */
	RUNGS
};

/* No I/O, no state. */
enum rung next_rung(const struct oom_control *control);

/* May a group be cancelled? */
bool oom_cancel_allowed(const struct oom_control *control);

/* May anything harsher than reclaim follow? If not the report says why: NULL if so. */
bool oom_kill_allowed(const struct oom_control *control);
const char *ladder_kill_refusal(const struct oom_control *control);

#endif
