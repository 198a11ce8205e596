/* SPDX-License-Identifier: BSD-2-Clause */
/* What others read of the list: counters, lines of the report, where the code is. */
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "reclaim/registry_inside.h"

static void put_target(struct registry_entry *entry)
{
	entry->stats.bytes_target = entry->target.is_used ? entry->target.bytes : 0;
}

OOM_EXPORT int oomreclaim_callback_stats(oomreclaim_handle handle,
                                         struct oomreclaim_callback_stats *stats, size_t stats_size)
{
	struct registry_entry *entry;
	int error = EINVAL;

	if (stats == NULL)
		return EINVAL;
	lock_take(&registry.lock);
	entry = *registry_find(handle);
	if (entry != NULL && !entry->is_dead) {
		put_target(entry);
		copy_sized(stats, stats_size, &entry->stats, sizeof entry->stats);
		error = 0;
	}
	lock_release(&registry.lock);
	return error;
}

unsigned registry_lines(struct registry_line *lines, unsigned count, unsigned *total)
{
	unsigned used = 0, seen = 0;

	lock_take(&registry.lock);
	for (struct registry_entry *entry = registry.first; entry; entry = entry->next) {
		if (entry->is_dead)
			continue;
		seen++;
		if (used == count)
			continue;
		memcpy(lines[used].name, entry->name, sizeof lines[used].name);
		lines[used].priority = entry->priority;
		lines[used].doubts = entry->shrinker.doubts;
		put_target(entry);
		lines[used++].stats = entry->stats;
	}
	lock_release(&registry.lock);
	*total = seen;
	return used;
}

bool registry_next_code(struct registry_code *code)
{
	const struct registry_entry *next = NULL;

	lock_take(&registry.lock);
	for (const struct registry_entry *entry = registry.first; entry; entry = entry->next)
		if (!entry->is_dead && entry->handle > code->handle &&
		    (next == NULL || entry->handle < next->handle))
			next = entry;
	if (next != NULL) {
		code->handle = next->handle;
		code->flags = next->flags;
		code->function = next->function;
		memcpy(code->name, next->name, sizeof code->name);
		memcpy(code->file, next->file, sizeof code->file);
	}
	lock_release(&registry.lock);
	return next != NULL;
}

void registry_note_file(const struct registry_code *code)
{
	struct registry_entry *entry;

	lock_take(&registry.lock);
	entry = *registry_find(code->handle);
	if (entry != NULL)
		memcpy(entry->file, code->file, sizeof entry->file);
	lock_release(&registry.lock);
}
