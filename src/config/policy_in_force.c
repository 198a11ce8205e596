/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/policy_in_force.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/base.h"
#include "config/options.h"

#define POLICY_UNSET (-1)

/* oomreclaim_set_policy()'s word, which outlasts a later reading of the options. Relaxed: it stands
   for itself alone. */
static atomic_int chosen = POLICY_UNSET;

OOM_EXPORT int oomreclaim_set_policy(enum oomreclaim_policy policy)
{
	if (policy != OOMRECLAIM_POLICY_RETURN && policy != OOMRECLAIM_POLICY_ABORT &&
	    policy != OOMRECLAIM_POLICY_KILL)
		return EINVAL;
	atomic_store_explicit(&chosen, (int)policy, memory_order_relaxed);
	return 0;
}

OOM_EXPORT enum oomreclaim_policy oomreclaim_get_policy(void)
{
	int policy = atomic_load_explicit(&chosen, memory_order_relaxed);

	return policy == POLICY_UNSET ? options.policy : (enum oomreclaim_policy)policy;
}

const char *policy_name(enum oomreclaim_policy policy)
{
	static const char *const names[] = {"return", "abort", "kill", "retry", "cancel"};

	return policy < ARRAY_SIZE(names) ? names[policy] : "?";
}
