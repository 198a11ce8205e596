/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the test programs of this directory share: a check that ends the process, named cases, and
 * two ways of using up memory.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A value that no function here sets errno to. */
#define ERRNO_UNTOUCHED 4711

/* Status 1 and a line on stderr, from whatever process and thread. Allocates nothing. */
#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))
#define CHECK_EQ(is, expected) check_equal(__FILE__, __LINE__, #is, (long)(is), (long)(expected))
__attribute__((noreturn)) void check_failed(const char *file, int line, const char *condition);
void check_equal(const char *file, int line, const char *what, long is, long expected);

struct check_case {
	const char *name;
	void (*run)(void);
};

/* Runs the case that the first argument names. */
int check_main(int argc, char **argv, const struct check_case *cases, size_t count);

/* Waits for a child and returns its exit status; a signal fails the check. */
int check_child(pid_t pid);

/* By the monotonic clock. */
uint64_t check_now_ns(void);

/* A thread that does nothing, for ever; and a callback that does nothing. */
void *check_sleep(void *arg);
struct oomreclaim_control;
size_t check_give_nothing(const struct oomreclaim_control *control, void *arg);

/* Waits until the thread sleeps in the kernel. */
void check_asleep(const pid_t *tid);

/* ---- Blocks from malloc(), the oldest to be given back first ---- */

struct pool {
	struct pool_block *oldest, *newest;
	size_t count;
};

bool pool_add(struct pool *pool, size_t bytes);
/* Until malloc() says no; returns how many. */
size_t pool_fill(struct pool *pool, size_t bytes);
/* Frees the oldest until `bytes` are free or none is left; returns the bytes freed. */
size_t pool_evict(struct pool *pool, size_t bytes);
void pool_clear(struct pool *pool);
/* All blocks of `from`, behind those of `pool`. */
void pool_append(struct pool *pool, struct pool *from);

/* ---- Address space, without malloc() ---- */

/* What of it the process has; by way of stdio, which takes memory. */
size_t space_mapped(void);
/* From here on RLIMIT_AS leaves so much; SIZE_MAX: all that the hard limit does. */
void space_limit(size_t bytes);
/* All that RLIMIT_AS leaves, to the last page. */
void space_fill(void);
/* Gives back at least `bytes` of it, if there are as many; returns how many it was. */
size_t space_release(size_t bytes);

/* The heap's tree has a leaf of 2 MiB for each GiB of addresses, and the first mapping below a
   border of these takes it, in a block of 4 MiB. Where that would be in the way: starts the program
   anew, and so at other addresses, until the heap has no border near, and `bytes` above the next.
   What the program did before is done again. Fails the check where 50 times do not suffice. */
void space_in_one_leaf(size_t bytes);

/* space_fill(), and then what the heap still has: no block of up to 1 MiB whose size is a power of
   two can be had after this. Runs under the scope RETRY_MAYFAIL: no policy ends it. */
void exhaust(struct pool *pool);

#ifdef __cplusplus
}
#endif

#endif
