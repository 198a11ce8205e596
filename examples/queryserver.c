/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server of small queries, on 16 threads that share one heap, and one tenant with a query that
 * wants more than there is. With groups only that one ends:
 *
 *     prlimit --data=352M ./queryserver                              glibc: anybody's query fails
 *     oomreclaim run --limit 200M -- ./queryserver                    the same, by a limit
 *     oomreclaim run --limit 256M -- ./queryserver --groups 200M      the worst is told to end
 *
 * Each tenant's queries are in a group, below the group of all queries, which has the limit and the
 * policy cancel. Where that is met the tenant with the most is told to end its query, by a
 * function, and the others wait for the memory. With --enough the greedy query wants only as much
 * as it mostly gets until then, and has it: what is different then is the wait, and not the
 * processors' work. queryserver.sh runs all of it and prints a table.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OOMRECLAIM_OPTIONAL
#include <oomreclaim.h>
#include <oomreclaim_group.h>

#define TENANTS 16
#define ROW_BYTES ((size_t)32 << 10)
#define ROWS_SMALL 64        /* 2 MiB: what a small query needs */
#define ROWS_GREEDY 65536    /* 2 GiB: what the greedy one would need */
#define ROWS_ENOUGH 5440     /* 170 MiB: with --enough */
#define KEPT_BYTES (3 << 20) /* what a small query needs, and some */
#define THINK_MS 20          /* between two queries of a tenant */
#define LATENCIES 100000

static struct tenant {
	pthread_t thread;
	oomreclaim_group group;
	atomic_bool is_cancelled; /* its query; set by the library's thread */
	bool is_greedy;
	unsigned done, failed, cancelled;
	uint64_t *latency_ns; /* of those that are done */
} tenants[TENANTS];

static oomreclaim_group queries; /* 0: no groups */
static bool is_enough;
static atomic_bool is_over;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
}

/* ---- The group of a tenant ---- */

static void cancel(oomreclaim_group group, void *arg)
{
	struct tenant *tenant = arg;

	(void)group;
	atomic_store(&tenant->is_cancelled, true);
}

/* Where it can't be had the tenant's queries are in none. What one query has freed stays for the
   next, whoever fills the limit. */
static void make_group(struct tenant *tenant)
{
	if (queries != OOMRECLAIM_GROUP_ROOT &&
	    oomreclaim_group_create("tenant", queries, &tenant->group) == 0)
		oomreclaim_group_set(tenant->group, OOMRECLAIM_GROUP_MIN, KEPT_BYTES);
}

/* A query before may have been cancelled: with its function set anew the group is as any other. */
static oomreclaim_group enter(struct tenant *tenant)
{
	atomic_store(&tenant->is_cancelled, false);
	if (tenant->group == OOMRECLAIM_GROUP_ROOT)
		return OOMRECLAIM_GROUP_ROOT;
	oomreclaim_group_on_cancel(tenant->group, cancel, tenant);
	return oomreclaim_group_enter(tenant->group);
}

static void leave(const struct tenant *tenant, oomreclaim_group former)
{
	if (tenant->group != OOMRECLAIM_GROUP_ROOT)
		oomreclaim_group_enter(former);
}

/* ---- A query: rows, read, and looked through once they are all there ---- */

struct row {
	struct row *next;
	unsigned char data[ROW_BYTES - sizeof(struct row *)];
};

static void drop(struct row *rows)
{
	while (rows) {
		struct row *row = rows;

		rows = row->next;
		free(row);
	}
}

static struct row *read_row(struct row *rows, unsigned number)
{
	struct row *row = malloc(sizeof *row);

	if (!row)
		return NULL;
	memset(row->data, (int)number, sizeof row->data);
	row->next = rows;
	return row;
}

static void answer(const struct row *rows)
{
	static atomic_uint answers;
	unsigned sum = 0;

	for (; rows; rows = rows->next)
		for (size_t i = 0; i < sizeof rows->data; i += 64)
			sum += rows->data[i];
	atomic_fetch_add(&answers, sum);
}

