/* SPDX-License-Identifier: BSD-2-Clause */
/* Every setting's values, good and bad. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "support.h"

TestSuite(options_values, .init = support_init, .timeout = WATCHDOG_SECONDS);

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)

/* A number that a pair sets, of whatever type. */
#define MEMBER(name) offsetof(struct options, name), sizeof(options.name)

struct good {
	const char *pair;
	size_t offset, bytes;
	uint64_t value;
};

static const struct good words[] = {
	{"policy:abort", MEMBER(policy), OOMRECLAIM_POLICY_ABORT},
	{"policy:kill", MEMBER(policy), OOMRECLAIM_POLICY_KILL},
	{"policy:return", MEMBER(policy), OOMRECLAIM_POLICY_RETURN},
	{"kill_target:children", MEMBER(kill_target), KILL_CHILDREN},
	{"kill_target:pgroup", MEMBER(kill_target), KILL_PGROUP},
	{"kill_target:cgroup", MEMBER(kill_target), KILL_CGROUP},
	{"kill_target:self", MEMBER(kill_target), KILL_SELF},
	{"kill_group:true", MEMBER(is_kill_group), true},
	{"kill_group:false", MEMBER(is_kill_group), false},
	{"report:always", MEMBER(report), REPORT_ALWAYS},
	{"report:never", MEMBER(report), REPORT_NEVER},
	{"report:auto", MEMBER(report), REPORT_AUTO},
	{"verbose:true", MEMBER(is_verbose), true},
	{"verbose:false", MEMBER(is_verbose), false},
	{"deepbind:true", MEMBER(is_deepbind), true},
	{"deepbind:false", MEMBER(is_deepbind), false},
	{"strict_conf:true", MEMBER(is_strict), true},
	{"strict_conf:false", MEMBER(is_strict), false},
	{"kill_signal:HUP", MEMBER(kill_signal), SIGHUP},
	{"kill_signal:INT", MEMBER(kill_signal), SIGINT},
	{"kill_signal:QUIT", MEMBER(kill_signal), SIGQUIT},
	{"kill_signal:ABRT", MEMBER(kill_signal), SIGABRT},
	{"kill_signal:KILL", MEMBER(kill_signal), SIGKILL},
	{"kill_signal:BUS", MEMBER(kill_signal), SIGBUS},
	{"kill_signal:SEGV", MEMBER(kill_signal), SIGSEGV},
	{"kill_signal:TERM", MEMBER(kill_signal), SIGTERM},
	{"kill_signal:USR1", MEMBER(kill_signal), SIGUSR1},
	{"kill_signal:USR2", MEMBER(kill_signal), SIGUSR2},
	{"kill_signal:XCPU", MEMBER(kill_signal), SIGXCPU},
	{"kill_signal:SIGTERM", MEMBER(kill_signal), SIGTERM},
};

