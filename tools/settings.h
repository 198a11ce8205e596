/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's own table of settings, which is built into this command as well. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>

struct setting {
	const char *key;
	const char *default_text;
	const char *range;
	const char *meaning;
};

/* Row `index` of the table; false behind the last. */
bool settings_row(unsigned index, struct setting *setting);

/* Looks at a string of pairs as the library would. One line on stderr for each that is wrong, with
   where it stands; returns how many. */
unsigned settings_check(const char *source, const char *text);

/* True if the library would take this one pair. */
bool settings_takes(const char *pair);

/* True if this value of `limit` is auto, and with which margin. */
bool settings_is_auto(const char *value, unsigned *margin_percent);

#endif
