/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's shrink_slab(): the shrinkers of one priority are counted, then scanned. What each is
   asked for is in shrinker.c; no lock is held over count() and scan(). */
#include "base/base.h"
#include "reclaim/shrinker.h"
#include "reclaim/visit.h"

static size_t at_least_one(size_t bytes)
{
	return bytes > 0 ? bytes : 1;
}

/* pass: NULL where only the size is of interest. */
static bool count(struct visit *visit, struct shrink_pass *pass)
{
	struct registry_call *callback = &visit->callback;
	struct shrinker *shrinker = &callback->shrinker;
	struct oomreclaim_control control;
	struct registry_outcome outcome;
	size_t heap_bytes = reclaim_heap_bytes();

	visit_update(visit, callback->name);
	control = visit->control;
	control.bytes_wanted = at_least_one(control.bytes_wanted);
	if (!visit_call(visit, &control, &outcome))
		return false;
	outcome.heap_bytes = heap_bytes;
	shrinker->counted_bytes = outcome.claimed_bytes;
	if (shrinker->counted_bytes == 0 && !outcome.is_stop)
		shrinker->due_bytes = 0;
	if (pass != NULL)
		shrink_pass_add(pass, shrinker, callback->handle);
	else
		shrinker->counted_bytes = 0;
	registry_note_call(callback, &outcome);
	registry_end_call(callback, NULL);
	visit_update(visit, "");
	return true;
}

static bool count_all(struct visit *visit, struct shrink_pass *pass)
{
	struct registry_walk walk = visit->walk;

	walk.step = REGISTRY_COUNT;
	walk.group = visit->group.entry;
	while (registry_begin_call(&visit->callback, &walk))
		if (!count(visit, pass))
			return false;
	return true;
}

/* Asks for `ask` bytes. goes_on: the shrinker is still registered, and may have more. */
static bool scan(struct visit *visit, size_t ask, size_t *given, bool *goes_on)
{
	struct registry_outcome outcome;

	visit_update(visit, visit->callback.name);
	/* Of this call alone: visit_gave() reads what is wanted by the round. No copy of it all,
	   which would lie on the stack below a callback. */
	visit->control.bytes_wanted = ask;
	if (!visit_call(visit, &visit->control, &outcome))
		return false;
	shrinker_judge(&visit->callback.shrinker, outcome.claimed_bytes, outcome.measured_bytes);
	*goes_on = registry_note_call(&visit->callback, &outcome) && outcome.claimed_bytes > 0;
	*given = add_saturated(*given, outcome.claimed_bytes);
	visit_gave(visit, &outcome);
	return true;
}

struct part {
	size_t counted_bytes, share, given;
	int64_t due_bytes; /* from before */
};

/* Leaves the shrinker as the part's end would, with what was given so far. Called before each
   scan() too, as scan() may not come back. Its frame is not under that of scan(). */
static OOM_NOINLINE void settle_part(struct visit *visit, const struct shrink_pass *pass,
                                     const struct part *part)
{
	struct shrinker *shrinker = &visit->callback.shrinker;

	shrinker->due_bytes = part->due_bytes;
	shrinker->counted_bytes = part->counted_bytes;
	if (shrinker->counted_bytes > 0)
		shrinker_defer(shrinker, pass, part->share, part->given);
	shrinker->counted_bytes = 0;
	if (visit->callback.handle == pass->first)
		shrinker->turn = pass->latest_turn + 1;
}

/* A shrinker's part, in as many calls as its batch makes of it, until it gives nothing or no more
   is wanted. */
static bool scan_part(struct visit *visit, const struct shrink_pass *pass)
{
	struct shrinker *shrinker = &visit->callback.shrinker;
	struct part part = {.counted_bytes = shrinker->counted_bytes,
	                    .share = shrinker_share(shrinker, pass),
	                    .due_bytes = shrinker->due_bytes};
	size_t work = shrinker_work(shrinker, pass, part.share), ask = 0;
	bool goes_on = true;

	while (goes_on && visit->control.bytes_wanted > 0 &&
	       (ask = shrinker_ask(shrinker, work, visit->control.bytes_wanted)) > 0) {
		settle_part(visit, pass, &part);
		if (!scan(visit, ask, &part.given, &goes_on))
			return false;
		shrinker->counted_bytes = part.counted_bytes;
		work -= ask;
	}
	settle_part(visit, pass, &part);
	registry_end_call(&visit->callback, NULL);
	return true;
}

/* The shrinkers with handles from `oldest` to `newest`, which is their order within a priority.
   When no more is wanted the others are not called, but what was due from them is put off. */
static bool scan_range(struct visit *visit, const struct shrink_pass *pass, uint64_t oldest,
                       uint64_t newest)
{
	struct registry_walk walk = visit->walk;

	walk.step = REGISTRY_SCAN;
	walk.group = visit->group.entry;
	walk.oldest_handle = oldest;
	walk.newest_handle = newest;
	while (registry_begin_call(&visit->callback, &walk))
		if (!scan_part(visit, pass))
			return false;
	return true;
}

static bool make_pass(struct visit *visit, unsigned pressure, bool *has_any)
{
	struct shrink_pass pass = {.pressure = pressure};

	if (!count_all(visit, &pass))
		return false;
	*has_any = pass.first != 0;
	if (!*has_any)
		return true;
	shrink_pass_aim(&pass, visit->control.bytes_wanted);
	return scan_range(visit, &pass, pass.first, visit->walk.newest_handle) &&
	       scan_range(visit, &pass, 0, pass.first - 1);
}

bool visit_shrinkers(struct visit *visit)
{
	bool has_any = true;

	visit->group = visit->callback;
	visit->callback = (struct registry_call){.has_skipped = visit->group.has_skipped,
	                                         .has_spared = visit->group.has_spared};
	for (unsigned pressure = 0;
	     has_any && pressure <= SHRINK_PRESSURE_MAX && visit->control.bytes_wanted > 0;
	     pressure++)
		if (!make_pass(visit, pressure, &has_any))
			return false;
	visit->group.has_skipped = visit->callback.has_skipped;
	visit->group.has_spared = visit->callback.has_spared;
	visit->callback = visit->group;
	visit->group.entry = NULL;
	return true;
}

bool visit_sizes(struct visit *visit)
{
	struct registry_walk walk = visit->walk;

	walk.step = REGISTRY_COUNT;
	while (registry_begin_call(&visit->callback, &walk))
		if (!count(visit, NULL))
			return false;
	return true;
}
