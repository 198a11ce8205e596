/* SPDX-License-Identifier: BSD-2-Clause */
#include "kill/killer.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/trace.h"
#include "config/options.h"
#include "heap/heap_ops.h"
#include "kill/kill_turn.h"
#include "kill/own_end.h"
#include "kill/victim_kill.h"
#include "limits/budget.h"
#include "limits/constraint.h"
#include "reclaim/descent.h"
#include "reclaim/scope.h"
#include "report/report.h"
#include "report/stats.h"

static const struct proc_cgroup *full_group(const struct oom_control *control,
                                            const struct victim_domain *domain)
{
	return control->constraint == CONSTRAINT_CGROUP && domain->has_group ? &domain->group
	                                                                     : NULL;
}

/* mem_cgroup_get_oom_group(). Nobody else goes with a process for a limit of that process alone,
   unless somebody asks by hand: with a reason. */
static bool find_group(const struct oom_control *control, const struct victim_domain *domain,
                       pid_t pid, const char *reason, struct proc_cgroup *group)
{
	if (reason == NULL && constraint_is_per_process(control->constraint))
		return false;
	return victim_group(domain, pid, group);
}

/* oom_kill_allocating_task */
static OOM_NOINLINE enum killer_result kill_self(const struct oom_control *control,
                                                 const struct victim_domain *domain,
                                                 const struct proc_pid *found, const char *reason)
{
	static struct proc_cgroup group;
	static struct proc_pid self;
	bool has_group = find_group(control, domain, domain->self, reason, &group);
	struct report_verdict verdict = {.policy = OOMRECLAIM_POLICY_KILL,
	                                 .victim = &self,
	                                 .full_group = full_group(control, domain),
	                                 .group = has_group ? &group : NULL,
	                                 .reason = reason};

	self = (struct proc_pid){.pid = domain->self, .uid = getuid()};
	proc_name(self.name);
	if (found != NULL) {
		self = *found;
		verdict.tasks = victim_candidates(&verdict.task_count);
	} else if (domain->proc_error == 0) {
		proc_pid_read(domain->self, &self);
	}
	if (own_end_claim(control, &verdict) && has_group)
		victim_kill_group(domain, &group);
	return KILLER_END;
}

static void count_other(const struct oom_control *control, pid_t pid)
{
	stats_count(STATS_KILLS);
	stats_verdict(control, OOMRECLAIM_OUTCOME_KILL_OTHER, pid);
}

/* oom_kill_process(): victim_kill()'s word, and whether this process goes with the victim's
   group. */
static OOM_NOINLINE int kill_chosen(const struct oom_control *control,
                                    const struct victim_domain *domain,
                                    const struct proc_pid *chosen, const char *reason,
                                    bool *goes_too)
{
	static struct proc_cgroup group;
	bool has_group = find_group(control, domain, chosen->pid, reason, &group);
	struct report_verdict verdict = {.policy = OOMRECLAIM_POLICY_KILL,
	                                 .victim = chosen,
	                                 .full_group = full_group(control, domain),
	                                 .group = has_group ? &group : NULL,
	                                 .reason = reason};
	int error;

	verdict.tasks = victim_candidates(&verdict.task_count);
	own_end_report(control, &verdict);
	*goes_too = has_group && proc_cgroup_contains(&group, domain->self);
	/* Before the first of them dies: what this process may still have to do it does
	   meanwhile. */
	if (*goes_too && own_end_mark(OOMRECLAIM_POLICY_KILL))
		stats_count(STATS_KILLS);
	error = victim_kill(domain, chosen, has_group ? &group : NULL);
	if (error == 0 || error == -ETIMEDOUT)
		count_other(control, chosen->pid);
	return error;
}

