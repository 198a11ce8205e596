/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Before main(): what has to be there before memory runs out, and what the user has to be told.
 * None of it is needed for malloc() to work: other constructors may allocate before this one runs.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "background/background.h"
#include "base/base.h"
#include "base/io.h"
#include "base/io_write.h"
#include "base/own_code.h"
#include "config/options.h"
#include "entry/debug.h"
#include "entry/dry_run.h"
#include "entry/fork.h"
#include "entry/interpose.h"
#include "entry/modules.h"
#include "heap/blocks.h"
#include "heap/heap_ops.h"
#include "kill/cancel.h"
#include "limits/auto_limit.h"
#include "limits/budget.h"
#include "reclaim/reserve.h"
#include "report/dump.h"
#include "report/log.h"
#include "report/report.h"
#include "report/stats_page.h"
#include "report/total_say.h"

/* As much of a wrong pair as leaves room for what is wrong with it. */
#define PAIR_SHOWN 200

/* One line, whatever is in the pair. */
static void complain(const struct options_error *error)
{
	char raw[PAIR_SHOWN + 1], pair[PAIR_SHOWN + sizeof "..."];
	struct io_buf buf = {.text = pair, .bytes = sizeof pair};
	bool is_cut = error->pair_length > PAIR_SHOWN;
	size_t length = is_cut ? PAIR_SHOWN : (size_t)error->pair_length;

	memcpy(raw, error->pair, length);
	raw[length] = '\0';
	io_puts_clean(&buf, raw);
	if (is_cut)
		io_puts_clean(&buf, "...");
	if (error->suggestion != NULL)
		io_warn("%s: \"%s\" ignored: %s; did you mean \"%s\"?", error->source, pair,
		        error->problem, error->suggestion);
	else
		io_warn("%s: \"%s\" ignored: %s", error->source, pair, error->problem);
}

static void load_options(void)
{
	if (options_load(complain) == 0 || !options.is_strict)
		return;
	io_warn("strict_conf is set: not starting");
	_exit(EXIT_FAILURE);
}

static void warn_of_path(const char *setting, const char *path, int error, const char *instead)
{
	char shown[OPTIONS_PATH_MAX + 1];
	struct io_buf buf = {.text = shown, .bytes = sizeof shown};

	io_puts_clean(&buf, path);
	if (error != 0)
		io_warn("%s: %s: %s; %s", setting, shown, strerrordesc_np(-error), instead);
}

/* Before there is something to write to them. */
static void check_paths(void)
{
	if (options.log_path[0] != '\0' && options.report != REPORT_NEVER)
		warn_of_path("log", options.log_path, log_check(),
		             "reports go to stderr until it can be written");
	if (options.dump_path[0] != '\0' && options.dump_max_bytes > 0)
		warn_of_path("oom_dump", options.dump_path, dump_check(),
		             "nothing is dumped until it can be written");
}

/* A container's limit that can't be seen is no limit, and the kernel kills at it without a word. */
static void tell_auto_limit(void)
{
	struct auto_limit limit = {.bytes = UINT64_MAX};

	auto_limit_find(&limit, options.limit_margin_percent);
	if (limit.bytes == UINT64_MAX)
		io_warn("limit:auto: neither a memory cgroup nor /proc/meminfo is in sight; no limit");
	else if (limit.group[0] == '\0')
		io_warn("limit:auto: no memory cgroup with a limit is in sight; %llu bytes, of the machine's memory",
		        (unsigned long long)limit.bytes);
}

bool interpose_is_first(void)
{
	void *probe = malloc(1);
	bool is_ours = probe == NULL || heap_ops.is_ours(probe);

	/* Another allocator's free() may rely on its program's main() having begun. */
	if (is_ours)
		free(probe);
	return is_ours;
}

static void warn_of_company(void)
{
	const void *found = dlsym(RTLD_DEFAULT, "malloc");
	Dl_info first;

	/* The loader has put this library's in its place; but that is not what is called. */
	if (own_code_has(found)) {
		io_warn("malloc() does not come here, as under valgrind: nothing is reclaimed");
		return;
	}
	io_warn("another allocator comes first: %s; its malloc is used, and nothing is reclaimed",
	        dladdr(found, &first) != 0 ? first.dli_fname : "unknown");
}

static void init_stats(void)
{
	int error = stats_page_write();

	if (error != 0)
		io_warn("stats: no page for others to read: %s", strerrordesc_np(-error));
}

__attribute__((constructor)) static void init(void)
{
	int saved = errno;
	bool is_ours;

	io_stderr_note();
	load_options();
	debug_init();
	budget_init(background_wake);
	cancel_init(background_cancel);
	total_say();
	is_ours = interpose_is_first();
	if (is_ours) {
		heap_ops.init();
		if (reserve_init(options.reserve_bytes) != 0)
			io_warn("no room for a reserve of %zu bytes: going on without one",
			        options.reserve_bytes);
	} else {
		warn_of_company();
	}
	if (fork_register() != 0)
		io_warn("no memory for the fork handlers: a child of a threaded program may hang");
	if (is_ours)
		check_paths();
	if (is_ours && options.is_limit_auto && options.is_verbose)
		tell_auto_limit();
	if (is_ours && options.is_stats)
		init_stats();
	if (is_ours)
		background_init();
	if (is_ours)
		modules_load(options.modules);
	errno = saved;
}

__attribute__((destructor)) static void fini(void)
{
	background_stop();
	dry_run_stop();
	blocks_stop();
}
