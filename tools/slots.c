/* SPDX-License-Identifier: BSD-2-Clause */
#include "slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "page.h"

/* Of /proc/PID/stat, behind the name: the state is the first field there, this one the 20th. */
#define FIELD_START 20
#define STAT_BYTES 1024

static struct slot {
	pid_t pid;
	uint64_t start;
	unsigned number;
	char *names;
} * slots;
static size_t count;

uint64_t slots_start(pid_t pid)
{
	char task[32], text[STAT_BYTES];
	const char *field;

	snprintf(task, sizeof task, "/proc/%d", pid);
	field = page_stat(task, text, sizeof text);
	for (int i = 0; i < FIELD_START && field != NULL; i++) {
		field = strchr(field, ' ');
		field = field != NULL ? field + 1 : NULL;
	}
	return field != NULL ? strtoull(field, NULL, 10) : 0;
}

static void drop(size_t at)
{
	free(slots[at].names);
	slots[at] = slots[--count];
}

void slots_forget_ended(void)
{
	for (size_t i = 0; i < count;)
		if (slots_start(slots[i].pid) != slots[i].start)
			drop(i);
		else
			i++;
}

static bool is_taken(unsigned number, const char *names)
{
	for (size_t i = 0; i < count; i++)
		if (slots[i].number == number && strcmp(slots[i].names, names) == 0)
			return true;
	return false;
}

static bool add(pid_t pid, uint64_t start, const char *names, unsigned *slot)
{
	struct slot *grown = realloc(slots, (count + 1) * sizeof *slots);
	char *copy = strdup(names);
	unsigned number = 0;

	if (grown != NULL)
		slots = grown;
	if (grown == NULL || copy == NULL) {
		free(copy);
		return false;
	}
	while (is_taken(number, names))
		number++;
	slots[count++] = (struct slot){pid, start, number, copy};
	*slot = number;
	return true;
}

bool slots_take(pid_t pid, uint64_t start, const char *names, unsigned *slot)
{
	for (size_t i = 0; i < count; i++)
		if (slots[i].pid == pid && slots[i].start == start) {
			if (strcmp(slots[i].names, names) == 0) {
				*slot = slots[i].number;
				return true;
			}
			/* It has executed another program, or was moved to another group. */
			drop(i);
			break;
		}
	return add(pid, start, names, slot);
}
