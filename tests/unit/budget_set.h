/* SPDX-License-Identifier: BSD-2-Clause */
/* The budget as a test sets it. */
#ifndef BUDGET_SET_H
#define BUDGET_SET_H

#include "limits/budget.h"

/* Takes settings over, and has the budget wake no thread but count. */
void budget_set(const char *conf);

/* budget_charge(), and the heap gets the pages. */
static inline bool budget_take(size_t bytes)
{
	bool is_charged = budget_charge(bytes);

	if (is_charged)
		budget_commit_charge(bytes);
	return is_charged;
}

/* How often the budget has woken oomreclaimd. */
extern unsigned budget_wakes;

#endif
