/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The values of the settings. Each function sets what is at `field`, a member of struct options or,
 * where it sets several, the struct itself. They return NULL, or what is wrong with the value, and
 * then leave the field alone.
 */
#ifndef OOM_OPTIONS_PARSE_H
#define OOM_OPTIONS_PARSE_H

#include <stdbool.h>
#include <stddef.h>

/* A value as it stands in the string: not terminated. */
struct value {
	const char *text;
	size_t length;
};

bool value_is(const struct value *value, const char *word);

/* Of one member. */
const char *parse_bool(const struct value *value, void *field);
const char *parse_ms(const struct value *value, void *field);
const char *parse_size_to_1g(const struct value *value, void *field);
const char *parse_watermark(const struct value *value, void *field);
const char *parse_pressure(const struct value *value, void *field);
const char *parse_path(const struct value *value, void *field);
const char *parse_count(const struct value *value, void *field); /* uint64_t */
const char *parse_size(const struct value *value, void *field);  /* uint64_t */
const char *parse_fail_page(const struct value *value, void *field);
const char *parse_levels(const struct value *value, void *field);
const char *parse_lock_check(const struct value *value, void *field);

/* Of struct options. */
const char *parse_policy(const struct value *value, void *field);
const char *parse_kill_signal(const struct value *value, void *field);
const char *parse_kill_target(const struct value *value, void *field);
const char *parse_limit(const struct value *value, void *field);
const char *parse_costly(const struct value *value, void *field);
const char *parse_report(const struct value *value, void *field);

#endif
