/* SPDX-License-Identifier: BSD-2-Clause */
/* The settings as a whole: sources, pairs, complaints. test_options_values.c has the values. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"
#include "support.h"

/* The program's own settings, as an application may define them. */
const char *oomreclaim_conf;

TestSuite(options, .init = support_init, .timeout = WATCHDOG_SECONDS);

/* What was complained of: "source|pair|problem|suggestion" and a newline for each. */
static char complaints[4096];

static void complain(const struct options_error *error)
{
	size_t used = strlen(complaints);

	snprintf(complaints + used, sizeof complaints - used, "%s|%.*s|%s|%s\n", error->source,
	         error->pair_length, error->pair, error->problem,
	         error->suggestion != NULL ? error->suggestion : "");
}

static unsigned apply(const char *text)
{
	complaints[0] = '\0';
	return options_apply("test", text, &options, complain);
}

/* ---- Defaults ---- */

static const struct {
	const char *key;
	const char *default_text;
} defaults[] = {
	{"policy", "return"},
	{"kill_signal", "KILL"},
	{"kill_target", "self"},
	{"kill_grace_ms", "5000"},
	{"kill_group", "false"},
	{"cancel_grace_ms", "1000"},
	{"limit", "off"},
	{"high", "off"},
	{"low", "off"},
	{"pressure", "off"},
	{"levels", "20/10/5/1/4"},
	{"reserve", "1M"},
	{"wait_ms", "1000"},
	{"nofail_ms", "10000"},
	{"costly", "order:3"},
	{"report", "auto"},
	{"log", ""},
	{"oom_dump", ""},
	{"oom_dump_max", "16M"},
	{"oom_dump_high", "false"},
	{"verbose", "false"},
	{"stats", "false"},
	{"control", "false"},
	{"strict_conf", "false"},
	{"modules", ""},
	{"deepbind", "false"},
	{"fail_page", "0"},
	{"fail_page_min", "0"},
	{"fail_page_seed", "0"},
	{"fail_page_task_filter", "false"},
};

static const char *default_of(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		if (strcmp(defaults[i].key, key) == 0)
			return defaults[i].default_text;
	return "(not known to this test)";
}

Test(options, the_table)
{
	struct option option;
	unsigned rows = 0;

	for (; options_describe(rows, &option); rows++) {
		cr_expect_str_eq(option.default_text, default_of(option.key), "%s", option.key);
		cr_expect_gt(strlen(option.range), 0, "%s", option.key);
		cr_expect_gt(strlen(option.meaning), 0, "%s", option.key);
	}
	cr_expect_eq(rows, ARRAY_SIZE(defaults));
	cr_expect_not(options_describe(rows + 1, &option));
}

Test(options, every_default_is_a_value)
{
	struct option option;
	char pair[256];

	for (unsigned i = 0; options_describe(i, &option); i++) {
		snprintf(pair, sizeof pair, "%s:%s", option.key, option.default_text);
		cr_expect_eq(apply(pair), 0, "%s", complaints);
	}
}

Test(options, what_the_defaults_come_to)
{
	memset(&options, 0x55, sizeof options);
	cr_expect_eq(options_load(complain), 0);
	cr_expect_str_eq(complaints, "");
	cr_expect_eq(options.policy, OOMRECLAIM_POLICY_RETURN);
	cr_expect_eq(options.kill_target, KILL_SELF);
	cr_expect_eq(options.kill_signal, SIGKILL);
	cr_expect_eq(options.kill_grace_ms, 5000);
	cr_expect_not(options.is_kill_group);
	cr_expect_eq(options.cancel_grace_ms, 1000);
	cr_expect_eq(options.limit_bytes, SIZE_MAX);
	cr_expect_not(options.is_limit_auto);
	cr_expect_eq(options.high.bytes, 0);
	cr_expect_eq(options.high.percent, 0);
	cr_expect_eq(options.low.bytes, 0);
	cr_expect_eq(options.low.percent, 0);
	cr_expect_str_eq(options.pressure_path, "");
	cr_expect_eq(options.reserve_bytes, 1 << 20);
	cr_expect_eq(options.wait_ms, 1000);
	cr_expect_eq(options.nofail_ms, 10000);
	cr_expect_eq(options.costly_bytes, 8 * (size_t)sysconf(_SC_PAGESIZE));
	cr_expect_eq(options.report, REPORT_AUTO);
	cr_expect_str_eq(options.log_path, "");
	cr_expect_str_eq(options.dump_path, "");
	cr_expect_eq(options.dump_max_bytes, 16 << 20);
	cr_expect_not(options.is_verbose);
	cr_expect_not(options.is_strict);
	cr_expect_not(options.is_stats);
}

