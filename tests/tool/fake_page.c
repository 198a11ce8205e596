/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process with a page of counters that no library of ours has written: of another version, never
 * whole, of another process, full of nonsense, near its limit, or with a total ("total ID"): that
 * of this id, which it does not share, or for 0 one of its own. Says "ready" and then waits to be
 * ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "limits/total_layout.h"
#include "report/stats_layout.h"

/* A minute and five seconds before its limit. */
static void grow(struct stats_page *page)
{
	memset(&page->stats, 0, sizeof page->stats);
	memset(&page->flight, 0, sizeof page->flight);
	page->stats.limit = 100 << 20;
	page->stats.charged = 35 << 20;
	page->growth = 1 << 20;
	page->callbacks = 0;
}

/* What is in it is newer than all others', and nonsense. */
static int share(struct stats_page *page, uint64_t id)
{
	int fd = memfd_create(TOTAL_NAME, 0);
	struct stat status;

	if (fd < 0 || ftruncate(fd, sizeof(struct total)) != 0 || fstat(fd, &status) != 0 ||
	    mmap(NULL, sizeof(struct total), PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
		return 1;
	grow(page);
	page->updated_ns = UINT64_MAX / 2;
	memset(&page->total, 0xff, sizeof page->total);
	page->total.id = id != 0 ? id : status.st_ino;
	page->total.limit = 0;
	return 0;
}

int main(int argc, char **argv)
{
	int fd = memfd_create(STATS_PAGE_NAME, MFD_ALLOW_SEALING);
	const char *kind = argc > 1 ? argv[1] : "";
	struct stats_page page;
	size_t bytes = sizeof page;

	memset(&page, 0xff, sizeof page);
	memcpy(page.magic, STATS_PAGE_MAGIC, sizeof page.magic);
	page.version = STATS_PAGE_VERSION;
	page.bytes = sizeof page;
	page.sequence = 4;
	page.pid = getpid();
	page.updated_ns = 0;
	/* Some pass for events. */
	for (uint64_t i = 0; i < FLIGHT_EVENTS / 2; i++) {
		page.flight.event[i].number = i + 1;
		page.flight.event[i].kind = (uint16_t)(i % (FLIGHT_KINDS + 1));
	}
	if (strcmp(kind, "version") == 0)
		page.version++;
	else if (strcmp(kind, "size") == 0)
		page.bytes++;
	else if (strcmp(kind, "busy") == 0)
		page.sequence = 5;
	else if (strcmp(kind, "foreign") == 0)
		page.pid++;
	else if (strcmp(kind, "magic") == 0)
		page.magic[0] = '?';
	else if (strcmp(kind, "short") == 0)
		bytes = 100;
	else if (strcmp(kind, "grows") == 0)
		grow(&page);
	else if (strcmp(kind, "total") == 0 && argc > 2) {
		if (share(&page, strtoull(argv[2], NULL, 10)) != 0)
			return 1;
	} else if (strcmp(kind, "nonsense") != 0)
		return 2;
	if (fd < 0 || write(fd, &page, bytes) != (ssize_t)bytes)
		return 1;
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
