/* SPDX-License-Identifier: BSD-2-Clause */
#include "post_mortem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "events.h"
#include "oom_kills.h"
#include "page.h"
#include "tool.h"
#include "view.h"

/* Between two looks for the page, from the first to the longest. */
#define FIRST_LOOK_NS 5000000
#define LONGEST_LOOK_NS 1000000000

#define EVENTS_SHOWN 16
/* A refusal that long before the end may be the reason for it. */
#define REASON_NS 1000000000

/* What is known of the program. */
static struct {
	int fd; /* of the newest page; it stays readable when the program has ended */
	ino_t inode;
	struct oom_kills before, now;
} watched = {.fd = -1};

/* ---- The verdict ---- */

/* Of that kind, before the event of that number; of that thread, or of any where it is 0. */
static const struct flight_event *last_before(const struct stats_page *page, enum flight_kind kind,
                                              uint64_t number, int32_t thread)
{
	const struct flight_event *last = NULL;

	for (size_t i = 0; i < FLIGHT_EVENTS; i++) {
		const struct flight_event *event = &page->flight.event[i];

		if (event->number != 0 && event->number < number && event->kind == kind &&
		    (thread == 0 || event->thread == thread) &&
		    (last == NULL || event->number > last->number))
			last = event;
	}
	return last;
}

static const struct flight_event *last_event(const struct stats_page *page, enum flight_kind kind)
{
	return last_before(page, kind, FLIGHT_BUSY, 0);
}

/* A handler of SIGABRT may allocate behind it, and get what it asks for. */
static const struct flight_event *last_refusal(const struct stats_page *page)
{
	const struct flight_event *verdict = last_event(page, FLIGHT_VERDICT);

	while (verdict != NULL && verdict->detail != OOMRECLAIM_OUTCOME_NULL)
		verdict = last_before(page, FLIGHT_VERDICT, verdict->number, 0);
	return verdict;
}

static uint64_t real_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The library's own end of the process, or NULL. A handler of SIGABRT that crashes is on the way
   there. */
static const struct flight_event *own_end(const struct stats_page *page, int signal)
{
	const struct flight_event *end = last_event(page, FLIGHT_KILL);

	if (end == NULL || (int64_t)end->more != page->pid)
		return NULL;
	return end->detail == signal || (end->detail == SIGABRT && signal == SIGSEGV) ? end : NULL;
}

static void put_own_end_head(const struct stats_page *page, const struct flight_event *end,
                             int signal)
{
	if (end->detail == signal)
		fprintf(stderr, "ended by its policy, %s,", view_policy(page->policy));
	else
		fprintf(stderr, "a crash %.1f s after its policy, %s, had sent SIGABRT,",
		        (double)(real_ns() - end->time_ns) / 1e9, view_policy(page->policy));
}

/* The failure that led to it is of the same thread, and before it: a handler of SIGABRT may meet
   failures of its own. */
static bool put_own_end(const struct stats_page *page, int signal)
{
	const struct flight_event *end = own_end(page, signal), *failure, *verdict;

	if (end == NULL)
		return false;
	failure = last_before(page, FLIGHT_FAILURE, end->number, end->thread);
	verdict = last_before(page, FLIGHT_VERDICT, end->number, end->thread);
	put_own_end_head(page, end, signal);
	fprintf(stderr, " since there was no memory");
	if (failure != NULL)
		fprintf(stderr, " for %" PRIu64 " bytes", failure->bytes);
	if (verdict != NULL)
		fprintf(stderr, " (constraint %s)", verdict->name);
	return true;
}

static void put_kernels_kill(const struct stats_page *page)
{
	const struct oom_kills *now = &watched.now;

	if (now->in_group == watched.before.in_group) {
		fprintf(stderr,
		        now->on_machine == watched.before.on_machine
		                ? "killed by another process: the kernel's OOM killer has killed nobody"
		                : "killed by another process, or by the kernel's OOM killer, which "
		                  "has killed in another group meanwhile");
		return;
	}
	fprintf(stderr, "killed by the kernel's OOM killer: ");
	if (now->has_group)
		fprintf(stderr, "the group met its limit of %s", tool_size(now->limit));
	else
		fprintf(stderr, "the machine had no memory left");
	if (page == NULL)
		return;
	/* It may have grown much since. */
	fprintf(stderr, ", %s of it for this heap %.1f s before", tool_size(page->stats.charged),
	        (double)view_age_ms(page) / 1000);
	if (page->stats.limit == UINT64_MAX)
		fprintf(stderr, "; set limit:auto, and the program is asked before");
}

/* SIGABRT or SIGSEGV by what the program did itself. */
static void put_crash(const struct stats_page *page, int signal)
{
	const struct flight_event *verdict = page != NULL ? last_refusal(page) : NULL;

	fprintf(stderr, signal == SIGABRT ? "abort() by the program or its libraries"
	                                  : "a crash of the program");
	if (page == NULL)
		return;
	if (verdict == NULL)
		fprintf(stderr, "; no request was refused before");
	else if (real_ns() - verdict->time_ns < REASON_NS)
		fprintf(stderr,
		        "; just before, a request for %" PRIu64 " bytes was refused "
		        "(constraint %s): it was not ready for that",
		        verdict->bytes, verdict->name);
	else
		fprintf(stderr, "; the last refusal was %.1f s before",
		        (double)(real_ns() - verdict->time_ns) / 1e9);
}

