/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tool.h"

#define LINE_BYTES 4352 /* a path of PATH_MAX, and what is before it */

static bool ends_in(const char *name, size_t bytes, const char *suffix)
{
	size_t length = strlen(suffix);

	return bytes > length && memcmp(name + bytes - length, suffix, length) == 0;
}

void unit_in(const char *path, char unit[UNIT_BYTES])
{
	unit[0] = '\0';
	while (*path != '\0') {
		size_t bytes = strcspn(path, "/");

		if (bytes < UNIT_BYTES &&
		    (ends_in(path, bytes, ".service") || ends_in(path, bytes, ".scope"))) {
			memcpy(unit, path, bytes);
			unit[bytes] = '\0';
		}
		path += bytes + (path[bytes] == '/');
	}
}

/* One of the controllers, which have commas between them. */
static bool has_controller(const char *controllers, const char *name)
{
	size_t length = strlen(name);

	for (;;) {
		size_t bytes = strcspn(controllers, ",");

		if (bytes == length && memcmp(controllers, name, length) == 0)
			return true;
		if (controllers[bytes] == '\0')
			return false;
		controllers += bytes + 1;
	}
}

/* NUMBER:CONTROLLERS:PATH. */
static void look_at(char *line, char unit[UNIT_BYTES], char cgroup[CGROUP_BYTES], bool *is_memory)
{
	char *controllers = strchr(line, ':'), *path;

	line[strcspn(line, "\n")] = '\0';
	if (controllers == NULL || (path = strchr(++controllers, ':')) == NULL)
		return;
	*path++ = '\0';
	tool_clean(path);
	/* Version 1's own hierarchy of systemd, or version 2, whichever knows. */
	if ((controllers[0] == '\0' || has_controller(controllers, "name=systemd")) &&
	    unit[0] == '\0')
		unit_in(path, unit);
	if (has_controller(controllers, "memory") || (controllers[0] == '\0' && !*is_memory)) {
		*is_memory = controllers[0] != '\0';
		snprintf(cgroup, CGROUP_BYTES, "%s", path);
	}
}

void unit_of(pid_t pid, char unit[UNIT_BYTES], char cgroup[CGROUP_BYTES])
{
	char path[32], line[LINE_BYTES];
	bool is_memory = false;
	FILE *groups;

	unit[0] = cgroup[0] = '\0';
	snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
	groups = fopen(path, "re");
	while (groups != NULL && fgets(line, sizeof line, groups) != NULL)
		look_at(line, unit, cgroup, &is_memory);
	if (groups != NULL)
		fclose(groups);
}
