/* SPDX-License-Identifier: BSD-2-Clause */
#include "victim.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base.h"
#include "trace.h"

/* Since Linux 5.15; older headers do not have it. */
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif

#define OOM_SCORE_ADJ_MIN (-1000)
#define INIT_PID 1

/* Processes that can't be killed, or do not die: not chosen again. */
#define SKIPPED_MAX 64
/* How long to wait for one that SIGKILL was sent to, at least: the kernel's oom_reaper tries for
   ten times 100 ms. */
#define REAP_MS 1000

struct identity {
	pid_t pid;
	uint64_t start_time;
};

/* Used by one thread at a time, see the header. */
static struct {
	struct proc_pid table[VICTIM_TABLE];
	unsigned candidates;
	struct identity skipped[SKIPPED_MAX];
	unsigned skips;        /* ever; the oldest is overwritten */
	struct identity dying; /* pid 0: nobody */
	int dying_fd;
} state;

void victim_scope(struct victim_scope *scope)
{
	uint64_t total = 0, swap = 0, limit, page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct proc_cgroup own;

	memset(scope, 0, sizeof *scope);
	scope->target = options.kill_target;
	scope->self = getpid();
	scope->pgrp = getpgrp();
	if (proc_meminfo("MemTotal", &total) && proc_meminfo("SwapTotal", &swap))
		total += swap;
	if (scope->target == KILL_CGROUP && proc_cgroup_self(&own)) {
		/* The one whose limit counts is the nearest that has one. */
		scope->group = own;
		scope->has_group = true;
		do
			if (proc_cgroup_limit(&own, &limit) && limit != UINT64_MAX) {
				scope->group = own;
				total = limit < total || total == 0 ? limit : total;
				break;
			}
		while (proc_cgroup_up(&own));
	}
	/* The root group is everybody on the machine, which is nobody's share to be killed for us. */
	if (scope->target == KILL_CGROUP && (!scope->has_group || scope->group.path[0] == '\0'))
		scope->target = KILL_SELF;
	scope->total_pages = total / page;
}

long oom_badness(const struct proc_pid *process, uint64_t total_pages)
{
	uint64_t pages;

	if (process->oom_score_adj == OOM_SCORE_ADJ_MIN)
		return VICTIM_NEVER;
	/* Kernel threads and those who have exited already have nothing to give. */
	if (!process->has_memory)
		return VICTIM_NEVER;
	pages = process->rss_pages + process->swap_pages +
	        process->pgtables_bytes / (uint64_t)sysconf(_SC_PAGESIZE);
	return (long)pages + (long)process->oom_score_adj * (long)(total_pages / 1000);
}

static bool is_skipped(const struct proc_pid *process)
{
	unsigned count = state.skips < SKIPPED_MAX ? state.skips : SKIPPED_MAX;

	for (unsigned i = 0; i < count; i++)
		if (state.skipped[i].pid == process->pid &&
		    state.skipped[i].start_time == process->start_time)
			return true;
	return false;
}

static void skip(pid_t pid, uint64_t start_time)
{
	state.skipped[state.skips++ % SKIPPED_MAX] = (struct identity){pid, start_time};
}

/* A child between vfork() and exec, or a thread group made by clone(CLONE_VM): killing it would free
   nothing, or take our own memory from under us. */
static bool shares_memory(pid_t pid, pid_t self)
{
	int saved = errno;
	bool is_same = syscall(SYS_kcmp, pid, self, KCMP_VM, 0, 0) == 0;

	errno = saved;
	return is_same;
}

static bool is_in_scope(const struct victim_scope *scope, const struct proc_pid *process)
{
	if (process->pid == INIT_PID)
		return false;
	switch (scope->target) {
	case KILL_SELF:
		return process->pid == scope->self;
	case KILL_CHILDREN:
		return process->ppid == scope->self && !shares_memory(process->pid, scope->self);
	case KILL_PGROUP:
		return process->pgrp == scope->pgrp &&
		       (process->pid == scope->self || !shares_memory(process->pid, scope->self));
	case KILL_CGROUP:
		return proc_cgroup_contains(&scope->group, process->pid) &&
		       (process->pid == scope->self || !shares_memory(process->pid, scope->self));
	}
	return false;
}

struct selection {
	const struct victim_scope *scope;
	struct proc_pid *chosen;
	long points;
};

