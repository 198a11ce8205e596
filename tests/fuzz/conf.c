/* SPDX-License-Identifier: BSD-2-Clause */
/* OOMRECLAIM_CONF: any text at all. */
#include <string.h>

#include "config/options.h"
#include "fuzz.h"

static const char *begin, *end;
static unsigned complaints;

static void complain(const struct options_error *error)
{
	complaints++;
	MUST(error->problem != NULL);
	/* Of both settings together there is no one pair. */
	if (strcmp(error->source, "settings") == 0)
		return;
	MUST(error->pair_length >= 0);
	MUST(error->pair >= begin && error->pair + error->pair_length <= end);
}

static void check_path(const char *path)
{
	MUST(strnlen(path, OPTIONS_PATH_MAX + 1) <= OPTIONS_PATH_MAX);
}

static void check_values(const struct options *set)
{
	const uint64_t ms_max = 3600000;
	const size_t gib = (size_t)1 << 30;

	MUST(set->policy <= OOMRECLAIM_POLICY_KILL);
	MUST(set->kill_target <= KILL_CGROUP);
	MUST(set->kill_signal > 0 && set->kill_signal < 65);
	MUST(set->kill_grace_ms <= ms_max && set->wait_ms <= ms_max && set->nofail_ms <= ms_max);
	MUST(set->cancel_grace_ms <= ms_max);
	MUST(set->limit_bytes >= (size_t)8 << 20);
	MUST(set->limit_margin_percent < 100);
	MUST(set->high.percent <= 100 && set->low.percent <= 100);
	MUST(set->reserve_bytes <= gib && set->dump_max_bytes <= gib);
	MUST(set->report <= REPORT_NEVER);
	check_path(set->log_path);
	check_path(set->dump_path);
	check_path(set->pressure_path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	unsetenv("OOMRECLAIM_CONF");
	options_load(NULL);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options once = options, twice;
	char *text = malloc(size + 1);
	unsigned ignored;

	MUST(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	begin = text;
	end = text + strlen(text);
	complaints = 0;
	ignored = options_apply("fuzz", text, &once, complain);
	MUST(ignored == complaints);
	check_values(&once);
	/* Said twice, it is the same. */
	twice = once;
	options_apply("fuzz", text, &twice, NULL);
	MUST(memcmp(&once, &twice, sizeof once) == 0);
	free(text);
	return 0;
}
