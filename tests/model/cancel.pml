/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A group is cancelled: cancel_step() of src/kill/cancel.c, as ladder.c drives it, and what
 * group_victim.c does under the lock of groups. check.sh runs it.
 *
 * Two threads want memory: one in the first of two groups that can be told to end, one in none.
 * oomreclaimd calls their functions, which may never come back. What a group frees stays charged
 * to it until a thread gives it back. Others may take what comes free, and a group that has ended
 * may fill again, for ever.
 *
 * What has to hold: none is chosen while one is dying; each is told once for each time that it is
 * chosen; nobody sleeps for one that has been seen to end; nobody waits for longer than twice the
 * grace, nor for its own group; one that does not end holds up the choice of another for its grace
 * alone; what is free in one that is waited for is given back.
 *
 * Time passes when nothing else can happen (`timeout`), as in reclaim.pml. A thread that waits looks
 * again at each tick.
 *
 * Left out: badness, the part that may be left, functions that are set anew, fork(), and the looks behind
 * an end.
 *
 * -D of one of these plants a bug, which has to be found: CHOOSES_IN_TWO_STEPS, SECOND_VICTIM,
 * LOOKS_BEFORE_SEEN, NO_WAKE, NO_BOUND, NO_GRACE, TOLD_AGAIN, NEVER_TOLD,
 * WAITS_FOR_ITSELF, NO_REAP, LIFTED_BY_TIME.
 */
#define THREADS 2
#define GROUPS 2
#define NONE 255
#define GRACE 2 /* ticks: the setting cancel_grace_ms */
#define GRACES_MAX 2

/* struct group */
typedef Group {
	bool has;       /* charged */
	bool is_free;   /* of that, all is free */
	bool is_cancelled;
	bool is_untold;
	bool is_ending; /* told, and it has not freed yet */
	byte left;      /* until its deadline */
}
Group groups[GROUPS];
byte room;      /* what is nobody's */

/* struct oom_control, and the thread's sleep */
typedef Thread {
	byte victim;
	byte left; /* until cancel_ends_ns */
	bool has_begun;
	bool is_asleep;
	bool has_changed; /* the word `ended`, since the thread has read it */
	bool is_done;
}
Thread threads[THREADS];

/* What is to hold, and is no part of the program: */
byte waited[THREADS];
byte choices[GROUPS], calls[GROUPS]; /* of which none is told yet */
byte stale[GROUPS];                  /* ticks that it has been free */
bool was_chosen[GROUPS], has_freed;

#define IS_DYING(g) (groups[g].is_cancelled && groups[g].left > 0)

inline wake_all()
{
	for (i : 0 .. THREADS - 1) {
		threads[i].has_changed = true
	}
#ifndef NO_WAKE
	for (i : 0 .. THREADS - 1) {
		if
		:: threads[i].is_asleep ->
			threads[i].is_asleep = false
		:: else
		fi
	}
#endif
}

/* has_given() */
inline lift_if_given(g)
{
	if
	:: groups[g].is_cancelled && !groups[g].has ->
		groups[g].is_cancelled = false;
		groups[g].is_untold = false;
		choices[g] = 0
	:: else
	fi
}

/* choose(): ENDED leaves has_ended; `found` is the one that is dying, or was chosen. */
inline find_dying()
{
	found = NONE;
	has_ended = false;
	for (g : 0 .. GROUPS - 1) {
		if
		:: groups[g].is_cancelled && !has_ended && found == NONE ->
			lift_if_given(g);
			has_ended = !groups[g].is_cancelled;
#ifndef SECOND_VICTIM
			if
			:: IS_DYING(g) -> found = g
			:: else
			fi
#endif
		:: else
		fi
	}
}

inline find_worst()
{
	if
	:: found == NONE && !has_ended && groups[0].has && !groups[0].is_cancelled -> found = 0; is_new = true
	:: found == NONE && !has_ended && groups[1].has && !groups[1].is_cancelled -> found = 1; is_new = true
	:: else
	fi;
	if
	:: is_new ->
		for (g : 0 .. GROUPS - 1) {
			assert(!IS_DYING(g))
		}
		assert(!groups[found].is_cancelled);
		groups[found].is_cancelled = true;
		groups[found].is_untold = true;
		groups[found].left = GRACE;
		choices[found] = 1;
		was_chosen[found] = true;
		is_new = false
	:: else
	fi
}

inline choose()
{
#ifdef CHOOSES_IN_TWO_STEPS
	atomic { find_dying() };
	atomic { find_worst() }
#else
	atomic { find_dying(); find_worst() }
#endif
}

/* reap(): what is free in the group goes back. */
inline reap(g)
{
	atomic {
#ifdef NO_REAP
		skip
#else
		if
		:: groups[g].is_free && groups[g].has ->
			groups[g].has = false;
			groups[g].is_free = false;
			room++
		:: else
		fi
#endif
	}
}

#ifdef WAITS_FOR_ITSELF
#define IS_OWN(g) false
#else
#define IS_OWN(g) (g == own)
#endif

/* attempt(): a group that is cancelled gets no page. */
inline attempt()
{
	atomic {
		if
		:: room > 0 && !(own != NONE && groups[own].is_cancelled) ->
			room--;
			threads[id].is_done = true
		:: else
		fi
	}
}

