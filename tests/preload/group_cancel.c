/* SPDX-License-Identifier: BSD-2-Clause */
/* Groups that are cancelled, over the real heap: which one, what it is told, and what becomes of
   it and of the others. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "check.h"
#include "oomreclaim_group.h"

#define ROOT OOMRECLAIM_GROUP_ROOT
#define BLOCK (16 * KIB)

/* A job that can be ended. */
struct job {
	oomreclaim_group group;
	struct pool pool;
	atomic_uint told;
	pid_t teller;
	bool keeps; /* what it has, whatever it is told */
};

static struct oomreclaim_group_stats stats_of(oomreclaim_group group)
{
	struct oomreclaim_group_stats stats;

	CHECK_EQ(oomreclaim_group_stats(group, &stats, sizeof stats), 0);
	return stats;
}

static oomreclaim_group make_in(oomreclaim_group parent, const char *name)
{
	oomreclaim_group group = 0;

	CHECK_EQ(oomreclaim_group_create(name, parent, &group), 0);
	return group;
}

/* Over whose max a group below it is cancelled. */
static oomreclaim_group make_tenant(size_t max)
{
	oomreclaim_group tenant = make_in(ROOT, "tenant");

	CHECK_EQ(oomreclaim_group_set(tenant, OOMRECLAIM_GROUP_MAX, (int64_t)max), 0);
	CHECK_EQ(oomreclaim_group_set(tenant, OOMRECLAIM_GROUP_POLICY, OOMRECLAIM_POLICY_CANCEL),
	         0);
	return tenant;
}

static void end_job(oomreclaim_group group, void *arg)
{
	struct job *job = arg;

	CHECK(group == job->group);
	job->teller = gettid();
	if (!job->keeps)
		pool_clear(&job->pool);
	atomic_fetch_add(&job->told, 1);
}

static void begin_job(struct job *job, oomreclaim_group parent, const char *name)
{
	job->group = make_in(parent, name);
	CHECK_EQ(oomreclaim_group_on_cancel(job->group, end_job, job), 0);
}

/* The calling thread fills the job with so much. */
static void fill(struct job *job, size_t bytes)
{
	oomreclaim_group former = oomreclaim_group_enter(job->group);

	while (stats_of(job->group).charged < bytes)
		CHECK(pool_add(&job->pool, BLOCK));
	oomreclaim_group_enter(former);
}

/* Whether the job can have one block more. */
static bool grows(struct job *job)
{
	oomreclaim_group former = oomreclaim_group_enter(job->group);
	bool has_grown = pool_add(&job->pool, BLOCK);

	oomreclaim_group_enter(former);
	return has_grown;
}

/* Whether a block of that size is to be had in the job, which has no page for it. */
static bool gets(struct job *job, size_t bytes)
{
	oomreclaim_group former = oomreclaim_group_enter(job->group);
	void *memory = malloc(bytes);

	free(memory);
	oomreclaim_group_enter(former);
	return memory != NULL;
}

static void finish(struct job *job)
{
	pool_clear(&job->pool);
	CHECK_EQ(oomreclaim_group_destroy(job->group, 0), 0);
}

/* The worst goes, on the library's thread, and the others go on. */
static void worst(void)
{
	static struct job greedy, modest, small;
	oomreclaim_group tenant = make_tenant(16 * MIB);

	begin_job(&modest, tenant, "modest");
	begin_job(&greedy, tenant, "greedy");
	begin_job(&small, tenant, "small");
	fill(&modest, 5 * MIB);
	fill(&greedy, 8 * MIB);
	errno = ERRNO_UNTOUCHED;
	for (size_t i = 0; i < 8 * MIB / BLOCK; i++)
		CHECK(grows(&small));
	CHECK_EQ(errno, ERRNO_UNTOUCHED);
	CHECK_EQ(greedy.told, 1);
	CHECK(greedy.teller != gettid() && greedy.teller != 0);
	CHECK_EQ(modest.told + small.told, 0);
	CHECK_EQ(stats_of(greedy.group).cancels, 1);
	CHECK_EQ(stats_of(modest.group).cancels, 0);
	/* What is left of it is as any other. */
	CHECK(grows(&greedy));
	finish(&greedy);
	finish(&modest);
	finish(&small);
	CHECK_EQ(oomreclaim_group_destroy(tenant, 0), 0);
}

