/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/report.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/io.h"
#include "base/io_write.h"
#include "base/lock.h"
#include "base/stack.h"
#include "config/options.h"
#include "config/policy_in_force.h"
#include "limits/budget.h"
#include "limits/constraint.h"
#include "limits/group.h"
#include "limits/total.h"
#include "reclaim/registry.h"
#include "reclaim/reserve.h"
#include "report/groups_put.h"
#include "report/log.h"
#include "report/report_victim.h"
#include "report/stats_layout.h"
#include "system/proc.h"

/* Room for the tables of callbacks, of groups and of tasks and a dozen lines around them. */
#define REPORT_BYTES 24576
#define REPORT_PATH_MAX 256
/* In the report. */
#define GROUPS_SHOWN 20

/* lib/ratelimit.h's defaults. */
#define RATELIMIT_INTERVAL_NS (5 * NSEC_PER_SEC)
#define RATELIMIT_BURST 10

static OOM_FORK_DATA struct lock lock = LOCK_INITIALIZER(LOCK_REPORT);

/* Static, because there may be no stack to spare where memory has run out; guarded by lock. */
static struct {
	char text[REPORT_BYTES];
	struct registry_line lines[CALLBACKS_SHOWN];
	struct stack_frame frames[STACK_FRAMES];
	struct group_line groups[GROUPS_SHOWN];
	/* An open file gets the lowest free number. Where another thread closes all descriptors and
	   opens its own, that number is the program's before the library has closed it. */
	bool may_open;
	uint64_t interval_began_ns;
	unsigned written; /* in this interval */
	unsigned left_out;
} report;

/* The kernel's get_order(): pages in powers of two. */
static unsigned order_of(size_t bytes)
{
	size_t pages = bytes == 0 ? 0 : (bytes - 1) / (size_t)sysconf(_SC_PAGESIZE);

	return pages == 0 ? 0 : (unsigned)(64 - __builtin_clzll(pages));
}

static void put_scope(struct io_buf *buf, unsigned scope)
{
	static const struct {
		unsigned flag;
		const char *name;
	} names[] = {{OOMRECLAIM_SCOPE_NORETRY, "NORETRY"},
	             {OOMRECLAIM_SCOPE_RETRY_MAYFAIL, "RETRY_MAYFAIL"},
	             {OOMRECLAIM_SCOPE_NOFAIL, "NOFAIL"},
	             {OOMRECLAIM_SCOPE_NORECLAIM, "NORECLAIM"},
	             {OOMRECLAIM_SCOPE_RESERVE, "RESERVE"}};
	const char *separator = "";

	if (scope == 0)
		io_printf(buf, "0");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if ((scope & names[i].flag) != 0) {
			io_printf(buf, "%s%s", separator, names[i].name);
			separator = "|";
		}
}

/* Where no file may be opened, of the calling thread, as the kernel's report has it. */
static void put_name(struct io_buf *buf)
{
	char name[PROC_NAME_MAX] = "?";

	if (report.may_open)
		proc_name(name);
	else
		prctl(PR_GET_NAME, name);
	io_puts_clean(buf, name);
}

static OOM_NOINLINE void put_tried(struct io_buf *buf, const struct oom_control *control)
{
	unsigned threads = proc_threads();

	io_printf(buf, "  tried: %u rounds of callbacks, %zuK claimed, %llu ms; pid %d, ",
	          control->tried.rounds, control->tried.claimed_bytes >> 10,
	          (unsigned long long)((now_ns() - control->facts.began_ns) / NSEC_PER_MSEC),
	          getpid());
	if (threads > 0)
		io_printf(buf, "%u threads\n", threads);
	else
		io_printf(buf, "? threads\n");
}

static void put_group(struct io_buf *buf, const struct oom_control *control)
{
	if (control->group == 0)
		return;
	io_printf(buf, ", group=");
	io_puts_clean(buf, group_name(control->group));
}

static OOM_NOINLINE void put_header(struct io_buf *buf, const struct oom_control *control,
                                    enum oomreclaim_policy policy)
{
	put_name(buf);
	io_printf(buf, " invoked oom-reclaim: size=%zu, ", control->request->size);
	if (request_is_aligned(control->request))
		io_printf(buf, "alignment=%zu, ", control->request->alignment);
	io_printf(buf, "order=%u, scope=", order_of(request_bytes(control->request)));
	put_scope(buf, control->scope);
	io_printf(buf, ", constraint=%s", constraint_name(control->constraint));
	put_group(buf, control);
	io_printf(buf, ", policy=%s\n", policy_name(policy));
	put_tried(buf, control);
}

/* The program has no name for the loader. */
static OOM_NOINLINE void put_program(struct io_buf *buf)
{
	static char path[REPORT_PATH_MAX]; /* guarded by lock */
	int saved = errno;
	ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

	errno = saved;
	path[length > 0 ? length : 0] = '\0';
	io_puts_clean(buf, length > 0 ? path : "?");
}