static const struct good numbers[] = {
	{"kill_grace_ms:0", MEMBER(kill_grace_ms), 0},
	{"cancel_grace_ms:0", MEMBER(cancel_grace_ms), 0},
	{"cancel_grace_ms:250", MEMBER(cancel_grace_ms), 250},
	{"kill_grace_ms:3600000", MEMBER(kill_grace_ms), 3600000},
	{"wait_ms:0", MEMBER(wait_ms), 0},
	{"wait_ms:1", MEMBER(wait_ms), 1},
	{"wait_ms:0007", MEMBER(wait_ms), 7},
	{"wait_ms:3600000", MEMBER(wait_ms), 3600000},
	{"nofail_ms:0", MEMBER(nofail_ms), 0},
	{"nofail_ms:3600000", MEMBER(nofail_ms), 3600000},
	{"reserve:0", MEMBER(reserve_bytes), 0},
	{"reserve:1", MEMBER(reserve_bytes), 1},
	{"reserve:65536", MEMBER(reserve_bytes), 65536},
	{"reserve:64K", MEMBER(reserve_bytes), 64 * KIB},
	{"reserve:64k", MEMBER(reserve_bytes), 64 * KIB},
	{"reserve:8M", MEMBER(reserve_bytes), 8 * MIB},
	{"reserve:8m", MEMBER(reserve_bytes), 8 * MIB},
	{"reserve:1G", MEMBER(reserve_bytes), GIB},
	{"reserve:1g", MEMBER(reserve_bytes), GIB},
	{"reserve:1073741824", MEMBER(reserve_bytes), GIB},
	{"oom_dump_max:0", MEMBER(dump_max_bytes), 0},
	{"oom_dump_max:1G", MEMBER(dump_max_bytes), GIB},
	{"limit:8M", MEMBER(limit_bytes), 8 * MIB},
	{"limit:3T", MEMBER(limit_bytes), 3 * TIB},
	{"limit:3t", MEMBER(limit_bytes), 3 * TIB},
	{"limit:256T", MEMBER(limit_bytes), 256 * TIB},
	{"limit:off", MEMBER(limit_bytes), SIZE_MAX},
	{"limit:auto", MEMBER(is_limit_auto), true},
	{"limit:auto", MEMBER(limit_margin_percent), 10},
	{"limit:auto-0%", MEMBER(limit_margin_percent), 0},
	{"limit:auto-25%", MEMBER(limit_margin_percent), 25},
	{"limit:auto-99%", MEMBER(limit_margin_percent), 99},
	{"limit:auto,limit:1G", MEMBER(is_limit_auto), false},
	{"limit:auto,limit:off", MEMBER(is_limit_auto), false},
	{"high:1", MEMBER(high.bytes), 1},
	{"high:2G", MEMBER(high.bytes), 2 * GIB},
	{"high:1%", MEMBER(high.percent), 1},
	{"high:100%", MEMBER(high.percent), 100},
	{"high:90%", MEMBER(high.bytes), 0},
	{"high:90%,high:5M", MEMBER(high.percent), 0},
	{"high:5M,high:off", MEMBER(high.bytes), 0},
	{"low:80%", MEMBER(low.percent), 80},
	{"low:1M", MEMBER(low.bytes), MIB},
	{"low:80%,low:off", MEMBER(low.percent), 0},
	{"levels:100/50/0/2/100", MEMBER(levels.left_low), 100},
	{"levels:100/50/0/2/100", MEMBER(levels.left_medium), 50},
	{"levels:100/50/1/2/100", MEMBER(levels.left_critical), 1},
	{"levels:100/50/0/2/100", MEMBER(levels.rounds_medium), 2},
	{"levels:100/50/0/2/100", MEMBER(levels.rounds_critical), 100},
	{"fail_page:0", MEMBER(fail_page.probability), 0},
	{"fail_page:100", MEMBER(fail_page.probability), 100},
	{"fail_page:100", MEMBER(fail_page.interval), 1},
	{"fail_page:100", MEMBER(fail_page.times), 1},
	{"fail_page:100", MEMBER(fail_page.space), 0},
	{"fail_page:50/1000", MEMBER(fail_page.interval), 1000},
	{"fail_page:50//7", MEMBER(fail_page.interval), 1},
	{"fail_page:50//7", MEMBER(fail_page.times), 7},
	{"fail_page:50/3/-1", MEMBER(fail_page.times), UINT64_MAX},
	{"fail_page:50/3/-1/8M", MEMBER(fail_page.space), 8 * MIB},
	{"fail_page_min:1M,fail_page:9/9", MEMBER(fail_page.min_bytes), MIB},
	{"fail_page_min:1M", MEMBER(fail_page.min_bytes), MIB},
	{"fail_page_seed:18446744073709551615", MEMBER(fail_page.seed), UINT64_MAX},
	{"fail_page_task_filter:true", MEMBER(fail_page.task_filter), true},
	{"costly:0", MEMBER(costly_bytes), 0},
	{"costly:64K", MEMBER(costly_bytes), 64 * KIB},
	{"costly:off", MEMBER(costly_bytes), SIZE_MAX},
};

static uint64_t number_at(size_t offset, size_t bytes)
{
	const char *at = (const char *)&options + offset;
	uint64_t eight;
	uint32_t four;

	if (bytes == sizeof(bool))
		return *(const bool *)at;
	if (bytes == sizeof four) {
		memcpy(&four, at, sizeof four);
		return four;
	}
	cr_assert_eq(bytes, sizeof eight);
	memcpy(&eight, at, sizeof eight);
	return eight;
}