/* Returns how many it has read. */
static unsigned query(struct tenant *tenant, unsigned wanted)
{
	struct row *rows = NULL, *row;
	unsigned read = 0;

	while (read < wanted && !atomic_load(&tenant->is_cancelled) && !atomic_load(&is_over)) {
		row = read_row(rows, read);
		if (!row)
			break;
		rows = row;
		/* As from a disk. */
		if (++read % (tenant->is_greedy ? 128 : 32) == 0)
			pause_ms(2);
	}
	if (read == wanted)
		answer(rows);
	drop(rows);
	return read;
}

static void run(struct tenant *tenant)
{
	unsigned greedy = is_enough ? ROWS_ENOUGH : ROWS_GREEDY;
	unsigned wanted = tenant->is_greedy ? greedy : ROWS_SMALL, read;
	uint64_t began = now_ns();
	oomreclaim_group former = enter(tenant);

	read = query(tenant, wanted);
	leave(tenant, former);
	if (read == wanted && tenant->done < LATENCIES)
		tenant->latency_ns[tenant->done++] = now_ns() - began;
	else if (atomic_load(&tenant->is_cancelled))
		tenant->cancelled++;
	else if (!atomic_load(&is_over))
		tenant->failed++;
}

/* ---- The server ---- */

static void *serve(void *arg)
{
	struct tenant *tenant = arg;

	make_group(tenant);
	while (!atomic_load(&is_over)) {
		run(tenant);
		pause_ms(THINK_MS);
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return (one > other) - (one < other);
}

static void print(void)
{
	static uint64_t all[TENANTS * LATENCIES];
	unsigned done = 0, failed = 0, cancelled = 0;
	const struct tenant *greedy = NULL;

	for (const struct tenant *tenant = tenants; tenant < tenants + TENANTS; tenant++) {
		if (tenant->is_greedy) {
			greedy = tenant;
			continue;
		}
		memcpy(all + done, tenant->latency_ns, tenant->done * sizeof *all);
		done += tenant->done;
		failed += tenant->failed;
		cancelled += tenant->cancelled;
	}
	qsort(all, done, sizeof *all, compare);
	printf("small: %u done, %u failed, %u cancelled, latency ms: median %.1f, 99%% %.1f", done,
	       failed, cancelled, done > 0 ? (double)all[done / 2] / 1e6 : 0,
	       done > 0 ? (double)all[done / 100 * 99] / 1e6 : 0);
	if (greedy)
		printf("; greedy: %u done, %u failed, %u cancelled", greedy->done, greedy->failed,
		       greedy->cancelled);
	putchar('\n');
}

static void make_groups(const char *max)
{
	char *unit;
	long long mib = strtoll(max, &unit, 10);

	if (!oomreclaim_available() || mib <= 0 || strcmp(unit, "M") != 0 ||
	    oomreclaim_group_create("queries", OOMRECLAIM_GROUP_ROOT, &queries) != 0 ||
	    oomreclaim_group_set(queries, OOMRECLAIM_GROUP_MAX, mib << 20) != 0 ||
	    oomreclaim_group_set(queries, OOMRECLAIM_GROUP_POLICY, OOMRECLAIM_POLICY_CANCEL) != 0) {
		fprintf(stderr, "queryserver: no groups of %s\n", max);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	bool has_greedy = true;
	unsigned seconds = 10;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--groups") == 0 && i + 1 < argc) {
			make_groups(argv[++i]);
		} else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
			seconds = (unsigned)strtoul(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--nobody-greedy") == 0) {
			has_greedy = false;
		} else if (strcmp(argv[i], "--enough") == 0) {
			is_enough = true;
		} else {
			fprintf(stderr, "usage: queryserver [--groups N'M'] [--seconds N] "
			                "[--nobody-greedy | --enough]\n");
			return 2;
		}
	for (struct tenant *tenant = tenants; tenant < tenants + TENANTS; tenant++) {
		tenant->is_greedy = has_greedy && tenant == tenants;
		tenant->latency_ns = calloc(LATENCIES, sizeof *tenant->latency_ns);
		if (!tenant->latency_ns ||
		    pthread_create(&tenant->thread, NULL, serve, tenant) != 0)
			return 1;
	}
	for (unsigned i = 0; i < 10 * seconds; i++)
		pause_ms(100);
	atomic_store(&is_over, true);
	for (struct tenant *tenant = tenants; tenant < tenants + TENANTS; tenant++)
		pthread_join(tenant->thread, NULL);
	print();
}
