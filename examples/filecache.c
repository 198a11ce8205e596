/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filecache: a cache without a size limit.
 *
 *     filecache [--requests N] [--seed N] [--json] [--target] [TREE]
 *
 * It reads the files of a directory tree (/usr/share), some of them far more
 * often than others, and keeps every file it has read in memory. How much is too
 * much it does not know and does not ask: when malloc fails, oomreclaim calls
 * cache_reclaim() below, which evicts the files that were not used for longest,
 * and the malloc that failed succeeds after all.
 *
 * The program is not linked with oomreclaim. Preload the library and the cache
 * grows into whatever the limit leaves; without it the first malloc that fails
 * is the end:
 *
 *     prlimit --as=134217728 env LD_PRELOAD=liboomreclaim.so.0 filecache
 *
 * With --target it does ask: before it serves a file that it has read it evicts what is more than
 * oomreclaim_cache_target() says, so that malloc has next to no reason to fail. It is asked to
 * reclaim all the same, where something else in the process needs the memory.
 *
 * Three rules keep a reclaim callback out of trouble, and each is marked (1), (2)
 * or (3) where it is followed:
 *  (1) the lock it takes is never held across an allocation, and it only tries;
 *  (2) what somebody is using is pinned, and a pinned entry is not evicted;
 *  (3) it needs no memory itself.
 */
#define OOMRECLAIM_OPTIONAL
#include <oomreclaim.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BUCKETS = 1 << 14,
	/* Reclaim at least this much at a time, so that not every small malloc is a call. */
	EVICT_BATCH_BYTES = 1 << 20,
	/* Larger files would leave a small limit with nothing else in the cache. */
	FILE_MAX_BYTES = 8 << 20,
	PROGRESS_EVERY = 1 << 12
};

/* ---- The cache ---------------------------------------------------------- */

/* One file in memory: a single block, so that one free() gives everything back. */
struct entry {
	LIST_ENTRY(entry) chain;
	TAILQ_ENTRY(entry) use;
	const char *path; /* belongs to the list of files */
	unsigned pins;    /* users; above 0 it stays */
	size_t size;
	unsigned char data[];
};

static struct {
	pthread_mutex_t lock; /* guards everything below and all entries' links and pins */
	LIST_HEAD(bucket, entry) buckets[BUCKETS];
	TAILQ_HEAD(by_use, entry) by_use; /* the most recently used first */
	size_t bytes, evicted_bytes;
	oomreclaim_handle handle; /* with a target; else 0. Set before the first file is read */
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER, .by_use = TAILQ_HEAD_INITIALIZER(cache.by_use)};

static uint64_t hash_bytes(const void *data, size_t size)
{
	const unsigned char *at = data;
	uint64_t hash = 0xcbf29ce484222325, word; /* FNV-1a, by words of 8 bytes */

	for (; size >= sizeof(word); size -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		hash = (hash ^ word) * 0x100000001b3;
	}
	while (size--)
		hash = (hash ^ *at++) * 0x100000001b3;
	return hash ^ hash >> 32;
}

static struct bucket *find_bucket(const char *path)
{
	return &cache.buckets[hash_bytes(path, strlen(path)) % BUCKETS];
}

static void evict(struct entry *entry)
{
	LIST_REMOVE(entry, chain);
	TAILQ_REMOVE(&cache.by_use, entry, use);
	cache.bytes -= entry->size;
	cache.evicted_bytes += sizeof(*entry) + entry->size;
	free(entry);
}

/* The files that were not used for longest, with the lock held. Returns what that gave. */
static size_t evict_oldest(size_t wanted)
{
	size_t before = cache.evicted_bytes;
	struct entry *entry, *newer;

	for (entry = TAILQ_LAST(&cache.by_use, by_use); entry; entry = newer) {
		newer = TAILQ_PREV(entry, by_use, use);
		if (cache.evicted_bytes - before >= wanted)
			break;
		if (!entry->pins) /* (2) */
			evict(entry);
	}
	return cache.evicted_bytes - before;
}

/*
 * The reclaim callback. oomreclaim calls it on the thread whose malloc failed,
 * with none of the allocator's locks held, so that free() is fine here. The
 * answer is the number of bytes given back; 0 says that there is nothing left.
 */
static size_t cache_reclaim(const struct oomreclaim_control *control, void *arg)
{
	size_t wanted = control->bytes_wanted;

	(void)arg;
	if (wanted < EVICT_BATCH_BYTES)
		wanted = EVICT_BATCH_BYTES;
	/* (1) If this very thread held the lock, waiting for it would be for ever. */
	if (pthread_mutex_trylock(&cache.lock))
		return cache.handle ? OOMRECLAIM_STOP : 0;
	wanted = evict_oldest(wanted);
	pthread_mutex_unlock(&cache.lock);
	return wanted;
}

