/* SPDX-License-Identifier: BSD-2-Clause */
/* The choice of the next rung: a row for each rung and condition, by its number in the ladder. */
#include <criterion/criterion.h>

#include "base/base.h"
#include "ladder/ladder.h"
#include "support.h"

TestSuite(ladder_next, .init = support_init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 64};
static const struct heap_request costly = {.size = (size_t)1 << 20};
static const struct heap_request for_libc_request = {.size = 64, .is_for_libc = true};
static const struct heap_request in_arena = {.size = 64, .is_arena_explicit = true};

struct row {
	const char *name;
	struct oom_control control;
	enum rung next;
};

#define ASKED .request = &request
#define ALL_TRIED .tried.is_own_reclaim_done = true, .tried.callbacks = CALLBACKS_GAVE_NOTHING
#define PURGED ASKED, .tried.is_own_reclaim_done = true
#define RECLAIMED ASKED, ALL_TRIED
#define ENDED RECLAIMED, .tried.is_policy_done = true
#define END_NEAR .now.is_dying = true, .now.is_end_near = true, .tried.is_reserve_done = true
#define CANCELLED .now.is_cancelled = true
#define MAY_CANCEL .now.may_cancel = true
#define CANCELLING .tried.is_cancelling = true, .now.is_policy_cancel = true
#define LIBC_ASKED .request = &for_libc_request
#define LIBC_PURGED LIBC_ASKED, .tried.is_own_reclaim_done = true
#define LIBC_RECLAIMED LIBC_ASKED, ALL_TRIED
#define LIBC_ENDED LIBC_RECLAIMED, .tried.is_policy_done = true
#define SCOPE(flag) .scope = OOMRECLAIM_SCOPE_##flag

