/* SPDX-License-Identifier: BSD-2-Clause */
/* The choice of the next rung: a row for each rung and condition, by its number in the ladder. */
#include <criterion/criterion.h>

#include "base/base.h"
#include "ladder/ladder.h"
#include "support.h"

TestSuite(ladder_next, .init = support_init, .timeout = WATCHDOG_SECONDS);

static const struct heap_request request = {.size = 64};
static const struct heap_request costly = {.size = (size_t)1 << 20};
static const struct heap_request in_arena = {.size = 64, .is_arena_explicit = true};

struct row {
	const char *name;
	struct oom_control control;
	enum ladder_step next;
};

#define ASKED .request = &request
#define ALL_TRIED .is_own_reclaim_done = true, .is_reclaim_done = true
#define PURGED ASKED, .is_own_reclaim_done = true
#define RECLAIMED ASKED, ALL_TRIED
#define ENDED RECLAIMED, .is_policy_done = true
#define SCOPE(flag) .scope = OOMRECLAIM_SCOPE_##flag

static const struct row rungs[] = {
	{"1 impossible", {ASKED, .is_impossible = true}, LADDER_FAIL},
	{"1 impossible: nested", {ASKED, .is_impossible = true, .is_nested = true}, LADDER_FAIL},
	{"1 impossible: RESERVE", {PURGED, .is_impossible = true, SCOPE(RESERVE)}, LADDER_FAIL},
	{"1 impossible: dying", {PURGED, .is_impossible = true, .is_dying = true}, LADDER_FAIL},
	{"2 no recursion: the reserve", {ASKED, .is_nested = true}, LADDER_RESERVE},
	{"2 no recursion: whatever the scope",
         {ASKED, .is_nested = true, SCOPE(NORETRY)},
         LADDER_RESERVE},
	{"2 no recursion: else NULL",
         {ASKED, .is_nested = true, .is_reserve_done = true},
         LADDER_FAIL},
	{"2 no recursion: the heap's locks", {ASKED, .is_reentrant = true}, LADDER_FAIL},
	{"2 no recursion: the heap's locks, nested",
         {ASKED, .is_reentrant = true, .is_nested = true},
         LADDER_FAIL},
	{"3 own reclaim", {ASKED}, LADDER_OWN_RECLAIM},
	{"3 own reclaim: NORETRY", {ASKED, SCOPE(NORETRY)}, LADDER_OWN_RECLAIM},
	{"3 own reclaim: NORECLAIM", {ASKED, SCOPE(NORECLAIM)}, LADDER_OWN_RECLAIM},
	{"3 own reclaim: RESERVE", {ASKED, SCOPE(RESERVE)}, LADDER_OWN_RECLAIM},
	{"3 own reclaim: dying", {ASKED, .is_dying = true}, LADDER_OWN_RECLAIM},
	{"RESERVE before anybody is asked", {PURGED, SCOPE(RESERVE)}, LADDER_RESERVE},
	{"RESERVE, with NORETRY too",
         {PURGED, .scope = OOMRECLAIM_SCOPE_RESERVE | OOMRECLAIM_SCOPE_NORETRY},
         LADDER_RESERVE},
	{"RESERVE, used up", {PURGED, SCOPE(RESERVE), .is_reserve_done = true}, LADDER_RECLAIM},
	{"4 opt out", {PURGED, SCOPE(NORETRY)}, LADDER_FAIL},
	{"5, 6 reclaim", {PURGED}, LADDER_RECLAIM},
	{"5, 6 reclaim: RETRY_MAYFAIL", {PURGED, SCOPE(RETRY_MAYFAIL)}, LADDER_RECLAIM},
	{"5, 6 reclaim: NOFAIL", {PURGED, SCOPE(NOFAIL)}, LADDER_RECLAIM},
	{"5, 6 reclaim: NORECLAIM", {PURGED, SCOPE(NORECLAIM)}, LADDER_FAIL},
	{"7 purge what they freed", {PURGED, .is_drain_due = true}, LADDER_DRAIN},
	{"7 purge: nothing left",
         {PURGED, .is_drain_due = true, .is_reclaim_done = true},
         LADDER_DRAIN},
	{"7 progress: again", {PURGED, .rounds = 99}, LADDER_RECLAIM},
	{"7 zero: on", {RECLAIMED, .rounds = 1}, LADDER_POLICY},
	{"8 costly", {.request = &costly, ALL_TRIED}, LADDER_FAIL},
	{"8 RETRY_MAYFAIL", {RECLAIMED, SCOPE(RETRY_MAYFAIL)}, LADDER_FAIL},
	{"8 an arena", {.request = &in_arena, ALL_TRIED}, LADDER_FAIL},
	{"8 timed out", {RECLAIMED, .has_timed_out = true}, LADDER_FAIL},
	{"8 the policy said return", {ENDED}, LADDER_FAIL},
	{"9 killer disabled", {RECLAIMED, .is_killer_disabled = true}, LADDER_FAIL},
	{"10 already dying", {PURGED, .is_dying = true}, LADDER_RESERVE},
	{"10 already dying: NORETRY", {PURGED, .is_dying = true, SCOPE(NORETRY)}, LADDER_RESERVE},
	{"10 already dying: no reserve left",
         {PURGED, .is_dying = true, .is_reserve_done = true},
         LADDER_FAIL},
	{"11 constraint: another's death would not help",
         {RECLAIMED, .is_target_other = true, .constraint = CONSTRAINT_RLIMIT_AS},
         LADDER_FAIL},
	{"11 constraint: it would",
         {RECLAIMED, .is_target_other = true, .constraint = CONSTRAINT_CGROUP},
         LADDER_POLICY},
	{"12 to 15", {RECLAIMED}, LADDER_POLICY},
};

