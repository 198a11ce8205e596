/* SPDX-License-Identifier: BSD-2-Clause */
/* What every file may use: compiler annotations, time, arithmetic that saturates. */
#ifndef OOM_BASE_H
#define OOM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Part of the library's ABI; everything else is hidden. */
#define OOM_EXPORT __attribute__((visibility("default")))
/* Kept out of line, so that what it is called from stays small. */
#define OOM_COLD __attribute__((cold, noinline))
#define OOM_NOINLINE __attribute__((noinline))
/* Nor made twice, with an argument that is known: where there has to be one of it. clang does
   not. */
#ifdef __clang__
#define OOM_IN_ONE_PIECE __attribute__((noinline))
#else
#define OOM_IN_ONE_PIECE __attribute__((noinline, noclone))
#endif
/* A preloaded library is there from the start, so its thread-local storage can sit at a fixed
   offset: no call, and no allocation, on the first access in a thread. */
#define OOM_TLS __thread __attribute__((tls_model("initial-exec")))

#define NSEC_PER_SEC 1000000000ULL
#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_USEC 1000ULL

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Milliseconds, exact to a tick of the kernel's: cheaper, and enough for what is looked at once a
   second. */
static inline uint64_t now_coarse_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline struct timespec timespec_of_ns(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NSEC_PER_SEC),
	                         .tv_nsec = (long)(ns % NSEC_PER_SEC)};
}

static inline size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t add_saturated(size_t a, size_t b)
{
	size_t sum;

	return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

static inline size_t mul_saturated(size_t a, size_t b)
{
	size_t product;

	return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

/* Sleeps; a signal may end it early. It is a cancellation point. */
void pause_ns(uint64_t ns);

/* A public struct that may be shorter or longer than the caller's: as much of it as both have. */
static inline void copy_sized(void *to, size_t to_size, const void *from, size_t from_size)
{
	memcpy(to, from, to_size < from_size ? to_size : from_size);
}

#endif
