/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The protocol of src/reclaim/reclaim.c, registry.c and calls.c: one thread runs the callbacks, others wait for
 * it, no longer than their bound, and share its progress; unregister drains; fork() at any moment.
 * check.sh runs it. Each part is headed by the function it stands for.
 *
 * Two threads allocate, oomreclaimd reclaims, one thread unregisters; two callbacks. What happens
 * under a lock is one step, guarded by the lock: no function takes another lock there. A fork holds
 * all locks over several steps; then either the parent or the child is followed.
 *
 * Time passes when nothing else can happen (`timeout`): whoever is woken is taken to run before the
 * clock ticks. What can't go on without the clock, and waits for no point in time, is a deadlock.
 *
 * Left out: bytes, statistics, names, registering anew, cancellation (which is off in all waits), and
 * that a round in which a callback was skipped is begun again when nothing came of the background one,
 * until the bound.
 *
 * With -DSHRINKERS both entries are shrinkers of one priority: a walk keeps its place at the first of them, by a
 * pin of its own, while it counts all, and then scans all, with another pin on the one that it calls.
 *
 * With -DTELLS oomreclaimd makes no round, but goes in its turn to those that are to be told of room, which no round
 * calls; with -DSHRINKERS as well it counts all for their targets, without a place.
 *
 * With -DFORKS threads fork, with -DEACH_OTHER callbacks unregister each other, with -DPOLICY as well, and the
 * policy's callback with them, without any of these callbacks unregister and lock: all at once is more than can
 * be searched in a minute. So nobody forks who is waited for by another callback.
 *
 * -D of one of these plants a bug, which has to be found: LOST_BROADCAST, SIGNAL_ONE, WAIT_BY_ACTIVE,
 * WAKE_BEFORE_END, BOUND_RESTARTS, NO_BOUND, LOCK_OVER_CALLBACK, NO_DRAIN, DRAIN_OWN_CALL,
 * LEFT_NOT_TOLD, FREE_PINNED, DEAD_IS_CALLED, TWICE_CALLED, FORK_KEEPS_ROUND, FORK_ENDS_OWN_CALL,
 * FORK_KEEPS_CALLS, FORK_KEEPS_LOCK, NO_EDEADLK, EDEADLK_IN_ANY_CALL, WAIT_NOT_NOTED, OWN_KIND_ONLY,
 * PLACE_NOT_PINNED, PLACE_NOT_LEFT, UNPIN_FREES, FORK_FORGETS_PLACE, ROOM_IN_ROUND, TURN_NOT_ENDED.
 */
#define ALLOCATING 2  /* threads 0 and 1 */
#define BACKGROUND 2  /* oomreclaimd */
#define UNREGISTERER 3
#define THREADS 4
#define ENTRIES 2
#define NOBODY 255
#ifdef POLICY
/* The policy's callback is called outside of rounds, by a thread that had no success; it may be replaced, and
   then waited for as one that is unregistered. */
#define EACH_OTHER
#define POLICY_ENTRY 2
#define CALLABLE 3
#else
#define CALLABLE 2
#endif

#define WAIT 2 /* ticks: the setting wait_ms */
#define LONG 3 /* ticks that a long call takes: more than that */

/* struct round */
typedef Round {
	bool is_locked;
	bool is_active;
	byte owner;
	byte rounds;
}
Round kinds[2]; /* direct, background */

/* struct registry_entry */
typedef Entry {
	bool is_called;
	bool is_dead;
	byte pins;
	byte caller;
	byte waits_for = NOBODY;
	/* What is to hold, and is no part of the program: */
	bool is_freed;
	byte runs;   /* inside the function: threads */
	bool is_gone /* unregister has returned */
}
Entry entries[CALLABLE];
bool registry_is_locked;

/* What a call does: */
#define RETURNS_ZERO 0
#define REMOVES_OTHER 1
#define REMOVES_ITSELF 2
#define LOCKS 3
#define FORKS_HERE 4
#define REPLACES_POLICY 5

/* Condition variables: what a thread sleeps on. */
#define AWAKE 0
#define DONE(kind) (1 + (kind))
#define LEFT 3
byte sleeps_on[THREADS];
bool may_wake_early, has_woken_early; /* one spurious wake-up in all, whenever the clock says */

