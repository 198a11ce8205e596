/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The moment at which jemalloc asks for MALLOC_CONF: the first malloc() of the process, before the
 * first mapping. The settings are read, and everything that is asked at a mapping takes them over.
 */
#include <errno.h>
#include <stdlib.h>

#include "background/background.h"
#include "config/options.h"
#include "heap/heap_ops.h"
#include "limits/budget.h"
#include "limits/fault.h"

char *heap_conf_getenv(const char *name)
{
	int saved = errno;

	options_load(NULL);
	budget_init(background_wake);
	fault_init();
	heap_configure();
	errno = saved;
	return secure_getenv(name);
}
