/* SPDX-License-Identifier: BSD-2-Clause */
/* One call of one callback, and what is told and measured around it. */
#include <errno.h>

#include "base/assert.h"
#include "base/base.h"
#include "base/flight.h"
#include "base/fork_gate.h"
#include "base/trace.h"
#include "heap/heap_ops.h"
#include "lockdep/watch.h"
#include "reclaim/descent.h"
#include "reclaim/scope.h"
#include "reclaim/visit.h"

/* A callback in the background may lock what the program forks with. */
static void enter_gate(const struct visit *visit)
{
	if (visit->request->is_background)
		fork_gate_enter(FORK_GATE_ENTER_NS);
}

void visit_leave_gate(const struct visit *visit)
{
	if (visit->request->is_background)
		fork_gate_leave();
}

static void tell_begin(const struct registry_call *callback,
                       const struct oomreclaim_control *control)
{
	TRACE4(callback_begin, callback->name, control->bytes_wanted, control->size,
	       control->reason);
	flight_note(FLIGHT_CALLBACK_BEGIN, control->reason, control->bytes_wanted, 0,
	            callback->name);
}

static void tell_end(const struct registry_call *callback, const struct registry_outcome *outcome)
{
	TRACE4(callback_end, callback->name, outcome->claimed_bytes, outcome->measured_bytes,
	       outcome->duration_ns);
	flight_note(FLIGHT_CALLBACK_END, 0, outcome->claimed_bytes, outcome->duration_ns,
	            callback->name);
}

/* Not now: nothing is claimed. A callback that is no shrinker may say so too. */
static void take_stop(struct registry_outcome *outcome)
{
	outcome->is_stop = outcome->claimed_bytes == OOMRECLAIM_STOP;
	if (outcome->is_stop)
		outcome->claimed_bytes = 0;
}

OOM_NOINLINE bool visit_call(struct visit *visit, const struct oomreclaim_control *control,
                             struct registry_outcome *outcome)
{
	const struct registry_call *callback = &visit->callback;
	uint64_t allocated[2], freed[2], began_ns;
	int saved = errno;

	if (!callback->is_count)
		tell_begin(callback, control);
	heap_ops.thread_counters(&allocated[0], &freed[0]);
	enter_gate(visit);
	/* What the failing thread asked for holds for what it wanted, not for what others do on
	   it. */
	visit->scope = scope_exchange(0);
	lockdep_callback_begin(callback->name, callback->handle, control->is_direct);
	*outcome = (struct registry_outcome){.claimed_bytes = 0};
	began_ns = now_ns();
	guard_begin(&visit->guard, visit_abandon, visit);
	outcome->claimed_bytes = callback->function(control, callback->arg);
	if (!guard_end(&visit->guard))
		return false;
	outcome->duration_ns = now_ns() - began_ns;
	take_stop(outcome);
	lockdep_callback_end();
	visit_leave_gate(visit);
	oom_assert(descent_is_open() && !heap_ops.is_reentrant());
	scope_exchange(visit->scope);
	heap_ops.thread_counters(&allocated[1], &freed[1]);
	/* What it freed less what it took: else a callback that allocates and frees one block would
	   count as making progress for ever. */
	freed[1] -= freed[0];
	allocated[1] -= allocated[0];
	outcome->measured_bytes = freed[1] > allocated[1] ? (size_t)(freed[1] - allocated[1]) : 0;
	if (!callback->is_count)
		tell_end(callback, outcome);
	errno = saved;
	return true;
}