static const struct row nofail[] = {
	{"16 after the policy", {ENDED, SCOPE(NOFAIL)}, LADDER_WAIT},
	{"16 before the policy", {RECLAIMED, SCOPE(NOFAIL)}, LADDER_POLICY},
	{"16 wins over NORETRY",
         {PURGED, .scope = OOMRECLAIM_SCOPE_NOFAIL | OOMRECLAIM_SCOPE_NORETRY},
         LADDER_WAIT},
	{"16 wins over RETRY_MAYFAIL",
         {RECLAIMED, .scope = OOMRECLAIM_SCOPE_NOFAIL | OOMRECLAIM_SCOPE_RETRY_MAYFAIL},
         LADDER_WAIT},
	{"16 with NORECLAIM",
         {PURGED, .scope = OOMRECLAIM_SCOPE_NOFAIL | OOMRECLAIM_SCOPE_NORECLAIM},
         LADDER_WAIT},
	{"16 timed out", {RECLAIMED, SCOPE(NOFAIL), .has_timed_out = true}, LADDER_WAIT},
	{"16 nested, no reserve left",
         {ASKED, SCOPE(NOFAIL), .is_nested = true, .is_reserve_done = true},
         LADDER_WAIT},
	{"16 hopeless: the reserve", {ENDED, SCOPE(NOFAIL), .is_hopeless = true}, LADDER_RESERVE},
	{"16 hopeless, no reserve left",
         {ENDED, SCOPE(NOFAIL), .is_hopeless = true, .is_reserve_done = true},
         LADDER_ABORT},
	{"16 hopeless, but callbacks have not been asked",
         {PURGED, SCOPE(NOFAIL), .is_hopeless = true},
         LADDER_RECLAIM},
	{"16 impossible", {ASKED, SCOPE(NOFAIL), .is_impossible = true}, LADDER_ABORT},
	{"16 would wait with the heap's locks",
         {ASKED, SCOPE(NOFAIL), .is_reentrant = true},
         LADDER_FAIL},
};

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		enum ladder_step next = ladder_next(&rows[i].control);

		cr_expect(next == rows[i].next, "%s: is %d, should be %d", rows[i].name, (int)next,
		          (int)rows[i].next);
	}
}