static void check_good(const struct good *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		options_load(NULL);
		cr_expect_eq(options_apply("test", rows[i].pair, &options, NULL), 0, "%s",
		             rows[i].pair);
		cr_expect_eq(number_at(rows[i].offset, rows[i].bytes), rows[i].value, "%s",
		             rows[i].pair);
	}
}

Test(options_values, good_words)
{
	check_good(words, ARRAY_SIZE(words));
}

Test(options_values, good_numbers)
{
	check_good(numbers, ARRAY_SIZE(numbers));
}

Test(options_values, costly_by_order)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (unsigned order = 0; order <= 30; order++) {
		char pair[32];

		snprintf(pair, sizeof pair, "costly:order:%u", order);
		cr_expect_eq(options_apply("test", pair, &options, NULL), 0);
		cr_expect_eq(options.costly_bytes, page << order, "%s", pair);
	}
}

/* ---- Bad ones ---- */

static const char levels[] = "not five numbers from 0 to 100, joined by /",
		  order[] = "not LOW/MEDIUM/CRITICAL in per cent and MEDIUM/CRITICAL in rounds";
static const char word[] = "a word that is none", number[] = "no number", size[] = "no size";
static const char range[] = "out of range";

static const struct {
	const char *what;
	const char *pair;
} bad[] = {
	{word, "policy:retry"},
	{word, "policy:Abort"},
	{word, "policy:abor"},
	{word, "policy:abortt"},
	{word, "policy: abort"},
	{word, "policy:abort "},
	{word, "policy:"},
	{word, "policy:1"},
	{word, "kill_signal:9"},
	{word, "kill_signal:term"},
	{word, "kill_signal:SIG"},
	{word, "kill_signal:STOP"},
	{word, "kill_signal:"},
	{word, "kill_signal:SIGSIGTERM"},
	{word, "kill_target:parent"},
	{word, "kill_target:"},
	{range, "fail_page:101"},
	{number, "fail_page:"},
	{number, "fail_page:-1"},
	{number, "fail_page:x"},
	{number, "fail_page:1%"},
	{range, "fail_page:1/0"},
	{number, "fail_page:1/-1"},
	{number, "fail_page:1/1/-2"},
	{range, "fail_page:1/1/9223372036854775808"},
	{size, "fail_page:1/1/1/-1"},
	{size, "fail_page:1/1/1/1X"},
	{word, "fail_page:1/1/1/1/1"},
	{word, "fail_page:1/1/1/1/"},
	{size, "fail_page_min:-1"},
	{number, "fail_page_seed:-1"},
	{number, "fail_page_seed:1K"},
	{word, "fail_page_task_filter:1"},
	{word, "kill_group:1"},
	{word, "kill_group:yes"},
	{word, "verbose:TRUE"},
	{word, "verbose:"},
	{word, "verbose:truefalse"},
	{word, "strict_conf:on"},
	{word, "report:"},
	{word, "report:sometimes"},
	{word, "limit:Auto"},
	{word, "limit:autox"},
	{word, "limit:auto-"},
	{word, "limit:auto%"},
	{word, "limit:auto-%"},
	{word, "limit:auto-5"},
	{word, "limit:auto+5%"},
	{word, "limit:auto--5%"},
	{word, "limit:auto-5%%"},
	{word, "limit:offf"},
	{word, "pressure:on"},
	{word, "pressure:"},
	{word, "pressure:relative/path"},
	{levels, "levels:"},
	{levels, "levels:20/10/5/1"},
	{levels, "levels:20/10//1/4"},
	{levels, "levels:101/10/5/1/4"},
	{levels, "levels:20/10/5/1/x"},
	{order, "levels:20/10/5/1/4/"},
	{order, "levels:20/10/5/1/4/5"},
	{order, "levels:10/20/5/1/4"},
	{order, "levels:20/5/10/1/4"},
	{order, "levels:20/10/5/4/1"},
	{word, "costly:order:"},
	{word, "costly:order:x"},
	{word, "costly:order:3K"},
	{word, "costly:order"},
	{number, "wait_ms:"},
	{number, "wait_ms:x"},
	{number, "wait_ms:1x"},
	{number, "wait_ms:-1"},
	{number, "wait_ms:+1"},
	{number, "wait_ms: 1"},
	{number, "wait_ms:1 "},
	{number, "wait_ms:1.5"},
	{number, "wait_ms:0x10"},
	{number, "wait_ms:1K"},
	{number, "nofail_ms:forever"},
	{number, "kill_grace_ms:5s"},
	{size, "reserve:"},
	{size, "reserve:K"},
	{size, "reserve:-1"},
	{size, "reserve:1KB"},
	{size, "reserve:1KiB"},
	{size, "reserve:1X"},
	{size, "reserve:1 M"},
	{size, "reserve:1.5M"},
	{size, "reserve:M1"},
	{size, "reserve:off"},
	{size, "reserve:1 "},
	{size, "oom_dump_max:lots"},
	{size, "limit:1P"},
	{size, "limit:50%"},
	{size, "costly:3:order"},
	{size, "high:"},
	{size, "high:%"},
	{size, "high:5%%"},
	{size, "high:1.5%"},
	{size, "low:x"},
	{range, "wait_ms:3600001"},
	{range, "nofail_ms:3600001"},
	{range, "kill_grace_ms:3600001"},
	{range, "cancel_grace_ms:3600001"},
	{range, "wait_ms:18446744073709551615"},
	{range, "wait_ms:18446744073709551616"},
	/* Ten times 2^63, and 1: a product that would wrap to 1. */
	{range, "wait_ms:92233720368547758081"},
	{range, "wait_ms:99999999999999999999999999999999999999"},
	{range, "reserve:1073741825"},
	{range, "reserve:1025M"},
	{range, "reserve:2G"},
	{range, "reserve:1T"},
	{range, "reserve:18446744073709551616"},
	{range, "reserve:16777216T"},
	{range, "oom_dump_max:2G"},
	{range, "limit:0"},
	{range, "limit:0K"},
	{range, "limit:8388607"},
	{range, "limit:281474976710657"},
	{range, "limit:18446744073709551615"},
	{range, "limit:16777216T"},
	{range, "limit:auto-100%"},
	{range, "limit:auto-18446744073709551616%"},
	{range, "high:0"},
	{range, "high:0%"},
	{range, "high:101%"},
	{range, "low:0"},
	{range, "low:101%"},
	{range, "costly:order:31"},
	{range, "costly:order:4294967299"},
	{range, "costly:16777216T"},
};