static const struct row rungs[] = {
	{"1 impossible", {ASKED, .facts.is_impossible = true}, RUNG_FAIL},
	{"1 impossible: nested",
         {ASKED, .facts.is_impossible = true, .facts.in_callback = true},
         RUNG_FAIL},
	{"1 impossible: RESERVE", {PURGED, .facts.is_impossible = true, SCOPE(RESERVE)}, RUNG_FAIL},
	{"1 impossible: dying",
         {PURGED, .facts.is_impossible = true, .now.is_dying = true},
         RUNG_FAIL},
	{"2 no recursion: the reserve", {ASKED, .facts.in_callback = true}, RUNG_RESERVE},
	{"2 no recursion: whatever the scope",
         {ASKED, .facts.in_callback = true, SCOPE(NORETRY)},
         RUNG_RESERVE},
	{"2 no recursion: else NULL",
         {ASKED, .facts.in_callback = true, .tried.is_reserve_done = true},
         RUNG_FAIL},
	{"2 no recursion: the heap's locks", {ASKED, .facts.in_heap = true}, RUNG_FAIL},
	{"2 no recursion: the heap's locks, nested",
         {ASKED, .facts.in_heap = true, .facts.in_callback = true},
         RUNG_FAIL},
	{"3 own reclaim", {ASKED}, RUNG_OWN_RECLAIM},
	{"3 own reclaim: NORETRY", {ASKED, SCOPE(NORETRY)}, RUNG_OWN_RECLAIM},
	{"3 own reclaim: NORECLAIM", {ASKED, SCOPE(NORECLAIM)}, RUNG_OWN_RECLAIM},
	{"3 own reclaim: RESERVE", {ASKED, SCOPE(RESERVE)}, RUNG_OWN_RECLAIM},
	{"3 own reclaim: dying", {ASKED, .now.is_dying = true}, RUNG_OWN_RECLAIM},
	{"RESERVE before anybody is asked", {PURGED, SCOPE(RESERVE)}, RUNG_RESERVE},
	{"RESERVE, with NORETRY too",
         {PURGED, .scope = OOMRECLAIM_SCOPE_RESERVE | OOMRECLAIM_SCOPE_NORETRY},
         RUNG_RESERVE},
	{"RESERVE, used up",
         {PURGED, SCOPE(RESERVE), .tried.is_reserve_done = true},
         RUNG_CALLBACKS},
	{"4 opt out", {PURGED, SCOPE(NORETRY)}, RUNG_FAIL},
	{"5, 6 reclaim", {PURGED}, RUNG_CALLBACKS},
	{"5, 6 reclaim: RETRY_MAYFAIL", {PURGED, SCOPE(RETRY_MAYFAIL)}, RUNG_CALLBACKS},
	{"5, 6 reclaim: NOFAIL", {PURGED, SCOPE(NOFAIL)}, RUNG_CALLBACKS},
	{"5, 6 reclaim: NORECLAIM", {PURGED, SCOPE(NORECLAIM)}, RUNG_FAIL},
	{"6 a larger neighbour, first",
         {PURGED, .now.neighbour = NEIGHBOUR_LARGER},
         RUNG_NEIGHBOUR},
	{"6 a smaller neighbour, later",
         {PURGED, .now.neighbour = NEIGHBOUR_SMALLER},
         RUNG_CALLBACKS},
	{"6 a smaller neighbour", {RECLAIMED, .now.neighbour = NEIGHBOUR_SMALLER}, RUNG_NEIGHBOUR},
	{"6 a neighbour: NORECLAIM",
         {RECLAIMED, .now.neighbour = NEIGHBOUR_LARGER, SCOPE(NORECLAIM)},
         RUNG_FAIL},
	{"6 a neighbour: NORETRY",
         {PURGED, .now.neighbour = NEIGHBOUR_LARGER, SCOPE(NORETRY)},
         RUNG_FAIL},
	{"6 a neighbour: dying",
         {PURGED, .now.neighbour = NEIGHBOUR_LARGER, .now.is_dying = true},
         RUNG_RESERVE},
	{"6 a neighbour: what has come back first",
         {PURGED, .now.neighbour = NEIGHBOUR_LARGER, .tried.is_again_due = true},
         RUNG_OWN_RECLAIM_AGAIN},
	{"7 purge what they freed", {PURGED, .tried.is_again_due = true}, RUNG_OWN_RECLAIM_AGAIN},
	{"7 purge: nothing left",
         {PURGED, .tried.is_again_due = true, .tried.callbacks = CALLBACKS_GAVE_NOTHING},
         RUNG_OWN_RECLAIM_AGAIN},
	{"7 progress: again", {PURGED, .tried.rounds = 99}, RUNG_CALLBACKS},
	{"7 zero: on", {RECLAIMED, .tried.rounds = 1}, RUNG_POLICY},
	{"8 costly", {.request = &costly, ALL_TRIED}, RUNG_FAIL},
	{"8 RETRY_MAYFAIL", {RECLAIMED, SCOPE(RETRY_MAYFAIL)}, RUNG_FAIL},
	{"8 an arena", {.request = &in_arena, ALL_TRIED}, RUNG_FAIL},
	{"8 timed out", {RECLAIMED, .tried.callbacks = CALLBACKS_TIMED_OUT}, RUNG_FAIL},
	{"8 the policy said return", {ENDED}, RUNG_FAIL},
	{"9 killer disabled", {RECLAIMED, .now.is_killer_disabled = true}, RUNG_FAIL},
	{"10 already dying", {PURGED, .now.is_dying = true}, RUNG_RESERVE},
	{"10 already dying: NORETRY", {PURGED, .now.is_dying = true, SCOPE(NORETRY)}, RUNG_RESERVE},
	{"10 already dying: no reserve left",
         {PURGED, .now.is_dying = true, .tried.is_reserve_done = true},
         RUNG_FAIL},
	{"10 another thread ends the process: the reserve first",
         {PURGED, END_NEAR, .tried.is_reserve_done = false},
         RUNG_RESERVE},
	{"10 another thread ends the process", {PURGED, END_NEAR}, RUNG_END},
	{"10 another thread ends the process: NORETRY",
         {PURGED, END_NEAR, SCOPE(NORETRY)},
         RUNG_FAIL},
	{"10 another thread ends the process: RETRY_MAYFAIL",
         {PURGED, END_NEAR, SCOPE(RETRY_MAYFAIL)},
         RUNG_FAIL},
	{"10 another thread ends the process: costly",
         {.request = &costly, ALL_TRIED, END_NEAR},
         RUNG_FAIL},
	{"10 another thread ends the process: the policy said return",
         {ENDED, END_NEAR},
         RUNG_FAIL},
	{"10 another thread ends the process: nested",
         {PURGED, END_NEAR, .facts.in_callback = true},
         RUNG_FAIL},
	{"11 constraint: another's death would not help",
         {RECLAIMED, .now.is_target_other = true, .constraint = CONSTRAINT_RLIMIT_AS},
         RUNG_FAIL},
	{"11 constraint: it would",
         {RECLAIMED, .now.is_target_other = true, .constraint = CONSTRAINT_CGROUP},
         RUNG_POLICY},
	{"12 to 15", {RECLAIMED}, RUNG_POLICY},
	{"cancelled: has it given what it had?", {ASKED, CANCELLED}, RUNG_LIFT},
	{"cancelled: NORETRY", {ASKED, CANCELLED, SCOPE(NORETRY)}, RUNG_LIFT},
	{"cancelled: it has not", {ASKED, CANCELLED, .tried.is_lift_done = true}, RUNG_FAIL},
	{"cancelled: the reserve",
         {ASKED, CANCELLED, .tried.is_lift_done = true, .now.has_cancel_reserve = true},
         RUNG_RESERVE},
	{"cancelled: no reserve left",
         {ASKED, CANCELLED, .tried.is_lift_done = true, .now.has_cancel_reserve = true,
          .tried.is_reserve_done = true},
         RUNG_FAIL},
	{"cancelled: impossible", {ASKED, CANCELLED, .facts.is_impossible = true}, RUNG_FAIL},
	{"cancelled: nested", {ASKED, CANCELLED, .facts.in_callback = true}, RUNG_RESERVE},
	{"cancelled: the heap's locks", {ASKED, CANCELLED, .facts.in_heap = true}, RUNG_FAIL},
	{"a group of the process can be cancelled", {RECLAIMED, MAY_CANCEL}, RUNG_CANCEL},
	{"a group can be cancelled: costly",
         {.request = &costly, ALL_TRIED, MAY_CANCEL},
         RUNG_CANCEL},
	{"a group can be cancelled: callbacks first", {PURGED, MAY_CANCEL}, RUNG_CALLBACKS},
	{"a group can be cancelled: all were",
         {RECLAIMED, MAY_CANCEL, .tried.is_cancel_done = true},
         RUNG_POLICY},
	{"a group can be cancelled, for a max: by its policy",
         {RECLAIMED, MAY_CANCEL, .group = 1},
         RUNG_POLICY},
	{"a group can be cancelled: another's death would not help",
         {RECLAIMED, MAY_CANCEL, .now.is_target_other = true, .constraint = CONSTRAINT_RLIMIT_AS},
         RUNG_CANCEL},
	{"a group can be cancelled: another's death would not help, all were",
         {RECLAIMED, MAY_CANCEL, .now.is_target_other = true, .tried.is_cancel_done = true,
          .constraint = CONSTRAINT_RLIMIT_AS},
         RUNG_FAIL},
	{"a group can be cancelled: RETRY_MAYFAIL",
         {RECLAIMED, MAY_CANCEL, SCOPE(RETRY_MAYFAIL)},
         RUNG_FAIL},
	{"a group can be cancelled: NORETRY", {PURGED, MAY_CANCEL, SCOPE(NORETRY)}, RUNG_FAIL},
	{"a group can be cancelled: NORECLAIM", {PURGED, MAY_CANCEL, SCOPE(NORECLAIM)}, RUNG_FAIL},
	{"a group can be cancelled: NOFAIL", {RECLAIMED, MAY_CANCEL, SCOPE(NOFAIL)}, RUNG_CANCEL},
	{"a group can be cancelled: killer disabled",
         {RECLAIMED, MAY_CANCEL, .now.is_killer_disabled = true},
         RUNG_FAIL},
	{"a group can be cancelled: an arena",
         {.request = &in_arena, ALL_TRIED, MAY_CANCEL},
         RUNG_FAIL},
	{"a group can be cancelled: timed out",
         {RECLAIMED, MAY_CANCEL, .tried.callbacks = CALLBACKS_TIMED_OUT},
         RUNG_FAIL},
	{"another is cancelled", {RECLAIMED, CANCELLING}, RUNG_CANCEL},
	{"another is cancelled: costly", {.request = &costly, ALL_TRIED, CANCELLING}, RUNG_CANCEL},
	{"another is cancelled: costly, and to be decided",
         {.request = &costly, ALL_TRIED, .now.is_policy_cancel = true},
         RUNG_POLICY},
	{"another is cancelled: callbacks may give again", {PURGED, CANCELLING}, RUNG_CALLBACKS},
	{"another is cancelled: what it left",
         {PURGED, CANCELLING, .tried.is_again_due = true},
         RUNG_OWN_RECLAIM_AGAIN},
	{"another is cancelled: the killer is disabled meanwhile",
         {RECLAIMED, CANCELLING, .now.is_killer_disabled = true},
         RUNG_FAIL},
	{"another is cancelled: dying", {PURGED, CANCELLING, .now.is_dying = true}, RUNG_RESERVE},
};

