/* SPDX-License-Identifier: BSD-2-Clause */
/* thread.peak.read: within 100 KB, as jemalloc(3) has it, from the first time on that a thread
   asks. */
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "je.h"

#define BLOCK_BYTES ((size_t)1024)
/* What jemalloc endeavours, and what a thread may not have been told of before it asked. */
#define NEAR ((uint64_t)100 << 10)
#define FAR ((uint64_t)1100 << 10)
/* No multiple of what may lie between two looks: else such a look finds it by chance. */
#define ODD (300 * KIB)

static void reset_peak(void)
{
	CHECK(mallctl("thread.peak.reset", NULL, NULL, NULL, 0) == 0);
}

static uint64_t read_peak(void)
{
	uint64_t peak;

	JE_READ("thread.peak.read", &peak);
	return peak;
}

/* So many bytes in small blocks, and all of them back: by the fast path. */
static void use(size_t bytes)
{
	size_t count = bytes / BLOCK_BYTES;
	void **blocks = malloc(count * sizeof *blocks);

	CHECK(blocks);
	for (size_t i = 0; i < count; i++)
		CHECK((blocks[i] = malloc(BLOCK_BYTES)));
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
	free(blocks);
}

static void expect_peak(uint64_t bytes, uint64_t off)
{
	uint64_t peak = read_peak();

	CHECK(peak + off >= bytes && peak <= bytes + NEAR);
}

/* As soon as a thread has asked. */
static void reset(void)
{
	for (size_t bytes = ODD; bytes <= 2 * MIB; bytes += 100 * KIB) {
		reset_peak();
		use(bytes);
		expect_peak(bytes, NEAR);
	}
}

static void *use_first(void *arg)
{
	use(4 * MIB + ODD);
	expect_peak(4 * MIB + ODD, FAR);
	/* The thread's peak is known from then on. */
	use(5 * MIB + ODD);
	expect_peak(5 * MIB + ODD, NEAR);
	return arg;
}

static void run(void *(*function)(void *))
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, function, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* Nobody has ever asked: it is not as near. */
static void first(void)
{
	run(use_first);
}

static void *use_and_read(void *arg)
{
	use(4 * MIB + ODD);
	expect_peak(4 * MIB + ODD, NEAR);
	return arg;
}

/* Another thread has asked before. */
static void read_by_other(void)
{
	read_peak();
	run(use_and_read);
}

/* In the middle of a wait for a later event. */
static void near(void)
{
	for (int i = 0; i < 50; i++)
		free(malloc(BLOCK_BYTES));
	reset();
}

/* jemalloc's, in activity_callback.h. */
struct activity {
	void (*callback)(void *arg, uint64_t allocated, uint64_t freed);
	void *arg;
};

static void note(void *arg, uint64_t allocated, uint64_t freed)
{
	(void)allocated, (void)freed;
	++*(int *)arg;
}

/* Each 64 KiB, but for the first, which may be late. */
static void callback(void)
{
	int calls = 0;
	struct activity activity = {note, &calls};

	CHECK(mallctl("experimental.thread.activity_callback", NULL, NULL, &activity,
	              sizeof activity) == 0);
	use(10 * MIB);
	CHECK(calls > 200);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"reset", reset}, {"first", first},       {"read", read_by_other},
		{"near", near},   {"callback", callback},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
