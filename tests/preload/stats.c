/* SPDX-License-Identifier: BSD-2-Clause */
/* Statistics in a real process: the call, the page of stats:true, malloc_stats_print(). */
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim_group.h"
#include "report/stats_layout.h"

/* The descriptor of this process's page, -1 if there is none. */
static int page_fd(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	char path[300], link[64];
	int found = -1;

	CHECK(dir != NULL);
	while ((entry = readdir(dir))) {
		ssize_t length;

		snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
		length = readlink(path, link, sizeof link - 1);
		link[length > 0 ? length : 0] = '\0';
		if (!strcmp(link, STATS_PAGE_LINK))
			found = atoi(entry->d_name);
	}
	closedir(dir);
	return found;
}

static int count_in(const char *path)
{
	DIR *dir = opendir(path);
	int entries = 0;

	CHECK(dir != NULL);
	while (readdir(dir))
		entries++;
	closedir(dir);
	return entries - 2;
}

static int count_threads(void)
{
	return count_in("/proc/self/task");
}

/* The descriptors of the thread that has a table of its own, -1 if there is none. */
static int count_in_own_table(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	int found = -1;

	while ((task = readdir(tasks))) {
		char path[300], name[32] = "";
		FILE *comm;

		snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
		comm = fopen(path, "re");
		if (!comm)
			continue;
		if (fgets(name, sizeof name, comm) && !strcmp(name, "oomreclaim-poll\n")) {
			snprintf(path, sizeof path, "/proc/self/task/%s/fd", task->d_name);
			found = count_in(path);
		}
		fclose(comm);
	}
	closedir(tasks);
	return found;
}

/* Waits until this process has a page. Allocates, as a program does. */
static void wait_for_page(struct stats_page *page)
{
	int fd;

	while ((fd = page_fd()) < 0 || pread(fd, page, sizeof *page, 0) != sizeof *page ||
	       page->sequence < 4) {
		free(malloc(MIB));
		usleep(10000);
	}
	CHECK_EQ(page->pid, getpid());
}

static void run_get(void)
{
	struct oomreclaim_stats before, after;
	struct pool pool = {.oldest = NULL};
	size_t count;

	CHECK_EQ(oomreclaim_stats_get(&before, sizeof before), 0);
	CHECK_EQ(before.struct_size, sizeof before);
	CHECK_EQ(before.failures, 0);
	CHECK(before.heap_allocated > 0 && before.heap_mapped >= before.heap_active);
	CHECK_EQ(before.reserve, MIB);
	count = pool_fill(&pool, 4096);
	CHECK_EQ(oomreclaim_stats_get(&after, sizeof after), 0);
	CHECK(after.heap_allocated >= count * 4096);
	CHECK(after.charged > before.charged && after.charged_peak >= after.charged);
	CHECK_EQ(after.last_outcome, OOMRECLAIM_OUTCOME_NULL);
	CHECK(!strcmp(after.last_constraint, "RLIMIT_AS"));
	pool_clear(&pool);
}

static size_t stats_in_callback(const struct oomreclaim_control *control, void *arg)
{
	struct oomreclaim_stats *stats = arg;

	(void)control;
	CHECK_EQ(oomreclaim_stats_get(stats, sizeof *stats), 0);
	return 0;
}

static void run_in_callback(void)
{
	struct oomreclaim_stats stats = {.struct_size = 0};

	CHECK_EQ(oomreclaim_register("asks", 0, 0, stats_in_callback, &stats, NULL), 0);
	CHECK(!malloc((size_t)1 << 40));
	CHECK_EQ(oomreclaim_reclaim(1), 0);
	CHECK_EQ(stats.callbacks, 1);
}

static void run_off(void)
{
	free(malloc(MIB));
	CHECK_EQ(page_fd(), -1);
	CHECK_EQ(count_threads(), 1);
}

