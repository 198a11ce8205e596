/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process with a page of counters that no library of ours has written: of another version, never
 * whole, of another process, full of nonsense, or near its limit. Says "ready" and then waits to be ended.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
	else if (strcmp(kind, "nonsense") != 0)
		return 2;
	if (fd < 0 || write(fd, &page, bytes) != (ssize_t)bytes)
		return 1;
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
