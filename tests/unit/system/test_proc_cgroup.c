/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory cgroups, over a /proc and hierarchies that a test makes up. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "support.h"
#include "system/proc_cgroup.h"

static void init(void)
{
	support_init();
	fake_proc_begin();
}

TestSuite(proc_cgroup, .init = init, .fini = fake_proc_end, .timeout = WATCHDOG_SECONDS);

#define V2_MOUNT "30 24 0:27 / /cg2 rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_CPU_MOUNT "31 24 0:28 / /cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
#define V1_MOUNT "32 24 0:29 / /cg1 rw shared:1 master:2 - cgroup cgroup rw,memory\n"
#define OTHER_MOUNTS                            \
	"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" \
	"23 1 0:5 / /proc rw - proc proc rw\n"

static void make_v2(void)
{
	fake_proc_write("/proc/self/mountinfo", OTHER_MOUNTS V2_MOUNT);
	fake_proc_write("/proc/self/cgroup", "0::/upper/own\n");
}

static void make_v1(void)
{
	fake_proc_write("/proc/self/mountinfo", OTHER_MOUNTS V2_MOUNT V1_CPU_MOUNT V1_MOUNT);
	fake_proc_write("/proc/self/cgroup",
	                "5:memory:/upper/own\n4:cpu,cpuacct:/elsewhere\n0::/unified\n");
}

static void expect_self(const char *mount, const char *root, const char *path)
{
	struct proc_cgroup group;

	errno = ERRNO_UNTOUCHED;
	cr_assert(proc_cgroup_self(&group));
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_str_eq(group.mount, mount);
	cr_expect_str_eq(group.root, root);
	cr_expect_str_eq(group.path, path);
}

Test(proc_cgroup, version_2)
{
	struct proc_cgroup group;

	make_v2();
	expect_self("/cg2", "", "/upper/own");
	proc_cgroup_self(&group);
	cr_expect(group.is_v2);
}

Test(proc_cgroup, version_1_where_it_has_the_memory_controller)
{
	struct proc_cgroup group;

	make_v1();
	expect_self("/cg1", "", "/upper/own");
	proc_cgroup_self(&group);
	cr_expect_not(group.is_v2);
}

Test(proc_cgroup, version_2_where_version_1_has_other_controllers)
{
	fake_proc_write("/proc/self/mountinfo", OTHER_MOUNTS V1_CPU_MOUNT V2_MOUNT);
	fake_proc_write("/proc/self/cgroup", "4:cpu,cpuacct:/elsewhere\n0::/unified\n");
	expect_self("/cg2", "", "/unified");
}

Test(proc_cgroup, memory_among_other_controllers)
{
	fake_proc_write("/proc/self/mountinfo",
	                "32 24 0:29 / /cg1 rw - cgroup cgroup rw,cpu,memory,pids\n");
	fake_proc_write("/proc/self/cgroup", "7:memoryx:/a\n6:xmemory:/b\n5:cpu,memory,pids:/c\n");
	expect_self("/cg1", "", "/c");
}

Test(proc_cgroup, the_root)
{
	make_v2();
	fake_proc_write("/proc/self/cgroup", "0::/\n");
	expect_self("/cg2", "", "");
}

Test(proc_cgroup, a_container_that_sees_a_part)
{
	fake_proc_write("/proc/self/mountinfo",
	                "30 24 0:27 /docker/12 /cg2 rw - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/docker/12/app\n");
	expect_self("/cg2", "/docker/12", "/app");
	fake_proc_write("/proc/self/cgroup", "0::/docker/12\n");
	expect_self("/cg2", "/docker/12", "");
	fake_proc_write("/proc/self/cgroup", "0::/docker/123\n");
	expect_self("/cg2", "/docker/12", "/docker/123");
}

/* What was mounted before the namespace was made. */
Test(proc_cgroup, a_mount_of_above)
{
	fake_proc_write("/proc/self/mountinfo",
	                "29 24 0:27 /../.. /old rw - cgroup2 cgroup2 rw\n" V2_MOUNT);
	fake_proc_write("/proc/self/cgroup", "0::/app\n");
	expect_self("/cg2", "", "/app");
}

static const struct {
	const char *mountinfo;
	const char *cgroup;
} nothing[] = {
	{"", "0::/a\n"},
	{"garbage\n\n - \n1 2 3 - cgroup2\n", "0::/a\n"},
	{OTHER_MOUNTS, "0::/a\n"},
	{V1_CPU_MOUNT, "4:cpu,cpuacct:/elsewhere\n"},
	{V2_MOUNT, ""},
	{V2_MOUNT, "garbage\n"},
	{V2_MOUNT, "0:/a\n"},
	{V2_MOUNT, "1::/a\n"},
	{V2_MOUNT, "5:memory:/a\n"},
	{V1_MOUNT, "0::/a\n"},
	{V1_MOUNT, "5:memory:relative/a\n"},
	{V2_MOUNT, "0::\n"},
};