byte left[THREADS];  /* ticks to the deadline handed to pthread_cond_clockwait() */
byte bound[THREADS]; /* ticks to the end of what the thread was promised */
bool is_joining[THREADS];
byte joined[THREADS];  /* rounds that had ended then */
byte joined_kind[THREADS];
byte drained[THREADS] = NOBODY; /* the entry whose call a thread waits for; no part of the program */
byte busy[THREADS]; /* ticks that a call still takes */
bool is_caller[THREADS];
bool is_alive[THREADS] = true; /* not the others in the child of a fork */
bool has_ended[THREADS];
bool is_child;
byte holder = NOBODY; /* of a lock of the application's */

#ifdef LOST_BROADCAST
#define WAKE_ROUND(k) skip
#else
#define WAKE_ROUND(k) wake(DONE(k))
#endif
#ifdef LEFT_NOT_TOLD
#define WAKE_LEFT skip
#else
#define WAKE_LEFT wake(LEFT)
#endif

/* pthread_cond_broadcast() */
inline wake(what)
{
	i = 0;
	do
	:: i < THREADS ->
		if
		:: sleeps_on[i] == what -> sleeps_on[i] = AWAKE;
#ifdef SIGNAL_ONE
			break
#endif
		:: else
		fi;
		i++
	:: else -> break
	od
}

#define WOKEN(what) (sleeps_on[me] != what || may_wake_early)

/* What a thread does on its way out of the sleep. */
inline awake(what)
{
	if
	:: sleeps_on[me] == what && !(what != LEFT && left[me] == 0) -> may_wake_early = false
	:: else
	fi;
	sleeps_on[me] = AWAKE
}

#ifdef WAIT_BY_ACTIVE
#define HAS_ENDED(k) (!kinds[k].is_active)
#else
#define HAS_ENDED(k) (kinds[k].rounds != joined[me])
#endif
#ifdef NO_BOUND
#define IS_LATE false
#else
#define IS_LATE (left[me] == 0)
#endif

/* try_join() and join_round(); has_begun: the round is this thread's */
inline try_join(k, may_begin)
{
	atomic {
		is_joining[me] = true;
		has_begun = false;
		!kinds[k].is_locked;
		if
		:: kinds[k].is_active ->
			joined[me] = kinds[k].rounds;
			joined_kind[me] = k;
			sleeps_on[me] = DONE(k)
		:: else ->
			if
			:: may_begin ->
				kinds[k].is_active = true;
				kinds[k].owner = me;
				has_begun = true
			:: else
			fi;
			is_joining[me] = false
		fi
	};
	atomic {
		do
		:: !is_joining[me] -> break
		:: is_joining[me] && (WOKEN(DONE(k)) || IS_LATE) && !kinds[k].is_locked ->
			awake(DONE(k));
#ifdef BOUND_RESTARTS
			if
			:: !IS_LATE -> left[me] = WAIT
			:: else
			fi;
#endif
			if
			:: HAS_ENDED(k) || IS_LATE -> is_joining[me] = false
			:: else -> sleeps_on[me] = DONE(k)
			fi
		od;
		joined[me] = 0;
		joined_kind[me] = 0
	}
}

/* end_round() */
inline end_round(k)
{
#ifdef WAKE_BEFORE_END
	atomic { !kinds[k].is_locked -> WAKE_ROUND(k); kinds[k].is_active = false };
	atomic { !kinds[k].is_locked -> kinds[k].rounds++ }
#else
	atomic {
		!kinds[k].is_locked;
		kinds[k].is_active = false;
		kinds[k].rounds++;
		WAKE_ROUND(k)
	}
#endif
}

/* unlink_dead() and the free() behind it */
#define UNLINK(e) e.is_freed = true

/* own_call() */
#define IS_OWN(n) (entries[n].is_called && entries[n].caller == me)
#ifdef POLICY
#define OWN_CALL (IS_OWN(0) -> 0 : (IS_OWN(1) -> 1 : (IS_OWN(POLICY_ENTRY) -> POLICY_ENTRY : NOBODY)))
#else
#define OWN_CALL (IS_OWN(0) -> 0 : (IS_OWN(1) -> 1 : NOBODY))
#endif

