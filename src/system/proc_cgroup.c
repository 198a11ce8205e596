/* SPDX-License-Identifier: BSD-2-Clause */
#include "system/proc_cgroup.h"

#include <string.h>

#include "base/base.h"
#include "base/io.h"
#include "system/proc.h"

/* True if `word` is one of the words of `list` between commas. */
static bool has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (; list != NULL; list = strchr(list, ','), list = list != NULL ? list + 1 : NULL)
		if (strncmp(list, word, length) == 0 &&
		    (list[length] == ',' || list[length] == '\0'))
			return true;
	return false;
}

/* Cuts the next word off at a blank; NULL at the end. */
static char *next_word(char **at)
{
	char *word = *at, *blank;

	if (word == NULL || *word == '\0')
		return NULL;
	blank = strchr(word, ' ');
	if (blank != NULL)
		*blank++ = '\0';
	*at = blank;
	return word;
}

/* True if `path` is `top` or below it. */
static bool is_below(const char *path, const char *top)
{
	size_t length = strlen(top);

	return strncmp(path, top, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static bool copy(char *to, size_t bytes, const char *from)
{
	size_t length = strlen(from);

	/* The root is "/" in the kernel's files, and nothing in front of a path. */
	if (length > 0 && from[length - 1] == '/')
		length--;
	if (length >= bytes)
		return false;
	memcpy(to, from, length);
	to[length] = '\0';
	return true;
}

/* id parent device root mount-point options [optional...] - type source super-options */
static bool parse_mount(char *line, bool is_v2, struct proc_cgroup *group)
{
	char *rest = strstr(line, " - "), *type, *options;
	const char *root, *mount;

	if (rest == NULL)
		return false;
	*rest = '\0';
	rest += strlen(" - ");
	type = next_word(&rest);
	next_word(&rest);
	options = next_word(&rest);
	if (type == NULL || options == NULL || strcmp(type, is_v2 ? "cgroup2" : "cgroup") != 0 ||
	    (!is_v2 && !has_word(options, "memory")))
		return false;
	next_word(&line);
	next_word(&line);
	next_word(&line);
	root = next_word(&line);
	mount = next_word(&line);
	/* One made above of this namespace shows other groups by our paths. */
	return root != NULL && mount != NULL && !is_below(root, "/..") &&
	       copy(group->root, sizeof group->root, root) &&
	       copy(group->mount, sizeof group->mount, mount);
}

static OOM_NOINLINE bool find_mount(bool is_v2, struct proc_cgroup *group)
{
	struct io_lines lines;
	bool is_found = false;
	char *line;

	if (proc_open_lines(&lines, "/proc/self/mountinfo") != 0)
		return false;
	while (!is_found && (line = io_lines_next(&lines)) != NULL)
		is_found = parse_mount(line, is_v2, group);
	io_lines_close(&lines);
	group->is_v2 = is_v2;
	return is_found;
}

/* What stands in /proc/PID/cgroup: id:controllers:path. Version 2 is 0::path. The path is in
   `lines`, which is to be closed; NULL: there is none. *is_seen: it is below what the mount shows,
   and the namespace. */
static const char *read_path(struct io_lines *lines, const struct proc_cgroup *like, bool *is_seen)
{
	char *line, *controllers, *at;

	while ((line = io_lines_next(lines)) != NULL) {
		controllers = strchr(line, ':');
		at = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
		/* A path that does not begin at the root has no way up to it. */
		if (at == NULL || at[1] != '/')
			continue;
		*controllers++ = '\0';
		*at++ = '\0';
		if (like->is_v2 ? strcmp(line, "0") != 0 || *controllers != '\0'
		                : !has_word(controllers, "memory"))
			continue;
		/* A mount that shows a part of the hierarchy only, as in a container. */
		*is_seen = is_below(at, like->root) && !is_below(at, "/..");
		return *is_seen ? at + strlen(like->root) : at;
	}
	return NULL;
}

/* The group's path alone; what else there is in `group` stays as it is. */
static OOM_NOINLINE bool find_path(const char *pid, const struct proc_cgroup *like,
                                   struct proc_cgroup *group, bool *is_seen)
{
	struct io_lines lines;
	const char *path;
	bool is_found;

	if (proc_open_lines(&lines, "/proc/%s/cgroup", pid) != 0)
		return false;
	path = read_path(&lines, like, is_seen);
	is_found = path != NULL && copy(group->path, sizeof group->path, path);
	io_lines_close(&lines);
	return is_found;
}

static bool find_self(bool is_v2, struct proc_cgroup *group)
{
	bool is_seen;

	return find_mount(is_v2, group) && find_path("self", group, group, &is_seen);
}

bool proc_cgroup_self(struct proc_cgroup *group)
{
	return find_self(false, group) || find_self(true, group);
}

bool proc_cgroup_unified(struct proc_cgroup *group)
{
	return find_self(true, group);
}

bool proc_cgroup_of(pid_t pid, const struct proc_cgroup *like, struct proc_cgroup *group)
{
	char text[16];
	struct io_buf buf = {.text = text, .bytes = sizeof text};
	bool is_seen;

	io_printf(&buf, "%d", pid);
	if (!find_path(text, like, group, &is_seen) || !is_seen)
		return false;
	group->is_v2 = like->is_v2;
	strcpy(group->mount, like->mount);
	strcpy(group->root, like->root);
	return true;
}

bool proc_cgroup_up(struct proc_cgroup *group)
{
	char *slash = strrchr(group->path, '/');

	if (slash == NULL)
		return false;
	*slash = '\0';
	return true;
}

/* "max" is no limit; so is what version 1 shows for none, which is near the end of 64 bits. */
#define V1_UNLIMITED_BYTES ((uint64_t)1 << 62)

static OOM_NOINLINE bool read_number(const struct proc_cgroup *group, const char *file,
                                     uint64_t *number)
{
	struct io_lines lines;
	const char *line;
	bool is_read;

	if (proc_open_lines(&lines, "%s%s/%s", group->mount, group->path, file) != 0)
		return false;
	line = io_lines_next(&lines);
	is_read = line != NULL;
	if (is_read && strcmp(line, "max") == 0)
		*number = UINT64_MAX;
	else
		is_read = is_read && proc_parse_number(&line, number);
	io_lines_close(&lines);
	return is_read;
}

bool proc_cgroup_limit(const struct proc_cgroup *group, uint64_t *limit_bytes)
{
	uint64_t high;

	if (!read_number(group, group->is_v2 ? "memory.max" : "memory.limit_in_bytes", limit_bytes))
		return false;
	/* Above memory.high the kernel slows the group down until it stands still. */
	if (group->is_v2 && read_number(group, "memory.high", &high) && high < *limit_bytes)
		*limit_bytes = high;
	if (*limit_bytes >= V1_UNLIMITED_BYTES)
		*limit_bytes = UINT64_MAX;
	return true;
}

/* The pages that the kernel takes back before it kills: page cache, on whichever of its lists, and
   in version 2, which counts them apart, inodes and the like. Files that are locked in memory, and
   shared memory, are on none of these lists. */
static const char *const droppable_fields[2][3] = {
	{"total_inactive_file ", "total_active_file "},
	{"inactive_file ", "active_file ", "slab_reclaimable "},
};

/* Bytes of a line of memory.stat; 0 if it is not one of those. */
static uint64_t droppable_in(const char *line, bool is_v2)
{
	uint64_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(droppable_fields[0]); i++) {
		const char *field = droppable_fields[is_v2][i], *at;

		if (field == NULL || strncmp(line, field, strlen(field)) != 0)
			continue;
		at = line + strlen(field);
		return proc_parse_number(&at, &bytes) ? bytes : 0;
	}
	return 0;
}

static OOM_NOINLINE uint64_t droppable_bytes(const struct proc_cgroup *group)
{
	struct io_lines lines;
	uint64_t bytes = 0;
	const char *line;

	if (proc_open_lines(&lines, "%s%s/memory.stat", group->mount, group->path) != 0)
		return 0;
	while ((line = io_lines_next(&lines)) != NULL)
		if (__builtin_add_overflow(bytes, droppable_in(line, group->is_v2), &bytes))
			bytes = UINT64_MAX;
	io_lines_close(&lines);
	return bytes;
}

bool proc_cgroup_usage(const struct proc_cgroup *group, uint64_t *usage_bytes)
{
	uint64_t usage, droppable;

	if (!read_number(group, group->is_v2 ? "memory.current" : "memory.usage_in_bytes", &usage))
		return false;
	droppable = droppable_bytes(group);
	*usage_bytes = usage > droppable ? usage - droppable : 0;
	return true;
}

bool proc_cgroup_contains(const struct proc_cgroup *group, pid_t pid)
{
	struct io_lines lines;
	const char *path;
	bool is_seen, is_in;

	if (proc_open_lines(&lines, "/proc/%d/cgroup", pid) != 0)
		return false;
	path = read_path(&lines, group, &is_seen);
	is_in = path != NULL && is_seen && is_below(path, group->path);
	io_lines_close(&lines);
	return is_in;
}

bool proc_cgroup_is_everybody(const struct proc_cgroup *group)
{
	uint64_t limit;

	/* The machine's own root has no limit, and can't be given one. */
	return group->path[0] == '\0' && group->root[0] == '\0' &&
	       (!proc_cgroup_limit(group, &limit) || limit == UINT64_MAX);
}

bool proc_cgroup_has_oom_group(const struct proc_cgroup *group)
{
	uint64_t is_set;

	return group->is_v2 && read_number(group, "memory.oom.group", &is_set) && is_set == 1;
}
