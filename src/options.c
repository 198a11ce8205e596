/* SPDX-License-Identifier: BSD-2-Clause */
#include "options.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"

/* mm/page_alloc.c's PAGE_ALLOC_COSTLY_ORDER: whoever asks for more checks for NULL. */
#define COSTLY_ORDER 3
#define COSTLY_ORDER_MAX 30
#define COSTLY_OFF SIZE_MAX

/* A preloaded library can't ask its user anything later: see options.h. */
struct options options;

/* What a program may define to have settings without an environment; see the public header. */
OOM_EXPORT __attribute__((weak)) const char *oomreclaim_conf;

/* A value as it stands in the string: not terminated. */
struct value {
	const char *text;
	size_t length;
};

struct row {
	struct option option;
	/* Sets `set` from the value; NULL, or what is wrong with it. */
	const char *(*parse)(const struct value *value, struct options *set);
};

static bool is_equal(const struct value *value, const char *word)
{
	return value->length == strlen(word) && memcmp(value->text, word, value->length) == 0;
}

static bool has_prefix(const struct value *value, const char *prefix)
{
	size_t length = strlen(prefix);

	return value->length >= length && memcmp(value->text, prefix, length) == 0;
}

/* Digits, at least one, and at most one unit if units are allowed. */
static const char *parse_number(const struct value *value, bool has_unit, uint64_t *number)
{
	static const char units[] = "KMGT";
	uint64_t sum = 0;
	size_t at = 0;

	while (at < value->length && value->text[at] >= '0' && value->text[at] <= '9')
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)(value->text[at++] - '0'), &sum))
			return "number too large";
	if (at == 0)
		return has_unit ? "not a size (like 65536, 64K, 8M, 1G)" : "not a number";
	if (at < value->length && has_unit) {
		const char *unit = strchr(units, value->text[at] & ~0x20);
		unsigned shift;

		if (unit == NULL || *unit == '\0')
			return "unknown unit (K, M, G or T)";
		shift = 10 * (unsigned)(unit - units + 1);
		if (sum > UINT64_MAX >> shift)
			return "number too large";
		sum <<= shift;
		at++;
	}
	if (at < value->length)
		return has_unit ? "not a size (like 65536, 64K, 8M, 1G)" : "not a number";
	*number = sum;
	return NULL;
}

static const char *parse_bool(const struct value *value, bool *set)
{
	if (is_equal(value, "true"))
		*set = true;
	else if (is_equal(value, "false"))
		*set = false;
	else
		return "neither true nor false";
	return NULL;
}

static const char *parse_policy(const struct value *value, struct options *set)
{
	if (is_equal(value, "return"))
		set->policy = OOMRECLAIM_POLICY_RETURN;
	else if (is_equal(value, "abort"))
		set->policy = OOMRECLAIM_POLICY_ABORT;
	else if (is_equal(value, "kill"))
		set->policy = OOMRECLAIM_POLICY_KILL;
	else
		return "none of return, abort, kill";
	return NULL;
}

static const struct {
	const char *name;
	int number;
} signals[] = {{"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"ABRT", SIGABRT},
               {"KILL", SIGKILL}, {"BUS", SIGBUS},   {"SEGV", SIGSEGV}, {"TERM", SIGTERM},
               {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"XCPU", SIGXCPU}};

const char *options_signal_name(int number)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (signals[i].number == number)
			return signals[i].name;
	return "?";
}

static const char *parse_kill_signal(const struct value *value, struct options *set)
{
	struct value name = *value;

	if (has_prefix(&name, "SIG")) {
		name.text += strlen("SIG");
		name.length -= strlen("SIG");
	}
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (is_equal(&name, signals[i].name)) {
			set->kill_signal = signals[i].number;
			return NULL;
		}
	return "none of HUP, INT, QUIT, ABRT, KILL, BUS, SEGV, TERM, USR1, USR2, XCPU";
}

