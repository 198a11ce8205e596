/* SPDX-License-Identifier: BSD-2-Clause */
#include "kill/policy.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/lock.h"
#include "limits/constraint.h"
#include "limits/group.h"
#include "lockdep/watch.h"
#include "reclaim/calls.h"
#include "reclaim/descent.h"
#include "reclaim/guard.h"
#include "reclaim/outside.h"
#include "reclaim/reserve.h"

/* Whether there is a policy callback, where the heap's locks may be held. Relaxed, as above. */
static atomic_bool has_callback;

/* The policy callback; several threads may be inside it. All members are guarded by lock, which is
   never held over a call. */
static OOM_FORK_DATA struct {
	struct lock lock;
	oomreclaim_policy_callback *function;
	void *arg;
	uint64_t generation; /* of function: counts its replacements */
} callback = {.lock = LOCK_INITIALIZER(LOCK_POLICY)};

#ifdef OOM_DEBUG
static uint64_t current_generation(void)
{
	uint64_t generation;

	lock_take(&callback.lock);
	generation = callback.generation;
	lock_release(&callback.lock);
	return generation;
}

/* The calling thread is about to wait for the callback that there is. */
static void watch_replace(void)
{
	if (!descent_is_open())
		lockdep_might_unregister(CALL_OF_POLICY(current_generation()));
}
#else
#define watch_replace() ((void)0)
#endif

OOM_EXPORT int oomreclaim_set_policy_callback(oomreclaim_policy_callback *function, void *arg)
{
	uint64_t former;
	int error;

	watch_replace();
	if (function != NULL)
		reserve_want_arena();
	lock_take(&callback.lock);
	callback.function = function;
	atomic_store_explicit(&has_callback, function != NULL, memory_order_relaxed);
	callback.arg = arg;
	former = callback.generation++;
	lock_release(&callback.lock);
	/* Policy callbacks that were replaced earlier may still be running as well. */
	error = calls_wait(CALL_OF_POLICY(0), CALL_OF_POLICY(former));
	lockdep_unregistered(CALL_OF_POLICY(former));
	return error;
}

/* The thread is on its way out of the callback and of the ladder. */
static void abandon(void *arg)
{
	lockdep_callback_end();
	calls_end(arg);
	descent_abandon();
}

OOM_NOINLINE enum oomreclaim_policy policy_decide(const struct oom_control *control)
{
	struct oomreclaim_verdict verdict = {
		.struct_size = sizeof verdict,
		.size = control->request->size,
		.alignment = control->request->alignment,
		.scope = control->scope,
		.constraint = constraint_name(control->constraint),
		.policy = policy_of(control->group),
		.group = control->group != 0 ? group_name(control->group) : NULL,
	};
	struct guard guard __attribute__((cleanup(guard_unwound))) = {.is_inside = false};
	struct call_under_way call;
	oomreclaim_policy_callback *function;
	struct outside outside;
	enum oomreclaim_policy decided;
	int saved = errno;
	void *arg;

	lock_take(&callback.lock);
	function = callback.function;
	arg = callback.arg;
	if (function != NULL)
		calls_begin(&call, CALL_OF_POLICY(callback.generation));
	lock_release(&callback.lock);
	if (function == NULL)
		return verdict.policy;
	outside = outside_begin();
	lockdep_callback_begin("policy", call.what, true);
	guard_begin(&guard, abandon, &call);
	decided = function(&verdict, arg);
	if (!guard_end(&guard))
		return OOMRECLAIM_POLICY_RETURN;
	lockdep_callback_end();
	calls_end(&call);
	outside_end(&outside);
	errno = saved;
	return decided <= OOMRECLAIM_POLICY_CANCEL ? decided : OOMRECLAIM_POLICY_RETURN;
}

enum oomreclaim_policy policy_of(unsigned group)
{
	return group != 0 ? group_policy(group) : oomreclaim_get_policy();
}

bool policy_is_set(unsigned group)
{
	return atomic_load_explicit(&has_callback, memory_order_relaxed) ||
	       policy_of(group) != OOMRECLAIM_POLICY_RETURN;
}

oomreclaim_policy_callback *policy_get_callback(void)
{
	oomreclaim_policy_callback *function;

	lock_take(&callback.lock);
	function = callback.function;
	lock_release(&callback.lock);
	return function;
}

bool policy_drop_callback(oomreclaim_policy_callback *function)
{
	return policy_get_callback() == function && oomreclaim_set_policy_callback(NULL, NULL) == 0;
}

void policy_fork_lock(void)
{
	lock_take(&callback.lock);
}

void policy_fork_unlock(void)
{
	lock_release(&callback.lock);
}
