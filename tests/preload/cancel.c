/* SPDX-License-Identifier: BSD-2-Clause */
/*
 *     preload_cancel EXPORTS [NAME...]
 *
 * Every function that the library exports, as EXPORTS lists them, on a thread with a cancellation
 * pending: none acts on it, neither where there is memory nor where there is none. With names:
 * these alone; one with a '-' in front is left out.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "je.h"
#include "oomreclaim.h"

/* Not to be had without a mapping; where it is to be had, it is given back. */
#define BIG (24 * MIB)

/* What is called, and whether nothing can be mapped. */
static const char *name;
static void *function;
static bool fails;

/* The function as one of that type. */
#define AS(type, ...) (((type(*)(__VA_ARGS__))(uintptr_t)function))

/* Made before memory is short. */
static void *block, *aligned_block, *purgeable;
static oomreclaim_handle registered;

/* The block, to be freed by who takes it. */
static void *take(void **from)
{
	void *memory = *from;

	*from = NULL;
	return memory;
}

static bool is(const char *other)
{
	return !strcmp(name, other);
}

/* ---- One function for each kind of call; true: it was one of these ---- */

static bool call_new(void)
{
	bool is_aligned = strstr(name, "align_val_t"), is_nothrow = strstr(name, "nothrow_t");
	void *memory;

	if (strncmp(name, "_Znwm", 5) != 0 && strncmp(name, "_Znam", 5) != 0)
		return false;
	/* That one would throw. */
	if (fails && !is_nothrow)
		return true;
	if (is_aligned)
		memory = AS(void *, size_t, size_t, const char *)(BIG, 4096, "tag");
	else
		memory = AS(void *, size_t, const char *)(BIG, "tag");
	CHECK(!memory == fails);
	free(memory);
	return true;
}

static bool call_delete(void)
{
	bool is_aligned = strstr(name, "align_val_t"), is_sized = strncmp(name + 4, "Pvm", 3) == 0;
	void *memory;

	if (strncmp(name, "_ZdlPv", 6) != 0 && strncmp(name, "_ZdaPv", 6) != 0)
		return false;
	memory = take(is_aligned ? &aligned_block : &block);
	if (is_sized)
		AS(void, void *, size_t, size_t)(memory, 128, 64);
	else if (is_aligned)
		AS(void, void *, size_t, const char *)(memory, 64, "tag");
	else
		AS(void, void *, const char *)(memory, "tag");
	return true;
}

static bool call_alloc(void)
{
	void *memory = NULL;

	if (is("malloc") || is("valloc") || is("pvalloc"))
		memory = AS(void *, size_t)(BIG);
	else if (is("calloc"))
		memory = AS(void *, size_t, size_t)(BIG / 8, 8);
	else if (is("aligned_alloc") || is("memalign"))
		memory = AS(void *, size_t, size_t)(4096, BIG);
	else if (is("realloc"))
		memory = AS(void *, void *, size_t)(NULL, BIG);
	else if (is("reallocarray"))
		memory = AS(void *, void *, size_t, size_t)(NULL, BIG / 8, 8);
	else if (is("mallocx"))
		memory = AS(void *, size_t, int)(BIG, MALLOCX_ZERO);
	else if (is("posix_memalign"))
		AS(int, void **, size_t, size_t)(&memory, 4096, BIG);
	else
		return false;
	CHECK(!memory == fails);
	free(memory);
	return true;
}

static bool call_free(void)
{
	if (is("free") || is("cfree"))
		AS(void, void *)(take(&block));
	else if (is("free_sized"))
		AS(void, void *, size_t)(take(&block), 128);
	else if (is("free_aligned_sized"))
		AS(void, void *, size_t, size_t)(take(&aligned_block), 64, 128);
	else if (is("dallocx"))
		AS(void, void *, int)(take(&block), 0);
	else if (is("sdallocx"))
		AS(void, void *, size_t, int)(take(&block), 128, 0);
	else
		return false;
	return true;
}

static bool call_on_block(void)
{
	void *larger;

	if (is("malloc_usable_size"))
		CHECK(AS(size_t, void *)(block) >= 100);
	else if (is("sallocx"))
		CHECK(AS(size_t, const void *, int)(block, 0) >= 100);
	else if (is("nallocx"))
		CHECK(AS(size_t, size_t, int)(100, 0) >= 100);
	else if (is("xallocx"))
		CHECK(AS(size_t, void *, size_t, size_t, int)(block, BIG, 0, 0) >= 100);
	else if (is("rallocx")) {
		larger = AS(void *, void *, size_t, int)(block, BIG, 0);
		CHECK(!larger == fails);
		block = larger ? larger : block;
	} else {
		return false;
	}
	return true;
}

