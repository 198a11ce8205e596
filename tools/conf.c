/* SPDX-License-Identifier: BSD-2-Clause */
/* oomreclaim conf: the library's settings, and what the environment makes of them. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "limits/auto_limit.h"
#include "settings.h"
#include "tool.h"

/* A path of the longest kind that the library takes fits. */
#define VALUE_BYTES 288
#define SETTINGS_MAX 64

enum form { FORM_TEXT, FORM_KEYS, FORM_JSON };

static const struct option options_of_conf[] = {{"conf", required_argument, NULL, 'c'},
                                                {"keys", no_argument, NULL, 'k'},
                                                {"json", no_argument, NULL, 'j'},
                                                {"help", no_argument, NULL, 'h'},
                                                {NULL, 0, NULL, 0}};

/* What is in force, row by row. */
static struct in_force {
	char value[VALUE_BYTES];
	const char *source;
} in_force[SETTINGS_MAX];

static void keep(const char *source, const char *pair)
{
	size_t length = strcspn(pair, ":");
	struct setting row;

	for (unsigned i = 0; i < SETTINGS_MAX && settings_row(i, &row); i++)
		if (strlen(row.key) == length && strncmp(row.key, pair, length) == 0) {
			snprintf(in_force[i].value, sizeof in_force[i].value, "%s",
			         pair + length + 1);
			in_force[i].source = source;
		}
}

/* Takes the pairs that the library would, the later one of two; complains of the others. */
static unsigned apply(const char *source, const char *text)
{
	char *copy, *pair, *rest;

	if (text == NULL)
		return 0;
	copy = strdup(text);
	if (copy == NULL)
		return 1;
	for (pair = strtok_r(copy, ",", &rest); pair != NULL; pair = strtok_r(NULL, ",", &rest))
		if (settings_takes(pair))
			keep(source, pair);
	free(copy);
	return settings_check(source, text);
}

static void print_text(void)
{
	struct setting row;

	printf("%-14s %-10s %-16s %-9s %s\n", "setting", "in force", "from", "default", "values");
	for (unsigned i = 0; i < SETTINGS_MAX && settings_row(i, &row); i++) {
		const struct in_force *now = &in_force[i];
		const char *value = now->source != NULL ? now->value : row.default_text;

		printf("%-14s %-10s %-16s %-9s %s\n               %s\n", row.key,
		       value[0] != '\0' ? value : "-",
		       now->source != NULL ? now->source : "default",
		       row.default_text[0] != '\0' ? row.default_text : "-", row.range,
		       row.meaning);
	}
}

/* For the shells' completions: key, values and meaning, by tabulators. */
static void print_keys(void)
{
	struct setting row;

	for (unsigned i = 0; settings_row(i, &row); i++)
		printf("%s\t%s\t%s\n", row.key, row.range, row.meaning);
}

static void print_json(void)
{
	struct setting row;

	printf("[");
	for (unsigned i = 0; i < SETTINGS_MAX && settings_row(i, &row); i++) {
		const struct in_force *now = &in_force[i];

		printf("%s{\"key\": \"%s\", \"value\": ", i > 0 ? ",\n " : "", row.key);
		tool_put_quoted(now->source != NULL ? now->value : row.default_text);
		printf(", \"source\": \"%s\", \"default\": \"%s\", \"values\": \"%s\", \"meaning\": ",
		       now->source != NULL ? now->source : "default", row.default_text, row.range);
		tool_put_quoted(row.meaning);
		printf("}");
	}
	printf("]\n");
}

static bool is_finite(__rlimit_resource_t resource)
{
	struct rlimit limit;

	return getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

/* The last word on retain in MALLOC_CONF; NULL if there is none. */
static const char *find_retain(const char *conf)
{
	const char *found = NULL;

	for (; conf != NULL; conf = strchr(conf, ',')) {
		conf += *conf == ',';
		if (strncmp(conf, "retain:", strlen("retain:")) == 0)
			found = conf + strlen("retain:");
	}
	return found;
}

static void print_jemalloc(void)
{
	const char *conf = getenv("MALLOC_CONF"), *retain = find_retain(conf);
	const char *why = "by MALLOC_CONF";

	if (retain == NULL && (is_finite(RLIMIT_AS) || is_finite(RLIMIT_DATA))) {
		retain = "false";
		why = "since RLIMIT_AS or RLIMIT_DATA is set";
	} else if (retain == NULL) {
		retain = "true";
		why = "jemalloc's default";
	}
	printf("\njemalloc: MALLOC_CONF is \"%s\"; retain is %.*s, %s\n", conf != NULL ? conf : "",
	       (int)strcspn(retain, ","), retain, why);
}

/* As a program that is started from here would find it. */
static void print_auto_limit(void)
{
	const char *value = "";
	struct auto_limit limit;
	unsigned margin_percent;
	struct setting row;

	for (unsigned i = 0; i < SETTINGS_MAX && settings_row(i, &row); i++)
		if (strcmp(row.key, "limit") == 0 && in_force[i].source != NULL)
			value = in_force[i].value;
	if (!settings_is_auto(value, &margin_percent))
		return;
	auto_limit_find(&limit, margin_percent);
	if (limit.bytes == UINT64_MAX)
		printf("\nlimit:auto: no limit; neither a memory cgroup nor /proc/meminfo is in sight\n");
	else if (limit.group[0] == '\0')
		printf("\nlimit:auto: %" PRIu64 " bytes, %u%% of the machine's memory; no memory "
		       "cgroup with a limit is in sight\n",
		       limit.bytes, 100 - margin_percent);
	else
		printf("\nlimit:auto: %" PRIu64
		       " bytes, less what others use there, %u%% of the limit of %s\n",
		       limit.bytes, 100 - margin_percent, limit.group);
}

static int print(enum form form)
{
	switch (form) {
	case FORM_KEYS:
		print_keys();
		break;
	case FORM_JSON:
		print_json();
		break;
	case FORM_TEXT:
		print_text();
		print_auto_limit();
		print_jemalloc();
	}
	return tool_flush();
}

static int run(int argc, char **argv)
{
	enum form form = FORM_TEXT;
	const char *conf = NULL;
	unsigned wrong;
	int option, flushed;

	while ((option = tool_next_option(&command_conf, argc, argv, options_of_conf)) != -1) {
		if (option == 'h')
			return tool_flush();
		if (option == '?')
			return TOOL_USAGE;
		if (option == 'c')
			conf = optarg;
		else
			form = option == 'k' ? FORM_KEYS : FORM_JSON;
	}
	if (optind < argc)
		return tool_usage(&command_conf, "conf: %s: takes no arguments", argv[optind]);
	wrong = form == FORM_KEYS ? 0 : apply("OOMRECLAIM_CONF", getenv("OOMRECLAIM_CONF"));
	wrong += apply("--conf", conf);
	flushed = print(form);
	return wrong > 0 ? TOOL_USAGE : flushed;
}

const struct tool_command command_conf = {
	.name = "conf",
	.letters = "+:h",
	.synopsis = "[--conf KEY:VALUE,...] [--json | --keys]",
	.summary = "lists all settings, with what is in force here",
	.options = "  --conf KEY:VALUE,...  as oomreclaim run would add it\n"
		   "  --json                a list of objects\n"
		   "  --keys                key, values and meaning, with tabulators between them\n"
		   "Exit status: 2 if a pair is wrong, as that of oomreclaim run.\n",
	.run = run,
};