static unsigned complaints;

static void complain(const struct options_error *error)
{
	complaints++;
	cr_expect(error->problem != NULL && error->problem[0] != '\0', "nothing said");
	cr_expect_null(error->suggestion);
}

Test(options_values, bad_ones_change_nothing)
{
	struct options before;

	memset(&options, 0, sizeof options);
	options_load(NULL);
	memcpy(&before, &options, sizeof before);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		complaints = 0;
		cr_expect_eq(options_apply("test", bad[i].pair, &options, complain), 1, "%s: %s",
		             bad[i].what, bad[i].pair);
		cr_expect_eq(complaints, 1, "%s: %s", bad[i].what, bad[i].pair);
		cr_expect_arr_eq(&options, &before, sizeof options, "%s: changed something",
		                 bad[i].pair);
	}
}

/* ---- Pairs that do not go together ---- */

static const struct {
	const char *conf;
	const char *pair; /* that the complaint is about; NULL: none */
	const char *problem;
} together[] = {
	{"low:1M", "low", "there is no high"},
	{"low:50%,limit:1G", "low", "there is no high"},
	{"high:50%", "high", "a share of the limit, and none is set yet"},
	{"high:2G,limit:1G", "high", "above the limit"},
	{"high:1G,limit:1G", NULL, NULL},
	{"limit:64M,limit:auto,high:128M", NULL, NULL},
	{"high:5M,low:5M", "low", "not below high; nine tenths of high instead"},
	{"high:5M,low:6M", "low", "not below high; nine tenths of high instead"},
	{"high:5M,low:4M", NULL, NULL},
	{"high:50%,low:60%,limit:auto", "low", "not below high; nine tenths of high instead"},
	{"high:50%,low:50%,limit:auto", "low", "not below high; nine tenths of high instead"},
	{"high:50%,low:49%,limit:auto", NULL, NULL},
	{"high:50%,low:512M,limit:1G", "low", "not below high; nine tenths of high instead"},
	{"high:50%,low:511M,limit:1G", NULL, NULL},
	{"high:512M,low:51%,limit:1G", "low", "not below high; nine tenths of high instead"},
	{"high:512M,low:49%,limit:1G", NULL, NULL},
	{"high:512M", NULL, NULL},
	{"high:50%,limit:1G", NULL, NULL},
};