static void put_verdict(const struct stats_page *page, int signal)
{
	if (page != NULL && put_own_end(page, signal))
		return;
	if (signal == SIGKILL)
		put_kernels_kill(page);
	else
		put_crash(page, signal);
}

/* ---- The report ---- */

static void put_group(void)
{
	const struct oom_kills *before = &watched.before, *now = &watched.now;

	if (now->has_group)
		fprintf(stderr, "  group: %s, limit %s\n", now->group, tool_size(now->limit));
	fprintf(stderr,
	        "  killed by the kernel, before and after: %" PRIu64 " and %" PRIu64
	        " in the group, %" PRIu64 " and %" PRIu64 " on the machine\n",
	        before->in_group, now->in_group, before->on_machine, now->on_machine);
}

static bool is_newest(const struct stats_page *page, const struct flight_event *event)
{
	for (size_t i = 0; i < FLIGHT_EVENTS; i++)
		if (page->flight.event[i].number > event->number)
			return false;
	return true;
}

/* What a handler of SIGABRT does may be more than what is shown of all that was before. */
static void put_events(const struct stats_page *page, int signal)
{
	const struct flight_event *end = own_end(page, signal);

	if (!events_any(page)) {
		fprintf(stderr, "  last events: none\n");
		return;
	}
	fprintf(stderr, "  last events:\n");
	events_view_until(stderr, page, end != NULL ? end->number : FLIGHT_BUSY, EVENTS_SHOWN);
	if (end == NULL || is_newest(page, end))
		return;
	fprintf(stderr, "  and after that:\n");
	events_view_after(stderr, page, end->number, EVENTS_SHOWN);
}

static void report(pid_t pid, const char *name, int signal)
{
	static struct stats_page page;
	bool has_page = watched.fd >= 0 && page_read_last(watched.fd, &page);

	oom_kills_read(&watched.now);
	fprintf(stderr, "oomreclaim: post-mortem: %s (%d), SIG%s: ", name, pid,
	        sigabbrev_np(signal));
	put_verdict(has_page ? &page : NULL, signal);
	fputc('\n', stderr);
	if (has_page)
		fprintf(stderr,
		        "  heap, %.1f s ago: charged %s, peak %s, limit %s, resident %s; "
		        "%" PRIu64 " failures, %" PRIu64 " refused\n",
		        (double)view_age_ms(&page) / 1000, tool_size(page.stats.charged),
		        tool_size(page.stats.charged_peak), tool_limit(page.stats.limit),
		        tool_size(page.stats.heap_resident), page.stats.failures,
		        page.stats.refused);
	else
		fprintf(stderr, "  heap: there was no page of counters to look at\n");
	put_group();
	if (has_page)
		put_events(&page, signal);
}

/* ---- The wait ---- */

/* What comes for this command is meant for the program; and its own child's signal. */
static void fill(sigset_t *set)
{
	static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

	sigfillset(set);
	for (size_t i = 0; i < COUNT(own); i++)
		sigdelset(set, own[i]);
}

void post_mortem_begin(sigset_t *old)
{
	sigset_t set;

	oom_kills_read(&watched.before);
	fill(&set);
	sigprocmask(SIG_BLOCK, &set, old);
}

/* The program may have closed its page's descriptor, and made another page. */
static void look_for_page(pid_t pid)
{
	int fd = page_open(pid);
	struct stat status;

	if (fd < 0)
		return;
	if (fstat(fd, &status) != 0 || (watched.fd >= 0 && status.st_ino == watched.inode)) {
		close(fd);
		return;
	}
	if (watched.fd >= 0)
		close(watched.fd);
	watched.fd = fd;
	watched.inode = status.st_ino;
}

/* As the program did; of a core there is one already. */
static void end_by(int signal)
{
	const struct rlimit none = {0, 0};
	sigset_t set;

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	fflush(NULL);
	sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
	sigemptyset(&set);
	sigaddset(&set, signal);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(signal);
}

static int end(pid_t pid, const char *name, int status)
{
	int signal;

	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	signal = WTERMSIG(status);
	if (signal == SIGKILL || signal == SIGABRT || signal == SIGSEGV)
		report(pid, name, signal);
	end_by(signal);
	return 128 + signal;
}

/* A terminal's signal is for all of the job, and has come to the program as well. */
static bool is_to_be_passed(const siginfo_t *info, pid_t pid)
{
	return info->si_signo != SIGCHLD && info->si_code <= 0 && info->si_pid != pid;
}

int post_mortem_watch(pid_t pid, const char *name)
{
	struct timespec wait = {.tv_nsec = FIRST_LOOK_NS};
	siginfo_t info;
	sigset_t set;
	int status;

	fill(&set);
	for (;;) {
		int taken = sigtimedwait(&set, &info, &wait);

		if (taken > 0 && is_to_be_passed(&info, pid))
			kill(pid, taken);
		if (waitpid(pid, &status, WNOHANG | WUNTRACED) == pid) {
			if (!WIFSTOPPED(status))
				return end(pid, name, status);
			/* The shell sees its job stopped, and continues all of it. */
			raise(SIGSTOP);
			continue;
		}
		look_for_page(pid);
		if (taken < 0 && wait.tv_sec == 0) {
			wait.tv_nsec *= 2;
			if (wait.tv_nsec >= LONGEST_LOOK_NS)
				wait = (struct timespec){.tv_sec = 1};
		}
	}
}
