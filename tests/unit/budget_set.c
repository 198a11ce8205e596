/* SPDX-License-Identifier: BSD-2-Clause */
#include "budget_set.h"

#include <criterion/criterion.h>

#include "config/options.h"
#include "limits/budget.h"

unsigned budget_wakes;

static void wake(void)
{
	budget_wakes++;
}

void budget_set(const char *conf)
{
	cr_assert_eq(options_apply("test", conf, &options, NULL), 0);
	budget_init(wake);
}