proctype want(byte id; byte own)
{
	byte found, g, i;
	bool has_ended, is_new, is_dying;

	do
	:: threads[id].is_done -> break
	:: !threads[id].is_done && own != NONE && groups[own].is_cancelled ->
		/* RUNG_LIFT */
		reap(own);
		atomic {
			lift_if_given(own);
			if
			:: groups[own].is_cancelled -> threads[id].is_done = true
			:: else -> wake_all()
			fi
		}
	:: else ->
		/* cancel_step() */
		if
		:: !threads[id].has_begun ->
			threads[id].has_begun = true;
			threads[id].left = GRACE * GRACES_MAX
#ifndef NO_BOUND
		:: threads[id].has_begun && threads[id].left == 0 ->
			/* Where nobody has ever freed anything, each grace was another's. */
			assert(has_freed || (was_chosen[0] && was_chosen[1]));
			threads[id].is_done = true;
			break
#endif
		:: else
		fi;
		if
		:: threads[id].victim == NONE ->
			choose();
			if
			:: found == NONE && !has_ended -> threads[id].is_done = true
			:: found == NONE && has_ended -> atomic { wake_all() }
			:: found != NONE && IS_OWN(found) -> threads[id].is_done = true
			:: else -> threads[id].victim = found
			fi
		:: else ->
#ifndef LOOKS_BEFORE_SEEN
			threads[id].has_changed = false;
#endif
			reap(threads[id].victim);
			atomic {
				g = threads[id].victim;
				lift_if_given(g);
				is_dying = IS_DYING(g)
			};
#ifdef LOOKS_BEFORE_SEEN
			threads[id].has_changed = false;
#endif
			if
			:: is_dying ->
				/* futex_wait() */
				atomic {
					assert(threads[id].victim != own);
					if
					:: !threads[id].has_changed -> threads[id].is_asleep = true
					:: else
					fi
				}
				!threads[id].is_asleep
			:: else ->
				atomic {
					threads[id].victim = NONE;
					wake_all()
				}
			fi
		fi;
		if
		:: !threads[id].is_done -> attempt()
		:: else
		fi
	od
}

/* cancel_call_due() on oomreclaimd; the function may block. */
proctype tell()
{
	byte g;

	do
	:: atomic {
		groups[0].is_untold || groups[1].is_untold ->
#ifdef NEVER_TOLD
		g = 0;
#else
		g = (groups[0].is_untold -> 0 : 1);
#endif
#ifndef TOLD_AGAIN
		groups[g].is_untold = false;
#endif
		assert(choices[g] > 0);
		choices[g]--;
		calls[g]++
	   };
	   if
	   :: groups[g].is_ending = true; calls[g]--
	   :: break /* for ever */
	   fi
	od
}

/* What goes on in the groups, and elsewhere. */
proctype jobs()
{
	do
	:: atomic { groups[0].is_ending && groups[0].has -> groups[0].is_free = true; groups[0].is_ending = false; has_freed = true; stale[0] = 0 }
	:: atomic { groups[1].is_ending && groups[1].has -> groups[1].is_free = true; groups[1].is_ending = false; has_freed = true; stale[1] = 0 }
	/* It takes no notice. */
	:: atomic { groups[0].is_ending -> groups[0].is_ending = false }
	:: atomic { groups[1].is_ending -> groups[1].is_ending = false }
	/* Somebody else was faster; and who has ended begins anew. */
	:: atomic { room > 0 -> room-- }
	:: atomic { !groups[0].has && !groups[0].is_cancelled -> groups[0].has = true; groups[0].is_free = false }
	:: atomic { !groups[1].has && !groups[1].is_cancelled -> groups[1].has = true; groups[1].is_free = false }
	od
}

#define IS_WAITED_FOR(g) \
	((threads[0].is_asleep && threads[0].victim == g) || (threads[1].is_asleep && threads[1].victim == g))

inline tick()
{
	for (t : 0 .. GROUPS - 1) {
		stale[t] = (groups[t].is_cancelled && groups[t].has && groups[t].is_free && IS_WAITED_FOR(t) ->
			stale[t] + 1 : 0);
		assert(stale[t] <= 1);
	}
	for (t : 0 .. THREADS - 1) {
		if
		:: threads[t].is_asleep ->
			/* One that has been seen to end is slept for by nobody. */
			assert(groups[threads[t].victim].is_cancelled);
			threads[t].is_asleep = false;
			waited[t]++;
			assert(waited[t] <= GRACE * GRACES_MAX)
		:: else
		fi;
		if
		:: threads[t].has_begun && threads[t].left > 0 -> threads[t].left--
		:: else
		fi
	}
	for (t : 0 .. GROUPS - 1) {
#ifdef NO_GRACE
		skip
#else
		if
		:: groups[t].left > 0 ->
			groups[t].left--;
#ifdef LIFTED_BY_TIME
			groups[t].is_cancelled = groups[t].is_cancelled && groups[t].left > 0
#endif
		:: else
		fi
#endif
	}
}

/* Whoever can go on does so before the clock ticks. */
active proctype clock()
{
	byte t;

	atomic {
		for (t : 0 .. GROUPS - 1) {
			groups[t].has = true
		}
		for (t : 0 .. THREADS - 1) {
			threads[t].victim = NONE
		}
		run want(0, 0);
		run want(1, NONE);
		run tell();
		run jobs()
	}
	do
	:: timeout ->
		atomic {
			if
			:: threads[0].is_asleep || threads[1].is_asleep -> tick()
			:: else ->
				/* No deadlock. */
				assert(threads[0].is_done && threads[1].is_done);
				break
			fi
		}
	od
}
