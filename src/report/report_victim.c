/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/report_victim.h"

#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "limits/constraint.h"
#include "system/proc.h"

/* dump_tasks(), in the form it had for longest, which log readers know. */
OOM_NOINLINE void report_put_tasks(struct io_buf *buf, const struct report_verdict *verdict)
{
	io_printf(buf, "Tasks state (memory values in pages):\n"
	               "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents "
	               "oom_score_adj name\n");
	for (const struct proc_pid *task = verdict->tasks;
	     task < verdict->tasks + verdict->task_count; task++) {
		io_printf(buf, "[%7d] %5u %5d %8llu %8llu %8llu %8llu         %5d ", task->pid,
		          task->uid, task->tgid, (unsigned long long)task->total_vm_pages,
		          (unsigned long long)task->rss_pages,
		          (unsigned long long)task->pgtables_bytes,
		          (unsigned long long)task->swap_pages, task->oom_score_adj);
		io_puts_clean(buf, task->name);
		io_printf(buf, "\n");
	}
}

static unsigned long long pages_kib(uint64_t pages)
{
	return kib(pages * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void put_path(struct io_buf *buf, const struct proc_cgroup *group)
{
	io_puts_clean(buf, group->path[0] != '\0' ? group->path : "/");
}

/* mem_cgroup_print_oom_context() */
static OOM_NOINLINE void put_groups(struct io_buf *buf, const struct report_verdict *verdict)
{
	static struct proc_cgroup own, theirs; /* guarded by the lock of report.c */
	pid_t pid = verdict->victim->pid;

	if (verdict->full_group != NULL) {
		io_printf(buf, ",oom_memcg=");
		put_path(buf, verdict->full_group);
	} else {
		io_printf(buf, ",global_oom");
	}
	if (!proc_cgroup_self(&own))
		return;
	io_printf(buf, ",task_memcg=");
	put_path(buf, pid != getpid() && proc_cgroup_of(pid, &own, &theirs) ? &theirs : &own);
}

/* dump_oom_victim() */
static OOM_NOINLINE void put_chosen(struct io_buf *buf, const struct oom_control *control,
                                    const struct report_verdict *verdict)
{
	/* Guarded by the lock of report.c. */
	static char cpuset[PROC_TEXT_MAX], mems[PROC_TEXT_MAX];

	proc_cpuset(cpuset, mems);
	io_printf(buf, "oom-kill:constraint=CONSTRAINT_%s,nodemask=(null),cpuset=",
	          constraint_name(control->constraint));
	io_puts_clean(buf, cpuset);
	io_printf(buf, ",mems_allowed=");
	io_puts_clean(buf, mems);
	put_groups(buf, verdict);
	io_printf(buf, ",task=");
	io_puts_clean(buf, verdict->victim->name);
	io_printf(buf, ",pid=%d,uid=%u\n", verdict->victim->pid, verdict->victim->uid);
}

/* __oom_kill_process() */
static void put_killed(struct io_buf *buf, const struct report_verdict *verdict)
{
	const struct proc_pid *victim = verdict->victim;

	io_printf(buf, "%s: Killed process %d (",
	          verdict->reason != NULL ? verdict->reason : "Out of memory", victim->pid);
	io_puts_clean(buf, victim->name);
	io_printf(buf,
	          ") total-vm:%llukB, anon-rss:%llukB, file-rss:%llukB, shmem-rss:%llukB, UID:%u "
	          "pgtables:%llukB oom_score_adj:%d\n",
	          pages_kib(victim->total_vm_pages), pages_kib(victim->rss_anon_pages),
	          pages_kib(victim->rss_file_pages), pages_kib(victim->rss_shmem_pages),
	          victim->uid, (unsigned long long)kib(victim->pgtables_bytes),
	          victim->oom_score_adj);
	if (verdict->group == NULL)
		return;
	/* mem_cgroup_print_oom_group() */
	io_printf(buf, "Tasks in ");
	put_path(buf, verdict->group);
	io_printf(buf, " are going to be killed due to %s set\n",
	          options.is_kill_group ? "kill_group" : "memory.oom.group");
}

void report_put_victim(struct io_buf *buf, const struct oom_control *control,
                       const struct report_verdict *verdict)
{
	put_chosen(buf, control, verdict);
	put_killed(buf, verdict);
}
