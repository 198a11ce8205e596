/* SPDX-License-Identifier: BSD-2-Clause */
/* Purgeable blocks that all threads share, each whole or lost. */
#ifndef PURGEABLES_H
#define PURGEABLES_H

#include "blocks.h"

/* Looks at one of them, and makes it anew where it is lost; false: there is no memory for that. */
bool purgeables_use(struct dice *dice);

/* At the end, of the only thread. */
void purgeables_free(void);

#endif