/* In place of each NULL, once. */
static const struct row for_libc[] = {
	{"16 libc: before the policy", {LIBC_RECLAIMED}, RUNG_POLICY},
	{"16 libc: after the policy", {LIBC_ENDED}, RUNG_FORCE},
	{"16 libc: once", {LIBC_ENDED, .tried.is_force_done = true}, RUNG_FAIL},
	{"16 libc: NORETRY", {LIBC_PURGED, SCOPE(NORETRY)}, RUNG_FORCE},
	{"16 libc: NOFAIL", {LIBC_ENDED, SCOPE(NOFAIL)}, RUNG_WAIT},
	{"16 libc: beyond a limit", {LIBC_ASKED, .facts.is_impossible = true}, RUNG_FORCE},
	{"16 libc: nested",
         {LIBC_ASKED, .facts.in_callback = true, .tried.is_reserve_done = true},
         RUNG_FORCE},
	{"16 libc: dying, no reserve left",
         {LIBC_PURGED, .now.is_dying = true, .tried.is_reserve_done = true},
         RUNG_FORCE},
	{"16 libc: cancelled", {LIBC_ASKED, CANCELLED, .tried.is_lift_done = true}, RUNG_FORCE},
	{"16 libc: the heap's locks", {LIBC_ASKED, .facts.in_heap = true}, RUNG_FAIL},
};

