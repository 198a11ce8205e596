/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the budget tell each other, and ask. */
#ifndef OOM_BUDGET_INSIDE_H
#define OOM_BUDGET_INSIDE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Counters and limits stand for themselves alone, so all orders are relaxed. */
static inline size_t get(const atomic_size_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static inline void set(atomic_size_t *value, size_t to)
{
	atomic_store_explicit(value, to, memory_order_relaxed);
}

/* A growth of the heap that is worth another look. */
#define BUDGET_STEP_BYTES ((size_t)4 << 20)

/* ---- budget.c ---- */

/* Would the limit allow that much in all? */
bool budget_is_within(size_t bytes);

/* So much is charged above that. */
size_t budget_charged_above(size_t bytes);

/* ---- budget_figures.c ---- */

/* A charge was refused. */
void budget_note_met(void);

/* Of what is charged. */
size_t budget_committed(void);

/* ---- budget_watermark.c ---- */

/* Takes over the settings, and what wakes oomreclaimd. */
void budget_watermark_init(void (*on_high)(void));

/* The limit has moved, of which the watermarks may be a share. */
void budget_watermark_update(void);

/* So much is committed now: above the watermark, oomreclaimd is woken. */
void budget_note_committed(size_t bytes);

/* A charge was refused: above the watermark, oomreclaimd is woken. */
void budget_watermark_met(void);

/* So much is left of the charge. */
void budget_watermark_fallen(size_t now);

/* Wakes oomreclaimd, whatever is charged. */
void budget_watermark_wake(void);

void budget_watermark_fork_child(void);

#endif
