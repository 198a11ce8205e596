/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/options.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "config/options_parse.h"

/* A preloaded library can't ask its user anything later: see options.h. */
struct options options;

/* What a program may define to have settings without an environment; see the public header. */
OOM_EXPORT __attribute__((weak)) const char *oomreclaim_conf;

struct row {
	struct option option;
	/* Sets what is at `field`; NULL, or what is wrong with the value. */
	const char *(*parse)(const struct value *value, void *field);
	size_t field; /* in struct options; of those that set several, all of it */
};

#define FIELD(member) offsetof(struct options, member)

static const struct row table[] = {
	{{"policy", "return", "return|abort|kill", "what happens when reclaim has given nothing"},
         parse_policy,
         0},
	{{"kill_signal", "KILL", "HUP|INT|QUIT|ABRT|KILL|BUS|SEGV|TERM|USR1|USR2|XCPU",
          "the signal of policy kill"},
         parse_kill_signal,
         0},
	{{"kill_target", "self", "self|children|pgroup|cgroup", "among whom policy kill chooses"},
         parse_kill_target,
         0},
	{{"kill_grace_ms", "5000", "0 to 3600000",
          "how long a victim has after a kill_signal that it may handle; then SIGKILL"},
         parse_ms,
         FIELD(kill_grace_ms)},
	{{"kill_group", "false", "true|false", "the victim's whole memory cgroup goes with it"},
         parse_bool,
         FIELD(is_kill_group)},
	{{"cancel_grace_ms", "1000", "0 to 3600000",
          "how long others wait for the memory of a group that is cancelled, before another may be"},
         parse_ms,
         FIELD(cancel_grace_ms)},
	{{"limit", "off", "a size from 8M to 256T|auto|auto-N%|off",
          "the most that the heap may have resident"},
         parse_limit,
         0},
	{{"high", "off", "a size|N%|off", "oomreclaimd begins above it; N% is of the limit"},
         parse_watermark,
         FIELD(high)},
	{{"low", "off", "a size|N%|off", "oomreclaimd ends below it; off is nine tenths of high"},
         parse_watermark,
         FIELD(low)},
	{{"pressure", "off", "auto|off|a path", "what reports memory pressure to oomreclaimd"},
         parse_pressure,
         FIELD(pressure_path)},
	{{"levels", "20/10/5/1/4", "N/N/N/N/N",
          "low/medium/critical level: below that per cent left of the limit; medium/critical: from that round on"},
         parse_levels,
         FIELD(levels)},
	{{"reserve", "1M", "0 to 1G", "memory set aside for callbacks; 0 for none"},
         parse_size_to_1g,
         FIELD(reserve_bytes)},
	{{"wait_ms", "1000", "0 to 3600000", "how long to wait for another thread's callbacks"},
         parse_ms,
         FIELD(wait_ms)},
	{{"nofail_ms", "10000", "0 to 3600000",
          "how long scope NOFAIL waits before it aborts; 0 for ever"},
         parse_ms,
         FIELD(nofail_ms)},
	{{"costly", "order:3", "SIZE|order:0 to order:30|off",
          "the largest request for which the policy acts"},
         parse_costly,
         0},
	{{"report", "auto", "auto|always|never",
          "when to write the report: auto is before the policy ends the process"},
         parse_report,
         0},
	{{"log", "", "a path", "the file the report is appended to; empty for stderr"},
         parse_path,
         FIELD(log_path)},
	{{"oom_dump", "", "a directory",
          "where to write statistics and a heap profile when a request is refused or the policy acts; empty for nowhere"},
         parse_path,
         FIELD(dump_path)},
	{{"oom_dump_max", "16M", "0 to 1G", "the largest file that oom_dump writes"},
         parse_size_to_1g,
         FIELD(dump_max_bytes)},
	{{"oom_dump_high", "false", "true|false", "oom_dump writes also where high is crossed"},
         parse_bool,
         FIELD(is_dump_high)},
	{{"verbose", "false", "true|false",
          "a line for every failure that reclaim could not avert, or that was injected"},
         parse_bool,
         FIELD(is_verbose)},
	{{"stats", "false", "true|false", "a page of counters that other processes can read"},
         parse_bool,
         FIELD(is_stats)},
	{{"control", "false", "true|false", "the user and root may give commands: oomreclaim ctl"},
         parse_bool,
         FIELD(is_control)},
	{{"modules", "", "NAME or /PATH, with =ARGUMENT, joined by +",
          "what to load to register callbacks for libraries that the program uses"},
         parse_path,
         FIELD(modules)},
	{{"deepbind", "false", "true|false",
          "what is opened with RTLD_DEEPBIND is opened so, and finds libc's malloc() before this one"},
         parse_bool,
         FIELD(is_deepbind)},
	{{"fail_page", "0", "probability/interval/times/space",
          "mappings that fail for a test: per cent, of every Nth, how often (-1: no end), after how many bytes"},
         parse_fail_page,
         FIELD(fail_page)},
	{{"fail_page_min", "0", "a size", "the smallest mapping that fail_page lets fail"},
         parse_size,
         FIELD(fail_page.min_bytes)},
	{{"fail_page_seed", "0", "a number", "what fail_page's chance begins with"},
         parse_count,
         FIELD(fail_page.seed)},
	{{"fail_page_task_filter", "false", "true|false",
          "fail_page is for threads alone that say so by oomreclaim_fault_thread()"},
         parse_bool,
         FIELD(fail_page.task_filter)},
#ifdef OOM_DEBUG
	{{"fail_malloc", "0", "probability/interval/times/space",
          "as fail_page, of calls of malloc() and its kind"},
         parse_fail_page,
         FIELD(fail_malloc)},
	{{"fail_malloc_caller", "", "a function or a part of a file's name",
          "who calls malloc() where fail_malloc fails it; empty for anybody"},
         parse_path,
         FIELD(fail_malloc_caller)},
	{{"fail_malloc_seed", "0", "a number", "what fail_malloc's chance begins with"},
         parse_count,
         FIELD(fail_malloc.seed)},
	{{"lock_check", "warn", "warn|abort|off", "what is done about a possible deadlock"},
         parse_lock_check,
         FIELD(lock_check)},
	{{"dry_run", "false", "true|false",
          "each callback is called when it is registered, with a request of 0 bytes"},
         parse_bool,
         FIELD(is_dry_run)},
	{{"block_check", "true", "true|false",
          "blocks are looked at when they are freed: twice, in part, overrun, or written to later"},
         parse_bool,
         FIELD(is_block_check)},
	{{"block_stacks", "false", "true|false", "where such a block was allocated and freed"},
         parse_bool,
         FIELD(is_block_stacks)},
	{{"block_quarantine", "16M", "0 to 1G",
          "how much that was freed is kept back, to be looked at"},
         parse_size_to_1g,
         FIELD(block_quarantine_bytes)},
#endif
	{{"strict_conf", "false", "true|false", "a wrong pair ends the program at its start"},
         parse_bool,
         FIELD(is_strict)},
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

/* Keys have no capitals; with some, the same key is meant. */
static int small(char c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

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
			size_t replaced = diagonal + (small(typed->text[i - 1]) != key[j - 1]);
			size_t shorter = row[j] < row[j - 1] ? row[j] : row[j - 1];

			diagonal = row[j];
			row[j] = replaced < shorter + 1 ? replaced : shorter + 1;
		}
	}
	return row[length];
}

