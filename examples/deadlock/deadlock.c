// SPDX-License-Identifier: BSD-2-Clause
// A cache with a mistake: its callback waits for the cache's lock, and its insertion allocates with
// that lock held.
//
//     deadlock wait        the mistake: it runs, until memory is short for the first time
//     deadlock trylock     the callback tries: while the lock is held nothing is evicted
//     deadlock noreclaim   the insertion says that it can't wait for callbacks
//
// LD_PRELOAD=liboomreclaim-debug.so.0 OOMRECLAIM_CONF=dry_run:true tells the first from the others
// though there is memory enough. docs/debugging.md explains what it prints.
#define OOMRECLAIM_OPTIONAL
#include <oomreclaim.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct entry *next;
	char data[1000];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // of the list
static struct entry *entries;
static bool does_try, has_scope;

static size_t evict(const struct oomreclaim_control *control, void *arg)
{
	size_t freed = 0;

	(void)arg;
	if (!does_try)
		pthread_mutex_lock(&lock); // the mistake
	else if (pthread_mutex_trylock(&lock) != 0)
		return 0;
	while (entries != NULL && freed < control->bytes_wanted) {
		struct entry *entry = entries;

		entries = entry->next;
		freed += sizeof *entry;
		free(entry);
	}
	pthread_mutex_unlock(&lock);
	return freed;
}

static bool insert(void)
{
	unsigned scope = 0;
	struct entry *entry;

	pthread_mutex_lock(&lock);
	if (has_scope)
		scope = oomreclaim_scope_save(OOMRECLAIM_SCOPE_NORECLAIM);
	entry = malloc(sizeof *entry);
	if (has_scope)
		oomreclaim_scope_restore(scope);
	if (entry != NULL) {
		memset(entry->data, 1, sizeof entry->data);
		entry->next = entries;
		entries = entry;
	}
	pthread_mutex_unlock(&lock);
	return entry != NULL;
}

int main(int argc, char **argv)
{
	const char *how = argc == 2 ? argv[1] : "";
	long count = 0;

	does_try = strcmp(how, "trylock") == 0;
	has_scope = strcmp(how, "noreclaim") == 0 && oomreclaim_available();
	if (!does_try && strcmp(how, "noreclaim") != 0 && strcmp(how, "wait") != 0) {
		fprintf(stderr, "usage: %s wait|trylock|noreclaim\n", argv[0]);
		return 2;
	}
	if (oomreclaim_available())
		oomreclaim_register("entries", 0, 0, evict, NULL, NULL);
	while (count < 20000 && insert())
		count++;
	printf("%ld entries\n", count);
	return 0;
}
