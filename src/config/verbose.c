/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/verbose.h"

#include <stdatomic.h>

#include "config/options.h"

/* As in policy_in_force.c: it outlasts a later reading of the options. Relaxed: it stands for
   itself alone. */
static enum chosen { UNSET, OFF, ON } _Atomic chosen;

bool verbose_is_on(void)
{
	enum chosen is = atomic_load_explicit(&chosen, memory_order_relaxed);

	return is == UNSET ? options.is_verbose : is == ON;
}

void verbose_set(bool is_on)
{
	atomic_store_explicit(&chosen, is_on ? ON : OFF, memory_order_relaxed);
}