static void run_page(void)
{
	struct stats_page page;
	int fd = page_fd();

	CHECK(fd >= 0);
	CHECK_EQ(pread(fd, &page, sizeof page, 0), sizeof page);
	CHECK_EQ(page.pid, getpid());
	CHECK(!strcmp(page.library, oomreclaim_version()));
	CHECK(!malloc(SIZE_MAX));
	/* If it was written just before, it is again by who allocates next. */
	do {
		free(malloc(MIB));
		CHECK_EQ(pread(fd, &page, sizeof page, 0), sizeof page);
	} while (page.stats.failures == 0);
	CHECK_EQ(page.stats.impossible, 1);
}

static void run_child(void)
{
	struct stats_page page;
	pid_t pid = fork();

	if (!pid) {
		wait_for_page(&page);
		_exit(0);
	}
	CHECK_EQ(check_child(pid), 0);
	wait_for_page(&page);
}

/* A child that closes everything, as one does that becomes a daemon. */
static void run_daemon(void)
{
	struct stats_page page;
	pid_t pid = fork();

	if (!pid) {
		wait_for_page(&page);
		closefrom(3);
		CHECK_EQ(page_fd(), -1);
		wait_for_page(&page);
		_exit(0);
	}
	CHECK_EQ(check_child(pid), 0);
}

/* EBUSY: just then oomreclaimd opens something by that number, in place of what was taken from
   it. */
static void take_over(int fd, int number)
{
	int got;

	do
		got = dup2(fd, number);
	while (got < 0 && errno == EBUSY);
	CHECK_EQ(got, number);
}

/* A program that says 3<file, as shells do, gets to read all of the file. */
static void run_low_numbers(void)
{
	char text[64] = "", path[] = "/tmp/oomreclaim-low-XXXXXX";
	int fd = mkstemp(path);

	CHECK_EQ(fd, 3);
	unlink(path);
	CHECK_EQ(write(fd, "0123456789abcdef", 16), 16);
	/* Those above are taken over as well: as a program does that knows of no others. */
	for (int number = 4; number < 1024; number++)
		take_over(fd, number);
	lseek(fd, 0, SEEK_SET);
	/* For longer than the thread sleeps. */
	for (int i = 0; i < 25; i++) {
		free(malloc(MIB));
		usleep(100000);
	}
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_EQ(pread(fd, text, sizeof text, 0), 16);
	CHECK(!strcmp(text, "0123456789abcdef"));
}

/* A case in a program with a source of pressure, which says what that says. */
static void run_with_fifo(const char *name)
{
	static char path[] = "/tmp/oomreclaim-fifo-XXXXXX", conf[128], said[4096];
	int both[2];
	pid_t pid;

	CHECK(mkdtemp(path));
	strcat(strcpy(conf, "stats:true,pressure:"), path);
	strcat(conf, "/fifo");
	CHECK_EQ(mkfifo(strchr(conf, '/'), 0600), 0);
	CHECK_EQ(pipe(both), 0);
	pid = fork();
	if (!pid) {
		dup2(both[1], STDERR_FILENO);
		close(both[0]);
		close(both[1]);
		setenv("OOMRECLAIM_CONF", conf, 1);
		execl("/proc/self/exe", "stats", name, NULL);
		_exit(9);
	}
	close(both[1]);
	while (read(both[0], said + strlen(said), sizeof said - strlen(said) - 1) > 0)
		;
	fputs(said, stderr);
	CHECK_EQ(check_child(pid), 0);
	unlink(strchr(conf, '/'));
	rmdir(path);
}

/* The same, of the descriptor that pressure is watched by: nothing has happened to the source, and
   nothing is said. */
static void run_low_numbers_pressure(void)
{
	run_with_fifo("low-numbers");
}

static size_t nothing(const struct oomreclaim_control *control, void *arg)
{
	(void)control;
	(void)arg;
	return 0;
}

/* Page and source are in the table of a thread. A child of that has its own page and source, and
   none of its parent's. */