/* closes_circle(); of three, one may wait by way of another. */
#define WAITS(n) (entries[n].waits_for)
#ifdef POLICY
#define WAITS_FOR_OWN(n) (WAITS(n) == own || (WAITS(n) != NOBODY && WAITS(WAITS(n)) == own))
#else
#define WAITS_FOR_OWN(n) (WAITS(n) == own)
#endif
#ifdef NO_EDEADLK
#define CAN_T_END(n) false
#else
#ifdef EDEADLK_IN_ANY_CALL
#define CAN_T_END(n) (own != NOBODY)
#else
#ifdef OWN_KIND_ONLY
#define CAN_T_END(n) (own != NOBODY && WAITS_FOR_OWN(n) && (n == POLICY_ENTRY) == (own == POLICY_ENTRY))
#else
#define CAN_T_END(n) (own != NOBODY && WAITS_FOR_OWN(n))
#endif
#endif
#endif

/* own->waits_for = to */
#ifdef WAIT_NOT_NOTED
#define NOTE_WAIT(to) skip
#else
#define NOTE_WAIT(to) if :: own != NOBODY -> entries[own].waits_for = to :: else fi
#endif

/* oomreclaim_unregister() and wait_for_call() */
inline unregister(n)
{
	has_unregistered = false;
	drains = false;
	atomic {
		!registry_is_locked;
		if
		:: entries[n].is_dead /* EINVAL */
		:: else ->
			has_unregistered = true;
			entries[n].is_dead = true;
			if
#ifdef FREE_PINNED
			:: true -> UNLINK(entries[n])
#else
			:: entries[n].pins == 0 -> UNLINK(entries[n])
#endif
			:: else ->
				if
#ifndef NO_DRAIN
#ifdef DRAIN_OWN_CALL
				:: entries[n].is_called ->
#else
				:: entries[n].is_called && entries[n].caller != me ->
#endif
					d_step {
						own = OWN_CALL;
						if
						:: CAN_T_END(n) ->
							/* EDEADLK: only where the other waits for this one, or for one that does. */
							assert(drained[entries[n].caller] == own ||
							       drained[entries[drained[entries[n].caller]].caller] == own);
							has_unregistered = false
						:: else ->
							NOTE_WAIT(n);
							drained[me] = n;
							drains = true;
							sleeps_on[me] = LEFT
						fi;
						own = NOBODY
					}
#endif
				:: else
				fi
			fi
		fi
	}
	atomic {
		do
		:: !drains -> break
		:: drains && WOKEN(LEFT) && !registry_is_locked ->
			awake(LEFT);
			if
			:: !entries[n].is_freed && entries[n].is_called -> sleeps_on[me] = LEFT
			:: else ->
				d_step {
					own = OWN_CALL;
					NOTE_WAIT(NOBODY);
					own = NOBODY;
					drained[me] = NOBODY;
					drains = false
				}
			fi
		od;
		if
		:: has_unregistered ->
			/* Only inside of that very call. */
			assert(entries[n].runs == 0 || entries[n].caller == me);
			entries[n].is_gone = true
		:: else
		fi;
		has_unregistered = false
	}
}

/* fork_prepare(), fork_parent() and fork_child() of init.c, with reclaim_fork_*() and
   registry_fork_*() */
inline fork()
{
	atomic { !kinds[0].is_locked -> kinds[0].is_locked = true };
	atomic { !kinds[1].is_locked -> kinds[1].is_locked = true };
	atomic { !registry_is_locked -> registry_is_locked = true };
	atomic {
		if
		:: true /* the parent */
		:: !is_child ->
			is_child = true;
			i = 0;
			do
			:: i < THREADS -> is_alive[i] = (i == me); i++
			:: else -> break
			od;
			i = 0;
			do
			:: i < ENTRIES ->
				is_here = is_caller[me] && entries[i].is_called && entries[i].caller == me;
				entries[i].runs = (is_here -> entries[i].runs : 0);
#ifndef FORK_KEEPS_CALLS
#ifdef FORK_ENDS_OWN_CALL
				is_here = false;
#endif
				entries[i].is_called = is_here;
				entries[i].pins = is_here;
#endif
				entries[i].waits_for = NOBODY;
				is_here = false;
				i++
			:: else -> break
			od;
#if defined(SHRINKERS) && !defined(FORK_FORGETS_PLACE)
			/* registry_fork_keep() */
			if
			:: is_caller[me] && place != NOBODY -> entries[place].pins++
			:: else
			fi;
#endif
			i = 0;
			do
			:: i < 2 ->
				if
#ifndef FORK_KEEPS_ROUND
				:: !is_caller[me] || kinds[i].owner != me -> kinds[i].is_active = false
#endif
				:: else
				fi;
				i++
			:: else -> break
			od;
			/* The program's own handlers see to its own locks. */
			if
			:: holder != me -> holder = NOBODY
			:: else
			fi
		fi
	};
#ifdef FORK_KEEPS_LOCK
	if :: is_child :: else -> registry_is_locked = false fi;
#else
	registry_is_locked = false;
#endif
	kinds[1].is_locked = false;
	kinds[0].is_locked = false
}

