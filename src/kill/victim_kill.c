/* SPDX-License-Identifier: BSD-2-Clause */
#include "kill/victim_kill.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"
#include "base/flight.h"
#include "base/fork_data.h"
#include "base/own_fd.h"
#include "base/trace.h"

/* Since Linux 5.15; older headers do not have it. */
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif

/* How long to wait for one that SIGKILL was sent to, at least: the kernel's oom_reaper tries for
   ten times 100 ms. */
#define REAP_MS 1000

/* Where the kernel does not wake a thread that waits: between two looks, from so long to so
   long. */
#define LOOK_MS_MIN 10
#define LOOK_MS_MAX 100

/* The victim that did not go in time; pid 0: nobody. Used by one thread at a time, see the
   header. */
static struct {
	pid_t pid;
	uint64_t start_time;
	struct own_fd fd;
} dying = {.fd = OWN_FD_NONE};

/* What has been chosen is still the same process, and still eligible. */
static bool is_unchanged(const struct victim_domain *domain, const struct proc_pid *process)
{
	struct proc_pid now;

	return proc_pid_read(process->pid, &now) == 0 && now.start_time == process->start_time &&
	       victim_is_eligible(domain, &now);
}

/* 0 or -errno. fd -1: a kernel before 5.3, which has no pidfds; the check just before is what is
   left then. The same where a filter of system calls knows only one half of them. */
static int send_signal(int fd, pid_t pid, int number)
{
	int saved = errno, error = -1;

	if (fd >= 0)
		error = (int)syscall(SYS_pidfd_send_signal, fd, number, NULL, 0);
	if (fd < 0 || (error != 0 && errno == ENOSYS))
		error = kill(pid, number);
	if (error != 0)
		error = -errno;
	errno = saved;
	return error;
}

static uint64_t ms_until(uint64_t deadline_ns)
{
	uint64_t time_ns = now_ns();

	return time_ns < deadline_ns ? (deadline_ns - time_ns) / NSEC_PER_MSEC + 1 : 0;
}