Test(proc_cgroup, none)
{
	struct proc_cgroup group;

	cr_expect_not(proc_cgroup_self(&group), "no file");
	for (size_t i = 0; i < ARRAY_SIZE(nothing); i++) {
		fake_proc_write("/proc/self/mountinfo", nothing[i].mountinfo);
		fake_proc_write("/proc/self/cgroup", nothing[i].cgroup);
		cr_expect_not(proc_cgroup_self(&group), "row %zu", i);
	}
}

Test(proc_cgroup, a_path_that_is_too_long)
{
	struct proc_cgroup group;
	char text[PROC_CGROUP_MAX + 16], *path = text + 3;

	make_v2();
	memset(text, 'x', sizeof text);
	memcpy(text, "0::/", 4);
	path[PROC_CGROUP_MAX] = '\n';
	path[PROC_CGROUP_MAX + 1] = '\0';
	fake_proc_write("/proc/self/cgroup", text);
	cr_expect_not(proc_cgroup_self(&group));
	path[PROC_CGROUP_MAX - 1] = '\n';
	path[PROC_CGROUP_MAX] = '\0';
	fake_proc_write("/proc/self/cgroup", text);
	cr_assert(proc_cgroup_self(&group));
	cr_expect_eq(strlen(group.path), PROC_CGROUP_MAX - 1);
}

Test(proc_cgroup, up)
{
	struct proc_cgroup group;

	make_v2();
	cr_assert(proc_cgroup_self(&group));
	cr_expect(proc_cgroup_up(&group));
	cr_expect_str_eq(group.path, "/upper");
	cr_expect(proc_cgroup_up(&group));
	cr_expect_str_eq(group.path, "");
	cr_expect_not(proc_cgroup_up(&group));
}

/* ---- Numbers ---- */

static void expect_numbers(uint64_t limit_bytes, uint64_t usage_bytes)
{
	struct proc_cgroup group;
	uint64_t limit = 4711, usage = 4711;

	cr_assert(proc_cgroup_self(&group));
	errno = ERRNO_UNTOUCHED;
	cr_expect_eq(proc_cgroup_limit(&group, &limit), limit_bytes != 4711);
	cr_expect_eq(proc_cgroup_usage(&group, &usage), usage_bytes != 4711);
	cr_expect_eq(errno, ERRNO_UNTOUCHED);
	cr_expect_eq(limit, limit_bytes);
	cr_expect_eq(usage, usage_bytes);
}

/* What expect_numbers() is given where there is nothing to read. */
#define UNREADABLE 4711

Test(proc_cgroup, numbers_of_version_2)
{
	make_v2();
	expect_numbers(UNREADABLE, UNREADABLE);
	fake_proc_write("/cg2/upper/own/memory.max", "max\n");
	fake_proc_write("/cg2/upper/own/memory.current", "1000000\n");
	expect_numbers(UINT64_MAX, 1000000);
	fake_proc_write("/cg2/upper/own/memory.max", "1048576\n");
	fake_proc_write("/cg2/upper/own/memory.stat",
	                "anon 1\nfile 5\ninactive_anon 7\ninactive_file 300000\nslab 1\n");
	expect_numbers(1048576, 700000);
	/* All that the kernel would drop, whatever the order. */
	fake_proc_write("/cg2/upper/own/memory.stat",
	                "file_mapped 9\nactive_file 200000\nunevictable 7\ninactive_file 300000\n"
	                "slab_reclaimable 100000\nslab_unreclaimable 5\nactive_anon 3\n");
	expect_numbers(1048576, 400000);
	fake_proc_write("/cg2/upper/own/memory.stat",
	                "active_file 18446744073709551615\ninactive_file 1\n");
	expect_numbers(1048576, 0);
	fake_proc_write("/cg2/upper/own/memory.stat", "inactive_file 2000000\n");
	expect_numbers(1048576, 0);
	fake_proc_write("/cg2/upper/own/memory.stat", "inactive_file garbage\n");
	expect_numbers(1048576, 1000000);
	fake_proc_write("/cg2/upper/own/memory.max", "garbage\n");
	fake_proc_write("/cg2/upper/own/memory.current", "\n");
	expect_numbers(UNREADABLE, UNREADABLE);
}

Test(proc_cgroup, numbers_of_version_1)
{
	make_v1();
	expect_numbers(UNREADABLE, UNREADABLE);
	fake_proc_write("/cg1/upper/own/memory.limit_in_bytes", "9223372036854771712\n");
	fake_proc_write("/cg1/upper/own/memory.usage_in_bytes", "1000000\n");
	fake_proc_write("/cg1/upper/own/memory.stat",
	                "inactive_file 500000\nactive_file 500000\ntotal_inactive_file 100000\n"
	                "total_active_file 200000\n");
	expect_numbers(UINT64_MAX, 700000);
	fake_proc_write("/cg1/upper/own/memory.limit_in_bytes", "1048576\n");
	expect_numbers(1048576, 700000);
}

