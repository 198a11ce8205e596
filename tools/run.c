/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim run: sets the environment and the limits, and becomes the program, or its parent. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "post_mortem.h"
#include "program.h"
#include "settings.h"
#include "tool.h"
#include "total.h"

#define TUNABLE "glibc.rtld.optional_static_tls="

#define SIZE_LEAST ((uint64_t)8 << 20)

enum {
	OPTION_LIMIT = 256,
	OPTION_TOTAL,
	OPTION_POLICY,
	OPTION_RESERVE,
	OPTION_CONF,
	OPTION_STATS,
	OPTION_CONTROL,
	OPTION_POST_MORTEM,
	OPTION_DEBUG,
	OPTION_AS,
	OPTION_DATA,
	OPTION_LIBRARY
};

static const struct option options_of_run[] = {{"limit", required_argument, NULL, OPTION_LIMIT},
                                               {"total", required_argument, NULL, OPTION_TOTAL},
                                               {"policy", required_argument, NULL, OPTION_POLICY},
                                               {"reserve", required_argument, NULL, OPTION_RESERVE},
                                               {"conf", required_argument, NULL, OPTION_CONF},
                                               {"stats", no_argument, NULL, OPTION_STATS},
                                               {"control", no_argument, NULL, OPTION_CONTROL},
                                               {"post-mortem", no_argument, NULL,
                                                OPTION_POST_MORTEM},
                                               {"debug", no_argument, NULL, OPTION_DEBUG},
                                               {"as", required_argument, NULL, OPTION_AS},
                                               {"data", required_argument, NULL, OPTION_DATA},
                                               {"library", required_argument, NULL, OPTION_LIBRARY},
                                               {"help", no_argument, NULL, 'h'},
                                               {NULL, 0, NULL, 0}};

struct plan {
	char conf[4096]; /* what is added to OOMRECLAIM_CONF */
	bool is_conf_too_long;
	uint64_t as, data; /* UINT64_MAX: as they are */
	uint64_t total;    /* UINT64_MAX: none */
	const char *library;
	bool is_debug; /* the debug library */
	bool is_post_mortem;
};

static void add(struct plan *plan, const char *key, const char *value)
{
	size_t used = strlen(plan->conf);
	int length = snprintf(plan->conf + used, sizeof plan->conf - used, "%s%s%s",
	                      used > 0 ? "," : "", key, value);

	plan->is_conf_too_long |= length < 0 || (size_t)length >= sizeof plan->conf - used;
}

static int take_size(uint64_t *bytes, const char *option)
{
	if (!tool_parse_size(optarg, bytes) || *bytes == 0 || *bytes == UINT64_MAX)
		return tool_usage(&command_run, "run: %s %s: not a size (like 512M, 1G)", option,
		                  optarg);
	/* As --limit has it; with less the program ends with a line of ld.so's. */
	if (*bytes < SIZE_LEAST)
		return tool_usage(&command_run,
		                  "run: %s %s: less than 8M, which a heap needs to start", option,
		                  optarg);
	return TOOL_OK;
}

static int take_option(struct plan *plan, int option)
{
	switch (option) {
	case OPTION_LIMIT:
		add(plan, "limit:", optarg);
		break;
	case OPTION_TOTAL:
		/* Without statistics nobody could see what is charged to it. */
		add(plan, "stats:true", "");
		return take_size(&plan->total, "--total");
	case OPTION_POLICY:
		add(plan, "policy:", optarg);
		break;
	case OPTION_RESERVE:
		add(plan, "reserve:", optarg);
		break;
	case OPTION_CONF:
		add(plan, "", optarg);
		break;
	case OPTION_STATS:
		add(plan, "stats:true", "");
		break;
	case OPTION_CONTROL:
		add(plan, "control:true", "");
		break;
	case OPTION_POST_MORTEM:
		plan->is_post_mortem = true;
		add(plan, "stats:true", "");
		break;
	case OPTION_DEBUG:
		plan->is_debug = true;
		add(plan, "verbose:true,report:always", "");
		break;
	case OPTION_AS:
		return take_size(&plan->as, "--as");
	case OPTION_DATA:
		return take_size(&plan->data, "--data");
	case OPTION_LIBRARY:
		plan->library = optarg;
		break;
	default:
		return TOOL_USAGE;
	}
	return TOOL_OK;
}

/* The pairs are looked at here, where a mistake can keep the program from starting. */
static int check_conf(const struct plan *plan)
{
	if (plan->is_conf_too_long)
		return tool_usage(&command_run, "run: settings of more than %zu bytes",
		                  sizeof plan->conf - 1);
	/* The debug library has settings that this command does not know, and reports bad ones
	   itself. */
	if (plan->is_debug)
		return TOOL_OK;
	return settings_check("run", plan->conf) == 0 ? TOOL_OK : TOOL_USAGE;
}

/* In front of what is there, or behind it. */
static int put_variable(const char *name, const char *first, const char *separator,
                        const char *second)
{
	size_t bytes = strlen(first) + strlen(separator) + strlen(second) + 1;
	char *value = malloc(bytes);
	int error;

	if (value == NULL)
		return tool_fail("%s: %s", name, strerror(errno));
	snprintf(value, bytes, "%s%s%s", first, separator, second);
	error = setenv(name, value, 1);
	free(value);
	return error == 0 ? TOOL_OK : tool_fail("%s: %s", name, strerror(errno));
}

