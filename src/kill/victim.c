/* SPDX-License-Identifier: BSD-2-Clause */
#include "kill/victim.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/io.h"
#include "config/verbose.h"
#include "limits/total.h"

struct identity {
	pid_t pid;
	uint64_t start_time;
};

/* Used by one thread at a time, see the header. */
static struct {
	struct proc_pid table[VICTIM_TABLE];
	unsigned candidates;
	struct identity skipped[VICTIM_SKIPPED];
	unsigned skips; /* ever; the oldest is overwritten */
	struct proc_cgroup at;
} state;

/* The nearest group that has a limit, or else the own one. True if there is a limit. */
static bool find_group(struct victim_domain *domain, uint64_t *limit_bytes)
{
	struct proc_cgroup *at = &state.at;

	if (!proc_cgroup_self(at))
		return false;
	domain->group = *at;
	domain->has_group = true;
	do
		if (proc_cgroup_limit(at, limit_bytes) && *limit_bytes != UINT64_MAX) {
			domain->group = *at;
			return true;
		}
	while (proc_cgroup_up(at));
	return false;
}

void victim_domain_find(struct victim_domain *domain, bool is_group_full)
{
	uint64_t total = 0, swap = 0, limit = 0;

	memset(domain, 0, sizeof *domain);
	domain->target = options.kill_target;
	domain->self = getpid();
	domain->pgrp = getpgrp();
	domain->proc_error = proc_check_numbers();
	if (proc_meminfo("MemTotal", &total) && proc_meminfo("SwapTotal", &swap))
		total += swap;
	if ((domain->target == KILL_CGROUP || is_group_full) && find_group(domain, &limit) &&
	    (limit < total || total == 0))
		total = limit;
	/* Treat the root cgroup, or an unknown one, as kill_target:self. */
	if (domain->target == KILL_CGROUP &&
	    (!domain->has_group || proc_cgroup_is_everybody(&domain->group)))
		domain->target = KILL_SELF;
	/* Led from outside of the namespace, where all such groups have the number 0. */
	if (domain->target == KILL_PGROUP && domain->pgrp == 0)
		domain->target = KILL_SELF;
	domain->total_pages = total / (uint64_t)sysconf(_SC_PAGESIZE);
}

long oom_badness(const struct proc_pid *process, uint64_t total_pages)
{
	uint64_t pages;

	if (process->oom_score_adj == OOM_SCORE_ADJ_MIN)
		return VICTIM_NEVER;
	/* Kernel threads and processes that have exited already have nothing to give. */
	if (!process->has_memory)
		return VICTIM_NEVER;
	pages = process->rss_pages + process->swap_pages +
	        process->pgtables_bytes / (uint64_t)sysconf(_SC_PAGESIZE);
	return (long)pages + (long)process->oom_score_adj * (long)(total_pages / 1000);
}

static bool is_skipped(const struct proc_pid *process)
{
	unsigned count = state.skips < VICTIM_SKIPPED ? state.skips : VICTIM_SKIPPED;

	for (unsigned i = 0; i < count; i++)
		if (state.skipped[i].pid == process->pid &&
		    state.skipped[i].start_time == process->start_time)
			return true;
	return false;
}

void victim_skip(pid_t pid, uint64_t start_time)
{
	state.skipped[state.skips++ % VICTIM_SKIPPED] = (struct identity){pid, start_time};
}

/* A child between vfork() and exec, or a thread group made by clone(CLONE_VM): killing it would
   free nothing, or take our own memory from under us. */
static bool shares_memory(pid_t pid, pid_t self)
{
	int saved = errno;
	bool is_same = syscall(SYS_kcmp, pid, self, KCMP_VM, 0, 0) == 0;

	errno = saved;
	return is_same;
}

bool victim_is_eligible(const struct victim_domain *domain, const struct proc_pid *process)
{
	if (process->pid == INIT_PID)
		return false;
	if (domain->is_total && !total_has(process->pid, process->start_time))
		return false;
	switch (domain->target) {
	case KILL_SELF:
		return process->pid == domain->self;
	case KILL_CHILDREN:
		return process->ppid == domain->self && !shares_memory(process->pid, domain->self);
	case KILL_PGROUP:
		return process->pgrp == domain->pgrp &&
		       (process->pid == domain->self || !shares_memory(process->pid, domain->self));
	case KILL_CGROUP:
		return proc_cgroup_contains(&domain->group, process->pid) &&
		       (process->pid == domain->self || !shares_memory(process->pid, domain->self));
	}
	return false;
}

/* Asked before the report says that it was. */
static bool may_be_killed(pid_t pid)
{
	int saved = errno;
	bool is_refused = kill(pid, 0) != 0 && errno == EPERM;

	errno = saved;
	if (is_refused && verbose_is_on())
		io_warn("process %d may not be killed by this one: choosing another", pid);
	return !is_refused;
}

struct selection {
	const struct victim_domain *domain;
	struct proc_pid *chosen;
	long points;
	int error; /* that says nothing about a process, but that this one can't look */
};

static void note_unread(struct selection *selection, pid_t pid, int error)
{
	switch (error) {
	/* Gone again. */
	case -ENOENT:
	case -ESRCH:
		return;
	/* A process with files that can't be read, or are not understood, is no candidate. The
	   permission to read them is the permission to send the process a signal. */
	case -EACCES:
	case -EPERM:
	case -EINVAL:
		break;
	/* No descriptor, say. */
	default:
		selection->error = error;
	}
	if (verbose_is_on())
		io_warn("process %d: /proc: %s, skipped", pid,
		        error == -EINVAL ? "something unknown" : strerrordesc_np(-error));
}

/* oom_evaluate_task() */
static bool evaluate(pid_t pid, void *arg)
{
	struct selection *selection = arg;
	struct proc_pid process;
	long points;
	int error = proc_pid_read(pid, &process);

	if (error != 0) {
		note_unread(selection, pid, error);
		return true;
	}
	if (!victim_is_eligible(selection->domain, &process) || is_skipped(&process))
		return true;
	if (state.candidates < VICTIM_TABLE)
		state.table[state.candidates++] = process;
	points = oom_badness(&process, selection->domain->total_pages);
	if (points != VICTIM_NEVER && points >= selection->points && may_be_killed(pid)) {
		*selection->chosen = process;
		selection->points = points;
	}
	return true;
}

OOM_NOINLINE int victim_select(const struct victim_domain *domain, struct proc_pid *chosen)
{
	struct selection selection = {.domain = domain, .chosen = chosen, .points = VICTIM_NEVER};
	int error;

	state.candidates = 0;
	error = domain->proc_error != 0 ? domain->proc_error : proc_walk(evaluate, &selection);
	if (selection.points != VICTIM_NEVER)
		return 0;
	if (error != 0)
		return error;
	return selection.error != 0 ? selection.error : -ESRCH;
}

const struct proc_pid *victim_candidates(unsigned *count)
{
	*count = state.candidates;
	return state.table;
}

void victim_fork_child(void)
{
	fork_reset(state.skips, 0);
	fork_reset(state.candidates, 0);
}