/* Only with a target: how much there is, which another thread asks for. */
static size_t cache_count(const struct oomreclaim_control *control, void *arg)
{
	size_t bytes;

	(void)control;
	(void)arg;
	if (pthread_mutex_trylock(&cache.lock)) /* (1) */
		return OOMRECLAIM_STOP;
	bytes = cache.bytes;
	pthread_mutex_unlock(&cache.lock);
	return bytes;
}

static void keep_to_target(void)
{
	size_t target = oomreclaim_cache_target(cache.handle);

	pthread_mutex_lock(&cache.lock);
	if (cache.bytes > target)
		evict_oldest(cache.bytes - target);
	pthread_mutex_unlock(&cache.lock);
}

/* Finds and pins the entry of a file, or returns NULL. */
static struct entry *cache_get(const char *path)
{
	struct entry *entry;

	pthread_mutex_lock(&cache.lock);
	LIST_FOREACH(entry, find_bucket(path), chain)
		if (!strcmp(entry->path, path))
			break;
	if (entry) {
		entry->pins++;
		TAILQ_REMOVE(&cache.by_use, entry, use);
		TAILQ_INSERT_HEAD(&cache.by_use, entry, use);
	}
	pthread_mutex_unlock(&cache.lock);
	return entry;
}

static void cache_put(struct entry *entry)
{
	pthread_mutex_lock(&cache.lock);
	entry->pins--;
	pthread_mutex_unlock(&cache.lock);
}

static bool read_whole(int fd, unsigned char *data, size_t size)
{
	ssize_t count;

	while (size && (count = read(fd, data, size)) > 0) {
		data += count;
		size -= (size_t)count;
	}
	return !size;
}

/* Reads a file into the cache and pins it. Returns 0 or -errno. */
static int cache_load(const char *path, struct entry **loaded)
{
	struct entry *entry = NULL;
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0 || fstat(fd, &status)) {
		err = -errno;
	} else {
		/* (1) The one malloc that grows the cache: outside the lock. */
		entry = malloc(sizeof(*entry) + (size_t)status.st_size);
		if (!entry)
			err = -ENOMEM;
		else if (!read_whole(fd, entry->data, (size_t)status.st_size))
			err = -EIO;
	}
	close(fd);
	if (err) {
		free(entry);
		return err;
	}
	entry->path = path;
	entry->size = (size_t)status.st_size;
	entry->pins = 1;
	pthread_mutex_lock(&cache.lock);
	LIST_INSERT_HEAD(find_bucket(path), entry, chain);
	TAILQ_INSERT_HEAD(&cache.by_use, entry, use);
	cache.bytes += entry->size;
	pthread_mutex_unlock(&cache.lock);
	if (cache.handle)
		keep_to_target();
	*loaded = entry;
	return 0;
}

/* ---- The files to read -------------------------------------------------- */

struct file {
	char *path;
	uint64_t path_hash;
	uint64_t sum; /* of the content when it was first read */
	bool known;   /* sum is set */
};

static struct file *files;
static size_t files_count, files_room;
static uint64_t tree_bytes;

/* For nftw(), which has no argument to pass: hence the statics. */
static int add_file(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)where;
	if (type != FTW_F || !S_ISREG(status->st_mode) || status->st_size > FILE_MAX_BYTES ||
	    access(path, R_OK))
		return 0;
	if (files_count == files_room) {
		size_t room = files_room ? 2 * files_room : 1024;
		struct file *larger = reallocarray(files, room, sizeof(*files));

		if (!larger)
			return -1;
		files = larger;
		files_room = room;
	}
	files[files_count] =
		(struct file){.path = strdup(path), .path_hash = hash_bytes(path, strlen(path))};
	if (!files[files_count].path)
		return -1;
	files_count++;
	tree_bytes += (uint64_t)status->st_size;
	return 0;
}

/* As good as a shuffle, but the same one whatever order the directories have. */
static int by_hash(const void *a, const void *b)
{
	const struct file *first = a, *second = b;

	return (first->path_hash > second->path_hash) - (first->path_hash < second->path_hash);
}

/* xorshift64*: the same sequence of requests on every machine and in every run. */
static uint64_t random_below(uint64_t *state, uint64_t bound)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * 0x2545f4914f6cdd1d >> 16) % bound;
}

/*
 * Zipf's law with exponent 1, by powers of two: ranks 1, 2-3, 4-7, 8-15 ... are
 * all equally likely, so that a rank is half as likely as one of half its number.
 */
static size_t next_rank(uint64_t *state)
{
	unsigned octaves = 64 - (unsigned)__builtin_clzll(files_count);

	for (;;) {
		uint64_t first = 1ULL << random_below(state, octaves);
		uint64_t rank = first + random_below(state, first) - 1;

		if (rank < files_count)
			return rank;
	}
}

/* ---- The work ----------------------------------------------------------- */

static struct {
	unsigned long served, hits, corrupt;
} stats;

