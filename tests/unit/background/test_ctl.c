/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands from outside: what oomreclaimd does, and who gets what answer. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "background/background.h"
#include "background_log.h"
#include "base/base.h"
#include "base/flight.h"
#include "budget_set.h"
#include "config/ctl_command.h"
#include "config/verbose.h"
#include "fake_heap.h"
#include "forbid.h"
#include "limits/budget.h"
#include "support.h"

#define MIB ((size_t)1 << 20)

static void set(const char *conf)
{
	cr_assert_eq(options_apply("test", conf, &options, NULL), 0);
	budget_init(background_wake);
}

static void init(void)
{
	support_init();
	set("control:true");
}

TestSuite(ctl, .init = init, .fini = fake_proc_end, .timeout = WATCHDOG_SECONDS);

/* ---- As the command finds it, and asks ---- */

static bool find_in(const char *thread, char path[sizeof(((struct sockaddr_un *)0)->sun_path)])
{
	char directory[64], link[256];
	struct dirent *entry;
	bool is_found = false;
	DIR *dir;

	snprintf(directory, sizeof directory, "/proc/self/task/%.20s/fd", thread);
	dir = opendir(directory);
	while (dir != NULL && !is_found && (entry = readdir(dir)) != NULL) {
		ssize_t length;

		snprintf(path, 108, "%s/%.20s", directory, entry->d_name);
		length = readlink(path, link, sizeof link - 1);
		link[length > 0 ? length : 0] = '\0';
		is_found = strstr(link, CTL_SOCKET_NAME) != NULL;
	}
	if (dir != NULL)
		closedir(dir);
	return is_found;
}

/* Among the program's own. */
static bool has_program(void)
{
	char thread[16], path[108];

	snprintf(thread, sizeof thread, "%d", gettid());
	return find_in(thread, path);
}

static bool find(char path[108])
{
	struct dirent *entry;
	bool is_found = false;
	DIR *dir = opendir("/proc/self/task");

	while (!is_found && (entry = readdir(dir)) != NULL)
		is_found = entry->d_name[0] != '.' && find_in(entry->d_name, path);
	closedir(dir);
	return is_found;
}