Test(ladder_next, rungs)
{
	check_rows(rungs, ARRAY_SIZE(rungs));
}

Test(ladder_next, nofail)
{
	check_rows(nofail, ARRAY_SIZE(nofail));
}

/* ---- What holds for every state there is ---- */

enum { FLAGS = 13, SCOPES = 5 };

static struct oom_control state_of(unsigned number)
{
	const struct oom_control control = {
		.request = &request,
		.scope = number >> FLAGS,
		.is_impossible = number & 1,
		.is_nested = number >> 1 & 1,
		.is_reentrant = number >> 2 & 1,
		.is_dying = number >> 3 & 1,
		.is_killer_disabled = number >> 4 & 1,
		.is_policy_deferred = number >> 5 & 1,
		.is_own_reclaim_done = number >> 6 & 1,
		.is_reserve_done = number >> 7 & 1,
		.is_reclaim_done = number >> 8 & 1,
		.has_timed_out = number >> 9 & 1,
		.is_policy_done = number >> 10 & 1,
		.is_hopeless = number >> 11 & 1,
		.is_drain_due = number >> 12 & 1,
	};

	return control;
}

static bool has(const struct oom_control *control, unsigned flag)
{
	return (control->scope & flag) != 0;
}

/* What is wrong with the step, or NULL. */
static const char *objection(const struct oom_control *is, enum ladder_step next)
{
	const bool is_nofail = has(is, OOMRECLAIM_SCOPE_NOFAIL);

	if (is->is_reentrant && next != LADDER_FAIL)
		return "anything done with the heap's locks held";
	if (is->is_impossible && next != LADDER_FAIL && next != LADDER_ABORT)
		return "anything tried for the impossible";
	if (is_nofail && !is->is_reentrant && next == LADDER_FAIL)
		return "NULL in scope NOFAIL";
	if (!is_nofail && (next == LADDER_WAIT || next == LADDER_ABORT))
		return "NOFAIL's steps without NOFAIL";
	if (next == LADDER_RECLAIM &&
	    (is->is_nested || is->is_dying || is->is_reclaim_done ||
	     has(is, OOMRECLAIM_SCOPE_NORETRY) || has(is, OOMRECLAIM_SCOPE_NORECLAIM)))
		return "callbacks";
	if (next == LADDER_RECLAIM && !is->is_own_reclaim_done)
		return "callbacks before own reclaim";
	if (next == LADDER_DRAIN && (!is->is_drain_due || is->is_nested || is->is_dying))
		return "a purge";
	if ((next == LADDER_RECLAIM || next == LADDER_POLICY) && is->is_drain_due)
		return "anybody asked before what is there was tried";
	if (next == LADDER_POLICY &&
	    (is->is_nested || is->is_policy_done || has(is, OOMRECLAIM_SCOPE_NORETRY) ||
	     !is->is_reclaim_done || !oom_kill_allowed(is)))
		return "the policy";
	if (next == LADDER_OWN_RECLAIM && (is->is_own_reclaim_done || is->is_nested))
		return "own reclaim";
	if (next == LADDER_RESERVE && is->is_reserve_done)
		return "the reserve twice";
	if (next == LADDER_RESERVE && !is->is_nested && !is->is_dying &&
	    !has(is, OOMRECLAIM_SCOPE_RESERVE) && !(is_nofail && is->is_hopeless))
		return "the reserve for anybody";
	return NULL;
}

Test(ladder_next, every_state)
{
	for (unsigned number = 0; number < 1U << (FLAGS + SCOPES); number++) {
		const struct oom_control control = state_of(number);
		const char *wrong = objection(&control, ladder_next(&control));

		cr_assert(wrong == NULL, "state %#x: %s", number, wrong);
	}
}