static bool call_control(void)
{
	size_t mib[8], length = COUNT(mib), value, value_length = sizeof value;

	if (is("mallctl"))
		CHECK_EQ(AS(int, const char *, void *, size_t *, void *,
		            size_t)("arena.0.purge", NULL, NULL, NULL, 0),
		         0);
	else if (is("mallctlnametomib"))
		CHECK_EQ(AS(int, const char *, size_t *, size_t *)("stats.active", mib, &length),
		         0);
	else if (is("mallctlbymib"))
		CHECK(mallctlnametomib("stats.active", mib, &length) == 0 &&
		      AS(int, const size_t *, size_t, void *, size_t *, void *,
		         size_t)(mib, length, &value, &value_length, NULL, 0) == 0);
	else if (is("mallopt"))
		AS(int, int, int)(M_TRIM_THRESHOLD, 1);
	else if (is("malloc_trim"))
		AS(int, size_t)(0);
	else
		return false;
	return true;
}

static bool call_tell(void)
{
	static char text[1 << 16];
	FILE *to;

	if (is("mallinfo"))
		AS(struct mallinfo, void)();
	else if (is("mallinfo2"))
		AS(struct mallinfo2, void)();
	else if (is("malloc_stats"))
		AS(void, void)();
	else if (is("malloc_stats_print"))
		AS(void, void *, void *, const char *)(NULL, NULL, "J");
	else if (is("malloc_info")) {
		/* Made where there is memory; in there nothing is written to a file. */
		oomreclaim_fault_thread(false);
		to = fmemopen(text, sizeof text, "w");
		CHECK(to);
		oomreclaim_fault_thread(fails);
		CHECK_EQ(AS(int, int, FILE *)(0, to), 0);
		fclose(to);
	} else
		return false;
	return true;
}

static bool call_registry(void)
{
	struct oomreclaim_callback_stats stats;
	struct oomreclaim_reclaim_stats rounds;

	if (is("oomreclaim_register"))
		/* There may be a slab with room for it. */
		AS(int, const char *, int, unsigned, oomreclaim_callback *, void *,
		   oomreclaim_handle *)
	("name", 0, 0, check_give_nothing, NULL, NULL);
	else if (is("oomreclaim_unregister")) CHECK_EQ(AS(int, oomreclaim_handle)(registered), 0);
	else if (is("oomreclaim_callback_stats"))
		CHECK_EQ(AS(int, oomreclaim_handle, void *, size_t)(registered, &stats,
	                                                            sizeof stats),
	                 0);
	else if (is("oomreclaim_reclaim")) AS(size_t, size_t)(BIG);
	else if (is("oomreclaim_reclaim_stats"))
		CHECK_EQ(AS(int, void *, size_t)(&rounds, sizeof rounds), 0);
	else return false;
	return true;
}

static bool call_purgeable(void)
{
	struct oomreclaim_purgeable *made = NULL;

	if (is("oomreclaim_purgeable_alloc")) {
		made = AS(struct oomreclaim_purgeable *, size_t, unsigned)(BIG, 1);
		CHECK(!made == fails);
		oomreclaim_purgeable_free(made);
	} else if (is("oomreclaim_purgeable_take"))
		free(AS(void *, void *)(take(&purgeable)));
	else if (is("oomreclaim_purgeable_free"))
		AS(void, void *)(take(&purgeable));
	else if (is("oomreclaim_purgeable_unpin"))
		CHECK_EQ(AS(int, void *)(purgeable), 0);
	else if (is("oomreclaim_purgeable_pin") || is("oomreclaim_purgeable_block"))
		CHECK(AS(void *, void *)(purgeable));
	else
		return false;
	return true;
}

static bool call_policy(void)
{
	if (is("oomreclaim_set_policy"))
		AS(int, enum oomreclaim_policy)(OOMRECLAIM_POLICY_RETURN);
	else if (is("oomreclaim_get_policy"))
		AS(enum oomreclaim_policy, void)();
	else if (is("oomreclaim_set_policy_callback"))
		AS(int, void *, void *)(NULL, NULL);
	else if (is("oomreclaim_kill_disable"))
		CHECK(AS(bool, unsigned)(10));
	else if (is("oomreclaim_kill_enable"))
		AS(int, void)();
	else if (is("oomreclaim_kill"))
		/* Of the children, of whom there are none. */
		CHECK_EQ(AS(int, const char *)("By hand"), ESRCH);
	else
		return false;
	return true;
}

