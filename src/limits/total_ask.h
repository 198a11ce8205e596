/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The others that share a total: one that meets it asks them to give, the largest first, before
 * anybody fails. What is asked is their oomreclaimd, which gives back what is free in the heap and
 * calls callbacks, as at a watermark.
 */
#ifndef OOM_TOTAL_ASK_H
#define OOM_TOTAL_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bit of own_thread.h by which oomreclaimd is asked. */
#define TOTAL_CALL 64U

/* Where in the order of all others a request is; zeroed at first. */
struct total_turn {
	uint64_t charged; /* of the one that was asked last, if asks > 0, */
	uint16_t slot;    /* and which it is */
	uint16_t asks;
};

enum __attribute__((packed)) total_neighbour {
	NEIGHBOUR_NONE,   /* nobody is left, or there is room, or no total */
	NEIGHBOUR_LARGER, /* than this process: it is asked before this one's own callbacks */
	NEIGHBOUR_SMALLER
};

/* Who is next to be asked for so many bytes. */
enum total_neighbour total_next(const struct total_turn *turn, size_t bytes);

/* Asks that one, and waits until it has answered, there is room, or the time is over. */
void total_ask(struct total_turn *turn, size_t bytes, uint64_t deadline_ns);

/* ---- On oomreclaimd ---- */

/* True: others may ask. */
void total_thread(bool is_there);

/* What others want, and which of their questions that is. */
size_t total_wanted(unsigned *question);
void total_answer(unsigned question);

#endif