/* With a library in LD_AUDIT, ld.so has no room left for the thread-local storage of one that is
   preloaded, unless it is told to leave some: the program would not start. */
static int leave_room(void)
{
	const char *audit = getenv("LD_AUDIT"), *tunables = getenv("GLIBC_TUNABLES");

	if (tunables == NULL)
		tunables = "";
	if (audit == NULL || audit[0] == '\0' || strstr(tunables, TUNABLE) != NULL)
		return TOOL_OK;
	/* Enough for the debug library. */
	return put_variable("GLIBC_TUNABLES", tunables, tunables[0] != '\0' ? ":" : "",
	                    TUNABLE "8192");
}

static int set_environment(const struct plan *plan, const char *library)
{
	const char *preload = getenv("LD_PRELOAD"), *conf = getenv("OOMRECLAIM_CONF");
	int status = leave_room();

	if (preload == NULL)
		preload = "";
	if (status == TOOL_OK)
		status =
			put_variable("LD_PRELOAD", library, preload[0] != '\0' ? ":" : "", preload);
	if (status != TOOL_OK || plan->conf[0] == '\0')
		return status;
	if (conf == NULL)
		conf = "";
	/* The later of two pairs counts. */
	return put_variable("OOMRECLAIM_CONF", conf, conf[0] != '\0' ? "," : "", plan->conf);
}

static int set_limit(__rlimit_resource_t resource, uint64_t bytes, const char *option)
{
	const struct rlimit limit = {bytes, bytes};

	if (bytes == UINT64_MAX || setrlimit(resource, &limit) == 0)
		return TOOL_OK;
	if (errno == EPERM)
		return tool_fail(
			"run: %s is above the hard limit that holds here; give less, or raise "
			"it (ulimit -H) as root",
			option);
	return tool_fail("run: %s: %s", option, strerror(errno));
}

static int become(char **command)
{
	execvp(command[0], command);
	return tool_fail("%s: %s", command[0], strerror(errno));
}

/* The program is a child then, which this command outlives. */
static int become_parent(char **command)
{
	const char *slash = strrchr(command[0], '/');
	sigset_t mask;
	pid_t pid;

	post_mortem_begin(&mask);
	pid = fork();
	if (pid < 0)
		return tool_fail("run: no program can be started: %s", strerror(errno));
	if (pid > 0)
		return post_mortem_watch(pid, slash != NULL ? slash + 1 : command[0]);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return become(command);
}

static int start(const struct plan *plan, char **command)
{
	char library[PATH_MAX];
	struct program program;
	const char *obstacle;
	int status = library_find(plan->library, plan->is_debug, library);

	if (status == TOOL_OK)
		status = program_find(command[0], &program);
	if (status != TOOL_OK)
		return status;
	obstacle = program_obstacle(&program);
	if (obstacle != NULL)
		return tool_fail("%s: %s", program.path, obstacle);
	status = set_environment(plan, library);
	if (status == TOOL_OK && plan->total != UINT64_MAX)
		status = total_make(plan->total);
	if (status == TOOL_OK)
		status = set_limit(RLIMIT_DATA, plan->data, "--data");
	if (status == TOOL_OK)
		status = set_limit(RLIMIT_AS, plan->as, "--as");
	if (status != TOOL_OK)
		return status;
	return plan->is_post_mortem ? become_parent(command) : become(command);
}

static int run(int argc, char **argv)
{
	struct plan plan = {.as = UINT64_MAX, .data = UINT64_MAX, .total = UINT64_MAX};
	int option, status;

	while ((option = tool_next_option(&command_run, argc, argv, options_of_run)) != -1) {
		if (option == 'h')
			return tool_flush();
		status = take_option(&plan, option);
		if (status != TOOL_OK)
			return status;
	}
	if (optind == argc)
		return tool_usage(&command_run, "run: no program to run");
	status = check_conf(&plan);
	return status == TOOL_OK ? start(&plan, argv + optind) : status;
}

const struct tool_command command_run = {
	.name = "run",
	.letters = "+:h",
	.synopsis = "[OPTION...] [--] COMMAND [ARGUMENT...]",
	.summary = "starts a program on the library",
	.options =
		"  --limit SIZE|auto     the most that its heap has resident; for each process\n"
		"  --total SIZE          the most that the heaps of all processes below it have\n"
		"                        resident together; implies --stats\n"
		"  --as SIZE             RLIMIT_AS, --data SIZE: RLIMIT_DATA\n"
		"  --policy return|abort|kill\n"
		"                        what happens when nothing more can be reclaimed\n"
		"  --reserve SIZE        memory set aside for callbacks\n"
		"  --conf KEY:VALUE,...  any setting; see oomreclaim conf\n"
		"  --stats               for oomreclaim top and oomreclaim stat to read\n"
		"  --control             for oomreclaim ctl\n"
		"  --post-mortem         stays beside it, and says at its end what was known\n"
		"  --debug               liboomreclaim-debug.so.0, and a report for every failure\n"
		"  --library FILE        another liboomreclaim.so.0\n",
	.run = run,
};
