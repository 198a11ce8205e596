/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "base/io.h"
#include "config/options.h"
#include "lockdep/frames.h"
#include "lockdep/lockdep.h"

static void put_lock(struct io_buf *buf, struct lock_node node)
{
	io_printf(buf, "the lock%s of ", node.mode == LOCK_SHARED ? " (shared)" : "");
	place_put(buf, class_key(node.class));
}

static void report_edge(const struct lock_edge *edge)
{
	char text[512];
	struct io_buf buf = {.text = text, .bytes = sizeof text};
	bool is_call = class_is_callback(edge->held.class);

	if (is_call) {
		io_printf(&buf, "callback \"%s\" waits for ", edge->callback);
	} else {
		put_lock(&buf, edge->held);
		io_printf(&buf, " is held while ");
	}
	if (edge->wanted.class == CLASS_RECLAIM)
		io_printf(&buf, "memory is allocated, which may wait for callbacks");
	else if (class_is_callback(edge->wanted.class))
		io_printf(&buf, "unregistering, which may wait for a callback");
	else
		io_printf(&buf, is_call ? "" : "waiting for ");
	if (!class_is_callback(edge->wanted.class))
		put_lock(&buf, edge->wanted);
	io_warn("lock check:   %s", text);
	for (int i = 0; i < edge->frame_count; i++) {
		/* The first frames are the checker's own. */
		if (place_is_own(edge->frames[i]))
			continue;
		buf.used = 0;
		place_put(&buf, edge->frames[i]);
		io_warn("lock check:     %s", text);
	}
}

void lock_report(const struct lock_edge *const *edges, unsigned count)
{
	unsigned locks = 0;

	for (unsigned i = 0; i < count; i++)
		locks += !class_is_callback(edges[i]->held.class);
	io_warn("lock check: possible deadlock between %u %s and reclaim", locks,
	        locks == 1 ? "lock" : "locks");
	for (unsigned i = 0; i < count; i++)
		/* Every reader knows that an allocation waits for callbacks. */
		if (edges[i]->held.class != CLASS_RECLAIM ||
		    !class_is_callback(edges[i]->wanted.class))
			report_edge(edges[i]);
	if (options.lock_check == LOCK_CHECK_ABORT)
		abort();
}

void lock_report_init(void)
{
	void *frame;

	frames_take(&frame, 1);
}
