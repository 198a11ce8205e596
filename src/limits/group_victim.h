/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which group is cancelled so that others may go on, and until when: select_bad_process() and
 * MMF_OOM_SKIP of mm/oom_kill.c, for groups.
 *
 * What is chosen is a group with a function of its own, together with the descendants that have
 * none. It is dying until an eighth of what it had is left, or its time is over. From then on
 * another may be chosen; it stays cancelled, and is not chosen again, until that eighth is all
 * there is. The functions take the lock of groups, unless they say otherwise.
 */
#ifndef OOM_GROUP_VICTIM_H
#define OOM_GROUP_VICTIM_H

#include <limits.h>

#include "limits/group.h"

/* The function of the group is that from now on; NULL: none. The group is not cancelled any more.
   False where there is no such group. */
bool group_set_cancel(oomreclaim_group group, oomreclaim_group_cancelled *function, void *arg);

/* There is a group with a function, or was. No lock. */
bool group_may_cancel(void);

/* oom_badness(): what its end would give, moved by thousandths of all there is. GROUP_NEVER: it
   must not be chosen. No lock. */
#define GROUP_NEVER LONG_MIN
long group_badness(size_t bytes, int score_adj, size_t total_bytes);

/* What is looked for. */
struct group_search {
	unsigned in;          /* that group and below it; 0: everywhere */
	size_t total_bytes;   /* that score_adj is a thousandth of */
	size_t least_bytes;   /* its end has to give that much */
	uint64_t deadline_ns; /* until when one that is chosen counts as dying */
	/* No group is chosen if a cancelled group has ended since seen_ns, or any group was
	   destroyed since asked_ns: what that group had may be enough. */
	uint64_t seen_ns, asked_ns;
};

enum group_choice {
	GROUP_NOBODY,
	GROUP_CHOSEN, /* it is cancelled from now on, and its function is to be called */
	GROUP_DYING,  /* one was chosen before: nobody else is while it is dying */
	GROUP_ENDED,  /* one has just given what it had */
	GROUP_AGAIN   /* one ended after the request's last attempt: another attempt is due */
};

struct group_victim {
	unsigned slot;
	size_t bytes; /* of CHOSEN: what it had, */
	int score_adj;
	char name[OOMRECLAIM_GROUP_NAME_MAX + 1];
};

/* At equal badness the one found last. *victim is set for CHOSEN and DYING. */
enum group_choice group_victim_choose(const struct group_search *search,
                                      struct group_victim *victim);

/* False where it has given what it had, its time is over, or it is gone. Another in its place is as
   good. */
bool group_victim_is_dying(unsigned slot);

/* Whether the group gets no page any more. No lock. */
bool group_is_cancelled(unsigned slot);

/* True where it gets some again from now on, as it has given what it had. */
bool group_victim_try_lift(unsigned slot);

/* The group that has the function for what a group has: itself, or an ancestor; 0: none. */
unsigned group_cancelled_with(unsigned slot);

/* With the lock held: the end of the group is noted in it and in all above it. Called before the
   mark of a cancelled group is taken away, and before a group is removed. */
void group_victim_note_end(unsigned slot, bool is_destroyed);

/* Those that were chosen, and have not been told yet, go on as if they had not been. */
void group_victim_take_back(void);

/* A function that is to be called. */
struct group_untold {
	oomreclaim_group handle;
	oomreclaim_group_cancelled *function;
	void *arg;
};

/* With the lock held: takes the next one; false: there is none. */
bool group_victim_next_untold(struct group_untold *untold);

/* The functions of all groups, one after the other: slot 0 first. Whether each is in a file is
   noted where it is known, and asked later. */
struct group_code {
	unsigned slot;
	oomreclaim_group handle;
	oomreclaim_group_cancelled *function;
	bool is_in_file;
	char name[OOMRECLAIM_GROUP_NAME_MAX + 1];
};
bool group_next_code(struct group_code *code);
void group_note_file(const struct group_code *code);

#endif
