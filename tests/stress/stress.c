/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that allocate, free across threads, resize, register, unregister, reclaim by hand, fork,
 * end, get cancelled and signalled, in a process that always lacks memory. stress.sh runs it.
 *
 *     stress [--seconds N] [--operations N] [--threads N] [--seed N] [--groups N]
 *
 * Ends after so many seconds or operations, whichever is first, with a line of what was done, and
 * status 0 if all contents were right, nothing is left over and nobody was stuck.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blocks.h"
#include "oomreclaim.h"
#include "purgeables.h"
#include "tenants.h"

#define WORKERS_MAX 64
/* Nobody takes that long for a step, however slow the machine. */
#define STUCK_SECONDS 120
/* What may be left: the C library's, and a cache or two of its own. */
#define LEFT_BYTES_MAX ((size_t)4 << 20)

static struct {
	uint64_t seconds, operations, threads, seed, groups;
} want = {.seconds = 10, .operations = UINT64_MAX, .threads = 6, .seed = 1};

struct worker {
	pthread_t id;
	struct dice dice;
	_Atomic uint64_t steps;
};
static struct worker workers[WORKERS_MAX];

static atomic_bool is_over;
static _Atomic uint64_t operations, failures, calls, registrations, forks, cancelled, signals;
static _Atomic uint64_t targets, tellings;

static void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- Callbacks ---- */

/* An argument that its owner takes away when oomreclaim_unregister() has returned. */
struct cache {
	atomic_bool is_there;
	_Atomic pid_t inside; /* whose thread that is: a child of fork() has it from its parent */
	struct dice dice;
};

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;
	size_t freed;

	MUST(atomic_load(&cache->is_there));
	MUST(atomic_exchange(&cache->inside, getpid()) != getpid());
	count(&calls);
	MUST(control->bytes_wanted > 0);
	/* At times it has nothing to give. */
	freed = dice_once_in(&cache->dice, 4) ? 0
	                                      : slots_evict(&cache->dice, control->bytes_wanted);
	/* It may allocate, too: from the reserve, or not at all. */
	if (dice_once_in(&cache->dice, 4))
		block_free(block_new(&cache->dice, 512));
	atomic_store(&cache->inside, 0);
	MUST(atomic_load(&cache->is_there));
	return freed;
}

/* Some of it is true; SIZE_MAX is OOMRECLAIM_STOP. */
static size_t count_slots(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;
	size_t bytes = SIZE_MAX >> dice_roll(&cache->dice, 64);

	MUST(atomic_load(&cache->is_there) && control->bytes_wanted > 0);
	MUST(atomic_exchange(&cache->inside, getpid()) != getpid());
	atomic_store(&cache->inside, 0);
	return bytes;
}

/* Never asked to free, and on oomreclaimd alone. */
static size_t note_room(const struct oomreclaim_control *control, void *arg)
{
	struct cache *cache = arg;

	MUST(atomic_load(&cache->is_there));
	MUST(atomic_exchange(&cache->inside, getpid()) != getpid());
	MUST(control->reason == OOMRECLAIM_REASON_ROOM && !control->is_direct);
	count(&tellings);
	if (dice_once_in(&cache->dice, 2))
		block_free(block_new(&cache->dice, 512));
	atomic_store(&cache->inside, 0);
	return 0;
}

/* A callback, a shrinker, or one that is told of room. */
static int enlist(struct dice *dice, struct cache *cache, oomreclaim_handle *handle)
{
	const int priority = (int)dice_roll(dice, 3);
	const unsigned cost = 1 + (unsigned)dice_roll(dice, OOMRECLAIM_COST_MAX);
	const struct oomreclaim_shrinker shrinker = {"shrinker", priority,
	                                             0,          count_slots,
	                                             evict,      cache,
	                                             cost,       dice_roll(dice, 1 << 17)};

	if (dice_once_in(dice, 2))
		return oomreclaim_shrinker_register(&shrinker, sizeof(shrinker), handle);
	if (dice_once_in(dice, 4))
		return oomreclaim_register("room", priority, OOMRECLAIM_CALLBACK_ROOM, note_room,
		                           cache, handle);
	return oomreclaim_register("passing", priority, 0, evict, cache, handle);
}

/* Of one that was registered by this thread or by another, is gone, or never was a shrinker; some
   of them regret. The handles are small numbers. */
static void ask_target(struct dice *dice, oomreclaim_handle handle)
{
	int error;

	oomreclaim_cache_target(handle);
	if (dice_once_in(dice, 2))
		return;
	error = oomreclaim_cache_regret(handle, dice_roll(dice, 1 << 20));
	MUST(error == 0 || error == EINVAL);
	count(&targets);
}

