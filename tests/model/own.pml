/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Own reclaim by degrees: own_reclaim_step() of src/ladder/own_reclaim.c, as rungs.c and
 * next_rung.c drive it, before the callbacks (rung 3) and behind them (rung 7). check.sh runs it.
 *
 * One thread's request of NEED units, which has failed. What is free is counted in units, by where
 * it lies; how much of it there is at first is chosen. Another thread takes units, or maps some and
 * frees them in pieces, at any moment and for ever.
 *
 * What has to hold: each step comes only where what the cheaper ones found did not do; a step gives
 * back about as much as is missing; no attempt is left out that would succeed; a request is refused
 * only where nothing is free any more, unless the other thread came in between; and it ends.
 *
 * Left out: what compaction puts off, what can't be enough, arenas made by hand, faults, the budget.
 *
 * -D of one of these plants a bug, which has to be found: NO_FLUSH, NO_COMPACT, NO_BORROW, NO_EVICT,
 * NO_EVICT_ALL, EVICT_BEFORE_BORROW, EVICT_FOR_EVER, ALL_AT_ONCE, NO_ATTEMPT, NEVER_ASKS, NOT_AGAIN,
 * AGAIN_IS_PUT_OFF, PUT_OFF_FOR_NORETRY.
 */
#define NEED 2
#define UNITS 3         /* of each kind, at most */
#define EVICTIONS_MAX 2 /* 15 in the source: here so few that not all pieces go by then */
#define PIECES 9

/* enum own_step */
#define FLUSH 0
#define COMPACT 1
#ifdef EVICT_BEFORE_BORROW
#define BORROW 3
#define EVICT 2
#else
#define BORROW 2
#define EVICT 3
#endif
#define EVICT_ALL 4
#define STEPS 5

/* Units that are free, by what makes them of use. */
byte cached;    /* in this thread's cache: flush */
byte scattered; /* side by side, not merged: compact */
byte lent;      /* of another arena: borrow */
byte pieces;    /* each too small: evict, evict-all */
byte room;      /* of no mapping: the system grants them */
byte fits;      /* in one piece in the thread's arena */
byte stash;     /* what the callbacks have */

bool is_noretry, has_callbacks, gave_lately;

/* struct oom_control */
byte step, tries, evicted, rounds;
bool is_own_done, is_again_due, is_put_off, is_all_kept, callbacks_gave_nothing;

/* What is to hold, and is no part of the program: */
byte attempts;
bool was_disturbed, has_ended;

#define MOVE(from, to, n) to = to + (n); from = from - (n)

/* attempt(): what the system has just refused is not asked for again where nothing was given back. */
inline attempt()
{
	atomic {
		attempts++;
		/* Own reclaim is no loop without an end. */
		assert(attempts <= (rounds + 1) * (EVICTIONS_MAX + 4));
#ifdef NEVER_ASKS
		is_served = (fits >= NEED);
#else
		is_served = (fits >= NEED || (!is_all_kept && room >= NEED));
#endif
		is_all_kept = false
	}
}

/* is_put_off(): callbacks have given lately, and are asked next. */
#ifdef AGAIN_IS_PUT_OFF
#define IS_FIRST true
#else
#define IS_FIRST (rounds == 0)
#endif
#ifdef PUT_OFF_FOR_NORETRY
#define ARE_CALLBACKS_NEXT has_callbacks
#else
#define ARE_CALLBACKS_NEXT (has_callbacks && !is_noretry)
#endif

/* Where the middle of a mapping can't be unmapped its pages go, and its addresses stay. */
inline give_back(n)
{
	pieces = pieces - n;
	if
	:: room = room + n
	:: room = room + n / 2
	:: skip
	fi;
	n = 0
}