/* The one that asks is the worst: NULL at once, until it has given what it had. */
static void own(void)
{
	static struct job greedy = {.keeps = true}, small = {.keeps = true};
	oomreclaim_group tenant = make_tenant(16 * MIB);
	size_t count = 0;

	begin_job(&small, tenant, "small");
	begin_job(&greedy, tenant, "greedy");
	fill(&small, MIB);
	errno = ERRNO_UNTOUCHED;
	while (grows(&greedy))
		CHECK(count++ < 16 * MIB / BLOCK);
	CHECK_EQ(errno, ENOMEM);
	for (size_t i = 0; i < 100; i++)
		CHECK(!grows(&greedy));
	while (greedy.told == 0)
		usleep(1000);
	CHECK_EQ(stats_of(greedy.group).cancels, 1);
	CHECK_EQ(small.told, 0);
	/* A part of it is not enough, whatever the limit is by now. */
	CHECK_EQ(oomreclaim_group_set(tenant, OOMRECLAIM_GROUP_MAX, 32 * MIB), 0);
	pool_evict(&greedy.pool, 8 * MIB);
	CHECK(!gets(&greedy, 9 * MIB));
	pool_evict(&greedy.pool, 6 * MIB);
	CHECK(gets(&greedy, 9 * MIB));
	CHECK_EQ(greedy.told, 1);
	/* And again. */
	while (grows(&greedy))
		;
	CHECK_EQ(stats_of(greedy.group).cancels, 2);
	/* The function anew: the next job begins. */
	CHECK_EQ(oomreclaim_group_on_cancel(greedy.group, end_job, &greedy), 0);
	CHECK_EQ(oomreclaim_group_set(tenant, OOMRECLAIM_GROUP_MAX, 64 * MIB), 0);
	CHECK(grows(&greedy));
	finish(&greedy);
	finish(&small);
}

/* The reserve lies in no group. */
static void reserve(void)
{
	static struct job greedy = {.keeps = true};
	oomreclaim_group tenant = make_tenant(8 * MIB);
	void *block;

	begin_job(&greedy, tenant, "greedy");
	CHECK_EQ(oomreclaim_group_set(greedy.group, OOMRECLAIM_GROUP_CANCEL_RESERVE, 1), 0);
	oomreclaim_group_enter(greedy.group);
	while ((block = malloc(BLOCK)) != NULL && oomreclaim_group_of(block) == greedy.group)
		;
	CHECK(block != NULL && oomreclaim_group_of(block) == ROOT);
	CHECK_EQ(stats_of(greedy.group).cancels, 1);
	free(block);
	CHECK_EQ(oomreclaim_group_set(greedy.group, OOMRECLAIM_GROUP_CANCEL_RESERVE, 0), 0);
	CHECK(malloc(BLOCK) == NULL);
	oomreclaim_group_enter(ROOT);
}

/* score_adj as oom_score_adj. */
static void score(void)
{
	static struct job never, worse, large, small;
	oomreclaim_group tenant = make_tenant(16 * MIB);
	int64_t value = 0;

	begin_job(&never, tenant, "never");
	begin_job(&worse, tenant, "worse");
	begin_job(&large, tenant, "large");
	begin_job(&small, tenant, "small");
	CHECK_EQ(oomreclaim_group_set(never.group, OOMRECLAIM_GROUP_SCORE_ADJ, -1000), 0);
	CHECK_EQ(oomreclaim_group_set(worse.group, OOMRECLAIM_GROUP_SCORE_ADJ, 500), 0);
	CHECK_EQ(oomreclaim_group_get(worse.group, OOMRECLAIM_GROUP_SCORE_ADJ, &value), 0);
	CHECK_EQ(value, 500);
	CHECK_EQ(oomreclaim_group_set(worse.group, OOMRECLAIM_GROUP_SCORE_ADJ, 1001), ERANGE);
	CHECK_EQ(oomreclaim_group_set(worse.group, OOMRECLAIM_GROUP_SCORE_ADJ, -1001), ERANGE);
	CHECK_EQ(oomreclaim_group_set(worse.group, OOMRECLAIM_GROUP_CANCEL_RESERVE, 2), ERANGE);
	fill(&never, 8 * MIB);
	fill(&worse, 2 * MIB);
	fill(&large, 4 * MIB);
	while (worse.told == 0)
		CHECK(grows(&small));
	CHECK_EQ(never.told + large.told + small.told, 0);
	while (large.told == 0)
		CHECK(grows(&small));
	CHECK_EQ(never.told + small.told, 0);
	finish(&never);
	finish(&worse);
	finish(&large);
	finish(&small);
}