static const struct row nofail[] = {
	{"16 after the policy", {ENDED, SCOPE(NOFAIL)}, RUNG_WAIT},
	{"16 before the policy", {RECLAIMED, SCOPE(NOFAIL)}, RUNG_POLICY},
	{"16 wins over NORETRY",
         {PURGED, .scope = OOMRECLAIM_SCOPE_NOFAIL | OOMRECLAIM_SCOPE_NORETRY},
         RUNG_WAIT},
	{"16 wins over RETRY_MAYFAIL",
         {RECLAIMED, .scope = OOMRECLAIM_SCOPE_NOFAIL | OOMRECLAIM_SCOPE_RETRY_MAYFAIL},
         RUNG_WAIT},
	{"16 with NORECLAIM",
         {PURGED, .scope = OOMRECLAIM_SCOPE_NOFAIL | OOMRECLAIM_SCOPE_NORECLAIM},
         RUNG_WAIT},
	{"16 timed out",
         {RECLAIMED, SCOPE(NOFAIL), .tried.callbacks = CALLBACKS_TIMED_OUT},
         RUNG_WAIT},
	{"16 nested, no reserve left",
         {ASKED, SCOPE(NOFAIL), .facts.in_callback = true, .tried.is_reserve_done = true},
         RUNG_WAIT},
	{"16 hopeless: the reserve",
         {ENDED, SCOPE(NOFAIL), .tried.is_hopeless = true},
         RUNG_RESERVE},
	{"16 hopeless, no reserve left",
         {ENDED, SCOPE(NOFAIL), .tried.is_hopeless = true, .tried.is_reserve_done = true},
         RUNG_ABORT},
	{"16 hopeless, but callbacks have not been asked",
         {PURGED, SCOPE(NOFAIL), .tried.is_hopeless = true},
         RUNG_CALLBACKS},
	{"16 impossible", {ASKED, SCOPE(NOFAIL), .facts.is_impossible = true}, RUNG_ABORT},
	{"16 would wait with the heap's locks",
         {ASKED, SCOPE(NOFAIL), .facts.in_heap = true},
         RUNG_FAIL},
};

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		enum rung next = next_rung(&rows[i].control);

		cr_expect(next == rows[i].next, "%s: is %d, should be %d", rows[i].name, (int)next,
		          (int)rows[i].next);
	}
}

Test(ladder_next, rungs)
{
	check_rows(rungs, ARRAY_SIZE(rungs));
}

