/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes that share a total, as total.sh starts them: by `oomreclaim run --total 128M`, but for
 * the forged ones, which are made here.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "limits/total_layout.h"
#include "oomreclaim.h"
#include "oomreclaim_group.h"

#define LIMIT_MIB 128

static char *self;

static char *fill(size_t mib)
{
	char *block = malloc(mib * MIB);

	if (block != NULL)
		memset(block, 1, mib * MIB);
	return block;
}

/* The total as the tests see it: by the descriptor, as the library does. */
static struct total *total(void)
{
	const char *text = getenv(TOTAL_VARIABLE);
	struct total *mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED,
	                            text != NULL ? atoi(text) : -1, 0);

	CHECK(mapped != MAP_FAILED);
	return mapped;
}

static struct total_slot *slot_of(struct total *mapped, pid_t pid)
{
	for (unsigned i = 0; i < TOTAL_SLOTS; i++) {
		uint64_t owner = atomic_load(&mapped->slot[i].owner);

		if ((pid_t)(owner & ((1U << TOTAL_PID_BITS) - 1)) == pid)
			return &mapped->slot[i];
	}
	return NULL;
}

static int64_t own_of(struct total *mapped, pid_t pid)
{
	struct total_slot *slot = slot_of(mapped, pid);

	return slot != NULL ? atomic_load(&slot->own) : -1;
}

/* A child that goes where this process fails. */
static pid_t start(void)
{
	pid_t pid = fork();

	if (pid == 0)
		CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
	CHECK(pid >= 0);
	return pid;
}

