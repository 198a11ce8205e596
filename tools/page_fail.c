/* SPDX-License-Identifier: BSD-2-Clause */
/* What is wrong with a page, for the user. */
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "page.h"
#include "tool.h"

#define PATH_BYTES 64

static int fail_forbidden(pid_t pid, const char *comm)
{
	char path[PATH_BYTES], number[16];
	const struct passwd *user;
	struct stat status;

	snprintf(path, sizeof path, "/proc/%d", pid);
	if (stat(path, &status) != 0)
		return tool_fail("there is no process %d; see ps", pid);
	if (status.st_uid == geteuid())
		return tool_fail(
			"process %d (%s) is protected, as set-user-ID programs are; run this as "
			"root",
			pid, comm);
	user = getpwuid(status.st_uid);
	snprintf(number, sizeof number, "%u", status.st_uid);
	return tool_fail("process %d (%s) belongs to user %s; run this as that user or as root",
	                 pid, comm, user != NULL ? user->pw_name : number);
}

bool page_has_library(pid_t pid)
{
	char path[PATH_BYTES], line[1024];
	bool is_found = false;
	FILE *maps;

	snprintf(path, sizeof path, "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	while (maps != NULL && !is_found && fgets(line, sizeof line, maps) != NULL)
		is_found = strstr(line, "/liboomreclaim.so") != NULL;
	if (maps != NULL)
		fclose(maps);
	return is_found;
}

int page_fail(pid_t pid, enum page_error error, const struct stats_page *page)
{
	char comm[PAGE_COMM_MAX];

	page_comm(pid, comm);
	switch (error) {
	case PAGE_OK:
		return TOOL_OK;
	case PAGE_NO_PROCESS:
		return tool_fail("there is no process %d; see ps", pid);
	case PAGE_ENDED:
		return tool_fail(
			"process %d (%s) has ended, and its parent has not waited for it yet; "
			"there is nothing left to look at",
			pid, comm);
	case PAGE_FORBIDDEN:
		return fail_forbidden(pid, comm);
	case PAGE_VERSION:
		return tool_fail(
			"process %d (%s): its statistics are of version %u, and this command "
			"reads version %d; use the oomreclaim that came with its library",
			pid, comm, page->version, STATS_PAGE_VERSION);
	case PAGE_BUSY:
		return tool_fail(
			"process %d (%s): its statistics are never whole; if it was stopped in "
			"the middle of an update, let it go on",
			pid, comm);
	case PAGE_FOREIGN:
		return tool_fail(
			"process %d (%s) is a copy of process %d, made without fork(), and has no "
			"statistics of its own; look at that one",
			pid, comm, page->pid);
	case PAGE_NONE:
		break;
	}
	if (page_has_library(pid))
		return tool_fail(
			"process %d (%s) runs with oomreclaim, but shares no statistics; start it "
			"with OOMRECLAIM_CONF=stats:true or oomreclaim run --stats",
			pid, comm);
	return tool_fail(
		"process %d (%s) runs without oomreclaim; start it with oomreclaim run --stats",
		pid, comm);
}
