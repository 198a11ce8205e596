/* SPDX-License-Identifier: BSD-2-Clause */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "lockdep.h"
#include "options.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* "program(+0x1f)". Without the loader's lock, which somebody may have who waits for what this thread
   holds: so no function's name. */
static void put_place(struct io_buf *buf, const void *address)
{
	struct dl_find_object found;
	const char *name;

	if (_dl_find_object((void *)(uintptr_t)address, &found) != 0) {
		io_printf(buf, "%p", address);
		return;
	}
	name = found.dlfo_link_map->l_name;
	io_printf(buf, "%s(+0x%zx)",
	          name[0] != '\0' ? base_name(name) : program_invocation_short_name,
	          (size_t)((uintptr_t)address - found.dlfo_link_map->l_addr));
}

static void put_lock(struct io_buf *buf, struct lock_node node)
{
	io_printf(buf, "the lock%s of ", node.mode == LOCK_SHARED ? " (shared)" : "");
	put_place(buf, class_key(node.class));
}

static bool is_own(const void *address)
{
	struct dl_find_object own, other;

	return _dl_find_object((void *)(uintptr_t)lock_report, &own) == 0 &&
	       _dl_find_object((void *)(uintptr_t)address, &other) == 0 &&
	       own.dlfo_link_map == other.dlfo_link_map;
}

static void report_edge(const struct lock_edge *edge)
{
	char text[512];
	struct io_buf buf = {.text = text, .bytes = sizeof text};

	if (edge->held.class < CLASSES_PSEUDO) {
		io_printf(&buf, "a callback waits for ");
	} else {
		put_lock(&buf, edge->held);
		io_printf(&buf, " is held while ");
	}
	if (edge->wanted.class == CLASS_RECLAIM)
		io_printf(&buf, "memory is allocated, which may wait for callbacks");
	else if (edge->wanted.class == CLASS_BACKGROUND)
		io_printf(&buf, "unregistering, which may wait for a callback");
	else
		io_printf(&buf, "%s", edge->held.class < CLASSES_PSEUDO ? "" : "waiting for ");
	if (edge->wanted.class >= CLASSES_PSEUDO)
		put_lock(&buf, edge->wanted);
	io_warn("lock check:   %s", text);
	for (int i = 0; i < edge->frame_count; i++) {
		/* The first of them are the checker itself. */
		if (is_own(edge->frames[i]))
			continue;
		buf.used = 0;
		put_place(&buf, edge->frames[i]);
		io_warn("lock check:     %s", text);
	}
}

void lock_report(const struct lock_edge *edges, unsigned count)
{
	io_warn("lock check: possible deadlock between %u %s and reclaim", count - 1,
	        count == 2 ? "lock" : "locks");
	for (unsigned i = 0; i < count; i++)
		report_edge(&edges[i]);
	if (options.lock_check == LOCK_CHECK_ABORT)
		abort();
}

void lock_report_init(void)
{
	void *frame;

	backtrace(&frame, 1);
}