/* A child that has `mib`, has said so, and waits to be killed. */
static pid_t start_child(size_t mib)
{
	int ready[2];
	char word;
	pid_t pid;

	CHECK_EQ(pipe(ready), 0);
	pid = start();
	if (pid == 0) {
		word = mib == 0 || fill(mib) != NULL ? 'y' : 'n';
		CHECK_EQ(write(ready[1], &word, 1), 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	CHECK_EQ(read(ready[0], &word, 1), 1);
	CHECK_EQ(word, 'y');
	close(ready[0]);
	return pid;
}

static void end_child(pid_t pid)
{
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

/* ---- What counts ---- */

static void one_charge_for_all(void)
{
	pid_t child = start_child(80);

	CHECK(fill(80) == NULL);
	CHECK_EQ(errno, ENOMEM);
	end_child(child);
	/* What a process had that was killed is there for the next. */
	CHECK(fill(80) != NULL);
}

/* Two that charge at the same moment see each other: what another is about to charge counts as
   well, and is there again once that was given up. */
static void what_is_pending_counts(void)
{
	pid_t child = start_child(1);
	struct total_slot *slot = slot_of(total(), child);

	CHECK(slot != NULL);
	atomic_store(&slot->pending, 100 * MIB);
	CHECK(fill(60) == NULL);
	atomic_store(&slot->pending, 0);
	CHECK(fill(60) != NULL);
	end_child(child);
}

/* A child begins with nothing, whatever it inherits, and what it gives back of that is nobody's. */
static void a_child_has_its_own(void)
{
	struct total *mapped = total();
	char *block = fill(60);
	int64_t before = own_of(mapped, getpid());
	pid_t pid;

	CHECK(before >= (int64_t)(60 * MIB));
	pid = fork();
	if (pid == 0) {
		CHECK(own_of(mapped, getpid()) >= 0 &&
		      own_of(mapped, getpid()) < (int64_t)(4 * MIB));
		free(block);
		oomreclaim_reclaim(SIZE_MAX);
		CHECK(own_of(mapped, getpid()) <= 0);
		/* That is no room for others, nor for itself: the parent has it still. */
		CHECK(own_of(mapped, getpid()) < -(int64_t)(10 * MIB));
		CHECK(oomreclaim_headroom(NULL) <= (LIMIT_MIB - 60) * MIB);
		/* More than what it gave back is its own to account for. */
		CHECK(fill(80) != NULL);
		CHECK(own_of(mapped, getpid()) > (int64_t)(10 * MIB));
		_exit(0);
	}
	CHECK_EQ(check_child(pid), 0);
	CHECK_EQ(own_of(mapped, getpid()), before);
}

/* A zombie has nothing any more. */
static void a_zombie_has_nothing(void)
{
	pid_t child = start_child(80);
	siginfo_t info;

	CHECK_EQ(kill(child, SIGKILL), 0);
	CHECK_EQ(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	CHECK(fill(80) != NULL);
	CHECK_EQ(waitpid(child, NULL, 0), child);
}

/* A copy that fork() does not know of is no part of it, and changes nothing. */
static void a_clone_is_without(void)
{
	struct total *mapped = total();
	int64_t before;
	pid_t pid;

	CHECK(fill(1) != NULL);
	before = own_of(mapped, getpid());
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		_exit(fill(LIMIT_MIB + 10) != NULL ? 0 : 1);
	CHECK_EQ(check_child(pid), 0);
	CHECK_EQ(own_of(mapped, getpid()), before);
}

static void the_impossible(void)
{
	struct oomreclaim_stats stats;

	CHECK(malloc((LIMIT_MIB + 1) * MIB) == NULL);
	CHECK_EQ(oomreclaim_stats_get(&stats, sizeof stats), 0);
	CHECK_EQ(stats.impossible, 1);
	CHECK_EQ(strcmp(stats.last_constraint, "TOTAL"), 0);
}

/* ---- Neighbours ---- */

static struct pool cache;
static atomic_size_t given;

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	size_t bytes = pool_evict(&cache, control->bytes_wanted);

	(void)arg;
	if (strcmp(control->constraint, "TOTAL") == 0)
		atomic_fetch_add(&given, bytes);
	return bytes;
}

/* A child with a cache of so much, that says when it is there and how much of it is left. */
static pid_t start_cache(size_t mib, int to_child[2], int from_child[2])
{
	char word = 'y';
	pid_t pid;

	CHECK_EQ(pipe(to_child), 0);
	CHECK_EQ(pipe(from_child), 0);
	pid = start();
	if (pid != 0) {
		CHECK_EQ(read(from_child[0], &word, 1), 1);
		return pid;
	}
	CHECK_EQ(oomreclaim_register("cache", 0, 0, evict, NULL, NULL), 0);
	for (size_t i = 0; i < mib; i++)
		CHECK(pool_add(&cache, MIB));
	for (;;) {
		/* oomreclaimd has the pool as long as the others ask. */
		CHECK_EQ(write(from_child[1], &word, 1), 1);
		if (read(to_child[0], &word, 1) != 1)
			_exit(1);
		CHECK_EQ(write(from_child[1], &(size_t){cache.count}, sizeof(size_t)),
		         (ssize_t)sizeof(size_t));
	}
}

static size_t left_in(int to_child[2], int from_child[2])
{
	char word = 'n';
	size_t left;

	CHECK_EQ(write(to_child[1], &word, 1), 1);
	CHECK_EQ(read(from_child[0], &left, sizeof left), (ssize_t)sizeof left);
	CHECK_EQ(read(from_child[0], &word, 1), 1);
	return left;
}

/* The cache of another process gives before a request fails. */
static void a_neighbour_gives(void)
{
	int to[2], from[2];
	pid_t pid = start_cache(90, to, from);
	char *block = fill(60);
	size_t left = left_in(to, from);

	CHECK(block != NULL);
	CHECK(left < 70 && left > 10);
	end_child(pid);
}

static oomreclaim_group kept;

/* Every 64th stays: more than 8 MiB side by side would go back at once. */
static void free_in_group(void)
{
	static void *blocks[80 * 16];

	CHECK_EQ(oomreclaim_group_create("kept", OOMRECLAIM_GROUP_ROOT, &kept), 0);
	CHECK_EQ(oomreclaim_group_set(kept, OOMRECLAIM_GROUP_LOW, (int64_t)(96 * MIB)), 0);
	oomreclaim_group_enter(kept);
	for (int i = 0; i < 80 * 16; i++) {
		blocks[i] = malloc(MIB / 16);
		CHECK(blocks[i]);
		memset(blocks[i], 1, MIB / 16);
	}
	for (int i = 0; i < 80 * 16; i++)
		if (i % 64 != 0)
			free(blocks[i]);
	oomreclaim_group_enter(OOMRECLAIM_GROUP_ROOT);
}

/* What a neighbour has free goes, within the low of a group as well where it has nothing else. */
static void a_neighbour_gives_low(void)
{
	int gate[2];
	char word;
	pid_t pid;

	CHECK_EQ(pipe(gate), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		free_in_group();
		CHECK_EQ(write(gate[1], "f", 1), 1);
		pause();
	}
	CHECK_EQ(read(gate[0], &word, 1), 1);
	CHECK(fill(60) != NULL);
	end_child(pid);
}

/* Of all that share it the largest gives first, and the others keep what they have. */
static void the_largest_gives_first(void)
{
	int to[2], from[2], to_small[2], from_small[2];
	pid_t small = start_cache(20, to_small, from_small), large = start_cache(70, to, from);

	CHECK_EQ(oomreclaim_register("cache", 0, 0, evict, NULL, NULL), 0);
	for (int i = 0; i < 10; i++)
		CHECK(pool_add(&cache, MIB));
	CHECK(fill(40) != NULL);
	CHECK(left_in(to, from) < 60);
	CHECK_EQ(left_in(to_small, from_small), 20);
	CHECK_EQ(cache.count, 10);
	CHECK_EQ(atomic_load(&given), 0);
	end_child(small);
	end_child(large);
}

/* One that has stopped answers nobody, and is waited for once, for as long as wait_ms. */
static void a_stopped_one_holds_nobody_up(void)
{
	int to[2], from[2];
	pid_t pid = start_cache(90, to, from);
	struct total *mapped = total();
	int status;

	CHECK_EQ(kill(pid, SIGSTOP), 0);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(fill(60) == NULL);
	for (unsigned i = 0; i < mapped->used; i++)
		if (own_of(mapped, pid) == atomic_load(&mapped->slot[i].own))
			CHECK_EQ(atomic_load(&mapped->slot[i].is_silent), 1);
	CHECK(fill(60) == NULL);
	CHECK_EQ(kill(pid, SIGCONT), 0);
	/* Now it has been asked, and answers. */
	while (fill(60) == NULL)
		usleep(1000);
	end_child(pid);
}

/* kill_target:children, and constraint TOTAL: the end of a child helps, and only of one inside. */
static void the_policy_kills_a_neighbour(void)
{
	pid_t child = start_child(80);
	int status;

	CHECK(fill(80) != NULL);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void await_resident(pid_t pid, size_t mib)
{
	char path[32];
	size_t pages = 0;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	while (pages * (size_t)sysconf(_SC_PAGESIZE) < mib * MIB) {
		FILE *file = fopen(path, "re");

		CHECK(file != NULL && fscanf(file, "%*u %zu", &pages) == 1);
		CHECK_EQ(fclose(file), 0);
		usleep(1000);
	}
}

/* A child that was never in the total. One that becomes another program keeps its place there, so
   it is the child of one that has, and that has ended. */
static pid_t start_outside(const char *mib)
{
	int told[2];
	pid_t pid, between;
	char fd[12];

	CHECK_EQ(pipe(told), 0);
	CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	between = start();
	if (between == 0) {
		unsetenv(TOTAL_VARIABLE);
		snprintf(fd, sizeof fd, "%d", told[1]);
		execl(self, self, "hold-apart", mib, fd, NULL);
		_exit(1);
	}
	CHECK_EQ(read(told[0], &pid, sizeof pid), sizeof pid);
	CHECK_EQ(check_child(between), 0);
	close(told[0]);
	close(told[1]);
	return pid;
}

static void hold(const char *mib)
{
	CHECK(fill((size_t)atoi(mib)) != NULL);
	pause();
}

static void hold_apart(const char *mib, int fd)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		hold(mib);
	CHECK_EQ(write(fd, &pid, sizeof pid), sizeof pid);
	_exit(0);
}

static void nobody_outside_is_killed(void)
{
	pid_t outside = start_outside("100"), child;
	int status;

	/* It is larger, and a child as well. */
	await_resident(outside, 100);
	child = start_child(80);
	CHECK(fill(80) != NULL);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(waitpid(outside, NULL, WNOHANG), 0);
	end_child(outside);
}

/* ---- Races ---- */

#define RACERS 6
#define RACE_BLOCK (4 * MIB)

/* Takes and gives back until it is killed. The heap keeps nothing: each block is a charge. */
static void race(void)
{
	for (;;) {
		void *block = malloc(RACE_BLOCK);

		if (block != NULL)
			free(block);
		oomreclaim_reclaim(SIZE_MAX);
	}
}

/* Killed in the middle of whatever they do; then all is there that was there before. */
static void no_charge_is_lost(void)
{
	struct total *mapped = total();
	pid_t racers[RACERS];
	void *most = fill(LIMIT_MIB - 20);
	struct timespec pause_ns = {0};

	CHECK(most != NULL);
	for (unsigned seed = 1; seed < 200; seed++) {
		unsigned i = seed % RACERS;

		if (seed > RACERS)
			end_child(racers[i]);
		racers[i] = start();
		if (racers[i] == 0)
			race();
		pause_ns.tv_nsec = (long)(seed * 7919 % 5000) * 1000;
		nanosleep(&pause_ns, NULL);
	}
	for (unsigned i = 0; i < RACERS; i++)
		end_child(racers[i]);
	CHECK(atomic_load(&mapped->peak) <= LIMIT_MIB * MIB);
	CHECK(atomic_load(&mapped->times_met) > 0);
	CHECK(malloc(10 * MIB) != NULL);
}

/* ---- Found again ---- */

static void cannot(void)
{
	CHECK(malloc((LIMIT_MIB + 1) * MIB) == NULL);
}

static void can(void)
{
	CHECK(malloc((LIMIT_MIB + 1) * MIB) != NULL);
}

static pid_t become(const char *name, bool has_descriptors)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (!has_descriptors)
		close_range(3, ~0U, 0);
	execl(self, self, name, NULL);
	_exit(1);
}

static void after_exec(void)
{
	CHECK_EQ(check_child(become("cannot", true)), 0);
}

/* As Python's subprocess does: the parent has it still. */
static void after_exec_without_descriptors(void)
{
	CHECK_EQ(check_child(become("cannot", false)), 0);
}

/* The process itself keeps what it has mapped; those that come by exec() find nothing. */
static void after_all_are_closed(void)
{
	close_range(3, ~0U, 0);
	CHECK(malloc((LIMIT_MIB + 1) * MIB) == NULL);
	CHECK_EQ(check_child(become("can", true)), 0);
}

/* A program that was charged before it became another one. */
static void exec_in_place(void)
{
	CHECK(fill(80) != NULL);
	execl(self, self, "room", NULL);
}

static void room(void)
{
	CHECK(fill(80) != NULL);
}

/* ---- What is none ---- */

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

static int forge(const struct total *from, size_t bytes, int seals)
{
	int fd = memfd_create(TOTAL_NAME, MFD_ALLOW_SEALING);
	struct stat status;
	char text[64];

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, from, bytes), (ssize_t)bytes);
	if (seals != 0)
		CHECK_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
	CHECK_EQ(fstat(fd, &status), 0);
	snprintf(text, sizeof text, "%d:%lu", fd, (unsigned long)status.st_ino);
	CHECK_EQ(setenv(TOTAL_VARIABLE, text, 1), 0);
	return fd;
}

