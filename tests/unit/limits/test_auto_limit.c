/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>

#include "limits/auto_limit.h"
#include "support.h"

static void init(void)
{
	support_init();
	fake_proc_begin();
}

TestSuite(auto_limit, .init = init, .fini = fake_proc_end);

static void expect(uint64_t bytes, const char *group)
{
	struct auto_limit limit;

	auto_limit_find(&limit, 10);
	cr_expect_eq(limit.bytes, bytes, "%llu", (unsigned long long)limit.bytes);
	cr_expect_str_eq(limit.group, group);
}

Test(auto_limit, the_lowest)
{
	expect(UINT64_MAX, "");
	fake_proc_write("/proc/meminfo", "MemTotal:  1000 kB\n");
	expect(921600, "");
	fake_proc_write("/proc/self/mountinfo", "30 24 0:27 / /cg ro - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/top/own\n");
	expect(921600, "");
	fake_proc_write("/cg/top/own/memory.max", "max\n");
	fake_proc_write("/cg/top/memory.max", "500000\n");
	expect(450000, "/cg/top");
	fake_proc_write("/cg/top/own/memory.max", "500001\n");
	expect(450000, "/cg/top");
	fake_proc_write("/cg/top/own/memory.max", "400000\n");
	expect(360000, "/cg/top/own");
	/* The machine has less. */
	fake_proc_write("/proc/meminfo", "MemTotal:  100 kB\n");
	expect(92160, "");
}
