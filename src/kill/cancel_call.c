/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions of groups that are cancelled are called: cancel.h has the contract. */
#include <errno.h>

#include "base/base.h"
#include "base/fork_gate.h"
#include "heap/heap_ops.h"
#include "kill/cancel.h"
#include "limits/group_victim.h"
#include "lockdep/watch.h"
#include "reclaim/calls.h"
#include "reclaim/descent.h"
#include "reclaim/guard.h"
#include "reclaim/scope.h"

struct visit {
	struct group_untold untold;
	struct call_under_way call;
	struct guard guard;
	bool is_background;
	unsigned scope;
	oomreclaim_group in; /* the group that the thread was in */
};

/* Whoever ends or replaces the function waits for a call that was noted under the same lock. */
static bool begin(struct visit *visit)
{
	bool is_due;

	group_lock();
	is_due = group_victim_next_untold(&visit->untold);
	if (is_due)
		calls_begin(&visit->call, CALL_OF_CANCEL(visit->untold.handle));
	group_unlock();
	return is_due;
}

/* The function has entered another group, and stayed: an order of groups that nest ends with it. */
static void return_to_group(const struct visit *visit)
{
	unsigned now = heap_ops.group_current(), to = group_find(visit->in);

	if (group_handle(now) == visit->in)
		return;
	if (to != 0 && !group_try_enter(to, visit->in))
		to = 0;
	heap_ops.group_enter(to);
	if (now != 0)
		group_leave(now);
}

static void end(struct visit *visit)
{
	lockdep_callback_end();
	if (visit->is_background)
		fork_gate_leave();
	calls_end(&visit->call);
	scope_exchange(visit->scope);
}

/* The thread is on its way out of the function. */
static void abandon(void *arg)
{
	end(arg);
	descent_abandon();
}

static void leave(struct visit *visit)
{
	guard_unwound(&visit->guard);
}

/* What the thread that failed has asked for holds for what it wanted. */
static bool call(struct visit *visit)
{
	if (visit->is_background)
		fork_gate_enter(FORK_GATE_ENTER_NS);
	visit->scope = scope_exchange(0);
	visit->in = group_handle(heap_ops.group_current());
	lockdep_callback_begin("cancel", visit->call.what, !visit->is_background);
	guard_begin(&visit->guard, abandon, visit);
	visit->untold.function(visit->untold.handle, visit->untold.arg);
	if (!guard_end(&visit->guard))
		return false;
	end(visit);
	return_to_group(visit);
	return true;
}

void cancel_call_due(bool is_background)
{
	struct visit visit __attribute__((cleanup(leave))) = {.is_background = is_background};
	int saved = errno;

	while (begin(&visit) && call(&visit))
		;
	errno = saved;
}