/* As `oomreclaim run` makes it. */
static struct total *plain(void)
{
	static struct total plain;
	struct stat status;

	CHECK_EQ(stat("/proc/self/ns/pid", &status), 0);
	memcpy(plain.magic, TOTAL_MAGIC, sizeof plain.magic);
	plain.version = TOTAL_VERSION;
	plain.bytes = sizeof plain;
	plain.pid_namespace = status.st_ino;
	plain.limit = LIMIT_MIB * MIB;
	return &plain;
}

/* As the owner of a slot. */
static uint64_t parent_as_owner(void)
{
	unsigned long long start_time;
	char path[64], text[1024];
	const char *at;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/stat", getppid());
	file = fopen(path, "r");
	CHECK(file != NULL && fgets(text, sizeof text, file) != NULL);
	fclose(file);
	at = strrchr(text, ')') + 1;
	for (int field = 3; field < 22; field++)
		at = strchr(at + 1, ' ');
	start_time = strtoull(at, NULL, 10);
	return (uint64_t)start_time << TOTAL_PID_BITS | (uint64_t)getppid();
}

static void forged(const char *how, const char *then)
{
	struct total *copy = plain();
	size_t bytes = sizeof *copy;
	int seals = SEALS;

	if (strcmp(how, "unsealed") == 0)
		seals = F_SEAL_SHRINK;
	else if (strcmp(how, "short") == 0)
		bytes -= 4096;
	else if (strcmp(how, "magic") == 0)
		copy->magic[0] = 'o';
	else if (strcmp(how, "version") == 0)
		copy->version++;
	else if (strcmp(how, "limit") == 0)
		copy->limit = 0;
	else if (strcmp(how, "namespace") == 0)
		copy->pid_namespace++;
	else if (strcmp(how, "slots") == 0)
		copy->used = UINT_MAX;
	else if (strcmp(how, "full") == 0) {
		/* Of processes that live. */
		copy->used = TOTAL_SLOTS;
		for (unsigned i = 0; i < TOTAL_SLOTS; i++)
			copy->slot[i].owner = parent_as_owner();
	} else if (strcmp(how, "more") == 0 || strcmp(how, "pending") == 0) {
		copy->used = 1;
		copy->slot[0].owner = parent_as_owner();
		if (how[0] == 'm')
			copy->slot[0].own = (LIMIT_MIB + 1) * MIB;
		else
			copy->slot[0].pending = (uint64_t)1 << 60;
	} else
		CHECK_EQ(strcmp(how, "good"), 0);
	forge(copy, bytes, seals);
	execl(self, self, then, NULL);
}