Test(ladder_next, for_libc)
{
	check_rows(for_libc, ARRAY_SIZE(for_libc));
}

Test(ladder_next, nofail)
{
	check_rows(nofail, ARRAY_SIZE(nofail));
}

/* ---- What holds for every state there is ---- */

enum { FLAGS = 14, SCOPES = 5 };

static struct oom_control state_of(unsigned number)
{
	const struct oom_control control = {
		.request = number >> 12 & 1 ? &for_libc_request : &request,
		.scope = number >> FLAGS,
		.facts.is_impossible = number & 1,
		.facts.in_callback = number >> 1 & 1,
		.facts.in_heap = number >> 2 & 1,
		.now.is_dying = number >> 3 & 1,
		.now.is_killer_disabled = number >> 4 & 1,
		.tried.is_own_reclaim_done = number >> 7 & 1,
		.tried.is_reserve_done = number >> 8 & 1,
		.tried.callbacks = (number >> 5 & 3) % 3,
		.tried.is_policy_done = number >> 9 & 1,
		.tried.is_hopeless = number >> 10 & 1,
		.tried.is_again_due = number >> 11 & 1,
		.tried.is_force_done = number >> 13 & 1,
	};

	return control;
}

static bool has(const struct oom_control *control, unsigned flag)
{
	return (control->scope & flag) != 0;
}

/* What is wrong with the step, or NULL. */
static const char *objection(const struct oom_control *is, enum rung next)
{
	const bool is_nofail = has(is, OOMRECLAIM_SCOPE_NOFAIL),
		   may_force = is->request->is_for_libc && !is->tried.is_force_done && !is_nofail;

	if (is->facts.in_heap && next != RUNG_FAIL)
		return "anything done with the heap's locks held";
	if (is->facts.is_impossible && next != RUNG_FAIL && next != RUNG_ABORT &&
	    next != RUNG_FORCE)
		return "anything tried for the impossible";
	if (next == RUNG_FORCE && !may_force)
		return "anybody beyond a limit";
	if (next == RUNG_FAIL && may_force && !is->facts.in_heap)
		return "NULL for libc";
	if (is_nofail && !is->facts.in_heap && next == RUNG_FAIL)
		return "NULL in scope NOFAIL";
	if (!is_nofail && (next == RUNG_WAIT || next == RUNG_ABORT))
		return "NOFAIL's steps without NOFAIL";
	if (next == RUNG_CALLBACKS &&
	    (is->facts.in_callback || is->now.is_dying ||
	     is->tried.callbacks != CALLBACKS_MAY_GIVE || has(is, OOMRECLAIM_SCOPE_NORETRY) ||
	     has(is, OOMRECLAIM_SCOPE_NORECLAIM)))
		return "callbacks";
	if (next == RUNG_CALLBACKS && !is->tried.is_own_reclaim_done)
		return "callbacks before own reclaim";
	if (next == RUNG_OWN_RECLAIM_AGAIN &&
	    (!is->tried.is_again_due || is->facts.in_callback || is->now.is_dying))
		return "a purge";
	if ((next == RUNG_CALLBACKS || next == RUNG_POLICY) && is->tried.is_again_due)
		return "anybody asked before what is there was tried";
	if (next == RUNG_POLICY &&
	    (is->facts.in_callback || is->tried.is_policy_done ||
	     has(is, OOMRECLAIM_SCOPE_NORETRY) || is->tried.callbacks == CALLBACKS_MAY_GIVE ||
	     !oom_kill_allowed(is)))
		return "the policy";
	if (next == RUNG_OWN_RECLAIM && (is->tried.is_own_reclaim_done || is->facts.in_callback))
		return "own reclaim";
	if (next == RUNG_RESERVE && is->tried.is_reserve_done)
		return "the reserve twice";
	if (next == RUNG_RESERVE && !is->facts.in_callback && !is->now.is_dying &&
	    !has(is, OOMRECLAIM_SCOPE_RESERVE) && !(is_nofail && is->tried.is_hopeless))
		return "the reserve for anybody";
	return NULL;
}

Test(ladder_next, every_state)
{
	for (unsigned number = 0; number < 1U << (FLAGS + SCOPES); number++) {
		const struct oom_control control = state_of(number);
		const char *wrong = objection(&control, next_rung(&control));

		cr_assert(wrong == NULL, "state %#x: %s", number, wrong);
	}
}
