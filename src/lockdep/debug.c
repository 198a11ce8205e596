/* SPDX-License-Identifier: BSD-2-Clause */
/* What only liboomreclaim-debug.so does: see debug.h. */
#include "lockdep/debug.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/io.h"
#include "config/options.h"
#include "heap/heap_ops.h"
#include "limits/fault.h"
#include "lockdep/lockdep.h"
#include "reclaim/registry.h"
#include "reclaim/scope.h"

/* jemalloc's: what it takes for granted is there to be written over. The block check has seen what it can. */
void debug_assert_failed(const char *file, int line, const char *what)
{
	io_warn("%s:%d: not so: %s; the program has probably written over the heap's records", file,
	        line, what);
	abort();
}

void debug_own_assert_failed(const char *file, int line, const char *what)
{
	io_warn("%s:%d: not so: %s; please report this", file, line, what);
	abort();
}

/* The kernel's failslab. */
static struct fault fail_malloc;

/* The settings ask for this caller, by a part of its function's or its file's name. */
static bool is_chosen(const void *caller)
{
	const char *wanted = options.fail_malloc_caller;
	struct symbol symbol;

	if (wanted[0] == '\0')
		return true;
	if (!symbol_at(caller, &symbol))
		return false;
	return (symbol.name != NULL && strcmp(symbol.name, wanted) == 0) ||
	       strstr(symbol.file, wanted) != NULL;
}

bool debug_alloc(size_t bytes, const void *caller)
{
	unsigned scope = scope_current();

	if (scope_is_in_ladder())
		return false;
	/* For the impossible nobody is asked. */
	if ((scope & (OOMRECLAIM_SCOPE_NORECLAIM | OOMRECLAIM_SCOPE_NORETRY)) == 0 &&
	    bytes <= heap_ops.max_bytes)
		lockdep_might_reclaim();
	if ((scope & OOMRECLAIM_SCOPE_NOFAIL) != 0 || !fault_is_armed(&fail_malloc) ||
	    !is_chosen(caller) || !fault_strikes(&fail_malloc, bytes))
		return false;
	if (options.is_verbose)
		io_warn("injected: an allocation of %zu bytes fails", bytes);
	errno = ENOMEM;
	return true;
}

void debug_callback_begin(const char *name, oomreclaim_handle handle, bool is_direct)
{
	lockdep_callback_begin(name, handle, is_direct);
}

void debug_callback_end(void)
{
	lockdep_callback_end();
}

void debug_wait_for_callbacks(void)
{
	if (!scope_is_in_ladder())
		lockdep_might_reclaim();
}

void debug_wait_for_unregister(oomreclaim_handle handle)
{
	struct oomreclaim_callback_stats none;

	/* Of what is no callback nobody is waited for. */
	if (!scope_is_in_ladder() && oomreclaim_callback_stats(handle, &none, 0) == 0)
		lockdep_might_unregister(handle);
}

void debug_wait_for_policy(oomreclaim_handle handle)
{
	if (!scope_is_in_ladder())
		lockdep_might_unregister(handle);
}

void debug_unregistered(oomreclaim_handle handle)
{
	lockdep_unregistered(handle);
}

/* ---- dry_run: each callback once, before memory is short ---- */

struct dry_run {
	oomreclaim_handle handle;
	bool is_background; /* only oomreclaimd calls it */
};

static atomic_uint dry_runs; /* under way */
static OOM_TLS bool is_dry;

/* In a thread of its own, since whoever registers may hold what the callback waits for. */
static void *run_dry(void *given)
{
	struct dry_run *run = given;
	struct registry_call call = {.entry = NULL};
	const struct registry_walk walk = {.newest_handle = run->handle,
	                                   .only_handle = run->handle,
	                                   .is_background = run->is_background};
	const struct oomreclaim_control control = {.struct_size = sizeof control,
	                                           .reason = OOMRECLAIM_REASON_MANUAL,
	                                           .constraint = "NONE",
	                                           .is_direct = !run->is_background};
	const struct registry_outcome outcome = {.claimed_bytes = 0};
	struct scope_ladder enter;

	is_dry = true;
	scope_enter_ladder(&enter);
	while (registry_begin_call(&call, &walk)) {
		lockdep_callback_begin(call.name, run->handle, !run->is_background);
		call.function(&control, call.arg);
		lockdep_callback_end();
		registry_end_call(&call, &outcome);
	}
	registry_end_walk(&call);
	scope_leave_ladder(&enter);
	free(run);
	atomic_fetch_sub(&dry_runs, 1);
	return NULL;
}

void debug_registered(oomreclaim_handle handle, unsigned flags)
{
	pthread_attr_t attributes;
	struct dry_run *run;
	pthread_t thread;

	/* One that registers itself anew would go on for ever. */
	if (!options.is_dry_run || is_dry)
		return;
	run = malloc(sizeof *run);
	if (run != NULL)
		*run = (struct dry_run){handle, flags == OOMRECLAIM_CALLBACK_BACKGROUND};
	atomic_fetch_add(&dry_runs, 1);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (run == NULL || pthread_create(&thread, &attributes, run_dry, run) != 0) {
		atomic_fetch_sub(&dry_runs, 1);
		io_warn("dry_run: no thread to call the callbacks in");
		free(run);
	}
	pthread_attr_destroy(&attributes);
}

/* At its end the program may hold what one of them waits for. */
#define STOP_WAIT_MS 1000

void debug_stop(void)
{
	const struct timespec pause = {.tv_nsec = NSEC_PER_MSEC};

	for (int i = 0; i < STOP_WAIT_MS && atomic_load(&dry_runs) > 0; i++)
		nanosleep(&pause, NULL);
}

int debug_close(int (*close)(void *file), void *file)
{
	struct class_set before;
	int result;

	/* Another file may come to lie there. */
	classes_in_files(&before);
	result = close(file);
	if (result == 0)
		lockdep_left_files(&before);
	return result;
}

void debug_fork_child(void)
{
	/* Those threads are in the parent. */
	atomic_store(&dry_runs, 0);
}

void debug_init(void)
{
	locks_init();
	fault_arm(&fail_malloc, &options.fail_malloc);
	lock_report_init();
	if (options.lock_check != LOCK_CHECK_OFF)
		freed_init();
}