/* A file that another shortens would be a SIGBUS: it is none without the seals. */
static void environment(const char *text)
{
	CHECK_EQ(setenv(TOTAL_VARIABLE, text, 1), 0);
	execl(self, self, "can", NULL);
}

static void in_a_pid_namespace(void)
{
	pid_t pid;

	if (unshare(CLONE_NEWPID) != 0)
		_exit(77);
	pid = fork();
	if (pid == 0)
		_exit(malloc((LIMIT_MIB + 1) * MIB) != NULL ? 0 : 1);
	CHECK_EQ(check_child(pid), 0);
}

/* Below a total that many processes can have at once. */
#define CROWD_LIMIT_MIB 8192

static void cannot_in_crowd(void)
{
	CHECK(malloc((CROWD_LIMIT_MIB + 1) * MIB) == NULL);
}

/* More processes than there are slots: one line for all of them, and each of them works. */
static void more_than_slots(void)
{
	enum { MANY = TOTAL_SLOTS + 20 };
	static pid_t children[MANY];
	int gate[2];
	char word;

	CHECK_EQ(pipe(gate), 0);
	for (int i = 0; i < MANY; i++) {
		children[i] = fork();
		CHECK(children[i] >= 0);
		if (children[i] == 0) {
			close(gate[1]);
			_exit(read(gate[0], &word, 1) == 0 && malloc(MIB) != NULL ? 0 : 1);
		}
	}
	close(gate[1]);
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(check_child(children[i]), 0);
	/* All are free again. */
	CHECK_EQ(check_child(become("cannot-in-crowd", true)), 0);
}

