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
	struct slot *next;
	pid_t pid;
	uint64_t start;
	unsigned number;
	char names[];
} * slots;

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

static void drop(struct slot **link)
{
	struct slot *gone = *link;

	*link = gone->next;
	free(gone);
}

void slots_forget_ended(void)
{
	for (struct slot **link = &slots; *link != NULL;)
		if (slots_start((*link)->pid) != (*link)->start)
			drop(link);
		else
			link = &(*link)->next;
}

static bool is_taken(unsigned number, const char *names)
{
	for (const struct slot *slot = slots; slot != NULL; slot = slot->next)
		if (slot->number == number && strcmp(slot->names, names) == 0)
			return true;
	return false;
}

static bool add(pid_t pid, uint64_t start, const char *names, unsigned *number)
{
	struct slot *slot = malloc(sizeof *slot + strlen(names) + 1);

	if (slot == NULL)
		return false;
	slot->pid = pid;
	slot->start = start;
	strcpy(slot->names, names);
	slot->number = 0;
	while (is_taken(slot->number, names))
		slot->number++;
	*number = slot->number;
	slot->next = slots;
	slots = slot;
	return true;
}

bool slots_take(pid_t pid, uint64_t start, const char *names, unsigned *slot)
{
	for (struct slot **link = &slots; *link != NULL; link = &(*link)->next)
		if ((*link)->pid == pid && (*link)->start == start) {
			if (strcmp((*link)->names, names) == 0) {
				*slot = (*link)->number;
				return true;
			}
			/* It has executed another program, or was moved to another group. */
			drop(link);
			break;
		}
	return add(pid, start, names, slot);
}