static const char *parse_kill_target(const struct value *value, struct options *set)
{
	static const char *const names[] = {"self", "children", "pgroup", "cgroup"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (is_equal(value, names[i])) {
			set->kill_target = (enum kill_target)i;
			return NULL;
		}
	return "none of self, children, pgroup, cgroup";
}

static const char *parse_kill_group(const struct value *value, struct options *set)
{
	return parse_bool(value, &set->is_kill_group);
}

/* Thread stacks, page tables, libraries and buffers of the kernel count against a cgroup as well,
   and are not the heap's: seen to be some per cent of it in servers, and more in small programs. */
#define LIMIT_MARGIN_PERCENT 10

static const char *parse_limit_auto(const struct value *margin, struct options *set)
{
	uint64_t percent = LIMIT_MARGIN_PERCENT;
	struct value digits = *margin;

	if (margin->length > 0) {
		if (margin->text[0] != '-' || margin->text[margin->length - 1] != '%')
			return "not auto or auto-N%";
		digits.text++;
		digits.length -= margin->length > 1 ? 2 : 1;
		if (parse_number(&digits, false, &percent) != NULL || percent > 99)
			return "not auto-N% with N from 0 to 99";
	}
	set->is_limit_auto = true;
	set->limit_margin_percent = (unsigned)percent;
	return NULL;
}

static const char *parse_limit(const struct value *value, struct options *set)
{
	uint64_t number = SIZE_MAX;
	const char *problem;

	if (has_prefix(value, "auto")) {
		const struct value margin = {value->text + strlen("auto"),
		                             value->length - strlen("auto")};

		return parse_limit_auto(&margin, set);
	}
	if (!is_equal(value, "off")) {
		problem = parse_number(value, true, &number);
		if (problem != NULL)
			return problem;
		if (number == 0)
			return "a limit of 0 would leave nothing; off is no limit";
	}
	set->is_limit_auto = false;
	set->limit_bytes = (size_t)number;
	return NULL;
}

#define SIZE_1G (1ULL << 30)

static const char *parse_size_to_1g(const struct value *value, size_t *bytes)
{
	uint64_t number;
	const char *problem = parse_number(value, true, &number);

	if (problem != NULL)
		return problem;
	if (number > SIZE_1G)
		return "more than 1G";
	*bytes = (size_t)number;
	return NULL;
}

static const char *parse_reserve(const struct value *value, struct options *set)
{
	return parse_size_to_1g(value, &set->reserve_bytes);
}

static const char *parse_oom_dump_max(const struct value *value, struct options *set)
{
	return parse_size_to_1g(value, &set->dump_max_bytes);
}

#define WAIT_MS_MAX (3600ULL * 1000)

static const char *parse_ms(const struct value *value, uint64_t *ms)
{
	uint64_t number;
	const char *problem = parse_number(value, false, &number);

	if (problem != NULL)
		return problem;
	if (number > WAIT_MS_MAX)
		return "more than 3600000 (an hour)";
	*ms = number;
	return NULL;
}

static const char *parse_wait_ms(const struct value *value, struct options *set)
{
	return parse_ms(value, &set->wait_ms);
}

static const char *parse_kill_grace_ms(const struct value *value, struct options *set)
{
	return parse_ms(value, &set->kill_grace_ms);
}

static const char *parse_nofail_ms(const struct value *value, struct options *set)
{
	return parse_ms(value, &set->nofail_ms);
}

static size_t costly_of_order(uint64_t order)
{
	return (size_t)sysconf(_SC_PAGESIZE) << order;
}

static const char *parse_costly(const struct value *value, struct options *set)
{
	struct value order = *value;
	const char *problem;
	uint64_t number;

	if (is_equal(value, "off")) {
		set->costly_bytes = COSTLY_OFF;
		return NULL;
	}
	if (!has_prefix(value, "order:")) {
		problem = parse_number(value, true, &number);
		if (problem == NULL)
			set->costly_bytes = (size_t)number;
		return problem;
	}
	order.text += strlen("order:");
	order.length -= strlen("order:");
	problem = parse_number(&order, false, &number);
	if (problem != NULL)
		return problem;
	if (number > COSTLY_ORDER_MAX)
		return "order above 30";
	set->costly_bytes = costly_of_order(number);
	return NULL;
}

static const char *parse_report(const struct value *value, struct options *set)
{
	if (is_equal(value, "auto"))
		set->report = REPORT_AUTO;
	else if (is_equal(value, "always"))
		set->report = REPORT_ALWAYS;
	else if (is_equal(value, "never"))
		set->report = REPORT_NEVER;
	else
		return "none of auto, always, never";
	return NULL;
}

static const char *parse_path(const struct value *value, char path[OPTIONS_PATH_MAX + 1])
{
	if (value->length > OPTIONS_PATH_MAX)
		return "path longer than 255 bytes";
	memcpy(path, value->text, value->length);
	path[value->length] = '\0';
	return NULL;
}

static const char *parse_log(const struct value *value, struct options *set)
{
	return parse_path(value, set->log_path);
}

static const char *parse_oom_dump(const struct value *value, struct options *set)
{
	return parse_path(value, set->dump_path);
}

static const char *parse_verbose(const struct value *value, struct options *set)
{
	return parse_bool(value, &set->is_verbose);
}

static const char *parse_strict_conf(const struct value *value, struct options *set)
{
	return parse_bool(value, &set->is_strict);
}

static const struct row table[] = {
	{{"policy", "return", "return|abort|kill", "what happens when reclaim has given nothing"},
         parse_policy},
	{{"kill_signal", "KILL", "HUP|INT|QUIT|ABRT|KILL|BUS|SEGV|TERM|USR1|USR2|XCPU",
          "the signal of policy kill"},
         parse_kill_signal},
	{{"kill_target", "self", "self|children|pgroup|cgroup", "among whom policy kill chooses"},
         parse_kill_target},
	{{"kill_grace_ms", "5000", "0 to 3600000",
          "how long a victim has after a kill_signal that it may handle; then SIGKILL"},
         parse_kill_grace_ms},
	{{"kill_group", "false", "true|false", "the victim's whole memory cgroup goes with it"},
         parse_kill_group},
	{{"limit", "off", "a size|auto|auto-N%|off", "the most that the heap maps"}, parse_limit},
	{{"reserve", "1M", "0 to 1G", "memory set aside for callbacks; 0 for none"}, parse_reserve},
	{{"wait_ms", "1000", "0 to 3600000", "how long to wait for another thread's callbacks"},
         parse_wait_ms},
	{{"nofail_ms", "10000", "0 to 3600000",
          "how long scope NOFAIL waits before it aborts; 0 for ever"},
         parse_nofail_ms},
	{{"costly", "order:3", "SIZE|order:0 to order:30|off",
          "the largest request for which the policy acts"},
         parse_costly},
	{{"report", "auto", "auto|always|never",
          "when to write the report: auto is before the policy ends the process"},
         parse_report},
	{{"log", "", "a path", "the file the report is appended to; empty for stderr"}, parse_log},
	{{"oom_dump", "", "a directory",
          "where to write statistics and a heap profile when the policy acts; empty for nowhere"},
         parse_oom_dump},
	{{"oom_dump_max", "16M", "0 to 1G", "the largest file that oom_dump writes"},
         parse_oom_dump_max},
	{{"verbose", "false", "true|false", "a line for every failure that reclaim could not avert"},
         parse_verbose},
	{{"strict_conf", "false", "true|false", "a wrong pair ends the program at its start"},
         parse_strict_conf},
};

bool options_describe(unsigned index, struct option *option)
{
	if (index >= ARRAY_SIZE(table))
		return false;
	*option = table[index].option;
	return true;
}

/* Levenshtein's distance, of words short enough for one row on the stack. */
#define WORD_MAX 24

static size_t edit_distance(const struct value *typed, const char *key)
{
	size_t row[WORD_MAX + 1], length = strlen(key);

	if (typed->length > WORD_MAX || length > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 1; i <= typed->length; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			size_t replaced = diagonal + (typed->text[i - 1] != key[j - 1]);
			size_t shorter = row[j] < row[j - 1] ? row[j] : row[j - 1];

			diagonal = row[j];
			row[j] = replaced < shorter + 1 ? replaced : shorter + 1;
		}
	}
	return row[length];
}