static const struct check_case cases[] = {
	{"one-charge-for-all", one_charge_for_all},
	{"what-is-pending-counts", what_is_pending_counts},
	{"a-child-has-its-own", a_child_has_its_own},
	{"a-zombie-has-nothing", a_zombie_has_nothing},
	{"a-clone-is-without", a_clone_is_without},
	{"the-impossible", the_impossible},
	{"a-neighbour-gives", a_neighbour_gives},
	{"a-neighbour-gives-low", a_neighbour_gives_low},
	{"the-largest-gives-first", the_largest_gives_first},
	{"a-stopped-one-holds-nobody-up", a_stopped_one_holds_nobody_up},
	{"the-policy-kills-a-neighbour", the_policy_kills_a_neighbour},
	{"nobody-outside-is-killed", nobody_outside_is_killed},
	{"no-charge-is-lost", no_charge_is_lost},
	{"cannot", cannot},
	{"can", can},
	{"room", room},
	{"after-exec", after_exec},
	{"after-exec-without-descriptors", after_exec_without_descriptors},
	{"after-all-are-closed", after_all_are_closed},
	{"exec-in-place", exec_in_place},
	{"in-a-pid-namespace", in_a_pid_namespace},
	{"more-than-slots", more_than_slots},
	{"cannot-in-crowd", cannot_in_crowd},
};

int main(int argc, char **argv)
{
	self = argv[0];
	if (argc == 3 && strcmp(argv[1], "hold") == 0)
		hold(argv[2]);
	else if (argc == 4 && strcmp(argv[1], "hold-apart") == 0)
		hold_apart(argv[2], atoi(argv[3]));
	else if (argc == 3 && strcmp(argv[1], "environment") == 0)
		environment(argv[2]);
	else if (argc == 4 && strcmp(argv[1], "forged") == 0)
		forged(argv[2], argv[3]);
	else
		return check_main(argc, argv, cases, COUNT(cases));
	return 1;
}
