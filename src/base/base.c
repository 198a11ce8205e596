/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/base.h"

#include <errno.h>

void pause_ns(uint64_t ns)
{
	const struct timespec pause = timespec_of_ns(ns);
	int saved = errno;

	nanosleep(&pause, NULL);
	errno = saved;
}