/* True if the process has exited. */
static bool wait_for_exit(int fd, pid_t pid, uint64_t start_time, uint64_t wait_ms)
{
	uint64_t deadline_ns = now_ns() + wait_ms * NSEC_PER_MSEC, left_ms;
	struct pollfd exited = {.fd = fd, .events = POLLIN};
	struct proc_pid now;
	int saved = errno;
	bool is_gone = false;

	do {
		left_ms = ms_until(deadline_ns);
		if (fd >= 0) {
			is_gone = poll(&exited, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX) > 0;
		} else {
			is_gone = proc_pid_read(pid, &now) != 0 || !now.has_memory ||
			          now.start_time != start_time;
			if (!is_gone && left_ms > 0)
				pause_ns((LOOK_MS_MIN)*NSEC_PER_MSEC);
		}
	} while (!is_gone && left_ms > 0);
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

/* ---- The group ---- */

bool victim_group(const struct victim_domain *domain, pid_t pid, struct proc_cgroup *group)
{
	static struct proc_cgroup at; /* used by one thread at a time, see the header */
	bool is_found = false;

	if (domain->proc_error != 0 || !proc_cgroup_self(&at) || !proc_cgroup_of(pid, &at, group))
		return false;
	if (options.is_kill_group)
		return !proc_cgroup_is_everybody(group);
	/* The highest of those that ask for it, but not above the group that was at its limit. */
	at = *group;
	do {
		if (proc_cgroup_has_oom_group(&at)) {
			*group = at;
			is_found = true;
		}
		if (domain->has_group && strcmp(at.path, domain->group.path) == 0)
			break;
	} while (proc_cgroup_up(&at));
	return is_found;
}

struct group_kill {
	const struct proc_cgroup *group;
	const struct victim_domain *domain;
	pid_t victim; /* that is seen to by itself; or 0 */
	int signal;   /* 0: they are only counted */
	unsigned left;
};

/* oom_kill_memcg_member() */
static bool kill_member(pid_t pid, void *arg)
{
	struct group_kill *members = arg;
	struct proc_pid process;
	int saved = errno, fd;

	if (pid == INIT_PID || pid == members->domain->self || pid == members->victim)
		return true;
	/* First the handle, then the question whether it is the right one. */
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (proc_pid_read(pid, &process) == 0 && process.has_memory &&
	    process.oom_score_adj != OOM_SCORE_ADJ_MIN &&
	    proc_cgroup_contains(members->group, pid) && send_signal(fd, pid, members->signal) == 0)
		members->left++;
	if (fd >= 0)
		close(fd);
	errno = saved;
	return true;
}

static unsigned signal_members(struct group_kill *members, int number)
{
	members->signal = number;
	members->left = 0;
	proc_walk(kill_member, members);
	return members->left;
}

/* SIGKILL to those that are left at the deadline. */
static void end_members(struct group_kill *members, uint64_t deadline_ns)
{
	uint64_t left_ms, look_ms = LOOK_MS_MIN;

	while (signal_members(members, 0) > 0) {
		left_ms = ms_until(deadline_ns);
		if (left_ms == 0) {
			signal_members(members, SIGKILL);
			break;
		}
		pause_ns((look_ms < left_ms ? look_ms : left_ms) * NSEC_PER_MSEC);
		look_ms = 2 * look_ms < LOOK_MS_MAX ? 2 * look_ms : LOOK_MS_MAX;
	}
}

void victim_kill_group(const struct victim_domain *domain, const struct proc_cgroup *group)
{
	struct group_kill members = {.group = group, .domain = domain};
	uint64_t deadline_ns = now_ns() + options.kill_grace_ms * NSEC_PER_MSEC;

	signal_members(&members, options.kill_signal);
	if (options.kill_signal != SIGKILL)
		end_members(&members, deadline_ns);
}

/* ---- The victim ---- */

static int kill_by(int fd, const struct victim_domain *domain, const struct proc_pid *process,
                   const struct proc_cgroup *group)
{
	struct group_kill members = {.group = group, .domain = domain, .victim = process->pid};
	uint64_t deadline_ns = now_ns() + options.kill_grace_ms * NSEC_PER_MSEC;
	bool is_gone = false;
	int error;

	TRACE3(kill, process->pid, options.kill_signal, process->rss_pages);
	flight_note(FLIGHT_KILL, (unsigned)options.kill_signal,
	            process->rss_pages * (size_t)sysconf(_SC_PAGESIZE), (size_t)process->pid,
	            process->name);
	error = send_signal(fd, process->pid, options.kill_signal);
	if (error != 0)
		return error;
	if (group != NULL)
		signal_members(&members, options.kill_signal);
	if (options.kill_signal != SIGKILL) {
		is_gone =
			wait_for_exit(fd, process->pid, process->start_time, options.kill_grace_ms);
		if (!is_gone)
			send_signal(fd, process->pid, SIGKILL);
		if (group != NULL)
			end_members(&members, deadline_ns);
	}
	if (is_gone)
		return 0;
	reap(fd);
	is_gone = wait_for_exit(fd, process->pid, process->start_time,
	                        options.kill_grace_ms > REAP_MS ? options.kill_grace_ms : REAP_MS);
	return is_gone ? 0 : -ETIMEDOUT;
}

OOM_NOINLINE int victim_kill(const struct victim_domain *domain, const struct proc_pid *process,
                             const struct proc_cgroup *group)
{
	int saved = errno, fd = (int)syscall(SYS_pidfd_open, process->pid, 0), error;

	/* No more descriptors to be had: killing by number still works. */
	if ((fd < 0 && errno == ESRCH) || !is_unchanged(domain, process))
		error = -ESRCH;
	else
		error = kill_by(fd, domain, process, group);
	/* Whatever the reason: the next attempt would come to the same. */
	if (error != 0 && error != -ESRCH && error != -ETIMEDOUT) {
		victim_skip(process->pid, process->start_time);
		error = -EPERM;
	}
	if (error == -ETIMEDOUT) {
		dying.pid = process->pid;
		dying.start_time = process->start_time;
		own_fd_take(&dying.fd, fd);
	} else if (fd >= 0) {
		close(fd);
	}
	errno = saved;
	return error;
}

OOM_NOINLINE bool victim_wait(void)
{
	bool is_gone;

	if (dying.pid == 0)
		return false;
	is_gone = wait_for_exit(own_fd_get(&dying.fd), dying.pid, dying.start_time, REAP_MS);
	if (!is_gone)
		victim_skip(dying.pid, dying.start_time);
	own_fd_close(&dying.fd);
	dying.pid = 0;
	return is_gone;
}

void victim_kill_fork_child(void)
{
	own_fd_close(&dying.fd);
	fork_reset(dying.pid, 0);
}