/* oom_evaluate_task() */
static bool evaluate(pid_t pid, void *arg)
{
	struct selection *selection = arg;
	struct proc_pid process;
	long points;
	int error = proc_pid_read(pid, &process);

	/* Gone again, or not ours to read, or not understood: not a candidate. What can't be read
	   by us would not take our signal either. */
	if (error != 0) {
		if (options.is_verbose && error != -ENOENT && error != -ESRCH)
			io_warn("process %d: /proc: %s, skipped", pid,
			        error == -EINVAL ? "something unknown" : strerrordesc_np(-error));
		return true;
	}
	if (!is_in_scope(selection->scope, &process) || is_skipped(&process))
		return true;
	if (state.candidates < VICTIM_TABLE)
		state.table[state.candidates++] = process;
	points = oom_badness(&process, selection->scope->total_pages);
	if (points != VICTIM_NEVER && points >= selection->points) {
		*selection->chosen = process;
		selection->points = points;
	}
	return true;
}

bool victim_select(const struct victim_scope *scope, struct proc_pid *chosen)
{
	struct selection selection = {.scope = scope, .chosen = chosen, .points = VICTIM_NEVER};

	state.candidates = 0;
	proc_walk(evaluate, &selection);
	return selection.points != VICTIM_NEVER;
}

bool victim_may_be_killed(const struct proc_pid *process)
{
	int saved = errno;
	bool is_refused = kill(process->pid, 0) != 0 && errno == EPERM;

	errno = saved;
	if (is_refused)
		skip(process->pid, process->start_time);
	return !is_refused;
}

bool victim_candidate(unsigned index, struct proc_pid *process)
{
	if (index >= state.candidates)
		return false;
	*process = state.table[index];
	return true;
}

/* ---- Killing ---- */

/* What has been chosen is still the same process, and still in scope. */
static bool is_unchanged(const struct victim_scope *scope, const struct proc_pid *process)
{
	struct proc_pid now;

	return proc_pid_read(process->pid, &now) == 0 && now.start_time == process->start_time &&
	       is_in_scope(scope, &now);
}

/* 0 or -errno. fd -1: a kernel before 5.3, which has no pidfds; the check just before is what is left
   then. */
static int send_signal(int fd, const struct proc_pid *process, int number)
{
	int saved = errno, error;

	error = fd >= 0 ? (int)syscall(SYS_pidfd_send_signal, fd, number, NULL, 0)
	                : kill(process->pid, number);
	if (error != 0)
		error = -errno;
	errno = saved;
	return error;
}

/* True if the process has exited. */
static bool wait_for_exit(int fd, const struct proc_pid *process, uint64_t wait_ms)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
	uint64_t deadline_ns = now_ns() + wait_ms * NSEC_PER_MSEC;
	struct pollfd exited = {.fd = fd, .events = POLLIN};
	struct proc_pid now;
	int saved = errno;
	bool is_gone = false;

	for (;;) {
		uint64_t time_ns = now_ns();
		uint64_t left_ms =
			time_ns < deadline_ns ? (deadline_ns - time_ns) / NSEC_PER_MSEC + 1 : 0;

		if (fd >= 0) {
			is_gone = poll(&exited, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX) > 0;
		} else {
			is_gone = proc_pid_read(process->pid, &now) != 0 || !now.has_memory ||
			          now.start_time != process->start_time;
			if (!is_gone && left_ms > 0)
				nanosleep(&pause, NULL);
		}
		if (is_gone || left_ms == 0)
			break;
	}
	errno = saved;
	return is_gone;
}

/* The oom_reaper's part: takes the memory of a process that has been killed without waiting for it
   to get that far. May be unknown to the kernel, or come too late: either way the exit frees it. */
static void reap(int fd)
{
	int saved = errno;

	if (fd >= 0)
		syscall(SYS_process_mrelease, fd, 0);
	errno = saved;
}

struct group_kill {
	const struct proc_cgroup *group;
	const struct victim_scope *scope;
	pid_t victim;
	int signal;
};

