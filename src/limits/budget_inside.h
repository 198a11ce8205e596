/* SPDX-License-Identifier: BSD-2-Clause */
/* What budget.c tells budget_figures.c, and asks. */
#ifndef OOM_BUDGET_INSIDE_H
#define OOM_BUDGET_INSIDE_H

#include <stddef.h>

/* So much is committed now: above the watermark, oomreclaimd is woken. */
void budget_note_committed(size_t bytes);

/* A charge was refused. */
void budget_note_met(void);

/* Of what is charged. */
size_t budget_committed(void);

#endif
