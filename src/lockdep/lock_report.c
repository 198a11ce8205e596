/* SPDX-License-Identifier: BSD-2-Clause */
#include <dlfcn.h>
#include <execinfo.h>
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

/* "program(function+0x1f)", or what is known of it. */
static void put_place(struct io_buf *buf, const void *address)
{
	Dl_info info;

	if (dladdr(address, &info) == 0) {
		io_printf(buf, "%p", address);
		return;
	}
	if (info.dli_sname != NULL)
		io_printf(buf, "%s(%s+0x%zx)", base_name(info.dli_fname), info.dli_sname,
		          (size_t)((const char *)address - (const char *)info.dli_saddr));
	else
		io_printf(buf, "%s(+0x%zx)", base_name(info.dli_fname),
		          (size_t)((const char *)address - (const char *)info.dli_fbase));
}

static void put_lock(struct io_buf *buf, struct lock_node node)
{
	if (node.class == CLASS_RECLAIM) {
		io_printf(buf, "[reclaim]");
		return;
	}
	io_printf(buf, "the lock%s of ", node.mode == LOCK_SHARED ? " (shared)" : "");
	put_place(buf, class_key(node.class));
}

static bool is_own(const void *address)
{
	static const void *own;
	Dl_info info;

	if (own == NULL && dladdr((const void *)(uintptr_t)lock_report, &info) != 0)
		own = info.dli_fbase;
	return dladdr(address, &info) != 0 && info.dli_fbase == own;
}

static void report_edge(const struct lock_edge *edge)
{
	char text[512];
	struct io_buf buf = {.text = text, .bytes = sizeof text};

	if (edge->held.class == CLASS_RECLAIM)
		io_printf(&buf, "a callback waits for ");
	else
		put_lock(&buf, edge->held);
	if (edge->held.class != CLASS_RECLAIM)
		io_printf(&buf, " is held while %s",
		          edge->wanted.class == CLASS_RECLAIM
		                  ? "memory is allocated, which may wait for callbacks"
		                  : "waiting for ");
	if (edge->wanted.class != CLASS_RECLAIM)
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

void lock_report(const struct lock_edge *const *edges, unsigned count)
{
	io_warn("lock check: possible deadlock between %u %s and reclaim", count - 1,
	        count == 2 ? "lock" : "locks");
	for (unsigned i = 0; i < count; i++)
		report_edge(edges[i]);
	if (options.lock_check == LOCK_CHECK_ABORT)
		abort();
}

void lock_report_init(void)
{
	void *frame;

	backtrace(&frame, 1);
}
