/* SPDX-License-Identifier: BSD-2-Clause */
/* Only in the debug library. */
#include "entry/dry_run.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/base.h"
#include "base/fork_data.h"
#include "base/io.h"
#include "config/options.h"
#include "heap/heap_ops.h"
#include "lockdep/watch.h"
#include "reclaim/descent.h"
#include "reclaim/outside.h"
#include "reclaim/registry.h"

/* What oomreclaimd alone calls. */
#define BY_OOMRECLAIMD ((unsigned)(OOMRECLAIM_CALLBACK_BACKGROUND | OOMRECLAIM_CALLBACK_ROOM))

struct dry_run {
	oomreclaim_handle handle;
	unsigned flags; /* enum oomreclaim_callback_flags */
};

static atomic_uint dry_runs; /* under way */
static OOM_TLS bool is_dry;

static void call_all(const struct registry_walk *walk)
{
	const struct oomreclaim_control control = {.struct_size = sizeof control,
	                                           .reason = walk->is_room
	                                                             ? OOMRECLAIM_REASON_ROOM
	                                                             : OOMRECLAIM_REASON_MANUAL,
	                                           .constraint = "NONE",
	                                           .is_direct = !walk->is_background};
	struct registry_call call = {.entry = NULL};

	while (registry_begin_call(&call, walk)) {
		if (call.is_group)
			continue;
		lockdep_callback_begin(call.name, call.handle, control.is_direct);
		call.function(&control, call.arg);
		lockdep_callback_end();
		registry_end_call(&call, NULL);
	}
	registry_end_walk(&call);
}

/* In a thread of its own, since the thread that registers may hold what the callback waits for. */
static void *run_dry(void *given)
{
	struct dry_run *run = given;
	struct registry_walk walk = {.newest_handle = run->handle,
	                             .only_handle = run->handle,
	                             .is_background = (run->flags & BY_OOMRECLAIMD) != 0,
	                             .is_room = run->flags == OOMRECLAIM_CALLBACK_ROOM};
	struct descent descent;

	is_dry = true;
	descent_begin(&descent);
	for (walk.step = REGISTRY_CALLBACKS; walk.step <= REGISTRY_SCAN; walk.step++)
		call_all(&walk);
	descent_end(&descent);
	free(run);
	atomic_fetch_sub(&dry_runs, 1);
	return NULL;
}

void dry_run_begin(oomreclaim_handle handle, unsigned flags)
{
	pthread_attr_t attributes;
	struct dry_run *run;
	pthread_t thread;
	struct outside outside;
	struct descent descent;

	/* One that registers itself anew would go on for ever. */
	if (!options.is_dry_run || is_dry)
		return;
	/* No callback is asked for what this needs: it might jump. */
	descent_begin(&descent);
	outside = outside_begin();
	run = malloc(sizeof *run);
	if (run != NULL)
		*run = (struct dry_run){handle, flags};
	atomic_fetch_add(&dry_runs, 1);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (run == NULL || pthread_create(&thread, &attributes, run_dry, run) != 0) {
		atomic_fetch_sub(&dry_runs, 1);
		io_warn("dry_run: no thread to call the callbacks in");
		free(run);
	}
	pthread_attr_destroy(&attributes);
	outside_end(&outside);
	descent_end(&descent);
}

/* At its end the program may hold what one of them waits for. */
#define STOP_WAIT_MS 1000

void dry_run_stop(void)
{
	for (int i = 0; i < STOP_WAIT_MS && atomic_load(&dry_runs) > 0; i++)
		pause_ns(NSEC_PER_MSEC);
}

void dry_run_fork_child(void)
{
	/* The threads that were in a dry run are in the parent. */
	fork_reset(dry_runs, 0);
}
