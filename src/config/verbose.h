/* SPDX-License-Identifier: BSD-2-Clause */
/* The setting verbose as it is in force: it may be changed while other threads fail. */
#ifndef OOM_VERBOSE_H
#define OOM_VERBOSE_H

#include <stdbool.h>

bool verbose_is_on(void);

/* From now on, whatever the settings say. */
void verbose_set(bool is_on);

#endif
