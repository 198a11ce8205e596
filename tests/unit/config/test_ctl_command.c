/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of `oomreclaim ctl`, as a process gets them from anybody. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "config/ctl_command.h"

#define MIB ((size_t)1 << 20)

static struct ctl_command command;

/* In a block of just that size, so that a sanitizer sees what is read beyond it. */
static const char *parse(const char *request, size_t bytes)
{
	char *exact = calloc(1, bytes + (bytes == 0));
	const char *problem;

	memcpy(exact, request, bytes);
	problem = ctl_parse(exact, bytes, &command);
	free(exact);
	return problem;
}

#define PARSE(request) parse(request, sizeof(request))

Test(ctl_command, each)
{
	cr_expect_null(PARSE("reclaim\000100M"));
	cr_expect_eq(command.verb, CTL_RECLAIM);
	cr_expect_eq(command.bytes, 100 * MIB);
	cr_expect_null(PARSE("limit\000512M"));
	cr_expect_eq(command.verb, CTL_LIMIT);
	cr_expect_eq(command.bytes, 512 * MIB);
	cr_expect_null(PARSE("limit\0off"));
	cr_expect_eq(command.bytes, SIZE_MAX);
	cr_expect_null(PARSE("high\00080%"));
	cr_expect_eq(command.verb, CTL_HIGH);
	cr_expect_eq(command.watermark.percent, 80);
	cr_expect_null(PARSE("high\0003M"));
	cr_expect_eq(command.watermark.bytes, 3 * MIB);
	cr_expect_eq(command.watermark.percent, 0);
	cr_expect_null(PARSE("policy\0kill"));
	cr_expect_eq(command.verb, CTL_POLICY);
	cr_expect_eq(command.policy, OOMRECLAIM_POLICY_KILL);
	cr_expect_null(PARSE("report"));
	cr_expect_eq(command.verb, CTL_REPORT);
	cr_expect_null(PARSE("dump"));
	cr_expect_eq(command.verb, CTL_DUMP);
	cr_expect_null(PARSE("callback\0the \"cache\"\0001K"));
	cr_expect_eq(command.verb, CTL_CALLBACK);
	cr_expect_str_eq(command.name, "the \"cache\"");
	cr_expect_eq(command.bytes, 1024);
	cr_expect_null(PARSE("verbose\0on"));
	cr_expect(command.is_on);
	cr_expect_null(PARSE("verbose\0off"));
	cr_expect_eq(command.verb, CTL_VERBOSE);
	cr_expect_not(command.is_on);
}

Test(ctl_command, not_one_of_them)
{
	cr_expect_str_eq(PARSE("stop"), "there is no such command");
	cr_expect_str_eq(PARSE(""), "there is no such command");
	cr_expect_str_eq(PARSE("report\0more"), "the form is: report");
	cr_expect_str_eq(PARSE("reclaim"), "the form is: reclaim SIZE");
	cr_expect_str_eq(PARSE("callback\0a\0001M\0001M"), "the form is: callback NAME SIZE");
	cr_expect_str_eq(PARSE("verbose\0maybe"), "neither on nor off");
	cr_expect_str_eq(PARSE("limit\0auto"), "auto is for the start alone");
	cr_expect_str_eq(PARSE("reclaim\0000"), "0 is nothing to ask for");
	cr_expect(PARSE("reclaim\0much") != NULL);
	cr_expect(PARSE("limit\0001M") != NULL, "as the setting has it");
	cr_expect(PARSE("high\000101%") != NULL);
	cr_expect(PARSE("policy\0retry") != NULL);
	cr_expect_str_eq(PARSE("callback\0\0001M"), "no callback has such a name");
}

Test(ctl_command, half_of_one_or_too_much)
{
	char all[CTL_REQUEST_MAX + 1], name[OOMRECLAIM_NAME_MAX + 2];

	cr_expect_str_eq(parse("", 0), "the request is not whole");
	cr_expect_str_eq(parse("report", 6), "the request is not whole");
	cr_expect_str_eq(parse("reclaim\0001M", 10), "the request is not whole");
	memset(all, 'a', sizeof all);
	all[sizeof all - 1] = '\0';
	cr_expect_str_eq(parse(all, sizeof all), "the request is too long");
	cr_expect_str_eq(parse(all + 1, sizeof all - 1), "there is no such command");
	memset(all, '\0', sizeof all);
	cr_expect_str_eq(parse(all, sizeof all - 1), "there is no such command");
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	memcpy(all, "callback", 9);
	memcpy(all + 9, name, sizeof name);
	memcpy(all + 9 + sizeof name, "1M", 3);
	cr_expect_str_eq(parse(all, 9 + sizeof name + 3), "no callback has such a name");
	memmove(all + 9, all + 10, sizeof name - 1 + 3);
	cr_expect_null(parse(all, 9 + sizeof name - 1 + 3));
	cr_expect_eq(strlen(command.name), OOMRECLAIM_NAME_MAX);
}