static const char *nearest_key(const struct value *typed)
{
	const char *nearest = NULL;
	size_t least = typed->length / 3 + 2; /* one slip in three letters, and one more */

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		size_t distance = edit_distance(typed, table[i].option.key);

		if (distance < least) {
			least = distance;
			nearest = table[i].option.key;
		}
	}
	return nearest;
}

/* Applies one pair; false if it was ignored, with the reason in `error`. */
static bool apply_pair(const char *pair, size_t length, struct options *set,
                       struct options_error *error)
{
	const char *colon = memchr(pair, ':', length);
	struct value key = {pair, colon != NULL ? (size_t)(colon - pair) : length}, value;

	error->pair = pair;
	error->pair_length = length < INT_MAX ? (int)length : INT_MAX;
	error->suggestion = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!is_equal(&key, table[i].option.key))
			continue;
		if (colon == NULL) {
			error->problem = "no value; the form is key:value";
			return false;
		}
		value = (struct value){colon + 1, length - key.length - 1};
		error->problem = table[i].parse(&value, set);
		return error->problem == NULL;
	}
	error->problem = "unknown setting";
	error->suggestion = nearest_key(&key);
	return false;
}

unsigned options_apply(const char *source, const char *text, struct options *set,
                       void (*complain)(const struct options_error *error))
{
	struct options_error error = {.source = source};
	unsigned ignored = 0;

	for (const char *pair = text; pair != NULL && *pair != '\0';) {
		size_t length = strcspn(pair, ",");

		if (length > 0 && !apply_pair(pair, length, set, &error)) {
			ignored++;
			if (complain != NULL)
				complain(&error);
		}
		pair += length + (pair[length] == ',');
	}
	return ignored;
}

unsigned options_load(void (*complain)(const struct options_error *error))
{
	struct options set;
	unsigned ignored;

	/* The defaults stand once, as text, where the documentation takes them from as well. */
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct value value = {table[i].option.default_text,
		                      strlen(table[i].option.default_text)};

		table[i].parse(&value, &set);
	}
	ignored = options_apply("oomreclaim_conf", oomreclaim_conf, &set, complain);
	ignored += options_apply("OOMRECLAIM_CONF", secure_getenv("OOMRECLAIM_CONF"), &set, complain);
	/* At once: the second time, a thread of somebody's constructor may be reading. */
	options = set;
	return ignored;
}