/* bytes_missing() and call(): what a callback may do, under the rules that oomreclaim.h gives it */
inline call(k, n)
{
	atomic {
#ifdef LOCK_OVER_CALLBACK
		!kinds[k].is_locked -> kinds[k].is_locked = true;
#else
		!kinds[k].is_locked;
#endif
		assert(!entries[n].is_gone);
		assert(!entries[n].is_freed);
		assert(entries[n].runs == 0);
#if defined(TELLS) && !defined(SHRINKERS)
		/* Who is to be told of room is never asked to free. */
		assert(is_telling == (n == ENTRIES - 1));
#endif
		entries[n].runs++;
		if
		:: action = RETURNS_ZERO
		:: claimed = true
#ifndef SHRINKERS
		:: n == 0 -> busy[me] = LONG
#endif
#ifdef FORKS
		:: n == 1 -> action = FORKS_HERE
#elif defined(SHRINKERS)
		:: n == 0 -> action = REMOVES_OTHER
		:: n == 0 -> action = REMOVES_ITSELF
#elif defined(EACH_OTHER)
		:: action = REMOVES_OTHER
#ifdef POLICY
		:: action = REPLACES_POLICY
#endif
#else
		:: n == 0 && holder != me -> action = REMOVES_OTHER
		:: n == 0 -> action = REMOVES_ITSELF
		/* Against the rules: it waits for a lock that is held over an allocation. The
		   bound on waiting is for this. */
		:: n == 1 && holder != me -> action = LOCKS
#endif
		fi
	};
	if
	:: action == RETURNS_ZERO -> busy[me] == 0
#ifdef FORKS
	:: action == FORKS_HERE -> fork()
#else
	:: action == REMOVES_OTHER -> unregister((1 - n))
#ifdef POLICY
	:: action == REPLACES_POLICY -> unregister(POLICY_ENTRY)
#endif
	:: action == REMOVES_ITSELF -> unregister(0)
	:: action == LOCKS -> holder == NOBODY
#endif
	fi;
	action = RETURNS_ZERO
}

#ifdef DEAD_IS_CALLED
#define MAY_CALL(e) (!e.is_freed && !e.is_called)
#else
#ifdef TWICE_CALLED
#define MAY_CALL(e) (!e.is_freed && !e.is_dead)
#else
#define MAY_CALL(e) (!e.is_freed && !e.is_dead && !e.is_called)
#endif
#endif

/* unpin() */
#ifdef UNPIN_FREES
#define IS_FREE(e) e.is_dead
#else
#define IS_FREE(e) (e.is_dead && e.pins == 0)
#endif
inline unpin(n)
{
	assert(!entries[n].is_freed);
	assert(entries[n].pins > 0);
	entries[n].pins--;
	if
	:: IS_FREE(entries[n]) -> UNLINK(entries[n])
	:: else
	fi
}

/* is_for(): the second is for room alone, where there is such a one */
#if defined(TELLS) && !defined(SHRINKERS) && !defined(ROOM_IN_ROUND)
#define IS_FOR(n) (is_telling == (n == ENTRIES - 1))
#else
#define IS_FOR(n) true
#endif

/* registry_begin_call() */
inline begin_call()
{
	atomic {
		is_caller[me] = true;
		!registry_is_locked;
#ifdef SHRINKERS
		/* Behind the place, which has to be in the list still. */
		assert(place == NOBODY || !entries[place].is_freed);
		next = (at == NOBODY -> (place == NOBODY -> 0 : place) : at + 1);
#else
		next = (at == NOBODY -> 0 : at + 1);
#endif
		do
		:: next < ENTRIES ->
			if
			:: MAY_CALL(entries[next]) && IS_FOR(next) -> break
			:: else -> next++
			fi
		:: else -> next = NOBODY; break
		od;
		if
		:: at != NOBODY -> unpin(at)
		:: else
		fi;
		at = next;
		if
		:: at != NOBODY ->
			entries[at].pins++;
			entries[at].is_called = true;
			entries[at].caller = me
		:: else
		fi;
		next = 0
	}
}