/* Serves one file and checks that its content is what it was. Returns 0 or -ENOMEM. */
static int serve(struct file *file)
{
	struct entry *entry = cache_get(file->path);
	uint64_t sum;

	if (entry) {
		stats.hits++;
	} else {
		int err = cache_load(file->path, &entry);

		if (err) /* one that went away meanwhile is not served, and that is all */
			return err == -ENOMEM ? err : 0;
	}
	/* (2) Pinned: an allocation in here could not pull the data from under it. */
	sum = hash_bytes(entry->data, entry->size);
	if (file->known && file->sum != sum)
		stats.corrupt++;
	file->sum = sum;
	file->known = true;
	cache_put(entry);
	stats.served++;
	return 0;
}

static int serve_all(unsigned long requests, uint64_t *state)
{
	bool terminal = isatty(STDERR_FILENO);
	int err = 0;

	for (unsigned long i = 0; i < requests && !err; i++) {
		if (terminal && i % PROGRESS_EVERY == 0)
			dprintf(STDERR_FILENO, "\r  %lu of %lu requests, %zu MiB cached ", i,
			        requests, cache.bytes >> 20);
		err = serve(&files[next_rank(state)]);
	}
	if (terminal)
		dprintf(STDERR_FILENO, "\r\033[K");
	return err;
}

/* VmPeak in KiB, without stdio: there may be no memory left for a buffer. */
static unsigned long peak_kib(void)
{
	char text[4096], *at;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[size > 0 ? size : 0] = '\0';
	at = strstr(text, "VmPeak:");
	return at ? strtoul(at + strlen("VmPeak:"), NULL, 10) : 0;
}

static void report(bool json, const char *result)
{
	double hit_percent = stats.served ? 100.0 * (double)stats.hits / (double)stats.served : 0;
	const char *form = json ? "{\"files\": %zu, \"tree_bytes\": %ju, \"served\": %lu, "
	                          "\"hit_percent\": %.1f, \"reclaimed_bytes\": %zu, "
	                          "\"peak_kib\": %lu, \"corrupt\": %lu, \"result\": \"%s\"}\n"
	                        : "tree: %zu files, %ju bytes\nserved: %lu files, %.1f %% from the "
	                          "cache\nreclaimed: %zu bytes\npeak address space: %lu KiB\n"
	                          "corrupt: %lu\nresult: %s\n";

	printf(form, files_count, (uintmax_t)tree_bytes, stats.served, hit_percent,
	       cache.evicted_bytes, peak_kib(), stats.corrupt, result);
}

/* A callback has no size to tell; a shrinker has, and so it can have a target. */
static int cache_register(bool has_target)
{
	const struct oomreclaim_shrinker shrinker = {.name = "file cache",
	                                             .count = cache_count,
	                                             .scan = cache_reclaim,
	                                             .cost = OOMRECLAIM_COST_DEFAULT};

	return has_target ? oomreclaim_shrinker_register(&shrinker, sizeof(shrinker), &cache.handle)
	                  : oomreclaim_register("file cache", OOMRECLAIM_PRIORITY_DEFAULT, 0,
	                                        cache_reclaim, NULL, NULL);
}

static int run(const char *tree, unsigned long requests, uint64_t seed, bool json)
{
	uint64_t state = seed * 2 + 1; /* never 0, which would stay 0 */
	int err = 0;

	if (nftw(tree, add_file, 32, FTW_PHYS))
		err = -errno;
	if (!err && !files_count)
		err = -ENOENT;
	if (err && err != -ENOMEM) {
		fprintf(stderr, "filecache: %s: %s\n", tree, strerror(-err));
		return 2;
	}
	if (!err) {
		qsort(files, files_count, sizeof(*files), by_hash);
		err = serve_all(requests, &state);
	}
	if (err)
		fprintf(stderr, "failed: out of memory after %lu files\n", stats.served);
	report(json, err ? "failed" : stats.corrupt ? "corrupt" : "finished");
	return err || stats.corrupt ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"requests", required_argument, NULL, 'r'},
	                                        {"seed", required_argument, NULL, 's'},
	                                        {"json", no_argument, NULL, 'j'},
	                                        {"target", no_argument, NULL, 't'},
	                                        {NULL, 0, NULL, 0}};
	static char buffer[BUFSIZ]; /* (3) so that printf works when malloc does not */
	unsigned long requests = 200000;
	uint64_t seed = 1;
	bool json = false, has_target = false;
	int option, err = 0;

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'j') {
			json = true;
		} else if (option == 't') {
			has_target = true;
		} else if (option == 'r') {
			requests = strtoul(optarg, NULL, 10);
		} else if (option == 's') {
			seed = strtoull(optarg, NULL, 10);
		} else {
			fputs("filecache [--requests N] [--seed N] [--json] [--target] [TREE]\n",
			      stderr);
			return 2;
		}
	}
	/* Without the library nobody would call it, and malloc just fails. */
	if (oomreclaim_available())
		err = cache_register(has_target);
	if (err) {
		fprintf(stderr, "filecache: oomreclaim_register: %s\n", strerror(err));
		return 2;
	}
	return run(optind < argc ? argv[optind] : "/usr/share", requests, seed, json);
}
