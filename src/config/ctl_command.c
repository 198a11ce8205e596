/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/ctl_command.h"

#include <string.h>

#include "base/base.h"
#include "config/options_parse.h"

#define WORDS_MAX 3

struct words {
	struct value word[WORDS_MAX];
	size_t count; /* more than there is room for: too many */
};

static const char *take_size(const struct value *value, size_t *bytes)
{
	uint64_t number;
	const char *problem = parse_size(value, &number);

	if (problem != NULL)
		return problem;
	if (number == 0)
		return "0 is nothing to ask for";
	*bytes = (size_t)number;
	return NULL;
}

static const char *take_reclaim(const struct words *words, struct ctl_command *command)
{
	return take_size(&words->word[1], &command->bytes);
}

static const char *take_limit(const struct words *words, struct ctl_command *command)
{
	struct options set = {.limit_bytes = 0};
	const char *problem = parse_limit(&words->word[1], &set);

	if (problem == NULL && set.is_limit_auto)
		return "auto is for the start alone";
	command->bytes = set.limit_bytes;
	return problem;
}

static const char *take_high(const struct words *words, struct ctl_command *command)
{
	return parse_watermark(&words->word[1], &command->watermark);
}

static const char *take_policy(const struct words *words, struct ctl_command *command)
{
	struct options set = {.policy = OOMRECLAIM_POLICY_RETURN};
	const char *problem = parse_policy(&words->word[1], &set);

	command->policy = set.policy;
	return problem;
}

static const char *take_callback(const struct words *words, struct ctl_command *command)
{
	const struct value *name = &words->word[1];

	if (name->length == 0 || name->length > OOMRECLAIM_NAME_MAX)
		return "no callback has such a name";
	memcpy(command->name, name->text, name->length + 1);
	return take_size(&words->word[2], &command->bytes);
}

static const char *take_verbose(const struct words *words, struct ctl_command *command)
{
	command->is_on = value_is(&words->word[1], "on");
	return command->is_on || value_is(&words->word[1], "off") ? NULL : "neither on nor off";
}

static const struct {
	const char *name;
	size_t words;
	const char *(*take)(const struct words *words, struct ctl_command *command); /* or NULL */
	const char *usage;
} verbs[CTL_VERBS] = {
	[CTL_RECLAIM] = {"reclaim", 2, take_reclaim, "the form is: reclaim SIZE"},
	[CTL_LIMIT] = {"limit", 2, take_limit, "the form is: limit SIZE|off"},
	[CTL_HIGH] = {"high", 2, take_high, "the form is: high SIZE|N%|off"},
	[CTL_POLICY] = {"policy", 2, take_policy, "the form is: policy return|abort|kill"},
	[CTL_REPORT] = {"report", 1, NULL, "the form is: report"},
	[CTL_DUMP] = {"dump", 1, NULL, "the form is: dump"},
	[CTL_CALLBACK] = {"callback", 3, take_callback, "the form is: callback NAME SIZE"},
	[CTL_VERBOSE] = {"verbose", 2, take_verbose, "the form is: verbose on|off"},
};

/* The last word has its NUL too, or it is half a request. */
static bool split(const char *request, size_t bytes, struct words *words)
{
	words->count = 0;
	if (bytes == 0 || request[bytes - 1] != '\0')
		return false;
	for (size_t at = 0; at < bytes; at += strlen(request + at) + 1) {
		if (words->count < WORDS_MAX)
			words->word[words->count] =
				(struct value){request + at, strlen(request + at)};
		words->count++;
	}
	return true;
}

const char *ctl_parse(const char *request, size_t bytes, struct ctl_command *command)
{
	struct words words;

	if (bytes > CTL_REQUEST_MAX)
		return "the request is too long";
	if (!split(request, bytes, &words))
		return "the request is not whole";
	for (unsigned i = 0; i < CTL_VERBS; i++) {
		if (!value_is(&words.word[0], verbs[i].name))
			continue;
		if (words.count != verbs[i].words)
			return verbs[i].usage;
		*command = (struct ctl_command){.verb = (enum ctl_verb)i};
		return verbs[i].take != NULL ? verbs[i].take(&words, command) : NULL;
	}
	return "there is no such command";
}