/* registry_end_call() */
inline end_call(k, n)
{
	atomic {
#ifdef LOCK_OVER_CALLBACK
		kinds[k].is_locked = false;
#endif
		!registry_is_locked;
		assert(!entries[n].is_freed);
		assert(entries[n].is_called);
		entries[n].runs--;
		entries[n].is_called = false;
		WAKE_LEFT
	}
}

#ifdef SHRINKERS
#ifdef PLACE_NOT_PINNED
#define PIN_PLACE skip
#define UNPIN_PLACE skip
#else
#define PIN_PLACE entries[place].pins++
#ifdef PLACE_NOT_LEFT
#define UNPIN_PLACE skip
#else
#define UNPIN_PLACE unpin(place)
#endif
#endif

/* registry_begin_call() at the step CALLBACKS: the first shrinker of a priority */
inline begin_place()
{
	atomic {
		is_caller[me] = true;
		!registry_is_locked;
		do
		:: next < ENTRIES ->
			if
			:: MAY_CALL(entries[next]) -> break
			:: else -> next++
			fi
		:: else -> next = NOBODY; break
		od;
		place = next;
		if
		:: place != NOBODY -> PIN_PLACE
		:: else
		fi;
		next = 0
	}
}

/* visit_shrinkers(): of one pass. Behind the place there is no other priority. */
inline run_callbacks(k)
{
	begin_place();
	do
	:: place == NOBODY || is_scan == 2 -> break
	:: place != NOBODY && is_scan < 2 ->
		do
		:: begin_call();
			if
			:: at == NOBODY -> break
			:: else
			fi;
			if
			:: claimed -> atomic { entries[at].runs++ } /* enough: no more is asked for */
			:: else -> call(k, at)
			fi;
			/* What is counted is not given. */
			claimed = claimed && is_scan == 1;
			end_call(k, at)
		od;
		is_scan++
	od;
	atomic {
		!registry_is_locked;
		if
		:: place != NOBODY -> UNPIN_PLACE
		:: else
		fi;
		place = NOBODY;
		is_scan = 0
	}
}
#else
/* run_callbacks() */
inline run_callbacks(k)
{
	do
	:: begin_call();
		if
		:: at == NOBODY -> break
		:: else
		fi;
		call(k, at);
		end_call(k, at);
		if
		:: claimed ->
			/* registry_end_walk() */
			atomic { !registry_is_locked -> unpin(at); at = NOBODY };
			break
		:: else
		fi
	od
}
#endif

#ifdef TELLS
/* visit_in_turn() */
inline visit_in_turn(k)
{
	atomic { left[me] = WAIT; bound[me] = WAIT };
	try_join(k, true);
	assert(has_begun);
	is_telling = true;
	do
	:: begin_call();
		if
		:: at == NOBODY -> break
		:: else
		fi;
		call(k, at);
		claimed = false;
		end_call(k, at)
	od;
	is_caller[me] = false;
#ifndef TURN_NOT_ENDED
	end_round(k);
#endif
	atomic { left[me] = 0; bound[me] = 0 }
}
#endif

/* reclaim_round() */
inline reclaim_pages(k)
{
	atomic { left[me] = WAIT; bound[me] = WAIT };
	try_join(k, true);
	if
	:: has_begun ->
		run_callbacks(k);
		is_caller[me] = false;
		end_round(k);
		if
		:: !claimed && k == 0 -> try_join(1, false)
		:: else
		fi
	:: else
	fi;
	atomic { claimed = false; left[me] = 0; bound[me] = 0 }
}

#ifdef POLICY
/* policy_decide(): the callback removes one of the others. */
inline decide()
{
	atomic {
		!registry_is_locked;
		if
		:: !entries[POLICY_ENTRY].is_dead && !entries[POLICY_ENTRY].is_called ->
			entries[POLICY_ENTRY].pins++;
			entries[POLICY_ENTRY].is_called = true;
			entries[POLICY_ENTRY].caller = me;
			entries[POLICY_ENTRY].runs++;
			decides = true
		:: else
		fi
	};
	if
	:: decides ->
		if
		:: unregister(0)
		:: unregister(1)
		fi;
		atomic {
			!registry_is_locked;
			entries[POLICY_ENTRY].runs--;
			entries[POLICY_ENTRY].is_called = false;
			WAKE_LEFT;
			unpin(POLICY_ENTRY);
			decides = false
		}
	:: else
	fi
}
#endif