static void run_own_table(void)
{
	struct stats_page page;
	int descriptors;
	pid_t pid;

	CHECK_EQ(oomreclaim_register("nothing", 0, 0, nothing, NULL, NULL), 0);
	while (count_in_own_table() != 2)
		usleep(1000);
	descriptors = count_in("/proc/self/fd");
	pid = fork();
	if (!pid) {
		wait_for_page(&page);
		CHECK_EQ(count_in("/proc/self/fd"), descriptors);
		_exit(0);
	}
	CHECK_EQ(check_child(pid), 0);
}

static void run_child_pressure(void)
{
	run_with_fifo("own-table");
}

static void take_text(void *arg, const char *piece)
{
	char *text = arg;
	size_t used = strlen(text);

	CHECK(used + strlen(piece) < MIB);
	strcpy(text + used, piece);
}

static void run_print(void)
{
	char *text = calloc(1, MIB);
	int depth = 0;

	CHECK(!malloc(SIZE_MAX));
	malloc_stats_print(take_text, text, NULL);
	CHECK(strstr(text,
	             "--- End jemalloc statistics ---\n___ Begin oomreclaim statistics ___\n"));
	CHECK(strstr(text, "\nfailures: 1\n"));
	CHECK(strstr(text, "\n--- End oomreclaim statistics ---\n"));
	for (const char *const *form = (const char *const[]){"J", "Ja", "Jmdablxeh", NULL}; *form;
	     form++) {
		text[0] = '\0';
		malloc_stats_print(take_text, text, *form);
		CHECK(!strncmp(text, "{", 1));
		CHECK(strstr(text, ", \"oomreclaim\": {"));
		CHECK(strstr(text, "\"failures\": 1, "));
		for (const char *at = text; *at; at++) {
			depth += (*at == '{') - (*at == '}');
			/* The outermost closes last. */
			CHECK(depth > 0 || strspn(at + 1, " \t\n") == strlen(at + 1));
		}
		CHECK_EQ(depth, 0);
	}
	free(text);
}

static void run_print_groups(void)
{
	char *text = calloc(1, MIB), name[] = "a \"job\"", *at;
	oomreclaim_group group;

	for (int i = 0; i < 20; i++)
		CHECK_EQ(oomreclaim_group_create("idle", OOMRECLAIM_GROUP_ROOT, &group), 0);
	CHECK_EQ(oomreclaim_group_create(name, OOMRECLAIM_GROUP_ROOT, &group), 0);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_MAX, 4 * MIB), 0);
	oomreclaim_group_enter(group);
	free(malloc(2 * MIB));
	malloc_stats_print(take_text, text, NULL);
	at = strstr(text, "\ngroup ");
	CHECK(at &&
	      strstr(at,
	             ", depth 0, a \"job\": policy return, max 4194304, high none, low 0, min 0, charged "));
	CHECK(strstr(at,
	             ", max_met 0, reclaimed 0, cancels 0, high_met 0, threads 1, children 0\n"));
	CHECK(strstr(at, "\n... and 5 more groups\n--- End oomreclaim statistics ---\n"));
	text[0] = '\0';
	malloc_stats_print(take_text, text, "J");
	CHECK(strstr(text, "], \"groups_total\": 21, \"groups\": [{\"group\": "));
	CHECK(strstr(text,
	             ", \"depth\": 0, \"name\": \"a \\\"job\\\"\", \"policy\": \"return\", "
	             "\"max\": 4194304, \"high\": null, \"low\": 0, \"min\": 0, \"charged\": "));
	CHECK(strstr(text, "\"policy\": \"return\", \"max\": null, "));
	CHECK(strstr(text, "}]}}"));
	oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
	free(text);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"get", run_get},
		{"in-callback", run_in_callback},
		{"off", run_off},
		{"page", run_page},
		{"child", run_child},
		{"daemon", run_daemon},
		{"low-numbers", run_low_numbers},
		{"low-numbers-pressure", run_low_numbers_pressure},
		{"own-table", run_own_table},
		{"child-pressure", run_child_pressure},
		{"print", run_print},
		{"print-groups", run_print_groups},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