/* ---- Sources ---- */

Test(options, the_environment)
{
	setenv("OOMRECLAIM_CONF", "wait_ms:7,policy:abort", 1);
	cr_expect_eq(options_load(complain), 0);
	cr_expect_eq(options.wait_ms, 7);
	cr_expect_eq(options.policy, OOMRECLAIM_POLICY_ABORT);
}

Test(options, the_program_s_own)
{
	oomreclaim_conf = "wait_ms:8,policy:kill";
	cr_expect_eq(options_load(complain), 0);
	cr_expect_eq(options.wait_ms, 8);
	cr_expect_eq(options.policy, OOMRECLAIM_POLICY_KILL);
}

Test(options, the_environment_wins_pair_by_pair)
{
	oomreclaim_conf = "wait_ms:8,nofail_ms:9";
	setenv("OOMRECLAIM_CONF", "wait_ms:7", 1);
	cr_expect_eq(options_load(complain), 0);
	cr_expect_eq(options.wait_ms, 7);
	cr_expect_eq(options.nofail_ms, 9);
}

Test(options, each_load_begins_with_the_defaults)
{
	setenv("OOMRECLAIM_CONF", "wait_ms:7", 1);
	options_load(NULL);
	unsetenv("OOMRECLAIM_CONF");
	options_load(NULL);
	cr_expect_eq(options.wait_ms, 1000);
}

Test(options, complaints_name_the_source)
{
	oomreclaim_conf = "policy:x,verbose:true";
	setenv("OOMRECLAIM_CONF", "wait_ms:y,log:/tmp/z", 1);
	cr_expect_eq(options_load(complain), 2);
	cr_expect_str_eq(complaints, "oomreclaim_conf|policy:x|none of return, abort, kill|\n"
	                             "OOMRECLAIM_CONF|wait_ms:y|not a number|\n");
	cr_expect(options.is_verbose, "the rest counts");
	cr_expect_str_eq(options.log_path, "/tmp/z");
	cr_expect_eq(options.wait_ms, 1000, "the default, where the pair is wrong");
	cr_expect_eq(options_load(NULL), 2, "silently");
}

/* ---- Pairs ---- */

Test(options, nothing)
{
	cr_expect_eq(apply(NULL), 0);
	cr_expect_eq(apply(""), 0);
	cr_expect_eq(apply(","), 0);
	cr_expect_eq(apply(",,,"), 0);
	cr_expect_str_eq(complaints, "");
}

Test(options, empty_pairs_are_no_mistake)
{
	cr_expect_eq(apply(",wait_ms:1,,nofail_ms:2,"), 0);
	cr_expect_eq(options.wait_ms, 1);
	cr_expect_eq(options.nofail_ms, 2);
}

Test(options, the_last_of_two_counts)
{
	cr_expect_eq(apply("wait_ms:1,wait_ms:2"), 0);
	cr_expect_eq(options.wait_ms, 2);
	cr_expect_eq(apply("wait_ms:3,wait_ms:x"), 1);
	cr_expect_eq(options.wait_ms, 3, "a wrong one does not count");
}