Test(proc_cgroup, oom_group)
{
	struct proc_cgroup group;

	make_v2();
	cr_assert(proc_cgroup_self(&group));
	cr_expect_not(proc_cgroup_has_oom_group(&group));
	fake_proc_write("/cg2/upper/own/memory.oom.group", "0\n");
	cr_expect_not(proc_cgroup_has_oom_group(&group));
	fake_proc_write("/cg2/upper/own/memory.oom.group", "1\n");
	cr_expect(proc_cgroup_has_oom_group(&group));
	cr_assert(proc_cgroup_up(&group));
	cr_expect_not(proc_cgroup_has_oom_group(&group), "of the group itself");
}

/* ---- Others ---- */

static const struct {
	const char *cgroup;
	bool is_inside;
} others[] = {
	{"0::/upper/own\n", true},        {"0::/upper/own/below\n", true},
	{"0::/upper\n", false},           {"0::/upper/owner\n", false},
	{"0::/elsewhere\n", false},       {"0::/\n", false},
	{"5:memory:/upper/own\n", false}, {"", false},
};

Test(proc_cgroup, contains)
{
	struct proc_cgroup group;

	make_v2();
	cr_assert(proc_cgroup_self(&group));
	cr_expect_not(proc_cgroup_contains(&group, 100), "gone");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		fake_proc_write("/proc/100/cgroup", others[i].cgroup);
		cr_expect_eq(proc_cgroup_contains(&group, 100), others[i].is_inside, "%s",
		             others[i].cgroup);
	}
}

/* What a container sees of processes outside of it. */
Test(proc_cgroup, the_top_contains_what_is_below_it)
{
	struct proc_cgroup group;

	fake_proc_write("/proc/self/mountinfo", OTHER_MOUNTS V2_MOUNT);
	fake_proc_write("/proc/self/cgroup", "0::/\n");
	cr_assert(proc_cgroup_self(&group));
	fake_proc_write("/proc/100/cgroup", "0::/\n");
	cr_expect(proc_cgroup_contains(&group, 100));
	fake_proc_write("/proc/100/cgroup", "0::/below\n");
	cr_expect(proc_cgroup_contains(&group, 100));
	fake_proc_write("/proc/100/cgroup", "0::/../other\n");
	cr_expect_not(proc_cgroup_contains(&group, 100), "outside of the namespace");
	fake_proc_write("/proc/100/cgroup", "0::/..\n");
	cr_expect_not(proc_cgroup_contains(&group, 100), "above it");
	fake_proc_write("/proc/self/mountinfo",
	                "30 24 0:27 /docker/12 /cg2 rw,nosuid - cgroup2 cgroup2 rw\n");
	fake_proc_write("/proc/self/cgroup", "0::/docker/12\n");
	cr_assert(proc_cgroup_self(&group));
	fake_proc_write("/proc/100/cgroup", "0::/docker/12/below\n");
	cr_expect(proc_cgroup_contains(&group, 100));
	fake_proc_write("/proc/100/cgroup", "0::/docker/123\n");
	cr_expect_not(proc_cgroup_contains(&group, 100), "outside of what is mounted");
}

Test(proc_cgroup, everybody)
{
	struct proc_cgroup group;

	make_v2();
	cr_assert(proc_cgroup_self(&group));
	cr_expect_not(proc_cgroup_is_everybody(&group));
	fake_proc_write("/proc/self/cgroup", "0::/\n");
	cr_assert(proc_cgroup_self(&group));
	cr_expect(proc_cgroup_is_everybody(&group));
	fake_proc_write("/cg2/memory.max", "max\n");
	cr_expect(proc_cgroup_is_everybody(&group), "no limit");
	fake_proc_write("/cg2/memory.max", "1048576\n");
	cr_expect_not(proc_cgroup_is_everybody(&group), "the machine's root can't have one");
	fake_proc_remove("/cg2/memory.max");
	strcpy(group.root, "/docker/12");
	cr_expect_not(proc_cgroup_is_everybody(&group), "a part of the hierarchy");
}

Test(proc_cgroup, of_another)
{
	struct proc_cgroup self, group = {.path = "untouched"};

	make_v2();
	cr_assert(proc_cgroup_self(&self));
	cr_expect_not(proc_cgroup_of(100, &self, &group));
	cr_expect_str_eq(group.path, "untouched");
	fake_proc_write("/proc/100/cgroup", "0::/elsewhere\n");
	cr_expect(proc_cgroup_of(100, &self, &group));
	cr_expect_str_eq(group.path, "/elsewhere");
	cr_expect_str_eq(group.mount, "/cg2");
	cr_expect(group.is_v2);
	/* Outside of what a container's mount shows, and of its namespace. */
	strcpy(self.root, "/docker/12");
	cr_expect_not(proc_cgroup_of(100, &self, &group));
	fake_proc_write("/proc/100/cgroup", "0::/docker/12/below\n");
	cr_expect(proc_cgroup_of(100, &self, &group));
	cr_expect_str_eq(group.path, "/below");
	self.root[0] = '\0';
	fake_proc_write("/proc/100/cgroup", "0::/../other\n");
	cr_expect_not(proc_cgroup_of(100, &self, &group));
}