/* One of steps[] of own_reclaim.c */
inline run_step()
{
	is_progress = false;
	/* Else the last attempt would have found it. */
	assert(fits < NEED && room < NEED);
	if
	:: step == FLUSH ->
#ifndef NO_FLUSH
		is_progress = cached > 0;
		MOVE(cached, fits, cached);
#endif
	:: step == COMPACT ->
#ifndef NO_COMPACT
		is_progress = scattered > 0;
		MOVE(scattered, fits, scattered);
#endif
	:: step == BORROW ->
#ifndef NO_BORROW
		is_progress = lent >= NEED;
		is_served = is_progress;
#endif
	:: step == EVICT ->
		assert(cached == 0 && scattered == 0 && lent < NEED);
		is_put_off = IS_FIRST && gave_lately && ARE_CALLBACKS_NEXT;
#ifndef NO_EVICT
		given = (is_put_off -> 0 : (pieces < NEED + evicted -> pieces : NEED + evicted));
#ifdef ALL_AT_ONCE
		given = (is_put_off -> 0 : pieces);
#endif
		/* About as much as is missing. */
		assert(given <= NEED + evicted);
		evicted = evicted + given;
		is_progress = given > 0;
		give_back(given)
#endif
	:: step == EVICT_ALL ->
		assert(cached == 0 && scattered == 0 && lent < NEED);
		/* Not before the other has tried. */
		assert(pieces == 0 || is_put_off || evicted > 0);
#ifndef NO_EVICT_ALL
		is_progress = !is_put_off && pieces > 0;
		given = (is_progress -> pieces : 0);
		give_back(given)
#endif
	fi
}

#ifdef EVICT_FOR_EVER
#define IS_ENOUGH (step != EVICT)
#else
#define IS_ENOUGH (tries >= (step == EVICT -> EVICTIONS_MAX : 1))
#endif

/* own_reclaim_step() */
inline own_reclaim_step()
{
	atomic {
		is_progress = false;
		do
		:: !is_progress && step < STEPS ->
			run_step();
			is_all_kept = is_progress && step < EVICT;
			tries++;
			if
			:: !is_progress || IS_ENOUGH -> step++; tries = 0
			:: else
			fi
		:: else -> break
		od
	}
}

/* reclaim() of rungs.c: what the callbacks free lies in pieces, or side by side. */
inline reclaim()
{
	atomic {
		rounds++;
		callbacks_gave_nothing = (stash == 0);
		gave_lately = gave_lately || stash > 0;
		if
		:: stash > 0 -> MOVE(stash, pieces, 1)
		:: stash > 0 -> MOVE(stash, scattered, stash)
		:: stash == 0
		fi;
#ifndef NOT_AGAIN
		is_again_due = true;
#endif
		step = COMPACT;
		tries = 0;
		evicted = 0
	}
}

/* ladder_run() and next_for_anyone() */
active proctype allocate()
{
	byte given;
	bool is_progress, is_served;

	atomic {
		select(cached: 0 .. UNITS);
		select(scattered: 0 .. UNITS);
		select(lent: 0 .. UNITS);
		select(pieces: 0 .. PIECES);
		select(room: 0 .. NEED - 1);
		select(stash: 0 .. 2);
		if :: is_noretry = true :: skip fi;
		if :: gave_lately = true :: skip fi;
		if :: has_callbacks = true :: stash = 0 fi;
		was_disturbed = false
	}
	do
	:: is_served -> break
	:: !is_served && !is_own_done ->
		own_reclaim_step();
		is_own_done = step >= STEPS;
#ifndef NO_ATTEMPT
		if
		:: is_progress && !is_served -> attempt()
		:: else
		fi
#endif
	:: !is_served && is_own_done && is_noretry -> break
	:: !is_served && is_own_done && !is_noretry && is_again_due ->
		own_reclaim_step();
		is_again_due = step < STEPS;
		if
		:: is_progress && !is_served -> attempt()
		:: else
		fi
	:: !is_served && is_own_done && !is_noretry && !is_again_due && has_callbacks &&
	   !callbacks_gave_nothing ->
		reclaim();
		attempt()
	:: else -> break
	od;
	atomic {
		assert(is_served || was_disturbed ||
		       (cached == 0 && scattered == 0 && lent < NEED && pieces == 0 && room < NEED &&
		        fits < NEED && stash == 0) ||
		       (is_noretry && cached == 0 && scattered == 0 && lent < NEED && pieces == 0));
		has_ended = true
	}
}

/* Another thread. What it takes, or frees in pieces, can be of no use to the first any more. */
active proctype disturb()
{
	do
	:: atomic { !has_ended && room > 0 -> room--; pieces++; was_disturbed = true }
	:: atomic { !has_ended && room > 0 -> room--; was_disturbed = true }
	:: atomic { !has_ended && fits > 0 -> fits--; was_disturbed = true }
	:: atomic { !has_ended && pieces > 0 -> pieces--; was_disturbed = true }
	:: has_ended -> break
	od
}