static int connect_here(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	/* It is opened a moment after the thread is there, and listens another one later. */
	while (!find(address.sun_path) ||
	       connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
		usleep(1000);
	return fd;
}

static const char *answer_to(int fd)
{
	static char text[CTL_ANSWER_MAX + 1];
	ssize_t bytes = recv(fd, text, sizeof text - 1, 0);

	text[bytes > 0 ? bytes : 0] = '\0';
	close(fd);
	return text;
}

static const char *ask_by(int fd, const char *request, size_t bytes)
{
	(void)!send(fd, request, bytes, MSG_NOSIGNAL);
	return answer_to(fd);
}

#define ASK(request) ask_by(connect_here(), request, sizeof(request))

/* ---- What is done ---- */

Test(ctl, nothing_without_the_setting)
{
	char path[108];

	options.is_control = false;
	options.is_stats = false;
	background_init();
	cr_expect_eq(threads(), 0);
	cr_expect_not(find(path));
}

Test(ctl, reclaim)
{
	cr_assert(budget_take(3 * MIB));
	background_init();
	serve(generous);
	cr_expect_str_eq(ASK("reclaim\0003M"), "+callbacks gave 3072K; charged 0K, before 3072K");
	cr_expect_eq(seen.asked[0].bytes_wanted, 3 * MIB);
	cr_expect_eq(seen.asked[0].reason, OOMRECLAIM_REASON_MANUAL);
	cr_expect_not(seen.asked[0].is_direct);
	cr_expect(seen.was_in_ladder, "what it allocates is served from the reserve");
	cr_expect_neq(seen.tid, gettid());
}

/* One that claims what is not so does not keep the thread for ever. */
Test(ctl, reclaim_from_a_liar)
{
	background_init();
	serve(liar);
	cr_expect_str_neq(ASK("reclaim\000100G"), "");
	cr_expect_leq(calls(), 20);
}

Test(ctl, limit)
{
	cr_assert(budget_take(30 * MIB));
	background_init();
	cr_expect_str_eq(ASK("limit\00040M"), "+limit 40960K; charged 30720K");
	cr_expect_eq(oomreclaim_get_limit(), 40 * MIB);
	cr_expect_str_eq(ASK("limit\00020M"),
	                 "+limit 20480K; charged 30720K, and nothing more to reclaim");
	cr_expect_eq(fake_heap_keeps, GROUP_KEEPS_MIN);
	cr_expect_str_eq(ASK("limit\0off"), "+no limit; charged 30720K");
	cr_expect_eq(oomreclaim_get_limit(), SIZE_MAX);
}

Test(ctl, limit_reclaims)
{
	cr_assert(budget_take(30 * MIB));
	background_init();
	serve(empty);
	ASK("limit\00020M");
	wait_for_calls(1);
	cr_expect_eq(seen.asked[0].bytes_wanted, 10 * MIB);
}

Test(ctl, high)
{
	background_init();
	cr_expect_str_eq(ASK("high\00080%"), "-a share of the limit, and there is none");
	ASK("limit\00010M");
	cr_expect_str_eq(ASK("high\00080%"), "+high 8191K, low 7372K; charged 0K");
	cr_expect_str_eq(ASK("high\00011M"), "-above the limit of 10240K");
	cr_expect_str_eq(ASK("high\0off"), "+no watermark; charged 0K");
}

Test(ctl, policy)
{
	background_init();
	cr_expect_str_eq(ASK("policy\0abort"), "+policy abort");
	cr_expect_eq(oomreclaim_get_policy(), OOMRECLAIM_POLICY_ABORT);
}

Test(ctl, verbose)
{
	background_init();
	cr_expect_str_eq(ASK("verbose\0on"), "+verbose on");
	cr_expect(verbose_is_on());
	cr_expect_str_eq(ASK("verbose\0off"), "+verbose off");
	cr_expect_not(verbose_is_on());
}

Test(ctl, report)
{
	const char *text;

	background_init();
	serve(empty);
	text = ASK("report");
	cr_expect(strstr(text, " was asked for a report: pid ") != NULL);
	cr_expect(strstr(text, "\n  heap: ") != NULL);
	cr_expect(strstr(text, "\n  callbacks:\n") != NULL);
}

Test(ctl, dump)
{
	char directory[512], expected[640];

	background_init();
	cr_expect_str_eq(ASK("dump"), "-the setting oom_dump names no directory");
	fake_proc_begin();
	fake_proc_mkdir("/dump");
	fake_proc_path(directory, sizeof directory, "/dump");
	strcpy(options.dump_path, directory);
	snprintf(expected, sizeof expected, "+wrote %s/oomreclaim.%d.asked.1.stats.json", directory,
	         getpid());
	cr_expect_str_eq(ASK("dump"), expected);
	strcat(options.dump_path, "/missing");
	snprintf(expected, sizeof expected,
	         "-%s/missing/oomreclaim.%d.asked.2.stats.json: No such file or directory",
	         directory, getpid());
	cr_expect_str_eq(ASK("dump"), expected);
}

static size_t other(const struct oomreclaim_control *control, void *arg)
{
	*(size_t *)arg = control->bytes_wanted;
	return control->bytes_wanted;
}

static void add(const char *name, unsigned flags, size_t *asked)
{
	cr_assert_eq(oomreclaim_register(name, 9, flags, other, asked, NULL), 0);
}

Test(ctl, callback)
{
	size_t first = 0, second = 0, direct = 0;

	background_init();
	add("first", 0, &first);
	add("second", 0, &second);
	add("direct", OOMRECLAIM_CALLBACK_DIRECT, &direct);
	cr_expect_str_eq(ASK("callback\0second\0002M"), "+gave 2048K; charged 0K");
	cr_expect_eq(second, 2 * MIB);
	cr_expect_eq(first, 0, "it was not asked");
	cr_expect_str_eq(ASK("callback\0direct\0002M"),
	                 "-it is for threads alone that need the memory");
	cr_expect_eq(direct, 0);
	cr_expect_str_eq(ASK("callback\0third\0002M"),
	                 "-no callback has that name; report lists them");
}

/* ---- What others may send ---- */

Test(ctl, bad_requests)
{
	char much[4096];

	background_init();
	memset(much, 'a', sizeof much);
	cr_expect_str_eq(ASK("stop"), "-there is no such command");
	cr_expect_str_eq(ask_by(connect_here(), "repo", 4), "-the request is not whole");
	cr_expect_str_eq(ask_by(connect_here(), much, sizeof much), "-the request is too long");
	memcpy(much, "report", 7);
	cr_expect_str_eq(ask_by(connect_here(), much, sizeof much), "-the request is too long");
	cr_expect_str_eq(ASK("policy\0kill"), "+policy kill");
}

Test(ctl, one_that_says_nothing)
{
	int silent;

	background_init();
	silent = connect_here();
	cr_expect_str_eq(ASK("verbose\0off"), "+verbose off", "others do not wait for it");
	cr_expect_str_eq(answer_to(silent), "-no request has come");
}

/* More than there are places for, and as many that leave at once. */
Test(ctl, many_that_say_nothing)
{
	int silent[8];

	background_init();
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		silent[i] = connect_here();
	for (int i = 0; i < 100; i++)
		close(connect_here());
	cr_expect_str_eq(ASK("verbose\0off"), "+verbose off");
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		close(silent[i]);
}

/* Neither SIGPIPE nor an answer to the next one. */
Test(ctl, one_that_leaves)
{
	int fd;

	background_init();
	for (int i = 0; i < 20; i++) {
		fd = connect_here();
		(void)!send(fd, "report", 7, 0);
		close(fd);
	}
	cr_expect_str_eq(ASK("policy\0return"), "+policy return");
}

static struct gate begun = GATE, go_on = GATE;

static size_t slow(const struct oomreclaim_control *control, void *arg)
{
	(void)control, (void)arg;
	gate_open(&begun);
	gate_wait(&go_on);
	return 0;
}

/* One command after the other, and each gets its own answer. */
Test(ctl, one_at_a_time)
{
	int first, second;

	background_init();
	serve(slow);
	first = connect_here();
	(void)!send(first, "reclaim\0001M", 11, 0);
	gate_wait(&begun);
	second = connect_here();
	(void)!send(second, "policy\0abort", 13, 0);
	/* Longer than one that says nothing may stay. */
	usleep(1200000);
	cr_expect_eq(oomreclaim_get_policy(), OOMRECLAIM_POLICY_RETURN);
	gate_open(&go_on);
	cr_expect_str_eq(answer_to(first), "+callbacks gave 0K; charged 0K, before 0K");
	cr_expect_str_eq(answer_to(second), "+policy abort");
}

/* ---- Where it lies ---- */

Test(ctl, nobody_else_finds_it)
{
	struct stat file;
	char path[108];

	background_init();
	close(connect_here());
	cr_expect_not(has_program());
	cr_assert(find(path));
	cr_assert_eq(stat(path, &file), 0);
	cr_expect_eq(file.st_mode & 07777, 0600);
	cr_expect_eq(file.st_nlink, 0, "it has no name");
}

Test(ctl, no_socket)
{
	struct capture capture;
	const char *line;

	capture_begin(&capture);
	forbid_calls(EPERM, SYS_socket);
	background_init();
	while (strlen(line = capture_next(&capture)) == 0)
		usleep(1000);
	cr_expect_str_eq(line, "oomreclaim: control: no socket: Operation not permitted; commands "
	                       "are not taken\n");
	capture_end(&capture);
}

/* ---- A child ---- */

/* Whatever the program closes, and puts in its place. */
static void in_child_that_closes(void)
{
	int other;

	usleep(1100000);
	background_start_if_wanted();
	close(connect_here());
	if (has_program() || close_range(3, ~0U, 0) != 0)
		_exit(1);
	other = open("/dev/null", O_RDONLY);
	if (strcmp(ASK("policy\0abort"), "+policy abort") != 0)
		_exit(2);
	_exit(fcntl(other, F_GETFD) >= 0 ? 0 : 3);
}

/* AddressSanitizer allocates in a thread that is starting, and fork() does not wait for it: a child
   made meanwhile has the lock of that allocator for good. Who takes commands has started. */
Test(ctl, all_descriptors_are_closed)
{
	background_init();
	close(connect_here());
	cr_expect_eq(run_child(in_child_that_closes), 0);
}

static void in_child(void)
{
	char path[108];

	background_start_if_wanted();
	if (threads() != 0 || find(path))
		_exit(1);
	/* Then it is worth while. */
	usleep(1100000);
	background_start_if_wanted();
	if (strcmp(ASK("policy\0abort"), "+policy abort") != 0)
		_exit(2);
	_exit(oomreclaim_get_policy() == OOMRECLAIM_POLICY_ABORT ? 0 : 3);
}

Test(ctl, a_child_has_its_own)
{
	background_init();
	ASK("policy\0kill");
	cr_expect_eq(run_child(in_child), 0);
	cr_expect_eq(oomreclaim_get_policy(), OOMRECLAIM_POLICY_KILL);
	cr_expect_str_eq(ASK("policy\0return"), "+policy return");
}