/* As oomreclaim symbolize reads it. */
static OOM_NOINLINE void put_stack(struct io_buf *buf, const void *caller)
{
	unsigned count = stack_walk(caller, report.frames, STACK_FRAMES);

	for (unsigned i = 0; i < count; i++) {
		const struct stack_frame *frame = &report.frames[i];

		io_printf(buf, i == 0 ? "  stack: " : "         ");
		if (frame->file != NULL && frame->file[0] == '\0')
			put_program(buf);
		else
			io_puts_clean(buf, frame->file != NULL ? frame->file : "?");
		io_printf(buf, "+0x%llx\n", (unsigned long long)frame->offset);
	}
}

static OOM_NOINLINE void put_heap(struct io_buf *buf)
{
	struct heap_stats stats;

	if (!heap_ops.stats(&stats)) {
		io_printf(buf, "  heap: no statistics\n");
		return;
	}
	io_printf(buf,
	          "  heap: allocated:%lluK active:%lluK dirty:%lluK metadata:%lluK resident:%lluK "
	          "mapped:%lluK retained:%lluK charged:%lluK reserve:%lluK\n",
	          (unsigned long long)kib(stats.allocated), (unsigned long long)kib(stats.active),
	          (unsigned long long)kib(stats.dirty), (unsigned long long)kib(stats.metadata),
	          (unsigned long long)kib(stats.resident), (unsigned long long)kib(stats.mapped),
	          (unsigned long long)kib(stats.retained),
	          (unsigned long long)kib(budget_charged()),
	          (unsigned long long)kib(reserve_bytes()));
}

static void put_limit(struct io_buf *buf, const char *name, __rlimit_resource_t resource,
                      uint64_t used_bytes)
{
	uint64_t limit = proc_rlimit(resource);

	if (limit == UINT64_MAX)
		io_printf(buf, " %s:%lluK/unlimited", name, (unsigned long long)kib(used_bytes));
	else
		io_printf(buf, " %s:%lluK/%lluK", name, (unsigned long long)kib(used_bytes),
		          (unsigned long long)kib(limit));
}

static OOM_NOINLINE void put_total(struct io_buf *buf)
{
	struct total_figures total;

	total_figures(&total);
	if (total.id == 0)
		return;
	io_printf(buf, "  total: %lluK/%lluK charged by %llu processes, %lluK of it by this one\n",
	          (unsigned long long)kib(total.charged), (unsigned long long)kib(total.limit),
	          (unsigned long long)total.processes, (unsigned long long)kib(total.own));
}

static OOM_NOINLINE void put_limits(struct io_buf *buf)
{
	struct proc_statm statm;

	if (!report.may_open && proc_rlimit(RLIMIT_AS) == UINT64_MAX &&
	    proc_rlimit(RLIMIT_DATA) == UINT64_MAX) {
		io_printf(buf, "  limits: RLIMIT_AS and RLIMIT_DATA unlimited\n");
		return;
	}
	if (!proc_statm(&statm)) {
		io_printf(buf, "  limits: usage unknown\n");
		return;
	}
	io_printf(buf, "  limits (used/limit):");
	put_limit(buf, "RLIMIT_AS", RLIMIT_AS, statm.total_bytes);
	put_limit(buf, "RLIMIT_DATA", RLIMIT_DATA, statm.data_bytes);
	io_printf(buf, " resident:%lluK\n", (unsigned long long)kib(statm.resident_bytes));
}

static OOM_NOINLINE void put_callbacks(struct io_buf *buf)
{
	unsigned total, count = registry_lines(report.lines, CALLBACKS_SHOWN, &total);

	if (total == 0) {
		io_printf(buf, "  callbacks: none registered\n");
		return;
	}
	io_printf(
		buf,
		"  callbacks:\n  [ priority ]    calls   claimed_K  measured_K  longest_us name\n");
	for (unsigned i = 0; i < count; i++) {
		const struct registry_line *line = &report.lines[i];

		io_printf(buf, "  [%10d] %8llu %11llu %11llu %11llu ", line->priority,
		          (unsigned long long)line->stats.calls,
		          (unsigned long long)kib(line->stats.bytes_claimed),
		          (unsigned long long)kib(line->stats.bytes_measured),
		          (unsigned long long)(line->stats.longest_ns / 1000));
		io_puts_clean(buf, line->name);
		if (line->doubts > 0)
			io_printf(buf, " (claims and measures nothing: asked for 1/%u)",
			          1U << line->doubts);
		io_printf(buf, "\n");
	}
	if (count < total)
		io_printf(buf, "  ... and %u more\n", total - count);
}

static void write_out(const struct io_buf *buf)
{
	if (options.log_path[0] == '\0' || log_write(buf->text, buf->used) != 0)
		io_write_stderr(buf->text, buf->used);
}

