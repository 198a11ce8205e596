/* SPDX-License-Identifier: BSD-2-Clause */
#include "report/total_say.h"

#include <stddef.h>

#include "base/base.h"
#include "base/io.h"
#include "limits/total.h"

OOM_NOINLINE void total_say(void)
{
	const char *problem = total_problem();

	if (problem != NULL)
		io_warn("total: %s; going on without it", problem);
}
