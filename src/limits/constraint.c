/* SPDX-License-Identifier: BSD-2-Clause */
#include "limits/constraint.h"

#include <sys/resource.h>

#include "base/base.h"
#include "limits/budget.h"
#include "system/proc.h"
#include "system/proc_cgroup.h"

/* The heap asks the system for more than the request: a size class up to a quarter larger, and at
   times a block of 2 MiB for its own records. A limit closer than that is what stood in the way. */
#define HEAP_GRAIN_BYTES ((uint64_t)4 << 20)

/* A mapping may be cut in two before there is one more. */
#define MAP_COUNT_SLACK 2

/* The lower of the hard limits, and of the soft ones: what is above these is worth a question,
   since the program may have raised them. Written once, before the first mapping. */
static size_t hard_bytes = SIZE_MAX, soft_bytes = SIZE_MAX;

static size_t read_soft(__rlimit_resource_t resource)
{
	struct rlimit limit;

	/* Fails for no resource there is. */
	if (getrlimit(resource, &limit) != 0)
		return SIZE_MAX;
	if (limit.rlim_max != RLIM_INFINITY)
		hard_bytes = min_size(hard_bytes, limit.rlim_max);
	return limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : limit.rlim_cur;
}

size_t constraint_init(void)
{
	hard_bytes = SIZE_MAX;
	soft_bytes = min_size(read_soft(RLIMIT_AS), read_soft(RLIMIT_DATA));
	return soft_bytes;
}

size_t constraint_known_max_bytes(void)
{
	return min_size(hard_bytes, budget_max_bytes());
}

size_t constraint_max_bytes(void)
{
	uint64_t as = proc_rlimit(RLIMIT_AS), data = proc_rlimit(RLIMIT_DATA), least;

	least = as < data ? as : data;
	return (size_t)least < budget_max_bytes() ? (size_t)least : budget_max_bytes();
}

/* For a smaller request the files are not worth a look. */
#define MACHINE_LEAST_BYTES ((size_t)1 << 30)

/* More than memory and swap together: where that was refused, no reclaim helps. */
static bool is_beyond_machine(size_t bytes)
{
	uint64_t memory, swap;

	return bytes >= MACHINE_LEAST_BYTES && proc_meminfo("MemTotal", &memory) &&
	       proc_meminfo("SwapTotal", &swap) && bytes > memory + swap;
}

bool constraint_is_impossible(const struct heap_request *request, bool may_ask)
{
	size_t bytes = request_least_bytes(request);

	return bytes > (may_ask || bytes > soft_bytes ? constraint_max_bytes()
	                                              : constraint_known_max_bytes()) ||
	       (may_ask && is_beyond_machine(bytes));
}

static enum constraint known_of_impossible(size_t bytes)
{
	enum constraint budget = budget_constraint(bytes);

	if (budget != CONSTRAINT_NONE)
		return budget;
	return bytes > hard_bytes || bytes > soft_bytes ? CONSTRAINT_UNKNOWN : CONSTRAINT_NONE;
}

enum constraint constraint_of_impossible(size_t bytes, bool may_ask)
{
	uint64_t as, data;

	if (!may_ask)
		return known_of_impossible(bytes);
	as = proc_rlimit(RLIMIT_AS);
	data = proc_rlimit(RLIMIT_DATA);
	if (bytes <= constraint_max_bytes())
		return CONSTRAINT_NONE;
	if (budget_max_bytes() == constraint_max_bytes())
		return budget_constraint(bytes);
	return as <= data ? CONSTRAINT_RLIMIT_AS : CONSTRAINT_RLIMIT_DATA;
}

/* CONSTRAINT_NONE if the rlimits leave room. */
static OOM_NOINLINE enum constraint find_rlimit(uint64_t wanted_bytes)
{
	uint64_t as = proc_rlimit(RLIMIT_AS), data = proc_rlimit(RLIMIT_DATA);
	struct proc_statm statm;

	if (as == UINT64_MAX && data == UINT64_MAX)
		return CONSTRAINT_NONE;
	if (!proc_statm(&statm))
		return CONSTRAINT_UNKNOWN;
	if (add_saturated(statm.total_bytes, wanted_bytes) > as)
		return CONSTRAINT_RLIMIT_AS;
	if (add_saturated(statm.data_bytes, wanted_bytes) > data)
		return CONSTRAINT_RLIMIT_DATA;
	return CONSTRAINT_NONE;
}