static bool call_rest(void)
{
	struct oomreclaim_stats stats;
	struct oomreclaim_limit_stats limit;

	if (is("oomreclaim_version"))
		AS(const char *, void)();
	else if (is("oomreclaim_get_limit"))
		AS(size_t, void)();
	else if (is("oomreclaim_set_limit"))
		AS(size_t, size_t)(SIZE_MAX);
	else if (is("oomreclaim_limit_stats"))
		CHECK_EQ(AS(int, void *, size_t)(&limit, sizeof limit), 0);
	else if (is("oomreclaim_stats_get"))
		CHECK_EQ(AS(int, void *, size_t)(&stats, sizeof stats), 0);
	else if (is("oomreclaim_scope_save") || is("oomreclaim_scope_restore"))
		AS(unsigned, unsigned)(0);
	else if (is("oomreclaim_fault_injected"))
		AS(uint64_t, void)();
	else if (is("oomreclaim_fault_thread"))
		AS(bool, bool)(fails);
	else if (is("oomreclaim_fault_set"))
		AS(int, const void *, size_t)(NULL, 0);
	else
		return is("malloc_conf") || is("malloc_message") || is("oomreclaim_conf");
	return true;
}

/* ---- All of them ---- */

static bool has_come_back;

static void *call(void *arg)
{
	static bool (*const kinds[])(void) = {call_new,    call_delete,   call_alloc,
	                                      call_free,   call_on_block, call_control,
	                                      call_tell,   call_registry, call_purgeable,
	                                      call_policy, call_rest};
	struct oomreclaim_limit_stats charge;
	bool is_known = false;

	/* What is free would be used again; but for these. */
	malloc_trim(0);
	block = malloc(128);
	aligned_block = aligned_alloc(64, 128);
	purgeable = oomreclaim_purgeable_alloc(128, 1);
	CHECK(block && aligned_block && purgeable);
	CHECK_EQ(oomreclaim_register("one", 0, 0, check_give_nothing, NULL, &registered), 0);
	CHECK_EQ(pthread_cancel(pthread_self()), 0);
	CHECK_EQ(oomreclaim_limit_stats(&charge, sizeof charge), 0);
	/* What it has retained the heap would take without a mapping. */
	if (fails)
		oomreclaim_set_limit(charge.charged + MIB);
	oomreclaim_fault_thread(fails);
	for (size_t i = 0; i < COUNT(kinds) && !is_known; i++)
		is_known = kinds[i]();
	oomreclaim_fault_thread(false);
	oomreclaim_set_limit(SIZE_MAX);
	has_come_back = true;
	free(block);
	free(aligned_block);
	oomreclaim_purgeable_free(purgeable);
	oomreclaim_unregister(registered);
	if (!is_known)
		fprintf(stderr, "no call for %s\n", name);
	pthread_testcancel();
	return arg;
}

static bool call_with(bool with_failures)
{
	const struct oomreclaim_fault all = {.probability = 100,
	                                     .interval = 1,
	                                     .times = -1,
	                                     .task_filter = true};
	pthread_t thread;
	void *result;

	fails = with_failures;
	has_come_back = false;
	CHECK_EQ(oomreclaim_fault_set(&all, sizeof all), 0);
	CHECK_EQ(pthread_create(&thread, NULL, call, NULL), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	if (!has_come_back)
		fprintf(stderr, "cancelled in %s, %s memory\n", name,
		        with_failures ? "without" : "with");
	return has_come_back && result == PTHREAD_CANCELED;
}

static bool is_wanted(char **names)
{
	bool is_found = false, is_left_out = false, is_any = false;

	for (; *names; names++) {
		is_any = is_any || **names != '-';
		is_found = is_found || !strcmp(*names, name);
		is_left_out = is_left_out || (**names == '-' && !strcmp(*names + 1, name));
	}
	return is_any ? is_found : !is_left_out;
}

int main(int argc, char **argv)
{
	char line[256];
	int called = 0, failures = 0;
	FILE *list = argc > 1 ? fopen(argv[1], "r") : NULL;

	CHECK(list);
	while (fgets(line, sizeof line, list)) {
		line[strcspn(line, "\n")] = '\0';
		name = line;
		if (!is_wanted(argv + 2))
			continue;
		function = dlsym(RTLD_DEFAULT, name);
		CHECK(function);
		failures += !call_with(false) + !call_with(true);
		called++;
	}
	fclose(list);
	CHECK(called > 0 && failures == 0);
	return 0;
}