/* Those that can't be told are never chosen; what is in them counts with the one that can. */
static void units(void)
{
	static struct job job, other;
	oomreclaim_group tenant = make_tenant(16 * MIB), part, mute = make_in(tenant, "mute");
	struct pool in_part = {.count = 0}, in_mute = {.count = 0};

	begin_job(&job, tenant, "job");
	begin_job(&other, tenant, "other");
	part = make_in(job.group, "part");
	oomreclaim_group_enter(mute);
	while (stats_of(mute).charged < 8 * MIB)
		CHECK(pool_add(&in_mute, BLOCK));
	oomreclaim_group_enter(part);
	while (stats_of(part).charged < 4 * MIB)
		CHECK(pool_add(&in_part, BLOCK));
	oomreclaim_group_enter(ROOT);
	job.pool = in_part;
	fill(&other, 3 * MIB);
	while (job.told == 0)
		CHECK(grows(&other));
	CHECK_EQ(other.told, 0);
	CHECK_EQ(stats_of(job.group).cancels, 1);
	CHECK_EQ(stats_of(part).cancels + stats_of(mute).cancels, 0);
	/* Nobody is left but the one that asks. */
	while (grows(&other))
		;
	CHECK_EQ(job.told, 1);
	CHECK_EQ(stats_of(other.group).cancels, 1);
	pool_clear(&in_mute);
}

/* Without anybody that can be told it is NULL. */
static void nobody(void)
{
	oomreclaim_group tenant = make_tenant(4 * MIB);
	size_t count = 0;

	oomreclaim_group_enter(tenant);
	while (malloc(BLOCK) != NULL)
		CHECK(count++ < 4 * MIB / BLOCK);
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(stats_of(tenant).cancels, 0);
	oomreclaim_group_enter(ROOT);
}

/* ---- What a function may do ---- */

static atomic_bool may_end;

static void block(oomreclaim_group group, void *arg)
{
	struct job *job = arg;

	(void)group;
	atomic_fetch_add(&job->told, 1);
	while (!may_end)
		usleep(1000);
	atomic_fetch_add(&job->told, 1);
}

static void *let_end(void *arg)
{
	usleep(50000);
	may_end = true;
	return arg;
}

/* One that blocks: others wait for so long, then another is chosen, which is told later. */
static void blocks(void)
{
	static struct job stuck, next = {.keeps = true}, small;
	oomreclaim_group tenant = make_tenant(16 * MIB);
	pthread_t thread;

	begin_job(&stuck, tenant, "stuck");
	begin_job(&next, tenant, "next");
	begin_job(&small, tenant, "small");
	CHECK_EQ(oomreclaim_group_on_cancel(stuck.group, block, &stuck), 0);
	fill(&stuck, 8 * MIB);
	fill(&next, 6 * MIB);
	while (grows(&small))
		;
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(stats_of(stuck.group).cancels, 1);
	CHECK_EQ(stats_of(next.group).cancels, 1);
	while (stuck.told == 0)
		usleep(1000);
	CHECK_EQ(stuck.told, 1);
	CHECK_EQ(next.told, 0);
	/* A call that is under way is waited for. */
	CHECK_EQ(pthread_create(&thread, NULL, let_end, NULL), 0);
	CHECK_EQ(oomreclaim_group_on_cancel(stuck.group, NULL, NULL), 0);
	CHECK_EQ(stuck.told, 2);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	while (next.told == 0)
		usleep(1000);
	CHECK_EQ(next.told, 1);
	finish(&stuck);
	finish(&next);
	finish(&small);
}

static oomreclaim_group elsewhere;

static void do_much(oomreclaim_group group, void *arg)
{
	struct job *job = arg;
	oomreclaim_group made = 0;
	void *memory;

	CHECK(oomreclaim_group_current() == ROOT);
	/* From the reserve if need be. */
	memory = malloc(1000);
	CHECK(memory != NULL);
	free(memory);
	CHECK_EQ(oomreclaim_group_create("made", elsewhere, &made), 0);
	oomreclaim_group_enter(made);
	memory = malloc(1000);
	free(memory);
	oomreclaim_group_enter(elsewhere);
	pool_clear(&job->pool);
	/* Itself, from within: nobody waits for this very call. And it stays where it is. */
	CHECK_EQ(oomreclaim_group_destroy(made, 0), 0);
	CHECK_EQ(oomreclaim_group_destroy(group, 0), 0);
	atomic_fetch_add(&job->told, 1);
}

