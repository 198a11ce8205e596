/* SPDX-License-Identifier: BSD-2-Clause */
/* What only liboomreclaim-debug.so does: see debug.h. */
#include "debug.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "io.h"
#include "lockdep/lockdep.h"
#include "options.h"
#include "registry.h"
#include "scope.h"

void debug_assert_failed(const char *file, int line, const char *what)
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
	if ((scope & (OOMRECLAIM_SCOPE_NORECLAIM | OOMRECLAIM_SCOPE_NORETRY)) == 0)
		lockdep_might_reclaim();
	if ((scope & OOMRECLAIM_SCOPE_NOFAIL) != 0 || !fault_is_armed(&fail_malloc) ||
	    !is_chosen(caller) || !fault_strikes(&fail_malloc, bytes))
		return false;
	if (options.is_verbose)
		io_warn("injected: an allocation of %zu bytes fails", bytes);
	errno = ENOMEM;
	return true;
}

void debug_callback_begin(const char *name, bool is_direct)
{
	lockdep_callback_begin(name, is_direct);
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

void debug_wait_for_unregister(void)
{
	if (!scope_is_in_ladder())
		lockdep_might_unregister();
}

/* ---- dry_run: each callback once, before memory is short ---- */

struct dry_run {
	oomreclaim_callback *function;
	void *arg;
	bool is_background; /* only oomreclaimd calls it */
};

/* In a thread of its own, since whoever registers may hold what the callback waits for. */
static void *run_dry(void *given)
{
	struct dry_run *run = given;
	struct registry_call call = {.entry = NULL};
	const struct registry_walk walk = {.newest_handle = registry_newest(),
	                                   .is_background = run->is_background};
	const struct oomreclaim_control control = {.struct_size = sizeof control,
	                                           .reason = OOMRECLAIM_REASON_MANUAL,
	                                           .constraint = "NONE",
	                                           .is_direct = !run->is_background};
	const struct registry_outcome outcome = {.claimed_bytes = 0};
	struct scope_ladder enter;

	scope_enter_ladder(&enter);
	/* Those registered before were called then. */
	while (registry_begin_call(&call, &walk)) {
		if (call.function == run->function && call.arg == run->arg) {
			lockdep_callback_begin(call.name, !run->is_background);
			call.function(&control, call.arg);
			lockdep_callback_end();
		}
		registry_end_call(&call, &outcome);
	}
	registry_end_walk(&call);
	scope_leave_ladder(&enter);
	free(run);
	return NULL;
}

void debug_registered(oomreclaim_callback *function, void *arg, unsigned flags)
{
	pthread_attr_t attributes;
	struct dry_run *run;
	pthread_t thread;

	if (!options.is_dry_run)
		return;
	run = malloc(sizeof *run);
	if (run != NULL)
		*run = (struct dry_run){function, arg, flags == OOMRECLAIM_CALLBACK_BACKGROUND};
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (run == NULL || pthread_create(&thread, &attributes, run_dry, run) != 0) {
		io_warn("dry_run: no thread to call the callbacks in");
		free(run);
	}
	pthread_attr_destroy(&attributes);
}

void debug_init(void)
{
	locks_init();
	fault_arm(&fail_malloc, &options.fail_malloc);
	lock_report_init();
	pthread_atfork(NULL, NULL, lockdep_fork_child);
}