/* select_bad_process(), until one of those there are could be killed. */
static OOM_NOINLINE enum killer_result kill_other(const struct oom_control *control,
                                                  const struct victim_domain *domain,
                                                  const char *reason)
{
	static struct proc_pid chosen;
	bool goes_too = false;
	int error = -EPERM;

	/* A victim that is still dying: its memory is what there will be, not another's. */
	if (victim_wait())
		return KILLER_RETRY;
	/* More of them than can be skipped would come round again. */
	for (unsigned i = 0; error == -EPERM && !goes_too && i < VICTIM_SKIPPED; i++) {
		error = victim_select(domain, &chosen);
		if (error == -ESRCH)
			return KILLER_NOBODY;
		if (error != 0)
			break;
		if (chosen.pid == domain->self)
			return kill_self(control, domain, &chosen, reason);
		error = kill_chosen(control, domain, &chosen, reason, &goes_too);
		/* Gone by itself: that will do as well. */
		error = error == -ESRCH || error == -ETIMEDOUT ? 0 : error;
	}
	if (goes_too)
		return KILLER_END;
	if (error == 0)
		return KILLER_RETRY;
	if (report_may_write())
		io_warn("nobody can be chosen to be killed: /proc: %s",
		        error == -EXDEV ? "of another pid namespace" : strerrordesc_np(-error));
	return KILLER_BLIND;
}

static OOM_NOINLINE enum killer_result do_kill(const struct oom_control *control,
                                               const char *reason)
{
	/* Not on the stack, as no other group here: there may be little of it left. */
	static struct victim_domain domain;

	victim_domain_find(&domain, control->constraint == CONSTRAINT_CGROUP);
	domain.is_total = control->constraint == CONSTRAINT_TOTAL;
	/* oomreclaim_kill() leaves process 1 alone, as SysRq-f does. */
	if (reason != NULL && domain.target == KILL_SELF && domain.self == INIT_PID)
		return KILLER_NOBODY;
	if (domain.target == KILL_SELF)
		return kill_self(control, &domain, NULL, reason);
	return kill_other(control, &domain, reason);
}

/* False where it is not this thread's turn. *result is what comes of that. */
static bool begin(enum killer_result *result)
{
	enum kill_turn turn = kill_turn_begin();

	*result = turn == KILL_TURN_DISABLED ? KILLER_OFF : KILLER_RETRY;
	return turn == KILL_TURN_OURS;
}

OOM_NOINLINE enum killer_result killer_act(const struct oom_control *control,
                                           enum oomreclaim_policy *policy, void **memory)
{
	struct report_verdict nobody = {
		.policy = OOMRECLAIM_POLICY_ABORT,
		.reason = "Out of memory and no killable processes",
	};
	enum killer_result result;

	if (!begin(&result))
		return result;
	TRACE3(policy, *policy, control->request->size, constraint_name(control->constraint));
	budget_refresh();
	if (own_end_is_dying()) {
		result = KILLER_RETRY;
	} else if ((*memory = heap_ops.alloc(control->request)) != NULL) {
		result = KILLER_SPARED;
	} else if (*policy == OOMRECLAIM_POLICY_ABORT) {
		own_end_claim(control, &(struct report_verdict){.policy = *policy});
		result = KILLER_END;
	} else {
		result = do_kill(control, NULL);
		if (result == KILLER_NOBODY) {
			/* The kernel panics. */
			*policy = OOMRECLAIM_POLICY_ABORT;
			nobody.tasks = victim_candidates(&nobody.task_count);
			own_end_claim(control, &nobody);
			result = KILLER_END;
		}
		budget_refresh();
	}
	kill_turn_end();
	return result;
}

/* ---- By hand ---- */

OOM_EXPORT int oomreclaim_kill(const char *reason)
{
	const struct heap_request request = {.size = 0};
	struct oom_control control = {.request = &request,
	                              .scope = scope_current(),
	                              .facts.began_ns = now_ns()};
	struct descent descent;
	enum killer_result result;

	/* To read files is a cancellation point. */
	descent_begin(&descent);
	control.constraint = constraint_find(0);
	if (begin(&result)) {
		result = do_kill(&control, reason != NULL ? reason : "Killed by hand");
		kill_turn_end();
	}
	descent_end(&descent);
	switch (result) {
	case KILLER_OFF:
		return EPERM;
	case KILLER_NOBODY:
		return ESRCH;
	case KILLER_BLIND:
		return EIO;
	case KILLER_END:
		own_end_act(OOMRECLAIM_POLICY_KILL);
		return 0;
	case KILLER_RETRY:
	case KILLER_SPARED:
		break;
	}
	return 0;
}

void killer_fork_child(void)
{
	victim_fork_child();
	victim_kill_fork_child();
}