/* One slip in three letters, and one more where a word of more than three begins as it should: two
   letters that change places are two. */
static size_t slips_allowed(const struct value *typed, const char *key)
{
	bool begins_right = typed->length > 3 && small(typed->text[0]) == key[0];

	return typed->length / 3 + begins_right;
}

static const char *nearest_key(const struct value *typed)
{
	const char *nearest = NULL;
	size_t least = SIZE_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		size_t distance = edit_distance(typed, table[i].option.key);

		if (distance < least && distance <= slips_allowed(typed, table[i].option.key)) {
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
	/* "key=value" is what other programs have. */
	const char *end = colon != NULL ? colon : memchr(pair, '=', length);
	struct value key = {pair, end != NULL ? (size_t)(end - pair) : length}, value;

	error->pair = pair;
	error->pair_length = length < INT_MAX ? (int)length : INT_MAX;
	error->suggestion = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!value_is(&key, table[i].option.key))
			continue;
		if (colon == NULL) {
			error->problem = "no value; the form is key:value";
			return false;
		}
		value = (struct value){colon + 1, length - key.length - 1};
		error->problem = table[i].parse(&value, (char *)set + table[i].field);
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

/* Bytes of a watermark as far as they are known from the settings alone; 0: not. */
static size_t bytes_of(const struct watermark *watermark, size_t limit_bytes)
{
	if (watermark->percent == 0 || limit_bytes == SIZE_MAX)
		return watermark->bytes;
	return limit_bytes / 100 * watermark->percent;
}

static bool is_set(const struct watermark *watermark)
{
	return watermark->bytes > 0 || watermark->percent > 0;
}

/* Pairs that are right, but not with each other. */
static unsigned check_watermarks(struct options *set,
                                 void (*complain)(const struct options_error *error))
{
	size_t high = bytes_of(&set->high, set->limit_bytes),
	       low = bytes_of(&set->low, set->limit_bytes);
	bool has_limit = set->is_limit_auto || set->limit_bytes != SIZE_MAX;
	struct options_error error = {.source = "settings"};

	if (!is_set(&set->high) && is_set(&set->low)) {
		error.pair = "low";
		error.problem = "there is no high";
	} else if (set->high.percent > 0 && !has_limit) {
		error.pair = "high";
		error.problem = "a share of the limit, and none is set yet";
	} else if (high > set->limit_bytes) {
		error.pair = "high";
		error.problem = "above the limit";
		set->high = (struct watermark){.bytes = 0};
	} else if ((high > 0 && low >= high) ||
	           (set->high.percent > 0 && set->low.percent >= set->high.percent)) {
		error.pair = "low";
		error.problem = "not below high; nine tenths of high instead";
		set->low = (struct watermark){.bytes = 0};
	}
	if (error.pair == NULL)
		return 0;
	error.pair_length = (int)strlen(error.pair);
	if (complain != NULL)
		complain(&error);
	return 1;
}

unsigned options_load(void (*complain)(const struct options_error *error))
{
	struct options set = {.policy = OOMRECLAIM_POLICY_RETURN};
	unsigned ignored;

	/* The defaults stand once, as text, where the documentation takes them from as well. */
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct value value = {table[i].option.default_text,
		                      strlen(table[i].option.default_text)};

		table[i].parse(&value, (char *)&set + table[i].field);
	}
	ignored = options_apply("oomreclaim_conf", oomreclaim_conf, &set, complain);
	ignored +=
		options_apply("OOMRECLAIM_CONF", secure_getenv("OOMRECLAIM_CONF"), &set, complain);
	ignored += check_watermarks(&set, complain);
	/* At once: the second time, a thread of somebody's constructor may be reading. */
	options = set;
	return ignored;
}
