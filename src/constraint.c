/* SPDX-License-Identifier: BSD-2-Clause */
#include "constraint.h"

#include <sys/resource.h>

#include "base.h"
#include "proc.h"

/* The heap asks the system for more than the request: a size class up to a quarter larger, and at
   times a block of 2 MiB for its own records. A limit closer than that is what stood in the way. */
#define HEAP_GRAIN_BYTES ((uint64_t)4 << 20)

static uint64_t limit_of(__rlimit_resource_t resource)
{
	struct rlimit limit;

	/* Fails for no resource there is. */
	if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

size_t constraint_max_bytes(void)
{
	uint64_t as = limit_of(RLIMIT_AS), data = limit_of(RLIMIT_DATA);

	return (size_t)(as < data ? as : data);
}

enum constraint constraint_find(size_t bytes)
{
	uint64_t as = limit_of(RLIMIT_AS), data = limit_of(RLIMIT_DATA), wanted;
	struct proc_statm statm;

	if (as == UINT64_MAX && data == UINT64_MAX)
		return CONSTRAINT_NONE;
	if (!proc_statm(&statm))
		return CONSTRAINT_UNKNOWN;
	wanted = add_saturated(bytes, bytes / 4 + HEAP_GRAIN_BYTES);
	if (add_saturated(statm.total_bytes, wanted) > as)
		return CONSTRAINT_RLIMIT_AS;
	if (add_saturated(statm.data_bytes, wanted) > data)
		return CONSTRAINT_RLIMIT_DATA;
	return CONSTRAINT_NONE;
}

const char *constraint_name(enum constraint constraint)
{
	switch (constraint) {
	case CONSTRAINT_NONE:
		return "NONE";
	case CONSTRAINT_RLIMIT_AS:
		return "RLIMIT_AS";
	case CONSTRAINT_RLIMIT_DATA:
		return "RLIMIT_DATA";
	case CONSTRAINT_UNKNOWN:
		break;
	}
	return "UNKNOWN";
}

bool constraint_is_per_process(enum constraint constraint)
{
	return constraint == CONSTRAINT_RLIMIT_AS || constraint == CONSTRAINT_RLIMIT_DATA;
}