static void register_once(struct dice *dice)
{
	struct cache cache = {.is_there = true, .dice = {dice_roll(dice, 1U << 30)}};
	const struct timespec pause = {.tv_nsec = (long)dice_roll(dice, 1000000)};
	oomreclaim_handle handle;
	int error = enlist(dice, &cache, &handle);

	MUST(error == 0 || error == ENOMEM);
	if (error != 0)
		return;
	count(&registrations);
	ask_target(dice, handle);
	nanosleep(&pause, NULL);
	ask_target(dice, handle - dice_roll(dice, 4));
	MUST(oomreclaim_unregister(handle) == 0);
	MUST(oomreclaim_cache_target(handle) == SIZE_MAX);
	MUST(oomreclaim_cache_regret(handle, 1) == EINVAL);
	atomic_store(&cache.is_there, false);
	MUST(atomic_load(&cache.inside) != getpid());
	MUST(oomreclaim_unregister(handle) == EINVAL);
}

/* ---- Blocks ---- */

static void put(struct dice *dice)
{
	struct block *block = block_new(dice, dice_size(dice));

	if (block == NULL)
		count(&failures);
	else
		block_free(slot_exchange(dice_roll(dice, SLOTS), block));
}

static void resize(struct dice *dice)
{
	size_t slot = dice_roll(dice, SLOTS);
	struct block *block = slot_exchange(slot, NULL), *moved;

	if (block == NULL)
		return;
	moved = block_resize(block, dice_size(dice));
	if (moved == NULL)
		count(&failures);
	block_free(slot_exchange(slot, moved != NULL ? moved : block));
}

static void put_in_scope(struct dice *dice)
{
	static const unsigned scopes[] = {OOMRECLAIM_SCOPE_NORETRY, OOMRECLAIM_SCOPE_RETRY_MAYFAIL,
	                                  OOMRECLAIM_SCOPE_NORECLAIM, OOMRECLAIM_SCOPE_RESERVE,
	                                  OOMRECLAIM_SCOPE_NOFAIL};
	unsigned scope = scopes[dice_roll(dice, sizeof scopes / sizeof scopes[0])];
	unsigned old = oomreclaim_scope_save(scope);
	struct block *block;

	block = block_new(dice, sizeof(uint64_t) * (2 + dice_roll(dice, 100)));
	MUST(block != NULL || scope != OOMRECLAIM_SCOPE_NOFAIL);
	oomreclaim_scope_restore(old);
	block_free(block);
}

/* ---- Threads and processes that come and go ---- */

static void drop(void *block)
{
	block_free(*(struct block **)block);
}

static void *work_until_cancelled(void *arg)
{
	struct dice dice = {(uint64_t)(uintptr_t)arg};
	struct block *volatile block = NULL;

	tenants_enter(&dice);
	pthread_cleanup_push(drop, (void *)&block);
	for (;;) {
		/* Where it is cancelled: never between the two, for memory is no cancellation
		   point, whatever happens inside. */
		struct block *fresh = block_new(&dice, dice_size(&dice));

		block_free(block);
		block = fresh;
		pthread_testcancel();
	}
	pthread_cleanup_pop(1);
	return NULL;
}

static void *work_and_exit(void *arg)
{
	struct dice dice = {(uint64_t)(uintptr_t)arg};

	tenants_enter(&dice);
	for (int i = 0; i < 100; i++)
		put(&dice);
	pthread_exit(NULL);
}

static void start_thread(struct dice *dice, bool is_cancelled)
{
	const struct timespec pause = {.tv_nsec = (long)dice_roll(dice, 5000000)};
	void *seed = (void *)(uintptr_t)dice_roll(dice, 1U << 30), *result;
	pthread_t thread;

	/* No memory for a stack. */
	if (pthread_create(&thread, NULL, is_cancelled ? work_until_cancelled : work_and_exit,
	                   seed) != 0)
		return;
	if (is_cancelled) {
		nanosleep(&pause, NULL);
		MUST(pthread_cancel(thread) == 0);
		count(&cancelled);
	}
	MUST(pthread_join(thread, &result) == 0);
	MUST(result == (is_cancelled ? PTHREAD_CANCELED : NULL));
}

/* Everything works in a child, whatever the other threads were in. */
static void run_child(struct dice *dice)
{
	oomreclaim_handle handle;
	struct cache cache = {.is_there = true, .dice = *dice};

	alarm(STUCK_SECONDS);
	slots_check();
	if (enlist(dice, &cache, &handle) == 0) {
		for (int i = 0; i < 200; i++) {
			put(dice);
			resize(dice);
			purgeables_use(dice);
			ask_target(dice, handle);
			oomreclaim_headroom(NULL);
		}
		MUST(oomreclaim_unregister(handle) == 0);
	}
	oomreclaim_reclaim(1);
	_exit(EXIT_SUCCESS);
}

static void fork_once(struct dice *dice)
{
	pid_t child = fork(), got;
	int status;

	if (child == 0)
		run_child(dice);
	if (child < 0)
		return;
	count(&forks);
	do
		got = waitpid(child, &status, 0);
	while (got < 0 && errno == EINTR);
	MUST(got == child);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
}