static const struct {
	const char *text;
	const char *complaint;
} mistakes[] = {
	{"policy", "test|policy|no value; the form is key:value|\n"},
	{"verbose", "test|verbose|no value; the form is key:value|\n"},
	{"polcy:abort", "test|polcy:abort|unknown setting|policy\n"},
	{"plicy", "test|plicy|unknown setting|policy\n"},
	{"wait:5", "test|wait:5|unknown setting|\n"},
	{"waitms:5", "test|waitms:5|unknown setting|wait_ms\n"},
	{"wait_ns:5", "test|wait_ns:5|unknown setting|wait_ms\n"},
	{"kil_traget:self", "test|kil_traget:self|unknown setting|kill_target\n"},
	{"Policy:abort", "test|Policy:abort|unknown setting|policy\n"},
	{" policy:abort", "test| policy:abort|unknown setting|policy\n"},
	{"policy :abort", "test|policy :abort|unknown setting|policy\n"},
	{"polic:abort", "test|polic:abort|unknown setting|policy\n"},
	{"policyx:abort", "test|policyx:abort|unknown setting|policy\n"},
	{"narenas:1", "test|narenas:1|unknown setting|\n"},
	{":abort", "test|:abort|unknown setting|\n"},
	{":", "test|:|unknown setting|\n"},
	{"policy=abort", "test|policy=abort|no value; the form is key:value|\n"},
	{"polcy=abort", "test|polcy=abort|unknown setting|policy\n"},
	{"POLICY:abort", "test|POLICY:abort|unknown setting|policy\n"},
	{"Kill_Signal:TERM", "test|Kill_Signal:TERM|unknown setting|kill_signal\n"},
	{"policy:", "test|policy:|none of return, abort, kill|\n"},
	{"x:1,wait_ms:5,y:2", "test|x:1|unknown setting|\ntest|y:2|unknown setting|\n"},
};

Test(options, mistakes)
{
	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
		unsigned ignored = apply(mistakes[i].text), lines = 0;

		for (const char *at = mistakes[i].complaint; *at != '\0'; at++)
			lines += *at == '\n';
		cr_expect_eq(ignored, lines, "%s", mistakes[i].text);
		cr_expect_str_eq(complaints, mistakes[i].complaint);
	}
	cr_expect_eq(options.policy, OOMRECLAIM_POLICY_RETURN);
	cr_expect_eq(options.wait_ms, 5, "a mistake is no reason to drop its neighbours");
}

Test(options, a_very_long_key_gets_no_suggestion)
{
	char text[5000];

	memset(text, 'p', sizeof text);
	memcpy(text + sizeof text - 7, ":abort", 7);
	cr_expect_eq(apply(text), 1);
	/* Of the same length as the longest that is compared, and one more. */
	cr_expect_eq(apply("pppppppppppppppppppppppp:1"), 1);
	cr_expect_eq(apply("ppppppppppppppppppppppppp:1"), 1);
	cr_expect_str_eq(complaints, "test|ppppppppppppppppppppppppp:1|unknown setting|\n");
}

Test(options, a_suggestion_is_near)
{
	static const struct {
		const char *typed, *suggestion;
	} words[] = {{"foo", ""},
	             {"bar", ""},
	             {"lab", ""},
	             {"x", ""},
	             {"frob", ""},
	             {"narenas", ""},
	             {"lo", ""},
	             {"lwo", ""},
	             {"hgh", "high"},
	             {"hihg", "high"},
	             {"lov", "low"},
	             {"limti", "limit"},
	             {"lmit", "limit"},
	             {"imit", "limit"},
	             {"reverse", "reserve"},
	             {"waitms", "wait_ms"},
	             {"Log", "log"},
	             {"modul", "modules"}};
	char text[64], complaint[128];

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		snprintf(text, sizeof text, "%s:?", words[i].typed);
		snprintf(complaint, sizeof complaint, "test|%s:?|unknown setting|%s\n",
		         words[i].typed, words[i].suggestion);
		cr_expect_eq(apply(text), 1);
		cr_expect_str_eq(complaints, complaint);
	}
}

Test(options, nobody_to_complain_to)
{
	cr_expect_eq(options_apply("test", "x:1,policy:abort", &options, NULL), 1);
	cr_expect_eq(options.policy, OOMRECLAIM_POLICY_ABORT);
}

Test(options, errno_is_left_alone)
{
	setenv("OOMRECLAIM_CONF", "policy:x,wait_ms:99999999999999999999", 1);
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(options_load(complain), 2);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
}