/* By what the other has, and no more: it may be gone before it has said so. */
static void grow_until_told(struct job *job, const struct job *other)
{
	for (size_t i = 0; i < 4 * MIB / BLOCK; i++)
		CHECK(grows(job));
	while (other->told == 0)
		usleep(1000);
}

static void does_much(void)
{
	static struct job job, next, small;
	oomreclaim_group tenant = make_tenant(8 * MIB);

	elsewhere = make_in(ROOT, "elsewhere");
	begin_job(&job, tenant, "job");
	begin_job(&next, tenant, "next");
	begin_job(&small, tenant, "small");
	CHECK_EQ(oomreclaim_group_on_cancel(job.group, do_much, &job), 0);
	CHECK_EQ(oomreclaim_group_on_cancel(next.group, do_much, &next), 0);
	fill(&job, 5 * MIB);
	grow_until_told(&small, &job);
	CHECK_EQ(oomreclaim_group_enter(job.group), ROOT);
	CHECK_EQ(oomreclaim_group_current(), ROOT);
	CHECK_EQ(oomreclaim_group_on_cancel(job.group, do_much, &job), EINVAL);
	pool_clear(&small.pool);
	fill(&next, 5 * MIB);
	grow_until_told(&small, &next);
	/* It is in no group when it is called next, and is counted in none, soon after the call. */
	for (size_t i = 0; i < 10000 && stats_of(elsewhere).threads > 0; i++)
		usleep(1000);
	CHECK_EQ(stats_of(elsewhere).threads, 0);
	CHECK_EQ(small.told, 0);
	finish(&small);
	CHECK_EQ(oomreclaim_group_destroy(elsewhere, 0), 0);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void lock_first(oomreclaim_group group, void *arg)
{
	pthread_mutex_lock(&lock);
	end_job(group, arg);
	pthread_mutex_unlock(&lock);
}

/* A function that waits for the thread which waits for it: for so long, and no longer. */
static void locked(void)
{
	static struct job job, small;
	oomreclaim_group tenant = make_tenant(8 * MIB);

	begin_job(&job, tenant, "job");
	begin_job(&small, tenant, "small");
	CHECK_EQ(oomreclaim_group_set(small.group, OOMRECLAIM_GROUP_SCORE_ADJ, -1000), 0);
	CHECK_EQ(oomreclaim_group_on_cancel(job.group, lock_first, &job), 0);
	fill(&job, 5 * MIB);
	pthread_mutex_lock(&lock);
	while (grows(&small))
		;
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(job.told, 0);
	pthread_mutex_unlock(&lock);
	while (job.told == 0)
		usleep(1000);
	CHECK(grows(&small));
	CHECK_EQ(stats_of(job.group).cancels, 1);
	finish(&job);
	finish(&small);
}

static void do_nothing(oomreclaim_group group, void *arg)
{
	(void)group, (void)arg;
}

static void *destroy_soon(void *arg)
{
	usleep(50000);
	CHECK_EQ(oomreclaim_group_destroy(((struct job *)arg)->group, OOMRECLAIM_GROUP_FREE), 0);
	return arg;
}

/* Whoever waits for a group that is destroyed goes on. */
static void destroyed(void)
{
	static struct job job, small;
	oomreclaim_group tenant = make_tenant(8 * MIB);
	pthread_t thread;

	begin_job(&job, tenant, "job");
	begin_job(&small, tenant, "small");
	CHECK_EQ(oomreclaim_group_on_cancel(job.group, do_nothing, NULL), 0);
	fill(&job, 5 * MIB);
	CHECK_EQ(pthread_create(&thread, NULL, destroy_soon, &job), 0);
	for (size_t i = 0; i < 5 * MIB / BLOCK; i++)
		CHECK(grows(&small));
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(small.told, 0);
	finish(&small);
	CHECK_EQ(oomreclaim_group_destroy(tenant, 0), 0);
}

/* A max below what is charged takes nothing away; the next that wants a page has to have some
   go. */
static void below(void)
{
	static struct job job, small;
	oomreclaim_group tenant = make_tenant(64 * MIB);

	begin_job(&job, tenant, "job");
	begin_job(&small, tenant, "small");
	fill(&small, 2 * MIB);
	fill(&job, 8 * MIB);
	CHECK_EQ(oomreclaim_group_set(tenant, OOMRECLAIM_GROUP_MAX, 4 * MIB), 0);
	usleep(10000);
	CHECK_EQ(job.told + small.told, 0);
	for (size_t i = 0; i < MIB / BLOCK; i++)
		CHECK(grows(&small));
	CHECK_EQ(job.told, 1);
	CHECK(stats_of(tenant).charged <= 4 * MIB);
	finish(&job);
	finish(&small);
}

/* Bad handles. */
static void bad(void)
{
	oomreclaim_group group = make_in(ROOT, "gone");

	CHECK_EQ(oomreclaim_group_on_cancel(ROOT, end_job, NULL), EINVAL);
	CHECK_EQ(oomreclaim_group_on_cancel(4711, end_job, NULL), EINVAL);
	CHECK_EQ(oomreclaim_group_destroy(group, 0), 0);
	CHECK_EQ(oomreclaim_group_on_cancel(group, end_job, NULL), EINVAL);
	CHECK_EQ(oomreclaim_group_set(group, OOMRECLAIM_GROUP_SCORE_ADJ, 0), EINVAL);
}

/* ---- Threads ---- */

/* Its own thread ends it, where it finds that it was told. */
struct query {
	struct job job;
	atomic_bool is_ended;
};

static void flag(oomreclaim_group group, void *arg)
{
	struct query *query = arg;

	CHECK(group == query->job.group);
	atomic_fetch_add(&query->job.told, 1);
	atomic_store(&query->is_ended, true);
}

static oomreclaim_group shared;
static atomic_uint cancelled_queries, ended_queries;

/* Of every four one is greedy. Ended by the flag, or by NULL; in the group to its end. */
static void *run_queries(void *arg)
{
	size_t number = (size_t)arg;

	for (unsigned i = 0; i < 60; i++) {
		struct query query = {.is_ended = false};
		size_t wanted = (number + i) % 4 == 0 ? 12 * MIB : MIB / 2, taken = 0;
		bool has_failed = false;

		query.job.group = make_in(shared, "query");
		CHECK_EQ(oomreclaim_group_on_cancel(query.job.group, flag, &query), 0);
		oomreclaim_group_enter(query.job.group);
		while (!query.is_ended && !has_failed && taken < wanted) {
			has_failed = !pool_add(&query.job.pool, BLOCK);
			taken += BLOCK;
		}
		pool_clear(&query.job.pool);
		oomreclaim_group_enter(ROOT);
		CHECK(stats_of(query.job.group).cancels <= 1);
		atomic_fetch_add(&cancelled_queries, (unsigned)stats_of(query.job.group).cancels);
		CHECK_EQ(oomreclaim_group_destroy(query.job.group, OOMRECLAIM_GROUP_FREE), 0);
		/* Not under way any more: query may go. */
		atomic_fetch_add(&ended_queries, 1);
	}
	return NULL;
}

static void queries(void)
{
	pthread_t threads[8];

	shared = make_tenant(16 * MIB);
	for (size_t i = 0; i < COUNT(threads); i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, run_queries, (void *)i), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(ended_queries, 60 * COUNT(threads));
	CHECK(cancelled_queries > 0);
	CHECK(stats_of(shared).peak <= 16 * MIB);
	CHECK_EQ(oomreclaim_group_destroy(shared, 0), 0);
}

/* The same where no group has a limit, but the process. */
static void process_queries(void)
{
	pthread_t threads[8];

	shared = make_in(ROOT, "all");
	for (size_t i = 0; i < COUNT(threads); i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, run_queries, (void *)i), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(ended_queries, 60 * COUNT(threads));
	CHECK(cancelled_queries > 0);
	CHECK_EQ(oomreclaim_group_destroy(shared, 0), 0);
}

/* Under a limit of the process, whichever: the worst of all groups goes for a thread that is in
   none, and the policy of the process is not asked. */
static enum oomreclaim_policy never_asked(const struct oomreclaim_verdict *verdict, void *arg)
{
	(void)verdict;
	++*(unsigned *)arg;
	return OOMRECLAIM_POLICY_RETURN;
}

static void process(void)
{
	static struct job large, small, never;
	oomreclaim_group tenant = make_in(ROOT, "tenant");
	struct pool pool = {.count = 0};
	unsigned asked = 0;

	CHECK_EQ(oomreclaim_set_policy_callback(never_asked, &asked), 0);
	begin_job(&small, tenant, "small");
	begin_job(&large, ROOT, "large");
	begin_job(&never, ROOT, "never");
	CHECK_EQ(oomreclaim_group_set(never.group, OOMRECLAIM_GROUP_SCORE_ADJ, -1000), 0);
	fill(&never, 14 * MIB);
	fill(&small, 8 * MIB);
	fill(&large, 12 * MIB);
	while (large.told == 0)
		CHECK(pool_add(&pool, BLOCK));
	CHECK_EQ(small.told, 0);
	/* A large one too, if it is worth it. */
	CHECK(pool_add(&pool, 10 * MIB));
	while (small.told == 0)
		CHECK(pool_add(&pool, BLOCK));
	CHECK_EQ(large.told, 1);
	CHECK_EQ(asked, 0);
	while (pool_add(&pool, BLOCK))
		;
	CHECK_EQ(asked, 1);
	CHECK_EQ(never.told, 0);
	pool_clear(&pool);
	finish(&small);
	finish(&large);
	finish(&never);
}

static struct job to_end = {.keeps = true};

static void *fail_and_end(void *arg)
{
	oomreclaim_group_enter(to_end.group);
	while (malloc(BLOCK) != NULL)
		;
	return arg;
}

/* A thread that ends inside of the group that is to end. */
static void ends_inside(void)
{
	oomreclaim_group tenant = make_tenant(8 * MIB);
	pthread_t thread;

	begin_job(&to_end, tenant, "ends");
	CHECK_EQ(pthread_create(&thread, NULL, fail_and_end, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(stats_of(to_end.group).cancels, 1);
	CHECK_EQ(stats_of(to_end.group).threads, 0);
	CHECK(!grows(&to_end));
	while (to_end.told == 0)
		usleep(1000);
	CHECK_EQ(oomreclaim_group_destroy(to_end.group, OOMRECLAIM_GROUP_FREE), 0);
	CHECK_EQ(to_end.told, 1);
	CHECK(stats_of(tenant).charged < MIB);
}

/* A job that keeps what it has is cancelled in its tenant of 8 MiB, which has room for twice that
   from then on: only that the job is to end refuses it more. */
static void cancel_and_make_room(struct job *greedy)
{
	oomreclaim_group tenant = make_tenant(8 * MIB);

	begin_job(greedy, tenant, "greedy");
	while (grows(greedy))
		;
	CHECK_EQ(oomreclaim_group_set(tenant, OOMRECLAIM_GROUP_MAX, 16 * MIB), 0);
	CHECK(!grows(greedy));
}

/* Never NULL: it is spared. */
static void nofail(void)
{
	static struct job greedy = {.keeps = true};
	unsigned old;

	cancel_and_make_room(&greedy);
	old = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NOFAIL);
	for (size_t i = 0; i < 2 * MIB / BLOCK; i++)
		CHECK(grows(&greedy));
	oomreclaim_scope_restore(old);
	CHECK(!grows(&greedy));
	finish(&greedy);
}

/* The group of the child is as any other. */
static void forks(void)
{
	static struct job greedy = {.keeps = true};
	pid_t pid;

	cancel_and_make_room(&greedy);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		greedy.told = 0;
		CHECK(grows(&greedy));
		while (grows(&greedy))
			;
		/* A child has a thread for it as well, or does without. */
		while (greedy.told == 0)
			usleep(1000);
		_exit(0);
	}
	CHECK_EQ(check_child(pid), 0);
	finish(&greedy);
}

int main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{"worst", worst},
		{"own", own},
		{"reserve", reserve},
		{"score", score},
		{"units", units},
		{"nobody", nobody},
		{"blocks", blocks},
		{"does-much", does_much},
		{"bad", bad},
		{"locked", locked},
		{"destroyed", destroyed},
		{"below", below},
		{"queries", queries},
		{"process", process},
		{"process-queries", process_queries},
		{"ends-inside", ends_inside},
		{"nofail", nofail},
		{"forks", forks},
	};

	return check_main(argc, argv, cases, COUNT(cases));
}