static struct options_error last_error;

static void keep(const struct options_error *error)
{
	complaints++;
	last_error = *error;
}

Test(options_values, pairs_that_do_not_go_together)
{
	for (size_t i = 0; i < ARRAY_SIZE(together); i++) {
		unsigned expected = together[i].pair != NULL;

		setenv("OOMRECLAIM_CONF", together[i].conf, 1);
		complaints = 0;
		cr_expect_eq(options_load(keep), expected, "%s", together[i].conf);
		cr_assert_eq(complaints, expected, "%s", together[i].conf);
		if (expected == 0)
			continue;
		cr_expect_str_eq(last_error.source, "settings");
		cr_expect_str_eq(last_error.problem, together[i].problem, "%s", together[i].conf);
		cr_expect(strlen(together[i].pair) == (size_t)last_error.pair_length &&
		          strcmp(last_error.pair, together[i].pair) == 0);
		cr_expect_eq(options_load(NULL), 1);
	}
}

/* ---- Paths ---- */

static const struct {
	const char *key;
	size_t offset;
} paths[] = {{"log", offsetof(struct options, log_path)},
             {"oom_dump", offsetof(struct options, dump_path)},
             {"pressure", offsetof(struct options, pressure_path)}};

static void check_path(size_t row, const char *path, bool is_good)
{
	const char *is = (const char *)&options + paths[row].offset;
	char pair[600];

	options_load(NULL);
	snprintf(pair, sizeof pair, "%s:%s", paths[row].key, path);
	cr_expect_eq(options_apply("test", pair, &options, NULL), !is_good, "%s", pair);
	cr_expect_str_eq(is, is_good ? path : "");
}

Test(options_values, paths)
{
	char path[OPTIONS_PATH_MAX + 2];

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		check_path(i, "/var/log/x", true);
		check_path(i, "/with:colons:and blanks", true);
		memset(path, '/', sizeof path);
		path[OPTIONS_PATH_MAX + 1] = '\0';
		check_path(i, path, false);
		path[OPTIONS_PATH_MAX] = '\0';
		check_path(i, path, true);
	}
}

Test(options_values, an_empty_path_is_none)
{
	cr_expect_eq(options_apply("test", "log:/x,log:,oom_dump:/x,oom_dump:", &options, NULL), 0);
	cr_expect_str_eq(options.log_path, "");
	cr_expect_str_eq(options.dump_path, "");
	cr_expect_eq(options_apply("test", "pressure:/x,pressure:off", &options, NULL), 0);
	cr_expect_str_eq(options.pressure_path, "");
	cr_expect_eq(options_apply("test", "pressure:auto", &options, NULL), 0);
	cr_expect_str_eq(options.pressure_path, "auto");
}

Test(options_values, signal_names)
{
	cr_expect_str_eq(options_signal_name(SIGKILL), "KILL");
	cr_expect_str_eq(options_signal_name(SIGTERM), "TERM");
	cr_expect_str_eq(options_signal_name(SIGXCPU), "XCPU");
	cr_expect_str_eq(options_signal_name(0), "?");
	cr_expect_str_eq(options_signal_name(-1), "?");
	cr_expect_str_eq(options_signal_name(4711), "?");
}
