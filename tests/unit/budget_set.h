/* SPDX-License-Identifier: BSD-2-Clause */
/* The budget as a test sets it. */
#ifndef BUDGET_SET_H
#define BUDGET_SET_H

/* Takes settings over, and has the budget wake no thread but count. */
void budget_set(const char *conf);

/* How often the budget has woken oomreclaimd. */
extern unsigned budget_wakes;

#endif