static OOM_NOINLINE bool is_map_count_reached(void)
{
	uint64_t max;

	return proc_read_number("/proc/sys/vm/max_map_count", &max) &&
	       proc_map_count() + MAP_COUNT_SLACK >= max;
}

static OOM_NOINLINE bool is_cgroup_full(uint64_t wanted_bytes)
{
	struct proc_cgroup group;
	uint64_t limit, usage;

	if (!proc_cgroup_self(&group))
		return false;
	do
		if (proc_cgroup_limit(&group, &limit) && limit != UINT64_MAX &&
		    proc_cgroup_usage(&group, &usage) && add_saturated(usage, wanted_bytes) > limit)
			return true;
	while (proc_cgroup_up(&group));
	return false;
}

/* vm.overcommit_memory=2: everything that is promised has to be there. */
static OOM_NOINLINE bool is_commit_limit_reached(uint64_t wanted_bytes)
{
	const uint64_t never = 2;
	uint64_t mode, limit, committed;

	return proc_read_number("/proc/sys/vm/overcommit_memory", &mode) && mode == never &&
	       proc_meminfo("CommitLimit", &limit) && proc_meminfo("Committed_AS", &committed) &&
	       add_saturated(committed, wanted_bytes) > limit;
}

enum constraint constraint_find(size_t bytes)
{
	uint64_t wanted = add_saturated(bytes, bytes / 4 + HEAP_GRAIN_BYTES);
	enum constraint constraint, budget = budget_constraint(bytes);

	/* The budget comes first: its answer is certain, the kernel's is a guess. */
	if (budget != CONSTRAINT_NONE)
		return budget;
	constraint = find_rlimit(wanted);
	if (constraint == CONSTRAINT_RLIMIT_AS || constraint == CONSTRAINT_RLIMIT_DATA)
		return constraint;
	budget = budget_constraint((size_t)wanted);
	if (budget != CONSTRAINT_NONE)
		return budget;
	if (is_map_count_reached())
		return CONSTRAINT_MAX_MAP_COUNT;
	if (is_cgroup_full(wanted))
		return CONSTRAINT_CGROUP;
	if (is_commit_limit_reached(wanted))
		return CONSTRAINT_OVERCOMMIT;
	return constraint;
}

enum constraint constraint_guess(size_t bytes)
{
	enum constraint budget = budget_constraint(bytes);

	return budget != CONSTRAINT_NONE ? budget : CONSTRAINT_UNKNOWN;
}

const char *constraint_name(enum constraint constraint)
{
	static const char *const names[CONSTRAINTS] = {
		[CONSTRAINT_UNKNOWN] = "UNKNOWN",
		[CONSTRAINT_NONE] = "NONE",
		[CONSTRAINT_RLIMIT_AS] = "RLIMIT_AS",
		[CONSTRAINT_RLIMIT_DATA] = "RLIMIT_DATA",
		[CONSTRAINT_MAX_MAP_COUNT] = "MAX_MAP_COUNT",
		[CONSTRAINT_BUDGET] = "BUDGET",
		[CONSTRAINT_CGROUP] = "CGROUP",
		[CONSTRAINT_OVERCOMMIT] = "OVERCOMMIT",
		[CONSTRAINT_GROUP] = "GROUP",
		[CONSTRAINT_TOTAL] = "TOTAL",
	};

	return constraint < CONSTRAINTS ? names[constraint] : names[CONSTRAINT_UNKNOWN];
}

bool constraint_is_per_process(enum constraint constraint)
{
	return constraint == CONSTRAINT_RLIMIT_AS || constraint == CONSTRAINT_RLIMIT_DATA ||
	       constraint == CONSTRAINT_MAX_MAP_COUNT || constraint == CONSTRAINT_BUDGET ||
	       constraint == CONSTRAINT_GROUP;
}

bool constraint_is_of_budget(enum constraint constraint)
{
	return constraint == CONSTRAINT_BUDGET || constraint == CONSTRAINT_CGROUP ||
	       constraint == CONSTRAINT_TOTAL;
}
