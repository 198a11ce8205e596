/* SPDX-License-Identifier: BSD-2-Clause */
#include "ladder/ladder_ask.h"

#include "base/flight.h"
#include "base/trace.h"
#include "config/options.h"
#include "config/verbose.h"
#include "heap/heap_ops.h"
#include "kill/policy.h"
#include "limits/constraint.h"
#include "limits/group.h"
#include "reclaim/registry.h"
#include "report/stats.h"

bool ladder_may_ask(unsigned scope)
{
	return registry_newest() != 0 || policy_is_set(0) || stats_is_read() || verbose_is_on() ||
	       options.report == REPORT_ALWAYS || (scope & OOMRECLAIM_SCOPE_NOFAIL) != 0;
}

enum constraint ladder_constraint(const struct oom_control *control)
{
	size_t bytes = request_bytes(control->request);
	enum constraint refuser = heap_ops.budget_refuser();

	if (control->group != 0)
		return CONSTRAINT_GROUP;
	/* Room may be back by now. And where it is known, no file is opened, in a table of
	   descriptors that is the program's. */
	if (refuser != CONSTRAINT_NONE)
		return refuser;
	return control->facts.may_ask ? constraint_find(bytes) : constraint_guess(bytes);
}

void ladder_know_constraint(struct oom_control *control)
{
	if (control->constraint == CONSTRAINT_UNKNOWN)
		control->constraint = ladder_constraint(control);
}

void ladder_tell_group(const struct oom_control *control)
{
	unsigned slot = control->group;

	if (slot == 0)
		return;
	TRACE4(group_max, group_name(slot), group_handle(slot), group_charged(slot),
	       group_max(slot));
	flight_note(FLIGHT_GROUP, 0, group_charged(slot), group_max(slot), group_name(slot));
}
