/* SPDX-License-Identifier: BSD-2-Clause */
#include "nth.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* No operation here maps so often: one that does goes on for ever. */
#define NTH_MAX 2000

static bool is_injecting;
/* Injected into children; shared with them. */
static uint64_t *elsewhere;
/* What a child had from its parent, who counts it. */
static uint64_t inherited;

static uint64_t injected_so_far(void)
{
	return oomreclaim_fault_injected() + *elsewhere;
}

void nth_exit(int status)
{
	*elsewhere += oomreclaim_fault_injected() - inherited;
	_exit(status);
}

bool nth_refused(const void *memory)
{
	if (memory) {
		CHECK_EQ(errno, ERRNO_UNTOUCHED);
		return false;
	}
	CHECK_EQ(errno, ENOMEM);
	CHECK(is_injecting);
	return true;
}

static unsigned char byte_of(const unsigned char *at, size_t bytes)
{
	return (unsigned char)(((uintptr_t)at >> 4) * 31 + bytes);
}

void nth_fill(void *memory, size_t bytes)
{
	for (unsigned char *at = memory; at < (unsigned char *)memory + bytes; at++)
		*at = byte_of(at, bytes);
}

void nth_check(const void *memory, size_t bytes)
{
	for (const unsigned char *at = memory; at < (const unsigned char *)memory + bytes; at++)
		CHECK(*at == byte_of(at, bytes));
}

/* Blocks of every kind that live through all of it. */
static const size_t survivor_bytes[] = {16, 100, 4000, 20000, 300000, 3 * MIB};
static void *survivors[COUNT(survivor_bytes)];

static void check_survivors(void)
{
	for (size_t i = 0; i < COUNT(survivors); i++)
		nth_check(survivors[i], survivor_bytes[i]);
}

/* What is free stays mapped until addresses are short: under RLIMIT_AS one large request sees to
   that. */
static void unmap_free(void)
{
	unsigned old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORETRY);
	struct rlimit limit;

	CHECK(getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY);
	CHECK(malloc(limit.rlim_cur - MIB) == NULL);
	oomreclaim_scope_restore(old);
}

/* With every nth mapping failing, at most `times`. Returns how many did. */
static uint64_t run_once(const struct operation *operation, uint64_t n, int64_t times)
{
	const struct oomreclaim_fault faults = {.probability = 100,
	                                        .interval = n,
	                                        .times = times,
	                                        .task_filter = true};
	uint64_t before = injected_so_far(), injected;
	bool is_done;

	if (operation->prepare)
		operation->prepare();
	unmap_free();
	is_injecting = true;
	inherited = oomreclaim_fault_injected();
	CHECK_EQ(oomreclaim_fault_set(&faults, sizeof faults), 0);
	oomreclaim_fault_thread(true);
	errno = ERRNO_UNTOUCHED;
	is_done = operation->run();
	oomreclaim_fault_thread(false);
	CHECK_EQ(oomreclaim_fault_set(NULL, 0), 0);
	is_injecting = false;
	injected = injected_so_far() - before;
	CHECK(is_done || injected > operation->immune_to);
	check_survivors();
	return injected;
}

static void run_all(const struct operation *operation)
{
	static const int64_t some[] = {1, 3, -1};
	uint64_t n, total = 0;

	for (size_t i = 0; i < COUNT(some); i++) {
		/* Without end, it would wait for ever. */
		if (some[i] < 0 && operation->immune_to == ANY_NUMBER)
			break;
		for (n = 1; run_once(operation, n, some[i]) > 0; n++) {
			total++;
			/* Nothing is broken for later. */
			CHECK_EQ(run_once(operation, NTH_MAX, 1), 0);
		}
		CHECK(n < NTH_MAX);
	}
	/* Something was tested. */
	CHECK(total > 0);
}

int nth_main(int argc, char **argv, const struct operation *operations, size_t count)
{
	elsewhere = mmap(NULL, sizeof *elsewhere, PROT_READ | PROT_WRITE,
	                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(elsewhere != MAP_FAILED);
	for (size_t i = 0; i < COUNT(survivors); i++) {
		survivors[i] = malloc(survivor_bytes[i]);
		CHECK(survivors[i] != NULL);
		nth_fill(survivors[i], survivor_bytes[i]);
	}
	for (size_t i = 0; argc == 2 && i < count; i++)
		if (!strcmp(argv[1], operations[i].name)) {
			run_all(&operations[i]);
			return 0;
		}
	fprintf(stderr, "usage: %s CASE, one of:", argv[0]);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, " %s", operations[i].name);
	fprintf(stderr, "\n");
	return 2;
}