static void do_something(struct dice *dice)
{
	switch (dice_roll(dice, 20000)) {
	case 0:
		fork_once(dice);
		break;
	case 1 ... 2:
		start_thread(dice, false);
		break;
	case 3 ... 5:
		start_thread(dice, true);
		break;
	case 6 ... 25:
		register_once(dice);
		break;
	case 26 ... 45:
		oomreclaim_reclaim(dice_roll(dice, 1U << 20) + 1);
		break;
	case 46 ... 195:
		put_in_scope(dice);
		break;
	case 196 ... 245:
		oomreclaim_headroom(NULL);
		break;
	case 246 ... 1245:
		if (!purgeables_use(dice))
			count(&failures);
		break;
	case 1246 ... 6999:
		resize(dice);
		break;
	case 7000 ... 9999:
		block_free(slot_exchange(dice_roll(dice, SLOTS), NULL));
		break;
	default:
		put(dice);
	}
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		if (dice_once_in(&worker->dice, 50))
			tenants_enter(&worker->dice);
		do_something(&worker->dice);
		count(&worker->steps);
		if (atomic_fetch_add_explicit(&operations, 1, memory_order_relaxed) >=
		    want.operations)
			atomic_store(&is_over, true);
	}
	return NULL;
}

/* ---- The main thread ---- */

static void on_signal(int number)
{
	(void)number;
	count(&signals);
}

/* Signals the workers, until the end, and sees to it that all of them go on. */
static void pester(struct dice *dice)
{
	uint64_t seen[WORKERS_MAX] = {0};
	time_t began = time(NULL), moved[WORKERS_MAX];

	for (size_t i = 0; i < WORKERS_MAX; i++)
		moved[i] = began;
	while (!atomic_load(&is_over)) {
		const struct timespec pause = {.tv_nsec = 1000000};
		time_t now = time(NULL);

		for (size_t i = 0; i < want.threads; i++) {
			uint64_t steps = atomic_load(&workers[i].steps);

			if (steps != seen[i])
				moved[i] = now;
			seen[i] = steps;
			MUST(now - moved[i] < STUCK_SECONDS);
		}
		pthread_kill(workers[dice_roll(dice, want.threads)].id, SIGUSR1);
		nanosleep(&pause, NULL);
		if ((uint64_t)(now - began) >= want.seconds)
			atomic_store(&is_over, true);
	}
}

static size_t allocated_bytes(void)
{
	extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));
	size_t bytes = 0, size = sizeof bytes;
	uint64_t epoch = 1;

	MUST(mallctl != NULL && mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
	MUST(mallctl("stats.allocated", &bytes, &size, NULL, 0) == 0);
	return bytes;
}

static void read_arguments(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint64_t *value;
	} names[] = {{"--seconds", &want.seconds},
	             {"--operations", &want.operations},
	             {"--threads", &want.threads},
	             {"--seed", &want.seed},
	             {"--groups", &want.groups}};
	const size_t count = sizeof names / sizeof names[0];

	for (int i = 1; i < argc; i += 2) {
		size_t at = 0;

		while (at < count && strcmp(argv[i], names[at].name) != 0)
			at++;
		if (at == count || i + 1 == argc)
			errx(2,
			     "usage: %s [--seconds N] [--operations N] [--threads N] [--seed N] "
			     "[--groups N]",
			     argv[0]);
		*names[at].value = strtoull(argv[i + 1], NULL, 10);
	}
	if (want.threads == 0 || want.threads > WORKERS_MAX)
		errx(2, "threads: 1 to %d", WORKERS_MAX);
	if (want.groups > TENANTS_MAX)
		errx(2, "groups: 0 to %d", TENANTS_MAX);
}

int main(int argc, char **argv)
{
	/* Without SA_RESTART: what is interrupted has to go on by itself. */
	const struct sigaction action = {.sa_handler = on_signal};
	struct cache cache = {.is_there = true, .dice = {4711}};
	oomreclaim_handle handle;
	struct dice dice;
	size_t before;

	read_arguments(argc, argv);
	dice.state = want.seed;
	before = allocated_bytes();
	tenants_make(want.groups);
	MUST(sigaction(SIGUSR1, &action, NULL) == 0);
	MUST(oomreclaim_register("slots", 1, 0, evict, &cache, &handle) == 0);
	for (size_t i = 0; i < want.threads; i++) {
		workers[i].dice.state = want.seed * 1000 + i;
		MUST(pthread_create(&workers[i].id, NULL, work, &workers[i]) == 0);
	}
	pester(&dice);
	for (size_t i = 0; i < want.threads; i++)
		MUST(pthread_join(workers[i].id, NULL) == 0);
	/* oomreclaimd may still be in it, a block in its hand. */
	MUST(oomreclaim_unregister(handle) == 0);
	slots_evict(&dice, SIZE_MAX);
	purgeables_free();
	MUST(blocks_count() == 0);
	tenants_end();
	MUST(allocated_bytes() < before + LEFT_BYTES_MAX);
	printf("%lu operations, %lu got no memory, %lu calls, %lu registrations, %lu forks, "
	       "%lu cancelled, %lu signals, %lu regrets, %lu told of room\n",
	       operations, failures, calls, registrations, forks, cancelled, signals, targets,
	       tellings);
	/* Else it was no stress. */
	MUST(calls > 0 && targets > 0);
	return EXIT_SUCCESS;
}
