/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A group is cancelled: out_of_memory() for groups of this process (limits/group_victim.h). One is
 * chosen, its function is called on oomreclaimd, and the threads that want memory wait for what it
 * gives, a look at a time.
 */
#ifndef OOM_CANCEL_H
#define OOM_CANCEL_H

#include "reclaim/control.h"

enum cancel_result {
	CANCEL_NOBODY, /* none can be chosen, or this request has waited for long enough */
	CANCEL_WAITED, /* for a moment; another attempt is due, and another step if that fails */
	CANCEL_ENDED,  /* one that was chosen has given what it had, or has not in time */
	CANCEL_OWN     /* it is the calling thread's own group that is to end */
};

/* One step: chooses a group below control->group where none is dying, or waits. In the ladder, with
   no lock held. */
enum cancel_result cancel_step(struct oom_control *control);

/* One that was cancelled is gone, or is no more: threads that wait for it look again. */
void cancel_tell_ended(void);

/* For a thread of a group that was cancelled: what is free in it is given back, and if that is what
   it was cancelled for it gets pages again. */
bool cancel_try_lift(unsigned slot);

/* Calls the functions that are to be called, each once. On oomreclaimd is_background. */
void cancel_call_due(bool is_background);

/* wake() makes oomreclaimd do that; false: there is no such thread. */
void cancel_init(bool (*wake)(void));

#endif
