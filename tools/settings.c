/* SPDX-License-Identifier: BSD-2-Clause */
#include "settings.h"

#include <stdio.h>

#include "config/options.h"
#include "tool.h"

static void complain(const struct options_error *error)
{
	if (error->suggestion != NULL)
		tool_warn("%s: \"%.*s\": %s; did you mean \"%s\"?", error->source,
		          error->pair_length, error->pair, error->problem, error->suggestion);
	else
		tool_warn("%s: \"%.*s\": %s; see oomreclaim conf", error->source,
		          error->pair_length, error->pair, error->problem);
}

bool settings_row(unsigned index, struct setting *setting)
{
	struct option row;

	if (!options_describe(index, &row))
		return false;
	*setting = (struct setting){.key = row.key,
	                            .default_text = row.default_text,
	                            .range = row.range,
	                            .meaning = row.meaning};
	return true;
}

unsigned settings_check(const char *source, const char *text)
{
	struct options set = {.policy = OOMRECLAIM_POLICY_RETURN};

	return options_apply(source, text, &set, complain);
}

bool settings_takes(const char *pair)
{
	struct options set = {.policy = OOMRECLAIM_POLICY_RETURN};

	return options_apply("", pair, &set, NULL) == 0;
}

bool settings_is_auto(const char *value, unsigned *margin_percent)
{
	struct options set = {.policy = OOMRECLAIM_POLICY_RETURN};
	char pair[64];

	snprintf(pair, sizeof pair, "limit:%s", value);
	if (options_apply("", pair, &set, NULL) > 0)
		return false;
	*margin_percent = set.limit_margin_percent;
	return set.is_limit_auto;
}
