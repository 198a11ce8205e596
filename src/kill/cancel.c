/* SPDX-License-Identifier: BSD-2-Clause */
#include "kill/cancel.h"

#include "base/base.h"
#include "base/futex.h"
#include "config/options.h"
#include "heap/heap_ops.h"
#include "kill/kill_turn.h"
#include "limits/budget.h"
#include "limits/constraint.h"
#include "limits/group_victim.h"
#include "report/report.h"

/* Between two looks at a group that is dying: what its threads free stays charged until it is given
   back. Doubles, from so long to so long. */
#define LOOK_MS_MIN 1
#define LOOK_MS_MAX 8

/* Looks behind the end of one, before another is chosen: what it had may be on its way back in
   another thread, oomreclaimd's say, where it is neither free nor in use. The kernel sleeps a
   tick. */
#define RESTS 8

/* A request that comes so soon behind the end of a group, and did not wait for that, has so many
   looks, which take half of that time. */
#define RECENT_MS 20
#define RECENT_NS (RECENT_MS * NSEC_PER_MSEC)
#define RECENT_RESTS 3

/* A request waits for so many times cancel_grace_ms, whatever comes of it. */
#define GRACES_MAX 2

/* Set before main(). */
static bool (*wake)(void);

/* Changes where one that was dying is not any more: threads that wait sleep on it. One for all
   groups, as there is seldom more than one. */
static atomic_uint ended;

void cancel_init(bool (*wake_thread)(void))
{
	wake = wake_thread;
}

static uint64_t grace_ns(void)
{
	return options.cancel_grace_ms * NSEC_PER_MSEC;
}

void cancel_tell_ended(void)
{
	atomic_fetch_add(&ended, 1);
	futex_wake(&ended);
}

/* oom_reap_task(): what is free in the group is still charged to it. */
static void reap(unsigned slot)
{
	heap_ops.group_evict(slot, SIZE_MAX, GROUP_KEEPS_NONE);
}

bool cancel_try_lift(unsigned slot)
{
	bool is_lifted;

	reap(slot);
	is_lifted = group_victim_try_lift(slot);
	if (is_lifted)
		cancel_tell_ended();
	return is_lifted;
}

/* Of the limit that is met; where none is known, of what there is. */
static size_t total_bytes(const struct oom_control *control)
{
	size_t total =
		control->group != 0 ? group_max(control->group) : constraint_known_max_bytes();

	return total != SIZE_MAX ? total : budget_charged();
}

/* What may be large is seldom needed: one group after the other would end for a request that none
   of them could serve. */
static size_t least_bytes(const struct oom_control *control)
{
	size_t bytes = request_bytes(control->request);

	return bytes > options.costly_bytes ? bytes : 0;
}

static bool is_own(unsigned slot)
{
	return group_cancelled_with(heap_ops.group_current()) == slot;
}

/* With no lock held, and none of the program's either on oomreclaimd: the failing thread may hold
   any, and its functions would wait for them. So it calls them only where there is no such
   thread. */
static void tell(const struct oom_control *control, const struct group_victim *victim)
{
	report_cancel(control, victim);
	if (wake == NULL || !wake())
		cancel_call_due(false);
}

/* So many looks, before another group is chosen. */
static enum cancel_result begin_rests(struct oom_control *control, unsigned char rests)
{
	control->tried.cancel_looks = 0;
	control->tried.cancel_rests = rests;
	control->tried.cancel_seen_ns = now_ns();
	return CANCEL_ENDED;
}

static enum cancel_result see_end(struct oom_control *control)
{
	control->tried.cancel_victim = 0;
	cancel_tell_ended();
	return begin_rests(control, RESTS);
}

/* With the lock of the killer's turn: oomreclaim_kill_disable() comes before, and no group is
   chosen; or it comes behind, and takes the choice back. */
static enum group_choice choose(const struct group_search *search, struct group_victim *victim)
{
	enum group_choice choice = GROUP_NOBODY;

	if (kill_turn_hold()) {
		choice = group_victim_choose(search, victim);
		kill_turn_release();
	}
	return choice;
}

/* The time up to which ends of groups are known to this request. */
static uint64_t seen_ns(const struct oom_control *control)
{
	uint64_t began = control->facts.began_ns, seen = control->tried.cancel_seen_ns;

	return seen != 0 || began < RECENT_NS ? seen : began - RECENT_NS;
}

/* The group was destroyed, or has ended otherwise, and is not waited for: what it had is free by
   now, or nearly. A grace that is shorter than these rests does not end them. */
static enum cancel_result try_again(struct oom_control *control)
{
	control->tried.cancel_ends_ms += RECENT_MS;
	return begin_rests(control, RECENT_RESTS);
}

static enum cancel_result look_for_one(struct oom_control *control)
{
	uint64_t now = now_ns();
	bool has_tried = control->tried.cancel_seen_ns != 0;
	const struct group_search search = {.in = control->group,
	                                    .total_bytes = total_bytes(control),
	                                    .least_bytes = least_bytes(control),
	                                    .deadline_ns = now + grace_ns(),
	                                    .seen_ns = seen_ns(control),
	                                    /* Groups may be destroyed all the time. */
	                                    .asked_ns = has_tried ? UINT64_MAX : now};
	struct group_victim victim;
	enum group_choice choice = choose(&search, &victim);

	switch (choice) {
	case GROUP_NOBODY:
		return CANCEL_NOBODY;
	case GROUP_ENDED:
		return see_end(control);
	case GROUP_AGAIN:
		return try_again(control);
	case GROUP_CHOSEN:
		tell(control, &victim);
		break;
	case GROUP_DYING:
		break;
	}
	control->tried.cancel_looks = 0;
	control->tried.cancel_victim = victim.slot;
	return is_own(victim.slot) ? CANCEL_OWN : CANCEL_WAITED;
}

static void wait_a_moment(struct oom_control *control, unsigned seen)
{
	uint64_t ms = (uint64_t)LOOK_MS_MIN << control->tried.cancel_looks;

	if (ms < LOOK_MS_MAX)
		control->tried.cancel_looks++;
	futex_wait(&ended, seen, ms * NSEC_PER_MSEC);
}

/* The one that is waited for. */
static enum cancel_result wait_for_it(struct oom_control *control)
{
	/* Before the look: what ends behind it is not slept through. */
	unsigned seen = atomic_load(&ended);

	reap(control->tried.cancel_victim);
	if (group_victim_is_dying(control->tried.cancel_victim)) {
		wait_a_moment(control, seen);
		return CANCEL_WAITED;
	}
	return see_end(control);
}

static enum cancel_result rest(struct oom_control *control)
{
	control->tried.cancel_rests--;
	wait_a_moment(control, atomic_load(&ended));
	return CANCEL_WAITED;
}

OOM_NOINLINE enum cancel_result cancel_step(struct oom_control *control)
{
	uint64_t passed_ms = (now_ns() - control->facts.began_ns) / NSEC_PER_MSEC;

	if (control->tried.cancel_ends_ms == 0)
		control->tried.cancel_ends_ms =
			(unsigned)(passed_ms + 1 + GRACES_MAX * options.cancel_grace_ms);
	else if (passed_ms >= control->tried.cancel_ends_ms)
		return CANCEL_NOBODY;
	if (control->tried.cancel_rests > 0)
		return rest(control);
	return control->tried.cancel_victim != 0 ? wait_for_it(control) : look_for_one(control);
}