/* oom_kill_memcg_member() */
static bool kill_member(pid_t pid, void *arg)
{
	const struct group_kill *members = arg;
	struct proc_pid process;
	int saved = errno, fd;

	if (pid == INIT_PID || pid == members->scope->self || pid == members->victim ||
	    proc_pid_read(pid, &process) != 0 || process.oom_score_adj == OOM_SCORE_ADJ_MIN)
		return true;
	/* First the handle, then the question whether it is the right one. */
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (proc_cgroup_contains(members->group, pid))
		send_signal(fd, &process, members->signal);
	if (fd >= 0)
		close(fd);
	errno = saved;
	return true;
}

/* mem_cgroup_get_oom_group(): the group that goes as a whole, below the one whose limit it was. */
static bool find_oom_group(const struct proc_pid *process, struct proc_cgroup *group)
{
	struct proc_cgroup own, at;

	if (!proc_cgroup_self(&own) || !proc_cgroup_of(process->pid, &own, group) ||
	    group->path[0] == '\0')
		return false;
	if (options.is_kill_group)
		return true;
	for (at = *group; at.path[0] != '\0'; proc_cgroup_up(&at))
		if (proc_cgroup_has_oom_group(&at)) {
			*group = at;
			return true;
		}
	return false;
}

static void kill_self(pid_t self)
{
	int saved = errno;

	kill(self, options.kill_signal);
	errno = saved;
}

static int kill_by(int fd, const struct victim_scope *scope, const struct proc_pid *process,
                   bool has_group, const struct proc_cgroup *group)
{
	struct group_kill members = {.group = group,
	                             .scope = scope,
	                             .victim = process->pid,
	                             .signal = options.kill_signal};
	bool is_gone = false;
	int error;

	TRACE3(kill, process->pid, options.kill_signal, process->rss_pages);
	error = send_signal(fd, process, options.kill_signal);
	if (error != 0)
		return error;
	if (has_group)
		proc_walk(kill_member, &members);
	if (options.kill_signal != SIGKILL) {
		is_gone = wait_for_exit(fd, process, options.kill_grace_ms);
		members.signal = SIGKILL;
		if (!is_gone)
			send_signal(fd, process, SIGKILL);
		if (has_group)
			proc_walk(kill_member, &members);
	}
	/* Of this group ourselves: last, so that the others are not left over. */
	if (has_group && proc_cgroup_contains(group, scope->self))
		kill_self(scope->self);
	if (is_gone)
		return 0;
	reap(fd);
	return wait_for_exit(fd, process,
	                     options.kill_grace_ms > REAP_MS ? options.kill_grace_ms : REAP_MS)
	               ? 0
	               : -ETIMEDOUT;
}

int victim_kill(const struct victim_scope *scope, const struct proc_pid *process)
{
	struct proc_cgroup group;
	bool has_group = find_oom_group(process, &group);
	int saved = errno, fd = (int)syscall(SYS_pidfd_open, process->pid, 0), error;

	/* No more descriptors to be had: killing by number still works. */
	if (fd < 0 && errno == ESRCH)
		error = -ESRCH;
	else if (!is_unchanged(scope, process))
		error = -ESRCH;
	else
		error = kill_by(fd, scope, process, has_group, &group);
	if (error == -EPERM)
		skip(process->pid, process->start_time);
	if (error == -ETIMEDOUT && fd >= 0) {
		state.dying = (struct identity){process->pid, process->start_time};
		state.dying_fd = fd;
	} else if (fd >= 0) {
		close(fd);
	}
	errno = saved;
	return error;
}

void victim_kill_companions(const struct victim_scope *scope)
{
	const struct proc_pid self = {.pid = scope->self};
	struct proc_cgroup group;
	struct group_kill members = {.group = &group,
	                             .scope = scope,
	                             .victim = scope->self,
	                             .signal = options.kill_signal};

	if (find_oom_group(&self, &group))
		proc_walk(kill_member, &members);
}

bool victim_wait(void)
{
	const struct proc_pid process = {.pid = state.dying.pid,
	                                 .start_time = state.dying.start_time};
	bool is_gone;

	if (state.dying.pid == 0)
		return false;
	is_gone = wait_for_exit(state.dying_fd, &process, REAP_MS);
	if (!is_gone)
		skip(state.dying.pid, state.dying.start_time);
	close(state.dying_fd);
	state.dying.pid = 0;
	return is_gone;
}

void victim_fork_child(void)
{
	if (state.dying.pid != 0)
		close(state.dying_fd);
	memset(&state, 0, sizeof state);
}
