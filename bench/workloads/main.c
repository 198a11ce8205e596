/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload: one of the workloads, and what it took, as one line of JSON.
 *
 *     workload [--threads N] [--scale PERCENT]
 *              [--cache-bytes N [--share PERCENT] | --cache-target | --cache-headroom] NAME
 *     workload --list | --list-apart
 *
 * "requests" is the work done, the same under every allocator and limit; "ops" counts the
 * allocations it asked for and "failed" those that were refused. Exit status: 0 also if some
 * failed; 1 if the threads can't be started; 2 usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

#include "oomreclaim.h"

/* Our own, by which settings are chosen, then others' kinds, by which none is. */
static const struct workload *const workloads[] = {&churn_workload,     &handover_workload,
                                                   &survivors_workload, &grow_workload,
                                                   &large_workload,     &cache_workload,
                                                   &parser_workload,    &fork_workload,
                                                   &larson_workload,    &xmalloc_workload,
                                                   &mstress_workload,   &rptest_workload,
                                                   &scratch_workload,   &thrash_workload,
                                                   &sh6bench_workload,  &shares_workload};
/* The last compares sizes of caches, and no allocators. */
enum { WORKLOADS = sizeof(workloads) / sizeof(*workloads), OWN = 8, LISTED = WORKLOADS - 1 };

struct workload_settings workload_settings = {.scale = 100,
                                              .share = 50}; /* read only, once threads run */

static const struct workload *chosen;      /* likewise */
static struct worker workers[WORKERS_MAX]; /* static: not in the heap that is measured */
static pthread_t thread_ids[WORKERS_MAX];  /* likewise */

static void *run_thread(void *arg)
{
	chosen->run(arg);
	return NULL;
}

static int run_all(unsigned threads)
{
	pthread_attr_t attr;
	unsigned started;
	int err = pthread_attr_init(&attr);

	if (!err)
		err = pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (started = 0; started < threads && !err; started++) {
		uint64_t rounds = chosen->rounds * workload_settings.scale / 100 / threads;

		workers[started] = (struct worker){.index = started,
		                                   .threads = threads,
		                                   .random = 88172645463325252u + started,
		                                   .rounds = rounds ? rounds : 1};
		err = pthread_create(&thread_ids[started], &attr, run_thread, &workers[started]);
		if (err)
			break;
	}
	for (unsigned i = 0; i < started; i++)
		pthread_join(thread_ids[i], NULL);
	return err;
}

/* A line of /proc/self/status, given in KiB. No stdio: it would allocate. */
static uint64_t status_bytes(const char *status, const char *key)
{
	const char *line = strstr(status, key);

	return line ? strtoull(line + strlen(key), NULL, 10) << 10 : 0;
}

static void read_status(char *status, size_t size)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t bytes = fd < 0 ? -1 : read(fd, status, size - 1);

	status[bytes > 0 ? bytes : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

static uint64_t reclaimed_bytes(void)
{
	struct oomreclaim_reclaim_stats stats;

	if (!oomreclaim_available() || oomreclaim_reclaim_stats(&stats, sizeof(stats)))
		return 0;
	return stats.direct_bytes_claimed + stats.background_bytes_claimed;
}

static void print(unsigned threads, double seconds)
{
	uint64_t ops = 0, failed = 0, requests = 0, size, data, peak;
	struct rusage self, children;
	char status[4096];

	for (unsigned i = 0; i < threads; i++) {
		ops += workers[i].ops;
		failed += workers[i].failed;
		requests += workers[i].rounds;
	}
	read_status(status, sizeof(status));
	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &children);
	peak = status_bytes(status, "VmPeak:");
	size = status_bytes(status, "VmSize:");
	data = status_bytes(status, "VmData:");
	/* The kernel keeps no peak of VmData: what is not data is taken to have been as it is
	   now. */
	printf("{\"workload\":\"%s\",\"threads\":%u,\"requests\":%llu,\"ops\":%llu,\"failed\":%llu,"
	       "\"seconds\":%.6f,\"rss_peak_bytes\":%llu,\"address_peak_bytes\":%llu,"
	       "\"data_peak_bytes\":%llu,\"faults\":%ld,\"reclaimed_bytes\":%llu}\n",
	       chosen->name, threads, (unsigned long long)requests, (unsigned long long)ops,
	       (unsigned long long)failed, seconds,
	       (unsigned long long)status_bytes(status, "VmHWM:"), (unsigned long long)peak,
	       (unsigned long long)(peak - (size - data)), self.ru_minflt + children.ru_minflt,
	       (unsigned long long)reclaimed_bytes());
}

static int usage(void)
{
	fprintf(stderr,
	        "usage: workload [--threads 1..%d] [--scale PERCENT] [--cache-bytes N [--share PERCENT] | "
	        "--cache-target | --cache-headroom] NAME\n"
	        "       workload --list | --list-apart\n",
	        WORKERS_MAX);
	return 2;
}

static int parse(const char *text, unsigned long least, unsigned long most, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	return errno || end == text || *end || *text == '-' || *value < least || *value > most
	               ? -EINVAL
	               : 0;
}

static int parse_options(int argc, char **argv, unsigned *threads)
{
	static const struct option options[] = {{"threads", required_argument, NULL, 't'},
	                                        {"scale", required_argument, NULL, 's'},
	                                        {"cache-bytes", required_argument, NULL, 'c'},
	                                        {"cache-target", no_argument, NULL, 'T'},
	                                        {"cache-headroom", no_argument, NULL, 'H'},
	                                        {"share", required_argument, NULL, 'S'},
	                                        {"list", no_argument, NULL, 'l'},
	                                        {"list-apart", no_argument, NULL, 'a'},
	                                        {0}};
	unsigned long value;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 't' && !parse(optarg, 1, WORKERS_MAX, &value))
			*threads = (unsigned)value;
		else if (option == 's' && !parse(optarg, 1, 100000, &value))
			workload_settings.scale = (unsigned)value;
		else if (option == 'c' && !parse(optarg, 0, SIZE_MAX, &value))
			workload_settings.cache_bytes = value;
		else if (option == 'S' && !parse(optarg, 1, 99, &value))
			workload_settings.share = (unsigned)value;
		else if (option == 'T')
			workload_settings.asks_target = true;
		else if (option == 'H')
			workload_settings.asks_headroom = true;
		else if (option == 'l' || option == 'a')
			return option;
		else
			return -EINVAL;
	}
	for (size_t i = 0; i < WORKLOADS && optind == argc - 1; i++)
		if (!strcmp(argv[optind], workloads[i]->name))
			chosen = workloads[i];
	return chosen ? 0 : -EINVAL;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int list(bool apart)
{
	for (size_t i = apart ? OWN : 0; i < (apart ? LISTED : OWN); i++)
		puts(workloads[i]->name);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned threads = 1;
	int what = parse_options(argc, argv, &threads), err;
	double start;

	if (what < 0)
		return usage();
	if (what > 0)
		return list(what == 'a');
	if (chosen->prepare)
		chosen->prepare(threads);
	start = now();
	err = run_all(threads);
	if (err) {
		fprintf(stderr, "workload: cannot start %u threads: %s\n", threads, strerror(err));
		return 1;
	}
	print(threads, now() - start);
	fflush(stdout);
	if (chosen->finish)
		chosen->finish();
	return 0;
}