/* A thread that allocates: 0 with a lock of the application's in its hands, 1 forks before. */
active [ALLOCATING] proctype allocate() provided (is_alive[_pid])
{
	byte me = _pid, at = NOBODY, own = NOBODY, next, i;
#ifdef SHRINKERS
	byte place = NOBODY, is_scan;
#endif
	bool has_begun, claimed, drains, has_unregistered, is_here, decides, is_telling;
	byte action;

#ifdef SHRINKERS
	/* The place is what is looked at: one walks, others unregister, and all callbacks may. */
	if
	:: me == 0 -> reclaim_pages(0)
	:: me == 1 -> unregister(1)
	fi;
#else
	if
#ifdef FORKS
	:: me == 1 -> fork()
#else
#ifndef EACH_OTHER
	:: me == 0 -> holder = me
#endif
#endif
	:: true
	fi;
	reclaim_pages(0);
#ifdef POLICY
	if
	:: me == 0 -> decide()
	:: else
	fi;
#endif
	if
	:: holder == me -> holder = NOBODY
	:: else
	fi;
#ifndef POLICY
	if
	:: me == 1 -> unregister(1);
#ifndef FORKS
		reclaim_pages(0)
#endif
	:: else
	fi;
#endif
#endif
	has_ended[me] = true
}

/* oomreclaimd */
active proctype reclaim_background() provided (is_alive[_pid])
{
	byte me = _pid, at = NOBODY, own = NOBODY, next, i;
#ifdef SHRINKERS
	byte place = NOBODY, is_scan;
#endif
	bool has_begun, claimed, drains, has_unregistered, is_here, is_telling;
	byte action;

#ifdef TELLS
	visit_in_turn(1);
#else
	reclaim_pages(1);
#endif
	has_ended[me] = true
}

active proctype unregister_first() provided (is_alive[_pid])
{
	byte me = _pid, own = NOBODY, i;
	bool drains, has_unregistered;

#ifndef POLICY
	unregister(0);
#endif
	has_ended[me] = true
}

#define ASLEEP_IN_VAIN(t) (is_alive[t] && is_joining[t] && sleeps_on[t] == DONE(joined_kind[t]) && \
                           kinds[joined_kind[t]].rounds != joined[t])

#ifdef POLICY
#define HAS_CALLS (entries[0].is_called || entries[1].is_called || entries[POLICY_ENTRY].is_called)
#else
#define HAS_CALLS (entries[0].is_called || entries[1].is_called)
#endif

active proctype clock()
{
	byte t;
	bool is_over, is_waiting;

	do
	:: timeout ->
		atomic {
			t = 0;
			is_over = true;
			is_waiting = false;
			do
			:: t < THREADS ->
				if
				:: is_alive[t] && !has_ended[t] ->
					is_over = false;
					/* No wake-up is lost. */
					assert(!ASLEEP_IN_VAIN(t));
					assert(sleeps_on[t] != LEFT || has_ended[t] || HAS_CALLS);
					/* Nobody waits beyond its bound. */
					assert(!is_joining[t] || bound[t] > 0);
					is_waiting = is_waiting || busy[t] > 0 || (is_joining[t] && left[t] > 0);
					busy[t] = (busy[t] > 0 -> busy[t] - 1 : 0);
					left[t] = (left[t] > 0 -> left[t] - 1 : 0);
					bound[t] = (bound[t] > 0 -> bound[t] - 1 : 0)
				:: else
				fi;
				t++
			:: else -> break
			od;
			t = 0;
			if
			:: !has_woken_early -> may_wake_early = true; has_woken_early = true
			:: true
			fi;
			/* A round is somebody's. */
			assert(!kinds[0].is_active || is_alive[kinds[0].owner]);
			assert(!kinds[1].is_active || is_alive[kinds[1].owner]);
			/* No deadlock. */
			assert(is_over || is_waiting);
			/* In the end nobody's turn goes on. */
			assert(!is_over || (!kinds[0].is_active && !kinds[1].is_active));
#ifdef SHRINKERS
			/* In the end nobody stands anywhere. */
			assert(!is_over || entries[0].pins + entries[1].pins == 0);
#endif
			if
			:: is_over -> break
			:: else
			fi
		}
	od
}
