/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Modules that tell somebody to free memory, and then wait for it to come back: exec, signal, fifo
 * and lua.
 *
 * They are called by oomreclaimd only, that is above the watermark `high` or under pressure: the
 * thread whose allocation failed may be the very one that has to do the work.
 */
#ifndef OOM_MODULES_AWAIT_H
#define OOM_MODULES_AWAIT_H

#include <stdbool.h>
#include <stddef.h>

#include <oomreclaim.h>

/* Reads "[MILLISECONDS:]WHAT", or MILLISECONDS alone, and registers under `name`: `tell` is given
   WHAT and the bytes that are wanted, and returns false if nobody was told. Returns 0 or an errno
   value. With a `count` it is a shrinker, which says what there is before anybody is told. */
int await_register(const char *name, const char *argument, size_t (*count)(void),
                   bool (*tell)(const char *what, size_t bytes));

/* What stands behind the milliseconds; "" where nothing does. */
const char *await_what(const char *argument);

#endif