static OOM_NOINLINE void put_verdict(struct io_buf *buf, const struct oom_control *control,
                                     const struct report_verdict *verdict)
{
	if (verdict->policy == OOMRECLAIM_POLICY_KILL) {
		report_put_victim(buf, control, verdict);
		return;
	}
	if (verdict->refusal != NULL)
		io_printf(buf, "  policy %s not allowed: %s\n",
		          policy_name(oomreclaim_get_policy()), verdict->refusal);
	io_printf(buf, "%s: %s process %d (",
	          verdict->reason != NULL ? verdict->reason : "Out of memory",
	          verdict->policy == OOMRECLAIM_POLICY_ABORT ? "aborting" : "returning NULL to",
	          getpid());
	put_name(buf);
	io_printf(buf, ")\n");
}

OOM_NOINLINE void report_write(const struct oom_control *control,
                               const struct report_verdict *verdict)
{
	struct io_buf buf = {.text = report.text, .bytes = sizeof report.text};

	lock_take(&lock);
	report.may_open = proc_is_single_threaded() || proc_is_alone();
	put_header(&buf, control, verdict->policy);
	put_stack(&buf, control->request->caller);
	put_heap(&buf);
	put_limits(&buf);
	put_total(&buf);
	put_callbacks(&buf);
	groups_put_table(&buf, control->group, report.groups, GROUPS_SHOWN);
	if (verdict->tasks != NULL)
		report_put_tasks(&buf, verdict);
	put_verdict(&buf, control, verdict);
	write_out(&buf);
	lock_release(&lock);
}

size_t report_ask(char *text, size_t bytes)
{
	struct io_buf buf = {.text = text, .bytes = bytes};

	lock_take(&lock);
	/* This is oomreclaimd, and it is asked for the process. */
	report.may_open = true;
	put_name(&buf);
	io_printf(&buf, " was asked for a report: pid %d, policy=%s\n", getpid(),
	          policy_name(oomreclaim_get_policy()));
	put_heap(&buf);
	put_limits(&buf);
	put_total(&buf);
	put_callbacks(&buf);
	lock_release(&lock);
	return buf.used;
}

bool report_may_write(void)
{
	uint64_t now = now_ns();
	unsigned left_out = 0;
	bool may_write;

	lock_take(&lock);
	if (report.written == 0 || now - report.interval_began_ns > RATELIMIT_INTERVAL_NS) {
		report.interval_began_ns = now;
		report.written = 0;
		left_out = report.left_out;
		report.left_out = 0;
	}
	may_write = report.written < RATELIMIT_BURST;
	if (may_write)
		report.written++;
	else
		report.left_out++;
	lock_release(&lock);
	if (left_out > 0)
		io_warn("%u reports left out", left_out);
	return may_write;
}

OOM_NOINLINE void report_failure(const struct oom_control *control, const char *refusal)
{
	char line[IO_LINE_BYTES];
	struct io_buf buf = {.text = line, .bytes = sizeof line};

	io_printf(&buf, "no memory for %zu bytes", control->request->size);
	if (request_is_aligned(control->request))
		io_printf(&buf, ", aligned to %zu", control->request->alignment);
	io_printf(&buf, " (constraint=%s", constraint_name(control->constraint));
	put_group(&buf, control);
	io_printf(&buf, "): ");
	if (control->facts.is_impossible)
		io_printf(&buf, "an impossible request");
	else
		io_printf(&buf, "%u rounds of callbacks claimed %zu bytes", control->tried.rounds,
		          control->tried.claimed_bytes);
	if (refusal != NULL)
		io_printf(&buf, "; no kill: %s", refusal);
	io_warn("%s", line);
}

OOM_NOINLINE void report_cancel(const struct oom_control *control,
                                const struct group_victim *victim)
{
	char line[IO_LINE_BYTES];
	struct io_buf buf = {.text = line, .bytes = sizeof line};

	if ((!options.is_verbose && options.report != REPORT_ALWAYS) || !report_may_write())
		return;
	io_printf(&buf, "group ");
	io_puts_clean(&buf, victim->name);
	io_printf(&buf, " is cancelled: %zuK, score_adj %d; for %zu bytes (constraint=%s",
	          victim->bytes >> 10, victim->score_adj, control->request->size,
	          constraint_name(control->constraint));
	if (control->group != 0) {
		io_printf(&buf, ", group=");
		io_puts_clean(&buf, group_name(control->group));
	}
	io_warn("%s)", line);
}

OOM_NOINLINE void report_timeout(const struct oom_control *control, const char *callback)
{
	io_warn("no memory for %zu bytes: gave up after %llu ms of waiting for callback \"%s\" in "
	        "another thread",
	        control->request->size, (unsigned long long)options.wait_ms, callback);
}

void report_fork_lock(void)
{
	lock_take(&lock);
}

void report_fork_unlock(void)
{
	lock_release(&lock);
}
