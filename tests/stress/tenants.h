/* SPDX-License-Identifier: BSD-2-Clause */
/* Groups that threads of stress.c enter, with limits that change. */
#ifndef TENANTS_H
#define TENANTS_H

#include "blocks.h"

#define TENANTS_MAX 64

/* So many; with none the others do nothing. */
void tenants_make(size_t count);

/* From now on the thread is in another one, or in none, whatever it does and however it ends. */
void tenants_enter(struct dice *dice);

/* They end: of what was freed next to nothing is charged, and no thread is inside. */
void tenants_end(void);

#endif
