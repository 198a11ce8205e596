/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/options_parse.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "config/options.h"

/* mm/page_alloc.c's PAGE_ALLOC_COSTLY_ORDER: a caller that asks for more checks for NULL. */
#define COSTLY_ORDER 3
#define COSTLY_ORDER_MAX 30
#define COSTLY_OFF SIZE_MAX

bool value_is(const struct value *value, const char *word)
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

const char *parse_bool(const struct value *value, void *field)
{
	bool *set = field;

	if (value_is(value, "true"))
		*set = true;
	else if (value_is(value, "false"))
		*set = false;
	else
		return "neither true nor false";
	return NULL;
}

const char *parse_policy(const struct value *value, void *field)
{
	struct options *set = field;
	if (value_is(value, "return"))
		set->policy = OOMRECLAIM_POLICY_RETURN;
	else if (value_is(value, "abort"))
		set->policy = OOMRECLAIM_POLICY_ABORT;
	else if (value_is(value, "kill"))
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

const char *parse_kill_signal(const struct value *value, void *field)
{
	struct options *set = field;
	struct value name = *value;

	if (has_prefix(&name, "SIG")) {
		name.text += strlen("SIG");
		name.length -= strlen("SIG");
	}
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (value_is(&name, signals[i].name)) {
			set->kill_signal = signals[i].number;
			return NULL;
		}
	return "none of HUP, INT, QUIT, ABRT, KILL, BUS, SEGV, TERM, USR1, USR2, XCPU";
}

const char *parse_kill_target(const struct value *value, void *field)
{
	struct options *set = field;
	static const char *const names[] = {"self", "children", "pgroup", "cgroup"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (value_is(value, names[i])) {
			set->kill_target = (enum kill_target)i;
			return NULL;
		}
	return "none of self, children, pgroup, cgroup";
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
	set->limit_bytes = SIZE_MAX;
	set->limit_margin_percent = (unsigned)percent;
	return NULL;
}

#define LIMIT_MIN_BYTES (8ULL << 20)
/* The addresses that programs have on the largest of today's machines. */
#define LIMIT_MAX_BYTES (1ULL << 48)

const char *parse_limit(const struct value *value, void *field)
{
	struct options *set = field;
	uint64_t number = SIZE_MAX;
	const char *problem;

	if (has_prefix(value, "auto")) {
		const struct value margin = {value->text + strlen("auto"),
		                             value->length - strlen("auto")};

		return parse_limit_auto(&margin, set);
	}
	if (!value_is(value, "off")) {
		problem = parse_number(value, true, &number);
		if (problem != NULL)
			return problem;
		/* jemalloc takes about that much for its first blocks. */
		if (number < LIMIT_MIN_BYTES)
			return "less than 8M, which a heap needs to start; off is no limit";
		if (number > LIMIT_MAX_BYTES)
			return "more than 256T, the whole address space; off is no limit";
	}
	set->is_limit_auto = false;
	set->limit_bytes = (size_t)number;
	return NULL;
}

#define SIZE_1G (1ULL << 30)

const char *parse_size_to_1g(const struct value *value, void *field)
{
	size_t *bytes = field;
	uint64_t number;
	const char *problem = parse_number(value, true, &number);

	if (problem != NULL)
		return problem;
	if (number > SIZE_1G)
		return "more than 1G";
	*bytes = (size_t)number;
	return NULL;
}

#define WAIT_MS_MAX (3600ULL * 1000)

const char *parse_ms(const struct value *value, void *field)
{
	uint64_t *ms = field;
	uint64_t number;
	const char *problem = parse_number(value, false, &number);

	if (problem != NULL)
		return problem;
	if (number > WAIT_MS_MAX)
		return "more than 3600000 (an hour)";
	*ms = number;
	return NULL;
}

static size_t costly_of_order(uint64_t order)
{
	return (size_t)sysconf(_SC_PAGESIZE) << order;
}

const char *parse_costly(const struct value *value, void *field)
{
	struct options *set = field;
	struct value order = *value;
	const char *problem;
	uint64_t number;

	if (value_is(value, "off")) {
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

const char *parse_report(const struct value *value, void *field)
{
	struct options *set = field;
	if (value_is(value, "auto"))
		set->report = REPORT_AUTO;
	else if (value_is(value, "always"))
		set->report = REPORT_ALWAYS;
	else if (value_is(value, "never"))
		set->report = REPORT_NEVER;
	else
		return "none of auto, always, never";
	return NULL;
}

const char *parse_lock_check(const struct value *value, void *field)
{
	enum lock_check *set = field;

	if (value_is(value, "warn"))
		*set = LOCK_CHECK_WARN;
	else if (value_is(value, "abort"))
		*set = LOCK_CHECK_ABORT;
	else if (value_is(value, "off"))
		*set = LOCK_CHECK_OFF;
	else
		return "none of warn, abort, off";
	return NULL;
}

const char *parse_path(const struct value *value, void *field)
{
	char *path = field;

	if (value->length > OPTIONS_PATH_MAX)
		return "path longer than 255 bytes";
	memcpy(path, value->text, value->length);
	path[value->length] = '\0';
	return NULL;
}

const char *parse_watermark(const struct value *value, void *field)
{
	struct watermark *set = field;
	struct value digits = *value;
	const char *problem;
	uint64_t number;

	if (value_is(value, "off")) {
		*set = (struct watermark){.bytes = 0};
		return NULL;
	}
	if (value->length > 0 && value->text[value->length - 1] == '%') {
		digits.length--;
		if (parse_number(&digits, false, &number) != NULL || number < 1 || number > 100)
			return "not a percentage from 1% to 100%";
		*set = (struct watermark){.percent = (unsigned)number};
		return NULL;
	}
	problem = parse_number(value, true, &number);
	if (problem != NULL)
		return problem;
	if (number == 0)
		return "0 would reclaim for ever; off is no watermark";
	*set = (struct watermark){.bytes = (size_t)number};
	return NULL;
}

const char *parse_pressure(const struct value *value, void *field)
{
	if (value_is(value, "off"))
		return parse_path(&(struct value){"", 0}, field);
	if (!value_is(value, "auto") && (value->length == 0 || value->text[0] != '/'))
		return "none of auto, off, or a path that begins with /";
	return parse_path(value, field);
}

const char *parse_count(const struct value *value, void *field)
{
	return parse_number(value, false, field);
}

const char *parse_size(const struct value *value, void *field)
{
	return parse_number(value, true, field);
}

/* Cuts what comes before the next '/' off `rest`; what is not there any more is empty. */
static struct value next_part(struct value *rest)
{
	const char *slash = memchr(rest->text, '/', rest->length);
	struct value part = {rest->text,
	                     slash != NULL ? (size_t)(slash - rest->text) : rest->length};
	size_t taken = part.length + (slash != NULL);

	rest->text += taken;
	rest->length -= taken;
	return part;
}

/* probability/interval/times/space; those left out at the end are the kernel's defaults. */
const char *parse_fail_page(const struct value *value, void *field)
{
	struct oomreclaim_fault *set = field;
	struct value rest = *value, part = next_part(&rest);
	uint64_t probability, interval = 1, times = 1, space = 0;

	if (parse_number(&part, false, &probability) != NULL || probability > 100)
		return "not a probability from 0 to 100 (per cent)";
	part = next_part(&rest);
	if (part.length > 0 && (parse_number(&part, false, &interval) != NULL || interval == 0))
		return "not an interval from 1";
	part = next_part(&rest);
	if (value_is(&part, "-1"))
		times = UINT64_MAX;
	else if (part.length > 0 &&
	         (parse_number(&part, false, &times) != NULL || times > INT64_MAX))
		return "not a number of times from 0, or -1 for no end";
	part = next_part(&rest);
	if (part.length > 0 && parse_number(&part, true, &space) != NULL)
		return "not a size for space";
	/* A slash that ends it begins a fifth part. */
	if (rest.text != part.text + part.length)
		return "more than probability/interval/times/space";
	set->probability = (uint32_t)probability;
	set->interval = interval;
	set->times = (int64_t)times;
	set->space = space;
	return NULL;
}

const char *parse_levels(const struct value *value, void *field)
{
	struct level_thresholds *set = field;
	struct value rest = *value, part;
	uint64_t n[5];

	for (size_t i = 0; i < ARRAY_SIZE(n); i++) {
		part = next_part(&rest);
		if (parse_number(&part, false, &n[i]) != NULL || n[i] > 100)
			return "not five numbers from 0 to 100, joined by /";
	}
	if (rest.text != part.text + part.length || n[0] < n[1] || n[1] < n[2] || n[3] > n[4])
		return "not LOW/MEDIUM/CRITICAL in per cent and MEDIUM/CRITICAL in rounds";
	*set = (struct level_thresholds){(unsigned)n[0], (unsigned)n[1], (unsigned)n[2],
	                                 (unsigned)n[3], (unsigned)n[4]};
	return NULL;
}
